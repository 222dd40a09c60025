"""Writes tests/golden/encoder: a tiny checkpoint with random weights, and what transformers makes of it and of
Whisper base.

Usage: python tools/make_golden_encoder.py tests/golden/encoder MODELS/whisper-base, with the packages of
tools/requirements.txt. The .f32 files are raw little-endian float32: tiny_* (frames, 64), base_* the rows ROWS of
(frames, 512), one file for each hidden state. The signals are made by make_signal, which
tests/encoder/signal.h repeats.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

RATE = 16000
TINY = dict(
    model_type="whisper",
    activation_function="gelu",
    d_model=64,
    encoder_attention_heads=4,
    encoder_ffn_dim=64,
    encoder_layers=2,
    max_source_positions=50,
    num_mel_bins=40,
)
TINY_SAMPLES = [480, 9500, 16000]  # 2, 30 and 50 frames without padding
BASE_SAMPLES = 59200  # 3.7 s
PADDED_ROWS = [0, 1, 100, 184, 185, 700, 1498, 1499]
UNPADDED_ROWS = [0, 1, 64, 127, 128, 183, 184]


def make_signal(n_samples):
    """A rising triangle wave in noise, in whole numbers, so that C makes the same."""
    n = np.arange(n_samples, dtype=np.int64)
    phase = (n * n // 300 + 400 * n) % 65536
    noise, state = np.empty(n_samples, np.int64), 46
    for i in range(n_samples):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = (state >> 20) - 2048
    return ((abs(phase - 32768) - 16384) * 3 // 8 + noise).astype(np.float32) / 32768


def make_tiny(folder):
    torch.manual_seed(46)
    encoder = WhisperEncoder(WhisperConfig(**TINY))
    tensors = {}
    for name, tensor in encoder.state_dict().items():
        deviation = 0.3 if "norm" in name or "bias" in name or "positions" in name else 2 * tensor[0].numel() ** -0.5
        values = deviation * torch.randn_like(tensor) + (1 if "norm.weight" in name else 0)
        tensors[f"model.encoder.{name}"] = values.to(torch.float16).contiguous()
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(TINY, indent=2) + "\n")
    inputs = dict(feature_size=TINY["num_mel_bins"], sampling_rate=RATE, n_fft=400, hop_length=160, chunk_length=1)
    (folder / "preprocessor_config.json").write_text(json.dumps(inputs, indent=2) + "\n")


def load(folder):
    config = WhisperConfig(**json.loads((folder / "config.json").read_text()))
    config._attn_implementation = "eager"
    encoder = WhisperEncoder(config).eval()
    tensors = load_file(folder / "model.safetensors")
    prefix = "model.encoder."
    encoder.load_state_dict({k[len(prefix) :]: v.float() for k, v in tensors.items() if k.startswith(prefix)})
    extractor = WhisperFeatureExtractor(
        feature_size=config.num_mel_bins, chunk_length=config.max_source_positions // 50
    )
    return encoder, extractor


def padded(encoder, extractor, y):
    features = extractor(y, sampling_rate=RATE, return_tensors="pt")["input_features"]
    return [h[0] for h in encoder(features, output_hidden_states=True).hidden_states]


def unpadded(encoder, extractor, y):
    """transformers insists on whole windows, so the same steps by hand, with the first positions only."""
    n = len(y) // 160
    features = extractor(y, sampling_rate=RATE, padding="do_not_pad", return_tensors="pt")["input_features"]
    assert features.shape[2] == n
    gelu = torch.nn.functional.gelu
    x = gelu(encoder.conv2(gelu(encoder.conv1(features)))).permute(0, 2, 1)
    x = x + encoder.embed_positions.weight[: x.shape[1]]
    states = [x]
    for layer in encoder.layers:
        x = layer(x, attention_mask=None)
        x = x[0] if isinstance(x, tuple) else x
        states.append(x)
    states[-1] = encoder.layer_norm(x)
    return [h[0] for h in states]


def main():
    folder, base = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)

    def save(name, states, rows=None):
        for i, h in enumerate(states):
            h = h if rows is None else h[rows]
            np.ascontiguousarray(h.detach().numpy(), "<f4").tofile(folder / f"{name}_{i}.f32")

    make_tiny(folder / "tiny")
    tiny = load(folder / "tiny")
    save("tiny_padded", padded(*tiny, make_signal(9500)))
    for n in TINY_SAMPLES:
        save(f"tiny_{n}", unpadded(*tiny, make_signal(n)))
    whisper = load(base)
    save("base_padded", padded(*whisper, make_signal(BASE_SAMPLES)), PADDED_ROWS)
    save("base_unpadded", unpadded(*whisper, make_signal(BASE_SAMPLES)), UNPADDED_ROWS)


if __name__ == "__main__":
    with torch.no_grad():
        main()
