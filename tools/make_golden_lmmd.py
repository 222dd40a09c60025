"""Writes tests/golden/train/lmmd.txt: local maximum mean discrepancy and its gradient, by PyTorch's autograd from the
formulas of Zhu et al. 2021 (equations 5 to 7), in double precision.

Usage: python tools/make_golden_lmmd.py tests/golden/train, with the packages of tools/requirements.txt.
Each case: n_source n_target dims n_labels, x, membership, loss, gradient.
"""
import pathlib
import sys

import torch


def lmmd(x, membership, n_source):
    source, target = membership[:n_source], membership[n_source:]
    present = (source.sum(0) > 0) & (target.sum(0) > 0)
    source = source[:, present] / source[:, present].sum(0)
    target = target[:, present] / target[:, present].sum(0)
    distances = ((x[:, None] - x[None]) ** 2).sum(2)
    n = len(x)
    mean = distances.detach().sum() / (n * n - n)
    kernel = sum(torch.exp(-distances / (mean * 2.0**k)) for k in range(-2, 3))
    parts = (
        torch.einsum("ic,jc,ij->c", source, source, kernel[:n_source, :n_source])
        + torch.einsum("ic,jc,ij->c", target, target, kernel[n_source:, n_source:])
        - 2 * torch.einsum("ic,jc,ij->c", source, target, kernel[:n_source, n_source:])
    )
    return parts.mean()


def main():
    torch.manual_seed(46)
    out = (pathlib.Path(sys.argv[1]) / "lmmd.txt").open("w")
    for n_source, n_target, dims, n_labels, n_classes in [(12, 9, 20, 4, 4), (5, 14, 35, 6, 3), (1, 1, 3, 2, 2)]:
        n = n_source + n_target
        x = (torch.randn(n, dims) + torch.arange(n)[:, None] / n).float().double().requires_grad_()
        membership = torch.zeros(n, n_labels)
        membership[torch.arange(n_source), torch.randint(n_classes, (n_source,))] = 1
        membership[n_source:] = torch.softmax(2 * torch.randn(n_target, n_labels), 1)
        membership = membership.float().double()
        loss = lmmd(x, membership, n_source)
        loss.backward()
        print(n_source, n_target, dims, n_labels, file=out)
        for values in (x, membership, loss, x.grad):
            print(*(f"{v:.9g}" for v in values.detach().flatten()), file=out)


main()
