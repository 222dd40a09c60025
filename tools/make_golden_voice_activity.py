#!/usr/bin/env python3
"""Writes network.safetensors: what the ONNX model of the package silero-vad makes of synthesized sound in ONNX
Runtime, layer by layer. The weights in src/model are from the same package: tools/make_voice_weights.py.

  python tools/make_golden_voice_activity.py tests/golden/voice

with the packages of tools/requirements-voice.txt (pip install --no-deps: silero-vad would bring torch along).
"""
import importlib.util
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import save_file

RATE, WINDOW, CONTEXT = 16000, 512, 64
N_LAYERED = 6  # windows whose layers are kept: more than the library takes at once
LAYERS = {
    "magnitudes": "/stft/Sqrt_output_0",
    "conv1": "/Relu_output_0",
    "conv2": "/Relu_1_output_0",
    "conv3": "/Relu_2_output_0",
    "conv4": "/Relu_3_output_0",
}


def voice(seconds, rng):
    """Vowels that glide into each other, in syllables: pulses of a moving pitch through three resonances."""
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * t) + 2 * np.cumsum(rng.standard_normal(n)) / np.sqrt(RATE)
    phase = np.cumsum(pitch) / RATE
    out = np.diff(np.floor(phase), prepend=0) + 0.01 * rng.standard_normal(n)
    out *= 0.1 + 0.9 * np.clip(1.6 * np.sin(2 * np.pi * 3.7 * t), 0, 1)
    for centre, swing, width in ((550, 250, 80), (1500, 600, 100), (2500, 300, 150)):
        frequency = centre + swing * np.sin(2 * np.pi * 1.3 * t + centre)
        r = np.exp(-np.pi * width / RATE)
        y1 = y2 = 0.0
        for i in range(n):
            y = out[i] + 2 * r * np.cos(2 * np.pi * frequency[i] / RATE) * y1 - r * r * y2
            y2, y1, out[i] = y1, y, y
    return 0.3 * out / abs(out).max()


def telephone(x):
    spectrum = np.fft.rfft(x)
    f = np.fft.rfftfreq(len(x), 1 / RATE)
    return np.fft.irfft(spectrum * ((f > 300) & (f < 3400)), len(x))


def music(seconds):
    t = np.arange(int(seconds * RATE)) / RATE
    notes = [(0, 262), (0.2, 330), (0.4, 392), (0.6, 523)]
    return sum(
        0.1 / k * np.sin(2 * np.pi * k * f * t) * (t > start) * np.exp(-4 * np.clip(t - start, 0, None))
        for start, f in notes
        for k in (1, 2, 3, 4, 5)
    )


def make_signal():
    """Kept as 16 bit floats, which hold it exactly."""
    rng = np.random.default_rng(16)
    speech = voice(2, rng)
    parts = [speech, np.zeros(4000), telephone(speech)[:20000], music(0.8), 0.05 * rng.standard_normal(6000)]
    return np.concatenate(parts + [0.01 * speech[:8000]]).astype(np.float16)


def main():
    package = pathlib.Path(importlib.util.find_spec("silero_vad").origin).parent / "data"
    model = onnx.load(package / "silero_vad_16k_sequence.onnx")
    for name in LAYERS.values():
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    signal = make_signal()
    x = np.concatenate([np.zeros(CONTEXT), signal]).astype(np.float32)
    n = len(signal) // WINDOW
    windows = np.stack([x[i * WINDOW : i * WINDOW + WINDOW + CONTEXT] for i in range(n)])
    state = np.zeros((1, 1, 128), np.float32)
    feed = {"input": windows, "h": state, "c": state}
    names = ["speech_probs", "hn", "cn", *LAYERS.values()]
    probabilities, hidden, cell, *layers = session.run(names, feed)
    tensors = {"signal": signal[: n * WINDOW], "probabilities": probabilities.reshape(-1)}
    tensors |= {"hidden": hidden.reshape(-1), "cell": cell.reshape(-1)}
    for name, values in zip(LAYERS, layers):  # (windows, channels, time) -> (windows, time, channels)
        tensors[name] = np.ascontiguousarray(values[:N_LAYERED].transpose(0, 2, 1))
    print(n, "windows, probabilities", np.round(tensors["probabilities"], 2))

    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    versions = {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__}
    save_file(tensors, folder / "network.safetensors", versions)


main()
