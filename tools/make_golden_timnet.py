"""Writes tests/golden/timnet: what PyTorch makes of the temporal network, its layers, and ten steps of training.

Usage: python tools/make_golden_timnet.py tests/golden/timnet, with the packages of tools/requirements.txt.
Everything is computed in double precision and stored as float32.
"""
import pathlib
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from timnet_torch import ACTIVATIONS, EPSILON, KerasAdam, Norm, Timnet

N_IN, N_LABELS, N, N_DILATIONS = 6, 4, 20, 5  # no multiple of a vector's width; dilations around 16
LENGTHS = [1, 37, 8, 64, 50]
LABELS = [0, 3, 1, 2, 3]
WEIGHTS = [1.0, 0.5, 2.0, 1.0, 1.25]
RATE, BETAS, SMOOTHING, SEED = 1e-2, (0.93, 0.98), 0.1, 46
M64 = 2**64 - 1


class Random:
    """src/base/random.c: xoshiro256** seeded by splitmix64."""

    @staticmethod
    def splitmix(x):
        x = (x + 0x9E3779B97F4A7C15) & M64
        z = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
        return x, z ^ (z >> 31)

    @classmethod
    def derive(cls, seed, text):
        x = seed
        for c in text.encode():
            x = cls.splitmix(x)[1] ^ c
        return cls.splitmix(x)[1]

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed, z = self.splitmix(seed)
            self.s.append(z)

    def uniform(self):
        s = self.s
        x = (s[1] * 5) & M64
        x = (((x << 7) | (x >> 57)) * 9) & M64
        t = (s[1] << 17) & M64
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = ((s[3] << 45) | (s[3] >> 19)) & M64
        return (x >> 11) * 2.0**-53


def factors(place, n, rate):
    r = Random(Random.derive(SEED, place))
    return [1 / (1 - rate) if r.uniform() >= rate else 0.0 for _ in range(n)]


def all_factors(n_blocks, rate):
    """As src/model/timnet_forward.c draws them."""
    bs = range(len(LENGTHS))
    streams = [
        [[torch.tensor([factors(f"{d}/{i}/{j}/{b}", N, rate) for b in bs]) for j in range(2)] for i in range(n_blocks)]
        for d in range(2)
    ]
    head = [torch.tensor([factors(f"dense{i + 1}/{b}", n, rate) for b in bs]) for i, n in enumerate([128, 64])]
    return [*streams, head]


def make_batch():
    x = torch.randn(len(LENGTHS), N_IN, max(LENGTHS))
    for b, n in enumerate(LENGTHS):
        x[b, :, n:] = 1e3 * torch.randn(N_IN, max(LENGTHS) - n)  # padding that must not show
    return x, torch.tensor(LENGTHS)


def loss_of(logits):
    losses = F.cross_entropy(logits, torch.tensor(LABELS), label_smoothing=SMOOTHING, reduction="none")
    return (losses * torch.tensor(WEIGHTS)).mean()


def stored(t):
    t = t.detach()
    return (t.permute(2, 1, 0) if t.dim() == 3 else t).float().contiguous()


def values_of(net):
    return {name: stored(t) for name, t in net.named_values()}


def gradients_of(net):
    """Of a bias before a normalisation it is 0, and rounding errors otherwise."""
    return {name: stored(t.grad) for name, t in net.named_values() if t.requires_grad and "conv" not in name or "kernel" in name}


def make_net(dropout, f="relu"):
    torch.manual_seed(1)
    net = Timnet(N_IN, N_LABELS, N, 3, N_DILATIONS, 1, f, dropout)
    for name, t in net.named_values():  # as after some training: nothing is 0 or 1
        if name.endswith(("gamma", "beta", "bias")):
            t.data += 0.3 * torch.randn_like(t)
    return net


def save_network(out):
    torch.manual_seed(46)
    x, lengths = make_batch()
    net = make_net(0.0)
    save_file(values_of(net), out / "initial.safetensors")
    frames = {f"frames{b}": x[b, :, :n].T.float().contiguous() for b, n in enumerate(LENGTHS)}
    adam = KerasAdam(net.parameters(), RATE, BETAS)
    losses, first_logits = [], None
    for _ in range(10):
        net.zero_grad()
        logits = net(x, lengths)
        first_logits = logits if first_logits is None else first_logits
        loss = loss_of(logits)
        loss.backward()
        losses.append(loss.detach())
        adam.step()
    net.eval()
    answers = {"first_logits": stored(first_logits), "losses": stored(torch.stack(losses)), "answers": stored(net(x, lengths))}
    save_file({**values_of(net), **frames, **answers}, out / "ten_steps.safetensors")
    for f in ("relu", "tanh"):
        net = make_net(0.4, f)
        logits = net(x, lengths, all_factors(N_DILATIONS, 0.4))
        loss_of(logits).backward()
        save_file({**gradients_of(net), "logits": stored(logits)}, out / f"dropout_{f}.safetensors")


def save_layers(out):
    torch.manual_seed(2)
    t = {}

    def keep(name, **tensors):
        t.update({f"{name}.{k}": v.detach().float().contiguous() for k, v in tensors.items()})

    def leaf(*shape):
        return torch.randn(*shape, requires_grad=True)

    for n, dilation, kernel in [(37, 4, 3), (64, 16, 3), (45, 32, 3), (40, 64, 3), (9, 1, 2)]:
        x, w, dy = leaf(n, 5), leaf(kernel, 5, 7), torch.randn(n, 7)
        past = F.pad(x.T, ((kernel - 1) * dilation, 0))[None]
        y = F.conv1d(past, w.permute(2, 1, 0), dilation=dilation)[0].T
        y.backward(dy)
        keep(f"conv.{n}.{dilation}.{kernel}", x=x, w=w, y=y, dy=dy, dx=x.grad, dw=w.grad)

    x, w, b, dy = leaf(11, 5), leaf(5, 7), leaf(7), torch.randn(11, 7)
    y = x @ w + b
    y.backward(dy)
    keep("dense", x=x, w=w, b=b, y=y, dy=dy, dx=x.grad, dw=w.grad, db=b.grad)

    norm = Norm(19)
    norm.gamma.data += 0.5 * torch.randn(19)
    norm.beta.data += torch.randn(19)
    x = (30 + 3 * torch.randn(41, 19)).requires_grad_()  # far from 0: nothing may cancel
    dy = torch.randn(41, 19)
    y = norm(x.T[None], torch.ones(1, 1, 41))[0].T
    y.backward(dy)
    keep("norm", x=x, gamma=norm.gamma, beta=norm.beta, y=y, dy=dy, dx=x.grad)
    keep("norm", dgamma=norm.gamma.grad, dbeta=norm.beta.grad, mean=norm.mean, variance=norm.variance)

    for name, f in ACTIVATIONS.items():
        x, dz = (4 * torch.randn(23, 19)).requires_grad_(), torch.randn(23, 19)
        scale, shift = torch.randn(19), torch.randn(19)
        keep_factors = (torch.rand(19) > 0.4) / 0.6
        u = x * scale + shift
        u.retain_grad()
        z = f(u) * keep_factors
        z.backward(dz)
        keep(f"act.{name}", x=x, scale=scale, shift=shift, keep=keep_factors, z=z, dz=dz, du=u.grad)

    for name, f in ACTIVATIONS.items():
        x, y = leaf(23, 19), (5 * torch.randn(23, 19)).requires_grad_()
        dout, dmean = torch.randn(23, 19), torch.randn(19)
        scale, shift, keep_factors = torch.randn(19), torch.randn(19), (torch.rand(19) > 0.4) / 0.6
        u = y * scale + shift
        u.retain_grad()
        y_gated = x * torch.sigmoid(f(u) * keep_factors)
        mean = y_gated.mean(0)
        torch.autograd.backward([y_gated, mean], [dout, dmean])
        keep(f"gate.{name}", x=x, y=y, scale=scale, shift=shift, keep=keep_factors, out=y_gated, mean=mean)
        keep(f"gate.{name}", dout=dout, dmean=dmean, dx=x.grad, du=u.grad)

    x, w, dy = leaf(6, 19), leaf(6), torch.randn(19)
    y = w @ x
    y.backward(dy)
    keep("weighted", x=x, w=w, y=y, dy=dy, dx=x.grad, dw=w.grad)

    logits = (3 * torch.randn(5, 7)).requires_grad_()
    target = torch.softmax(torch.randn(5, 7), 1)
    loss = F.cross_entropy(logits, target, label_smoothing=0.1, reduction="none")
    (1.5 * loss).sum().backward()
    keep("loss", logits=logits, target=target, loss=1.5 * loss, dlogits=logits.grad)
    save_file(t, out / "layers.safetensors")


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_default_dtype(torch.float64)
    save_network(out)
    save_layers(out)


if __name__ == "__main__":
    main()
