"""One epoch of training the temporal network in ser, PyTorch and Keras, side by side in one run.

Usage: python bench/train/compare.py build/bench/train/bench-train [--keras PYTHON] [--rounds N] [--threads N] [--cpu WORD]

535 recordings of 96 frames of 128 numbers, batches of 32, the default network with dropout, Adam. PyTorch must be
there for this Python (tools/requirements.txt), Keras for the one that --keras names
(tools/requirements-keras.txt); without --keras it is left out. Each peer is one process that trains an epoch when it
is its turn, after one that counts for nothing. A busy machine shows in the seconds, least in the processor's with
--threads 1: on two threads, PyTorch's wait for each other thousands of times per epoch.
"""
import argparse
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time

N_FRAMES, N_IN, N_LABELS, N_BATCH = 96, 128, 7, 32
RATE, BETAS, EPSILON, SMOOTHING = 3e-4, (0.93, 0.98), 1e-7, 0.1

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import describe, limit  # noqa: E402


# ---- peers: each returns a function that trains one epoch ----


def torch_peer(precision, n_recordings, n_threads):
    """PyTorch's own layers and optimiser, no masks, since all recordings are of one length."""
    import torch
    import torch.nn.functional as F
    from timnet_torch import Timnet

    torch.set_num_threads(n_threads)
    torch.manual_seed(46)
    net = Timnet(N_IN, N_LABELS).train()
    adam = torch.optim.Adam(net.parameters(), RATE, BETAS, EPSILON)
    x, labels = torch.randn(n_recordings, N_IN, N_FRAMES), torch.arange(n_recordings) % N_LABELS

    def epoch():
        for i in range(0, n_recordings, N_BATCH):
            adam.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                logits = net(x[i : i + N_BATCH])
                loss = F.cross_entropy(logits, labels[i : i + N_BATCH], label_smoothing=SMOOTHING)
            loss.backward()
            adam.step()

    return epoch


def keras_peer(precision, n_recordings, n_threads):
    """Keras on TensorFlow, compiled as fit() does by default."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import keras
    import numpy as np
    import tensorflow as tf
    from timnet_keras import build

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(n_threads)
    keras.utils.set_random_seed(46)
    if precision == "bf16":
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    net = build(keras, N_IN, N_LABELS)
    net.compile(
        keras.optimizers.Adam(RATE, *BETAS, EPSILON),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=SMOOTHING),
    )
    x = np.random.default_rng(46).standard_normal((n_recordings, N_FRAMES, N_IN), np.float32)
    labels = np.eye(N_LABELS, dtype=np.float32)[np.arange(n_recordings) % N_LABELS]
    return lambda: net.fit(x, labels, N_BATCH, 1, verbose=0, shuffle=False)


def serve(peer, precision, n_recordings, n_threads):
    """Trains an epoch for each line that comes in; answers with seconds, the processor's seconds, megabytes."""
    epoch = {"PyTorch": torch_peer, "Keras": keras_peer}[peer](precision, n_recordings, n_threads)
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        epoch()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


class Peer:
    def __init__(self, python, name, *settings):
        command = [python, __file__, "--serve", name, *map(str, settings)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{name} does not run in {python}: see the messages above")

    def epoch(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return [float(v) for v in self.process.stdout.readline().split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Ours:
    def __init__(self, program, precision, n_recordings, n_threads):
        self.command = [program, precision, "2", str(n_threads), str(n_recordings)]

    def epoch(self):
        """The second epoch of two."""
        text = subprocess.run(self.command, check=True, capture_output=True, text=True).stdout
        wall, cpu = re.search(r"epoch 1: ([\d.]+) s, ([\d.]+) s", text).groups()
        return [float(wall), float(cpu), float(re.search(r"memory: (\d+)", text)[1])]

    def close(self):
        pass


# ---- the comparison ----


def missing(args, precision):
    """Why this processor does not compute in this precision; None where it does."""
    run = subprocess.run([args.program, precision, "1", "1", str(N_BATCH)], capture_output=True, text=True)
    return (run.stderr.strip() or f"status {run.returncode}") if run.returncode else None


def compare(args, precision):
    settings = (precision, args.recordings, args.threads)
    peers = {"ser": Ours(args.program, *settings), "PyTorch": Peer(sys.executable, "PyTorch", *settings)}
    if args.keras:
        peers["Keras"] = Peer(args.keras, "Keras", *settings)
    times = {name: [] for name in peers}
    for _ in range(args.rounds):
        for name, peer in peers.items():
            times[name].append(peer.epoch())
    for peer in peers.values():
        peer.close()
    ours = [min(t[i] for t in times["ser"]) for i in (0, 1)], statistics.median(t[0] for t in times["ser"])
    for name, rows in times.items():
        fastest, cpu = min(r[0] for r in rows), min(r[1] for r in rows)
        median = statistics.median(r[0] for r in rows)
        ratios = f"{fastest / ours[0][0]:.2f} | {median / ours[1]:.2f} | {cpu / ours[0][1]:.2f}"
        print(f"| {precision} | {name} | {fastest:.2f} | {median:.2f} | {cpu:.2f} | {rows[-1][2]:.0f} | {ratios} |", flush=True)


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("--keras", metavar="PYTHON")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--recordings", type=int, default=535)
    p.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    p.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    p.add_argument("--cpu", metavar="WORD", help="avx2, avxvnni, avx512, ...: hide the rest of the processor (bench/mask_cpu.c)")
    args = p.parse_args()
    limit(args.cpu, args.program)
    print(f"{describe()}; {args.threads} threads, {args.recordings} recordings, {args.rounds} rounds, in turns\n")
    print("| precision | program | fastest, s | median, s | processor, s | peak, MB | ser is faster: fastest | median | processor |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for precision in args.precision:
        why = missing(args, precision)
        if why:
            print(f"{precision}: left out ({why})", file=sys.stderr)
        else:
            compare(args, precision)


if __name__ == "__main__":
    main()
