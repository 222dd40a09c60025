"""HuBERT base in ser, PyTorch, ONNX Runtime and OpenVINO: the same random weights, the same sound, two threads each,
in turns, in one run.

Usage: python bench/encoder/compare.py BENCH_ENCODER [--rounds N] [--seconds 3.7,10,30] [--only WORD,...]
       [--picture OUT.svg] [--processor] [--models FOLDER] [--cpu WORD]
BENCH_ENCODER is build/bench/encoder/bench-encoder. Packages: bench/requirements.txt; a peer whose package is missing
is left out, and a precision that this processor has not. OpenVINO int8 is what NNCF makes of it (model type transformer,
mixed preset, eight calibration clips). The last column is the cosine between a peer's frames and PyTorch's in fp32. Times are the fastest of all rounds: on a machine with other work, the rest measures that. With
--processor, everybody has one thread and its time on the processor counts, which other work disturbs little. Peers
are warmed up with each length. With --models, the checkpoint and what is exported and quantised stay in FOLDER for
further runs. --cpu avx2 (avxvnni, avx512, avx512vnni, avx512bf16) hides the rest of the processor from everybody, as
bench/mask_cpu.c says.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from transformers import HubertConfig, HubertModel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from processor import describe, limit  # noqa: E402

RATE, N_CALIBRATION = 16000, 8
PROCESSOR = "--processor" in sys.argv
N_THREADS = 1 if PROCESSOR else min(2, len(os.sched_getaffinity(0)))
clock = time.process_time if PROCESSOR else time.perf_counter


def noise(seed, seconds):
    """(1, samples), of mean 0 and deviation 1, as the encoder's own normalisation leaves it."""
    x = np.random.default_rng(seed).uniform(-1, 1, (1, int(seconds * RATE)))
    return ((x - x.mean()) / x.std()).astype(np.float32)


class Ser:
    def __init__(self, program, folder, precision):
        self.command, self.precision = [program, folder, precision], precision

    def seconds(self, length, n_rounds):
        command = [*self.command, "12", str(N_THREADS), str(n_rounds), str(length)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise RuntimeError(run.stderr.strip())
        return float(re.search(r"processor: *([\d.]+) ms$" if PROCESSOR else r"one: *([\d.]+) ms", run.stdout, re.M)[1]) / 1000

    def run(self, x):
        """The last hidden state of x (1, samples)."""
        with tempfile.TemporaryDirectory() as folder:
            names = [str(pathlib.Path(folder) / name) for name in ("pcm.f32", "frames.f32")]
            x.tofile(names[0])
            run = subprocess.run([*self.command, "12", "--hear", *names], capture_output=True, text=True)
            if run.returncode:
                raise RuntimeError(run.stderr.strip())
            return np.fromfile(names[1], np.float32)


class Peer:
    def seconds(self, length, n_rounds):
        x = noise(46, length)
        self.run(x)
        best = float("inf")
        for _ in range(n_rounds):
            start = clock()
            self.run(x)
            best = min(best, clock() - start)
        return best


class Torch(Peer):
    def __init__(self, model, half):
        self.model, self.half = model, half

    def run(self, x):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            return self.model(torch.from_numpy(x)).last_hidden_state.float().numpy()


class Onnx(Peer):
    def __init__(self, path):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = N_THREADS
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(self, x):
        return self.session.run(None, {"x": x})[0]


class OpenVino(Peer):
    def __init__(self, model, precision):
        """model: a path, or what NNCF made."""
        import openvino

        settings = {
            "INFERENCE_NUM_THREADS": N_THREADS,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.model = openvino.Core().compile_model(model, "CPU", settings)

    def run(self, x):
        return self.model(x)[0]


class OnlyLast(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).last_hidden_state


def export(model, folder):
    path = str(folder / "fp32.onnx")
    if pathlib.Path(path).exists():
        return path
    sound = torch.randn(1, RATE)
    axes = {"x": {1: "samples"}, "y": {1: "frames"}}
    torch.onnx.export(
        OnlyLast(model).eval(), (sound,), path, input_names=["x"], output_names=["y"], dynamic_axes=axes, dynamo=False
    )
    return path


def make_peers(program, model, folder, wanted):
    peers = {}

    def add(name, make):
        if wanted and not any(word in name for word in wanted):
            return
        try:
            peers[name] = make()
        except Exception as why:  # a peer that this machine cannot run is no reason to measure none
            print(f"{name}: left out ({str(why).splitlines()[0][:100]})", file=sys.stderr)

    has = {name: importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime", "openvino", "nncf")}
    path = export(model, folder) if has["onnx"] else None
    for precision in ("fp32", "bf16", "int8"):
        add(f"ser {precision}", lambda p=precision: Ser(program, folder, p))
    add("PyTorch fp32", lambda: Torch(model, False))
    add("PyTorch bf16", lambda: Torch(model, True))
    if path and has["onnxruntime"]:
        add("ONNX Runtime fp32", lambda: Onnx(path))

        def quantised():
            from onnxruntime.quantization import quantize_dynamic

            small = folder / "int8.onnx"
            if not small.exists():
                quantize_dynamic(path, str(small), op_types_to_quantize=["MatMul"], per_channel=True)
            return Onnx(str(small))

        add("ONNX Runtime int8", quantised)
    if path and has["openvino"]:
        add("OpenVINO fp32", lambda: OpenVino(path, "f32"))
        add("OpenVINO bf16", lambda: OpenVino(path, "bf16"))
    if path and has["openvino"] and has["nncf"]:

        def by_nncf():
            kept = folder / "nncf.xml"
            if kept.exists():
                return OpenVino(str(kept), "f32")
            import nncf
            import openvino

            clips = nncf.Dataset([noise(1000 + i, 3.7) for i in range(N_CALIBRATION)])
            small = nncf.quantize(
                openvino.Core().read_model(path), clips, model_type=nncf.ModelType.TRANSFORMER,
                preset=nncf.QuantizationPreset.MIXED, subset_size=N_CALIBRATION,
            )  # fmt: skip
            openvino.save_model(small, str(kept), compress_to_fp16=False)
            return OpenVino(small, "f32")

        add("OpenVINO int8", by_nncf)
    return peers


def measure(peers, lengths, n_turns, n_rounds):
    """Fastest seconds by (name, length), everybody in turns."""
    best = {}
    for length in lengths:
        for _ in range(n_turns):
            for name, peer in list(peers.items()):
                try:
                    took = peer.seconds(length, n_rounds)
                except RuntimeError as why:
                    print(f"{name}: left out ({str(why).splitlines()[0][:100]})", file=sys.stderr)
                    del peers[name]
                    continue
                best[name, length] = min(took, best.get((name, length), float("inf")))
                print(f"{name}, {length:g} s: {took * 1000:.0f} ms", file=sys.stderr, flush=True)
    return best


def cosines(peers, model):
    """By name: between all numbers of the last hidden state of 3.7 s and those of PyTorch in fp32."""
    x, found = noise(47, 3.7), {}
    exact = Torch(model, False).run(x).ravel().astype(np.float64)
    for name, peer in peers.items():
        y = np.asarray(peer.run(x)).ravel().astype(np.float64)
        found[name] = y @ exact / np.sqrt((y @ y) * (exact @ exact))
    return found


def print_table(peers, lengths, best, alike):
    print(f"{describe()}; {N_THREADS} threads; milliseconds {'of the processor ' if PROCESSOR else ''}(times real time), fastest")
    print("| what | " + " | ".join(f"{length:g} s" for length in lengths) + " | cosine |")
    print("| --- |" + " --- |" * (len(lengths) + 1))
    for name in peers:
        cells = [f"{best[name, s] * 1000:.0f} ({s / best[name, s]:.1f})" for s in lengths]
        print(f"| {name} | " + " | ".join(cells) + f" | {alike[name]:.5f} |")
    for precision, others in (("fp32", " fp32"), ("bf16", ""), ("int8", " int8"), ("int8", "")):
        rivals = [n for n in peers if not n.startswith("ser") and n.endswith(others)]
        if f"ser {precision}" not in peers or not rivals:
            continue
        cells = [f"{min(best[n, s] for n in rivals) / best[f'ser {precision}', s]:.2f}" for s in lengths]
        kind = others.strip() or "any precision"
        print(f"| ser {precision} / fastest peer, {kind} | " + " | ".join(cells) + " | |")


def draw(path, peers, lengths, best):
    """Bars: times real time, one block for each length."""
    row, left, width = 18, 150, 520
    highest = max(s / best[n, s] for n in peers for s in lengths)
    lines, y = [], 10
    for s in lengths:
        lines.append(f'<text x="4" y="{y + 13}" font-weight="bold">{s:g} s of sound</text>')
        y += row
        for name in peers:
            speed = s / best[name, s]
            colour = "#1b6ca8" if name.startswith("ser") else "#b0b0b0"
            lines.append(f'<text x="4" y="{y + 13}">{name}</text>')
            lines.append(f'<rect x="{left}" y="{y + 2}" width="{width * speed / highest:.1f}" height="13" fill="{colour}"/>')
            lines.append(f'<text x="{left + width * speed / highest + 4:.1f}" y="{y + 13}">{speed:.1f}</text>')
            y += row
        y += row // 2
    lines.append(f'<text x="4" y="{y + 13}">times real time, HuBERT base, {N_THREADS} threads, {describe()}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 50}" height="{y + 24}" font-family="sans-serif" font-size="12">'
    pathlib.Path(path).write_text(head + '\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--seconds", default="3.7,10,30")
    parser.add_argument("--only", default="")
    parser.add_argument("--picture")
    parser.add_argument("--processor", action="store_true")
    parser.add_argument("--models", type=pathlib.Path)
    parser.add_argument("--cpu", metavar="WORD")
    options = parser.parse_args()
    limit(options.cpu, options.program)
    lengths = [float(s) for s in options.seconds.split(",")]
    torch.set_num_threads(N_THREADS)
    torch.manual_seed(46)
    model = HubertModel(HubertConfig()).eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        folder = options.models or pathlib.Path(folder)
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
        peers = make_peers(options.program, model, folder, [w for w in options.only.split(",") if w])
        best = measure(peers, lengths, options.turns, options.rounds)
        alike = cosines(peers, model)
    print_table(peers, lengths, best, alike)
    if options.picture:
        draw(options.picture, peers, lengths, best)


if __name__ == "__main__":
    main()
