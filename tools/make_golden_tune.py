"""Writes tests/golden/tune: a tiny Whisper with random weights, and what PyTorch makes of ten steps of fine-tuning it.

Usage: python tools/make_golden_tune.py tests/golden/tune, with the packages of tools/requirements.txt. Everything is
computed in double precision and stored as float32, long tensors thinned out.
"""
import json
import pathlib
import sys

import torch
import make_golden_encoder
from make_golden_encoder import make_signal
from safetensors.torch import load_file, save_file
from transformers import WhisperFeatureExtractor
from tune_torch import cross_entropy, depth_of, encode, pool, schedule

LENGTHS = [9500, 16000, 4800, 12345]
LABELS, POOLED, SMOOTHING = 4, (1, 2), 0.1
TARGETS = [[1, 0, 0, 0], [0, 0.25, 0.75, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0]]
MASKS = [[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 0, 1]]
N_STEPS, N_WARMUP, DECAY_OF_RATE = 10, 3, 0.98
RATE, HEAD_RATE, LAYER_DECAY, BETAS, EPSILON = 2e-3, 1e-2, 0.8, (0.9, 0.98), 1e-8
DECAY, PULL, CLIP, EMA = 0.05, 0.5, 0.7, 0.9
THIN = 7


def load(folder):
    tensors = load_file(folder / "model.safetensors")
    prefix = "model.encoder."
    p = {k[len(prefix) :]: v.double() for k, v in tensors.items() if k.startswith(prefix)}
    g = torch.Generator().manual_seed(46)
    n_in = 2 * p["conv1.bias"].numel() * len(POOLED)
    p["head.weight"] = 0.05 * torch.randn(LABELS, n_in, generator=g, dtype=torch.float64)
    p["head.bias"] = 0.1 * torch.randn(LABELS, generator=g, dtype=torch.float64)
    for k in ("head.weight", "head.bias"):  # as C reads them
        p[k] = p[k].float().double()
    centre = torch.randn(n_in, generator=g).double()
    factor = (0.5 + torch.rand(n_in, generator=g)).double()
    return p, centre, factor


def thin(x):
    return x.detach().flatten().float()[:: THIN if x.numel() > 1000 else 1].clone()


def batch_loss(p, mels, centre, factor, n_heads, start=0):
    pooled = torch.stack([pool(encode(p, m, n_heads, POOLED[-1], True, start), POOLED) for m in mels])
    logits = F_linear((pooled - centre) * factor, p)
    losses = cross_entropy(logits, torch.tensor(TARGETS).double(), torch.tensor(MASKS).bool(), SMOOTHING)
    return pooled, logits, losses


def F_linear(x, p):
    return torch.nn.functional.linear(x, p["head.weight"], p["head.bias"])


def step(p, m, v, average, origin, gradients, t, rates):
    """AdamW as torch.optim.AdamW has it, with the pull and the average of src/nn/adam.h."""
    for k, g in gradients.items():
        rate, x = rates[k], p[k].detach()
        x = x + rate * PULL * (origin[k] - x) if not k.startswith("head.") else x
        m[k] = BETAS[0] * m[k] + (1 - BETAS[0]) * g
        v[k] = BETAS[1] * v[k] + (1 - BETAS[1]) * g * g
        x = x * (1 - rate * (DECAY if x.ndim > 1 else 0))
        x = x - rate / (1 - BETAS[0] ** t) * m[k] / ((v[k] / (1 - BETAS[1] ** t)).sqrt() + EPSILON)
        p[k] = x
        average[k] = average[k] + (x - average[k]) * (1 - min(EMA, t / (9 + t)))


def main():
    golden = pathlib.Path(sys.argv[1])
    golden.mkdir(exist_ok=True)
    make_golden_encoder.TINY["encoder_ffn_dim"] = 2 * make_golden_encoder.TINY["d_model"]
    make_golden_encoder.make_tiny(golden / "tiny")
    config = json.loads((golden / "tiny/config.json").read_text())
    extractor = WhisperFeatureExtractor(feature_size=config["num_mel_bins"], chunk_length=1)
    mels = []
    for n in LENGTHS:
        y = make_signal(n)
        mels.append(torch.tensor(extractor(y, sampling_rate=16000, padding="do_not_pad")["input_features"][0]).double())
    p, centre, factor = load(golden / "tiny")
    out = {"head.weight": p["head.weight"].float(), "head.bias": p["head.bias"].float()}
    out |= {"centre": centre.float(), "factor": factor.float()}
    names = [k for k in p if k != "embed_positions.weight"]
    origin = {k: p[k].clone() for k in names}
    average = {k: p[k].clone() for k in names}
    m = {k: torch.zeros_like(p[k]) for k in names}
    v = {k: torch.zeros_like(p[k]) for k in names}
    all_losses = []
    for t in range(1, N_STEPS + 1):
        for k in names:
            p[k] = p[k].detach().requires_grad_()
        pooled, logits, losses = batch_loss(p, mels, centre, factor, config["encoder_attention_heads"])
        losses.mean().backward()
        gradients = {k: p[k].grad for k in names}
        if t == 1:
            out |= {"pooled": pooled.detach().float(), "logits": logits.detach().float(), "losses": losses.detach().float()}
            out |= {f"gradient.{k}": thin(g) for k, g in gradients.items()}
        norm = sum((g * g).sum() for g in gradients.values()).sqrt()
        by = min(1, CLIP / (norm + 1e-6))
        at = schedule(t - 1, N_STEPS, N_WARMUP, DECAY_OF_RATE)
        last = POOLED[-1]
        rates = {k: at * (HEAD_RATE if k.startswith("head.") else RATE * LAYER_DECAY ** (last - depth_of(k, last))) for k in names}
        step(p, m, v, average, origin, {k: g * by for k, g in gradients.items()}, t, rates)
        all_losses.append(losses.mean().item())
    out["step_losses"] = torch.tensor(all_losses)
    out |= {f"value.{k}": thin(p[k]) for k in names}
    out |= {f"average.{k}": thin(average[k]) for k in names}
    print("losses", all_losses)
    save_file({k: x.contiguous() for k, x in out.items()}, golden / "steps.safetensors")


if __name__ == "__main__":
    main()
