"""Fine-tuning of Whisper's encoder in PyTorch, as src/tune describes it: the reference for tests and for speed.

Every recording is computed by itself, with its own frames only; a batch is a list.
"""
import math

import torch
import torch.nn.functional as F

EPSILON = 1e-5


def encode(p, mel, n_heads, last, last_norm, start=0):
    """Hidden states start ... last of mel (n_mels, n), or of hidden state start itself (n, dims)."""
    x = mel
    if start == 0:
        x = F.gelu(F.conv1d(x[None], p["conv1.weight"], p["conv1.bias"], padding=1))
        x = F.gelu(F.conv1d(x, p["conv2.weight"], p["conv2.bias"], stride=2, padding=1))[0].T
        x = x + p["embed_positions.weight"][: len(x)]
    states = {start: x}
    for i in range(start, last):

        def linear(x, name):
            return F.linear(x, p[f"layers.{i}.{name}.weight"], p.get(f"layers.{i}.{name}.bias"))

        def norm(x, name):
            return F.layer_norm(x, x.shape[-1:], p[f"layers.{i}.{name}.weight"], p[f"layers.{i}.{name}.bias"], EPSILON)

        y = norm(x, "self_attn_layer_norm")
        q, k, v = (linear(y, f"self_attn.{c}_proj").unflatten(-1, (n_heads, -1)).transpose(0, 1) for c in "qkv")
        y = F.scaled_dot_product_attention(q, k, v).transpose(0, 1).flatten(1)
        x = x + linear(y, "self_attn.out_proj")
        x = x + linear(F.gelu(linear(norm(x, "final_layer_norm"), "fc1")), "fc2")
        states[i + 1] = x
    if last_norm:
        states[last] = F.layer_norm(x, x.shape[-1:], p["layer_norm.weight"], p["layer_norm.bias"], EPSILON)
    return states


def pool(states, pooled):
    return torch.cat([f(states[i]) for i in pooled for f in (lambda x: x.mean(0), lambda x: x.std(0, correction=0))])


def cross_entropy(logits, target, mask, smoothing):
    """Over the labels of the mask; smoothing is spread over them."""
    log_p = logits.masked_fill(~mask, -math.inf).log_softmax(-1)
    q = (1 - smoothing) * target + smoothing * mask / mask.sum(-1, keepdim=True)
    return -(q * log_p.masked_fill(~mask, 0)).sum(-1)


def depth_of(name, last):
    """0: the stem, 1 ... last: layers and the last norm, last + 1: the head."""
    if name.startswith("head."):
        return last + 1
    if name.startswith("layers."):
        return int(name.split(".")[1]) + 1
    return last if name.startswith("layer_norm.") else 0


def schedule(step, n_steps, n_warmup, decay):
    if step < n_warmup:
        return (step + 1) / n_warmup
    done = min(1, (step - n_warmup) / (n_steps - n_warmup)) if n_steps > n_warmup else 1
    return 1 - decay * (1 - math.cos(math.pi * done)) / 2
