"""One step of fine-tuning Whisper's encoder in ser and PyTorch, side by side in one run.

Usage: python bench/train/compare_tune.py build/bench/train/bench-tune WHISPER_FOLDER [--rounds N] [--threads N] [--cpu WORD]

The stem and the first layers learn, with a linear head on means and deviations over time, from batches of recordings of
one length; AdamW. PyTorch must be there for this Python (tools/requirements.txt): its model is that of
tools/tune_torch.py over the whole batch at once, bf16 by its autocast. Each is one process that makes a few steps when
it is its turn; a busy machine shows in the seconds, least in the processor's with --threads 1.
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

N_LABELS, RATE, BETAS, DECAY = 9, 1e-4, (0.9, 0.999), 0.01
N_STEPS = 3  # in each round, the fastest counts

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import describe, limit  # noqa: E402


def torch_step(precision, folder, n, seconds, last, n_threads):
    import torch
    import torch.nn.functional as F
    from safetensors.torch import load_file

    torch.set_num_threads(n_threads)
    torch.manual_seed(46)
    tensors = load_file(pathlib.Path(folder) / "model.safetensors")
    prefix = "model.encoder."
    p = {k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)}
    p = {k: v for k, v in p.items() if not k.startswith("layers.") or int(k.split(".")[1]) < last}
    dims = p["conv1.bias"].numel()
    positions = p.pop("embed_positions.weight")
    p["head.weight"], p["head.bias"] = torch.zeros(N_LABELS, 2 * dims), torch.zeros(N_LABELS)
    p = {k: torch.nn.Parameter(v) for k, v in p.items() if not k.startswith("layer_norm.")}
    adam = torch.optim.AdamW(p.values(), RATE, BETAS, weight_decay=DECAY)
    n_mels = p["conv1.weight"].shape[1]
    mel, labels = torch.randn(n, n_mels, round(100 * seconds)), torch.arange(n) % N_LABELS

    def encode(x):
        x = F.gelu(F.conv1d(x, p["conv1.weight"], p["conv1.bias"], padding=1))
        x = F.gelu(F.conv1d(x, p["conv2.weight"], p["conv2.bias"], stride=2, padding=1)).transpose(1, 2)
        x = x + positions[: x.shape[1]]
        for i in range(last):

            def linear(x, name):
                return F.linear(x, p[f"layers.{i}.{name}.weight"], p.get(f"layers.{i}.{name}.bias"))

            def norm(x, name):
                return F.layer_norm(x, (dims,), p[f"layers.{i}.{name}.weight"], p[f"layers.{i}.{name}.bias"])

            y = norm(x, "self_attn_layer_norm")
            q, k, v = (linear(y, f"self_attn.{c}_proj").unflatten(-1, (-1, 64)).transpose(1, 2) for c in "qkv")
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            x = x + linear(y, "self_attn.out_proj")
            x = x + linear(F.gelu(linear(norm(x, "final_layer_norm"), "fc1")), "fc2")
        return x

    def step():
        adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            x = encode(mel).float()
            logits = F.linear(torch.cat([x.mean(1), x.std(1, correction=0)], 1), p["head.weight"], p["head.bias"])
            loss = F.cross_entropy(logits, labels)
        loss.backward()
        adam.step()

    return step


def serve(arguments):
    """Makes steps for each line that comes in; answers with the fastest's seconds, processor's seconds, megabytes."""
    precision, folder, n, seconds, last, n_threads = arguments
    step = torch_step(precision, folder, int(n), float(seconds), int(last), int(n_threads))
    step()
    print("ready", flush=True)
    for _ in sys.stdin:
        times = []
        for _ in range(N_STEPS):
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        fastest = [min(t[i] for t in times) for i in (0, 1)]
        print(*fastest, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def ours(args, precision):
    command = [args.program, args.folder, precision, str(N_STEPS + 1), str(args.threads), str(args.recordings)]
    text = subprocess.run([*command, str(args.seconds), "0", str(args.last)], check=True, capture_output=True, text=True).stdout
    times = re.findall(r": ([\d.]+) s, ([\d.]+) s of", text)[1:]
    return [min(float(t[i]) for t in times) for i in (0, 1)] + [float(re.search(r"memory: (\d+)", text)[1])]


def missing(args, precision):
    """Why this processor does not compute in this precision; None where it does."""
    command = [args.program, args.folder, precision, "1", "1", "1", "1", "0", "1"]
    run = subprocess.run(command, capture_output=True, text=True)
    return (run.stderr.strip() or f"status {run.returncode}") if run.returncode else None


def compare(args, precision):
    settings = [precision, args.folder, args.recordings, args.seconds, args.last, args.threads]
    command = [sys.executable, __file__, "--serve", *map(str, settings)]
    torch = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if torch.stdout.readline() != "ready\n":
        sys.exit("PyTorch does not run: see the messages above")
    rows = {"ser": [], "PyTorch": []}
    for _ in range(args.rounds):
        rows["ser"].append(ours(args, precision))
        torch.stdin.write("\n")
        torch.stdin.flush()
        rows["PyTorch"].append([float(v) for v in torch.stdout.readline().split()])
    torch.stdin.close()
    torch.wait()
    best = {name: [min(r[i] for r in all_rows) for i in (0, 1)] for name, all_rows in rows.items()}
    for name, all_rows in rows.items():
        median = statistics.median(r[0] for r in all_rows)
        ratios = " | ".join(f"{best[name][i] / best['ser'][i]:.2f}" for i in (0, 1))
        fastest, cpu = best[name]
        print(f"| {precision} | {name} | {fastest:.3f} | {median:.3f} | {cpu:.3f} | {all_rows[-1][2]:.0f} | {ratios} |", flush=True)


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve(sys.argv[2:])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("folder")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--recordings", type=int, default=16)
    p.add_argument("--seconds", type=float, default=4)
    p.add_argument("--last", type=int, default=4)
    p.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    p.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    p.add_argument("--cpu", metavar="WORD", help="avx2, avxvnni, avx512, ...: hide the rest of the processor (bench/mask_cpu.c)")
    args = p.parse_args()
    limit(args.cpu, args.program)
    print(f"{describe()}; {args.threads} threads, {args.recordings} recordings of {args.seconds:g} s, {args.last} layers, ", end="")
    print(f"{args.rounds} rounds, in turns\n")
    print("| precision | program | fastest, s | median, s | processor, s | peak, MB | ser is faster: fastest | processor |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for precision in args.precision:
        why = missing(args, precision)
        if why:
            print(f"{precision}: left out ({why})", file=sys.stderr)
        else:
            compare(args, precision)


if __name__ == "__main__":
    main()
