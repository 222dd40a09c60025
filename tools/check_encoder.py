"""Compares ser's hidden states with transformers' at the published sizes, with random weights.

Usage: python tools/check_encoder.py BUILD/ser [NAME...], with the packages of tools/requirements.txt; a checkpoint
takes up to 4 GB in the temporary folder, one at a time. Prints the largest difference of each hidden state and
ends with 1 where one is above 1e-3 of the state's size, or the cosine of one below 0.99999.
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import wave

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, Wav2Vec2FeatureExtractor

RATE = 16000
LARGE = dict(
    hidden_size=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    intermediate_size=4096,
    feat_extract_norm="layer",
    do_stable_layer_norm=True,
    conv_bias=True,
)
XLARGE = {**LARGE, "hidden_size": 1280, "num_hidden_layers": 48, "intermediate_size": 5120}
LARGE_DATA2VEC = {k: LARGE[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")}
MEMBERS = {
    "hubert-base": ("HUBERT", "hubert", {}),
    "hubert-large": ("HUBERT", "hubert", LARGE),
    "hubert-xlarge": ("HUBERT", "hubert", XLARGE),
    "wav2vec2-base": ("WAV2VEC2", "wav2vec2", {}),
    "wav2vec2-large": ("WAV2VEC2", "wav2vec2", LARGE),
    "wavlm-base": ("WAVLM", "wavlm", {}),
    "wavlm-large": ("WAVLM", "wavlm", LARGE),
    "data2vec-base": ("DATA2VEC", "data2vec-audio", {}),
    "data2vec-large": ("DATA2VEC", "data2vec-audio", LARGE_DATA2VEC),
}


def write_wav(path, x):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes((x * 32768).astype("<i2").tobytes())


def check(program, name, seconds=4.3):
    feature_type, model_type, options = MEMBERS[name]
    torch.manual_seed(46)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **options)).eval()
    n_layers = model.config.num_hidden_layers
    x = np.round(np.random.default_rng(46).normal(0, 3000, int(seconds * RATE))) / 32768
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model.save_pretrained(folder, max_shard_size="1GB")
        inputs = dict(feature_size=1, sampling_rate=RATE, do_normalize=True)
        (folder / "preprocessor_config.json").write_text(json.dumps(inputs))
        write_wav(folder / "x.wav", x)
        layers = ",".join(str(i) for i in range(n_layers + 1))
        command = [program, "extract", "--feature-type", feature_type, "--encoder", folder, "--layers", layers]
        subprocess.run([*command, "-o", folder / "x.npy", folder / "x.wav"], check=True)
        ours = np.load(folder / "x.npy").reshape(-1, n_layers + 1, model.config.hidden_size)
    features = Wav2Vec2FeatureExtractor(**inputs)(x.astype(np.float32), sampling_rate=RATE, return_tensors="pt")
    out = model(features["input_values"], output_hidden_states=True)
    good = True
    for i, h in enumerate([*out.hidden_states[:-1], out.last_hidden_state]):
        theirs = h[0].numpy()
        a, b = ours[:, i].ravel().astype(np.float64), theirs.ravel().astype(np.float64)
        difference = np.abs(a - b).max() / max(1, np.abs(b).max())
        cosine = a @ b / np.sqrt((a @ a) * (b @ b))
        good = good and difference <= 1e-3 and cosine >= 0.99999
        print(f"{name} hidden state {i}: largest difference {difference:.1e}, cosine {cosine:.7f}", flush=True)
    return good


if __name__ == "__main__":
    names = sys.argv[2:] or list(MEMBERS)
    with torch.no_grad():
        sys.exit(0 if all([check(sys.argv[1], name) for name in names]) else 1)
