"""Writes tests/golden/train/lmmd.txt and unlabelled.txt: losses of domain adaptation and their gradients, by PyTorch's
autograd from the papers' formulas, in double precision.

Usage: python tools/make_golden_adaptation.py tests/golden/train, with the packages of tools/requirements.txt.
lmmd.txt (Zhu et al. 2021, equations 5 to 7), each case: n_source n_target dims n_labels, x, membership, loss, gradient.
unlabelled.txt: n n_labels, logits, scores, mean entropy and its
gradient by the logits, entropy of the mean and its gradient.
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


def write(out, *values):
    for v in values:
        print(*(f"{x:.9g}" for x in v.detach().flatten()), file=out)


def unlabelled(path):
    out = path.open("w")
    n, n_labels = 11, 5
    logits = (2 * torch.randn(n, n_labels)).float().double().requires_grad_()
    scores = torch.softmax(logits, 1)
    print(n, n_labels, file=out)
    write(out, logits, scores)
    mean = scores.mean(0)
    for entropy in (-(scores * scores.log()).sum(1).mean(), -(mean * mean.log()).sum()):
        write(out, entropy, torch.autograd.grad(entropy, logits, retain_graph=True)[0])


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
        write(out, x, membership, loss, x.grad)
    unlabelled(pathlib.Path(sys.argv[1]) / "unlabelled.txt")


main()
