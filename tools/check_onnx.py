#!/usr/bin/env python3
"""Compares exported ONNX models in ONNX Runtime, or with --openvino in OpenVINO, with ser. Exit status 77: onnx or onnxruntime is not installed.

  tools/check_onnx.py FOLDER
      every NAME.onnx in it against NAME.vectors, which tests/export/test_onnx.c leaves there
  tools/check_onnx.py --ser build/ser [--model MODEL [--encoder FOLDER]] RECORDING...
      exports the model (without --model: the built-in one) and compares with 'ser predict' in fp32; recordings of 16 kHz,
      mono, of 10 s or less; ffmpeg reads them

Last checked with onnx 1.17.0, onnxruntime 1.20.1, openvino 2024.6.0.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as e:
    print(e)
    sys.exit(77)

TOLERANCE = 1e-4


def open_model(path):
    """Checked, with shapes inferred strictly; what turns sound into scores, and the labels."""
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    said = {p.key: p.value for p in model.metadata_props}
    labels = json.loads(said["labels"])
    assert labels == sorted(labels), labels
    assert "MIT License" in said["license"] and "provenance" in said, said.keys()
    shape = [d.dim_value for d in inferred.graph.output[0].type.tensor_type.shape.dim]
    assert shape == [1, len(labels)], shape
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)], model.opset_import
    if args.openvino:
        import openvino
        compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda pcm: compiled({"waveform": pcm[None]})["scores"][0], labels
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda pcm: session.run(["scores"], {"waveform": pcm[None]})[0][0], labels


def check_folder(folder):
    worst, n = 0, 0
    for name in sorted(f[:-5] for f in os.listdir(folder) if f.endswith(".onnx")):
        run, labels = open_model(os.path.join(folder, name + ".onnx"))
        x, largest = np.fromfile(os.path.join(folder, name + ".vectors"), dtype="<f4"), 0
        while len(x):
            n_samples = int(x[0])
            pcm, expected, x = x[1:1 + n_samples], x[1 + n_samples:1 + n_samples + len(labels)], x[1 + n_samples + len(labels):]
            largest = max(largest, np.abs(run(pcm) - expected).max())
            n += 1
        print(f"{name}: largest difference of a score {largest:.3g}")
        worst = max(worst, largest)
    return worst, n


def check_recordings(ser, model, encoder, recordings):
    worst = 0
    encoder = ["--encoder", encoder] if encoder else []
    named = (["--model", model] if model else []) + encoder
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        subprocess.run([ser, "export", "--format", "onnx", "-o", path] + ([model] if model else []) + encoder, check=True,
                       stdout=subprocess.DEVNULL)
        run, labels = open_model(path)
        answers = subprocess.run([ser, "predict", "--format", "json", "--precision", "fp32"] + named + recordings, check=True,
                                 stdout=subprocess.PIPE).stdout.splitlines()
        n = 0
        for recording, answer in zip(recordings, map(json.loads, answers), strict=True):
            if answer["label"] is None:
                print(f"{recording}: no voice, left out")
                continue
            sound = subprocess.run(["ffmpeg", "-v", "error", "-i", recording, "-f", "f32le", "-"], check=True,
                                   stdout=subprocess.PIPE).stdout
            scores = run(np.frombuffer(sound, dtype="<f4"))
            worst = max(worst, max(abs(float(s) - answer["scores"][label]) for s, label in zip(scores, labels)))
            n += 1
    return worst, n


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--ser")
parser.add_argument("--model")
parser.add_argument("--openvino", action="store_true")
parser.add_argument("--encoder")
parser.add_argument("paths", nargs="+")
args = parser.parse_args()
worst, n = check_recordings(args.ser, args.model, args.encoder, args.paths) if args.ser else check_folder(args.paths[0])
print(f"{n} recordings, largest difference of a score {worst:.3g}")
sys.exit(0 if n and worst <= TOLERANCE else 1)
