"""One epoch of training the temporal network in ser and in PyTorch, in turns, in one run.

Usage: python bench/train/compare_torch.py PROGRAM [N_ROUNDS [N_RECORDINGS]]
PROGRAM is bench-train. 535 recordings of 96 frames of 128 numbers, batches of 32, dropout, Adam; two threads each.
Packages: tools/requirements.txt. On a busy machine the fastest round is the fairest: waiting for each other, as
PyTorch's threads do hundreds of times per step, costs more there than computing.
"""
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
from timnet_torch import Timnet  # noqa: E402

N_FRAMES, N_IN, N_LABELS, N_BATCH = 96, 128, 7, 32
N_THREADS = min(2, len(os.sched_getaffinity(0)))


class Peer:
    """PyTorch's own layers and optimiser, no masks, since all recordings are of one length."""

    def __init__(self, n_recordings):
        torch.manual_seed(46)
        self.net = Timnet(N_IN, N_LABELS).train()
        self.adam = torch.optim.Adam(self.net.parameters(), 3e-4, (0.93, 0.98), 1e-7)
        self.x = torch.randn(n_recordings, N_IN, N_FRAMES)
        self.labels = torch.arange(n_recordings) % N_LABELS

    def epoch(self, precision):
        start = time.perf_counter()
        for i in range(0, len(self.x), N_BATCH):
            self.adam.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                loss = F.cross_entropy(self.net(self.x[i : i + N_BATCH]), self.labels[i : i + N_BATCH], label_smoothing=0.1)
            loss.backward()
            self.adam.step()
        return time.perf_counter() - start


def ours(program, precision, n_recordings):
    """Seconds of the faster of two epochs, of which the first also sees to memory; peak memory in MB."""
    command = [program, precision, "2", str(N_THREADS), str(n_recordings)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return min(float(s) for s in re.findall(r"epoch \d+: ([\d.]+) s", text)), int(re.search(r"memory: (\d+)", text)[1])


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "unknown")


def main():
    program, n_rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    n_recordings = int(sys.argv[3]) if len(sys.argv) > 3 else 535
    torch.set_num_threads(N_THREADS)
    print(f"{cpu()}, {N_THREADS} threads, {n_recordings} recordings; seconds per epoch, fastest (median) of {n_rounds}")
    for precision in ("fp32", "bf16"):
        peer = Peer(n_recordings)
        peer.epoch(precision)  # sees to memory
        times = {"ser": [], "PyTorch": []}
        for _ in range(n_rounds):
            times["PyTorch"].append(peer.epoch(precision))
            seconds, memory = ours(program, precision, n_recordings)
            times["ser"].append(seconds)
        fastest = {name: min(t) for name, t in times.items()}
        middle = {name: statistics.median(t) for name, t in times.items()}
        row = ", ".join(f"{name} {fastest[name]:.2f} ({middle[name]:.2f})" for name in times)
        ratios = [fastest["PyTorch"] / fastest["ser"], middle["PyTorch"] / middle["ser"]]
        print(f"{precision}: {row}: {ratios[0]:.2f} ({ratios[1]:.2f}) times as fast; {memory} MB", flush=True)


if __name__ == "__main__":
    main()
