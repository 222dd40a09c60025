"""The temporal network in PyTorch, as src/model/timnet.h describes it: the reference for tests and for speed.

Recordings lie in one padded tensor (recordings, channels, frames). With lengths, padding changes nothing: it is
zero before every convolution and left out of every statistic and mean. Without, all are of one length.
"""
import torch
import torch.nn.functional as F
from torch import nn

EPSILON, MOMENTUM = 1e-3, 0.99  # Keras's
ACTIVATIONS = {"relu": F.relu, "elu": F.elu, "swish": F.silu, "tanh": torch.tanh}


def glorot(shape, n_positions=1):
    w = torch.empty(shape)
    limit = (6 / (n_positions * (shape[0] + shape[1]))) ** 0.5
    return nn.Parameter(w.uniform_(-limit, limit))


class Norm(nn.Module):
    """Batch normalisation whose running variance is divided by the number of frames, unlike PyTorch's own."""

    def __init__(self, n):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(n)), nn.Parameter(torch.zeros(n))
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("variance", torch.ones(n))

    def forward(self, x, mask):
        if mask is None:  # PyTorch's own, which is faster
            return F.batch_norm(x, self.mean, self.variance, self.gamma, self.beta, self.training, 1 - MOMENTUM, EPSILON)
        mean, variance = self.mean, self.variance
        if self.training:
            n = mask.sum()
            mean = (x * mask).sum((0, 2)) / n
            variance = ((x - mean[:, None]) ** 2 * mask).sum((0, 2)) / n
            with torch.no_grad():
                self.mean.mul_(MOMENTUM).add_(mean, alpha=1 - MOMENTUM)
                self.variance.mul_(MOMENTUM).add_(variance, alpha=1 - MOMENTUM)
        scale = self.gamma * (variance + EPSILON).rsqrt()
        return x * scale[:, None] + (self.beta - mean * scale)[:, None]


class Block(nn.Module):
    def __init__(self, n, kernel, dilation, dropout, f):
        super().__init__()
        self.dilation, self.past, self.dropout, self.f = dilation, (kernel - 1) * dilation, dropout, f
        self.kernels = nn.ParameterList([glorot((n, n, kernel), kernel) for _ in range(2)])
        self.biases = nn.ParameterList([torch.zeros(n) for _ in range(2)])
        self.norms = nn.ModuleList([Norm(n) for _ in range(2)])

    def forward(self, x, mask, factors):
        z = x
        for i in range(2):
            if mask is not None:
                z = z * mask
            z = F.conv1d(F.pad(z, (self.past, 0)), self.kernels[i], self.biases[i], dilation=self.dilation)
            z = ACTIVATIONS[self.f](self.norms[i](z, mask))
            z = F.dropout1d(z, self.dropout, self.training) if factors is None else z * factors[i][:, :, None]
        return x * torch.sigmoid(z)


class Timnet(nn.Module):
    def __init__(self, n_in, n_labels, n=128, kernel=3, n_dilations=8, n_stacks=3, f="relu", dropout=0.4):
        super().__init__()
        dilations = [2**i for _ in range(n_stacks) for i in range(n_dilations)]
        self.dropout = dropout
        self.inputs = nn.ParameterList([glorot((n_in, n)) for _ in range(2)])
        self.input_biases = nn.ParameterList([torch.zeros(n) for _ in range(2)])
        self.blocks = nn.ModuleList(
            [nn.ModuleList([Block(n, kernel, d, dropout, f) for d in dilations]) for _ in range(2)]
        )
        self.weighting = nn.Parameter(torch.full((len(dilations),), 1 / len(dilations)))
        sizes = [n, 128, 64, n_labels]
        self.dense = nn.ParameterList([glorot((a, b)) for a, b in zip(sizes, sizes[1:])])
        self.dense_biases = nn.ParameterList([torch.zeros(b) for b in sizes[1:]])

    def forward(self, x, lengths=None, factors=None):
        """x (recordings, n_in, frames); factors: what dropout multiplies with, else PyTorch draws."""
        mask = None
        n_frames = torch.full((len(x), 1), x.shape[2]) if lengths is None else lengths[:, None]
        backwards = x.flip(2)
        if lengths is not None:
            times = torch.arange(x.shape[2])
            mask = (times < n_frames).to(x.dtype)[:, None, :]
            order = torch.where(times < n_frames, n_frames - 1 - times, times)
            backwards = x.gather(2, order[:, None, :].expand_as(x))
        total = 0
        streams = [
            F.conv1d(s, w.T[:, :, None], b) for s, w, b in zip([x, backwards], self.inputs, self.input_biases)
        ]
        for i, weight in enumerate(self.weighting):
            for d in range(2):
                streams[d] = self.blocks[d][i](streams[d], mask, factors and factors[d][i])
            both = streams[0] + streams[1]
            total = total + weight * (both if mask is None else both * mask).sum(2) / n_frames
        for i in range(2):
            total = F.relu(total @ self.dense[i] + self.dense_biases[i])
            total = F.dropout(total, self.dropout, self.training) if factors is None else total * factors[2][i]
        return total @ self.dense[2] + self.dense_biases[2]

    def named_values(self):
        """Name in our files and tensor of every value; convolutions (out, in, kernel) as (kernel, in, out)."""
        for d, stream in enumerate(["forward", "backward"]):
            yield f"{stream}.input.kernel", self.inputs[d]
            yield f"{stream}.input.bias", self.input_biases[d]
            for i, block in enumerate(self.blocks[d]):
                for j in range(2):
                    yield f"{stream}.block{i}.conv{j + 1}.kernel", block.kernels[j]
                    yield f"{stream}.block{i}.conv{j + 1}.bias", block.biases[j]
                    for name in ("gamma", "beta", "mean", "variance"):
                        yield f"{stream}.block{i}.norm{j + 1}.{name}", getattr(block.norms[j], name)
        yield "weighting", self.weighting
        for i, name in enumerate(["dense1", "dense2", "output"]):
            yield f"{name}.kernel", self.dense[i]
            yield f"{name}.bias", self.dense_biases[i]


class KerasAdam(torch.optim.Optimizer):
    """Adam as Keras computes it: epsilon is added before the correction for the first steps."""

    def __init__(self, params, lr, betas, eps=1e-7):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                s = self.state[p]
                s.setdefault("t", 0)
                s["t"] += 1
                m = s.setdefault("m", torch.zeros_like(p))
                v = s.setdefault("v", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - b1)
                v.lerp_(p.grad**2, 1 - b2)
                rate = group["lr"] * (1 - b2 ** s["t"]) ** 0.5 / (1 - b1 ** s["t"])
                p -= rate * m / (v.sqrt() + group["eps"])
