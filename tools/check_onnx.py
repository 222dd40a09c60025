#!/usr/bin/env python3
"""Compares exported ONNX models in ONNX Runtime, and in OpenVINO, with ser. Exit status 77: onnx or onnxruntime is not installed.

  tools/check_onnx.py FOLDER
      every NAME.onnx in it against NAME.vectors, which tests/export/test_onnx.c leaves there
  tools/check_onnx.py --ser build/ser [--model MODEL [--encoder FOLDER]...] [--lengths 500] [--openvino 20] PLACE...
      exports the model (without --model: the built-in one) and compares with 'ser predict --precision fp32' on the recordings
      at PLACE, files and folders; with --lengths N on N recordings of 0.1 s to 60 s that are made of those, with pauses
      between them, and a few with no voice. --openvino N: the first N in OpenVINO, too. ffmpeg reads them.

Prints the largest difference of a score; more than 1e-4 is a failure. Last checked with onnx 1.17.0, onnxruntime 1.20.1,
openvino 2024.6.0.
"""
import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import wave

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as e:
    print(e)
    sys.exit(77)

TOLERANCE = 1e-4
RATE = 16000


def check_model(path):
    """Checked, with shapes inferred strictly; returns the labels."""
    onnx.checker.check_model(path, full_check=True)
    with tempfile.NamedTemporaryFile(suffix=".onnx", dir=os.path.dirname(path)) as inferred:
        onnx.shape_inference.infer_shapes_path(path, inferred.name, strict_mode=True, data_prop=True)
        model = onnx.load(inferred.name, load_external_data=False)
    said = {p.key: p.value for p in model.metadata_props}
    labels = json.loads(said["labels"])
    assert labels == sorted(labels), labels
    assert "MIT License" in said["license"] and "provenance" in said, said.keys()
    shape = [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]
    assert shape == [1, len(labels)], shape
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)], model.opset_import
    return labels


def open_onnxruntime(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda pcm: session.run(["scores"], {"waveform": pcm[None]})[0][0]


def open_openvino(path):
    import openvino
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda pcm: compiled({"waveform": pcm[None]})["scores"][0]


def check_folder(folder):
    worst, n = 0, 0
    for name in sorted(f[:-5] for f in os.listdir(folder) if f.endswith(".onnx")):
        path = os.path.join(folder, name + ".onnx")
        labels, run = check_model(path), (open_openvino if args.openvino else open_onnxruntime)(path)
        x, largest = np.fromfile(os.path.join(folder, name + ".vectors"), dtype="<f4"), 0
        while len(x):
            n_samples = int(x[0])
            pcm, expected, x = x[1:1 + n_samples], x[1 + n_samples:1 + n_samples + len(labels)], x[1 + n_samples + len(labels):]
            largest = max(largest, np.abs(run(pcm) - expected).max())
            n += 1
        print(f"{name}: largest difference of a score {largest:.3g}")
        worst = max(worst, largest)
    return worst, n


@functools.lru_cache(maxsize=1000)
def decode(path):
    command = ["ffmpeg", "-v", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout, dtype="<i2")


def find(places):
    found = []
    for place in places:
        for folder, _, names in os.walk(place) if os.path.isdir(place) else [("", [], [place])]:
            found += [os.path.join(folder, name) for name in names
                      if name.lower().endswith((".wav", ".flac", ".opus", ".ogg", ".mp3"))]
    return sorted(found)


def make(found, n, random):
    """n recordings (name, samples), as long as exp(uniform): each as many of the found ones as it takes, with pauses of up to
    2 s between them. Every fiftieth holds no voice."""
    for i in range(n):
        n_samples, parts = int(RATE * np.exp(random.uniform(np.log(0.1), np.log(60)))), []
        if i % 50 == 49:
            yield f"noise {i}", (random.normal(0, 10.0 ** random.uniform(-1, 3), n_samples)).astype("<i2")
            continue
        while sum(map(len, parts)) < n_samples:
            parts += [decode(found[random.integers(len(found))]), np.zeros(random.integers(2 * RATE), "<i2")]
        yield f"made {i}", np.concatenate(parts)[:n_samples]


def write_wav(path, samples):
    with wave.open(path, "wb") as f:
        f.setparams((1, 2, RATE, len(samples), "NONE", ""))
        f.writeframes(samples.tobytes())


def check_recordings():
    encoders = [word for e in args.encoder for word in ("--encoder", e)]
    found, n_silent = find(args.paths), 0
    recordings = make(found, args.lengths, np.random.default_rng(1)) if args.lengths else ((f, decode(f)) for f in found)
    with tempfile.TemporaryDirectory() as folder:
        path, names, sounds, heard = os.path.join(folder, "model.onnx"), [], [], []
        subprocess.run([args.ser, "export", "--format", "onnx", "-o", path] + ([args.model] if args.model else []) + encoders,
                       check=True, stdout=subprocess.DEVNULL)
        labels, runs = check_model(path), {"ONNX Runtime": open_onnxruntime(path)}
        if args.openvino:
            runs["OpenVINO"] = open_openvino(path)
        for i, (name, samples) in enumerate(recordings):
            names.append(name)
            sounds.append(os.path.join(folder, f"{i}.wav"))
            heard.append(samples)
            write_wav(sounds[-1], samples)
        answers = subprocess.run([args.ser, "predict", "--format", "json", "--precision", "fp32"] + encoders + sounds +
                                 (["--model", args.model] if args.model else []), check=True,
                                 stdout=subprocess.PIPE).stdout.splitlines()
        differences, seconds = {engine: [] for engine in runs}, []
        for i, (name, samples, answer) in enumerate(zip(names, heard, map(json.loads, answers), strict=True)):
            expected = [answer["scores"][label] if answer["label"] is not None else 0 for label in labels]
            n_silent += answer["label"] is None
            pcm = samples.astype(np.float32) / 32768
            seconds.append(len(pcm) / RATE)
            for engine, run in runs.items():
                if engine == "OpenVINO" and i >= args.openvino:
                    continue
                differences[engine].append(np.abs(run(pcm) - expected).max())
                if differences[engine][-1] > TOLERANCE:
                    print(f"{engine}: {name}, {seconds[-1]:.2f} s: {differences[engine][-1]:.3g}", flush=True)
    print(f"{len(seconds)} recordings of {min(seconds):.1f} to {max(seconds):.1f} s, {n_silent} of them without a voice")
    for engine, d in differences.items():
        print(f"{engine}: {len(d)} recordings, largest difference of a score {max(d):.3g}")
    return max(map(max, differences.values())), len(seconds)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ser")
parser.add_argument("--model")
parser.add_argument("--encoder", action="append", default=[])
parser.add_argument("--lengths", type=int)
parser.add_argument("--openvino", type=int, nargs="?", const=1 << 30, default=0)
parser.add_argument("paths", nargs="+")
args = parser.parse_args()
worst, n = check_recordings() if args.ser else check_folder(args.paths[0])
print(f"{n} recordings, largest difference of a score {worst:.3g}")
sys.exit(0 if n and worst <= TOLERANCE else 1)
