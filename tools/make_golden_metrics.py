"""Writes tests/golden/metrics and tests/golden/train: what scikit-learn, scipy and numpy make of small made-up data.

Usage: python tools/make_golden_metrics.py tests/golden, with the packages of tools/requirements.txt.
All files are text: numbers separated by white space, in the order in which the tests read them.
"""
import pathlib
import sys

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support, recall_score

N_BINS = 15
N_RESAMPLES = 200_000  # many more than the 10,000 of the test, so that the difference is the test's own spread


def write(path, *arrays):
    with open(path, "w") as f:
        for a in arrays:
            f.write(" ".join(f"{x:.9g}" for x in np.ravel(a)) + "\n")


def ece(p, y):
    confidence, right = p.max(1).astype(float), p.argmax(1) == y
    total = 0
    for b in range(N_BINS):
        inside = (confidence > b / N_BINS) & (confidence <= (b + 1) / N_BINS)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return 100 * total / len(y)


def intervals(p, y, group, n_labels, rng):
    """Percentiles 2.5 and 97.5 of UA and WA over resamples of whole groups."""
    units = np.unique(group)
    right = p.argmax(1) == y
    support = np.array([[np.sum((group == u) & (y == k)) for k in range(n_labels)] for u in units], float)
    hits = np.array([[np.sum((group == u) & (y == k) & right) for k in range(n_labels)] for u in units], float)
    drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=N_RESAMPLES)
    n, h = drawn @ support, drawn @ hits
    recall = np.divide(h, n, out=np.full(h.shape, np.nan), where=n > 0)
    ua, wa = 100 * np.nanmean(recall, 1), 100 * h.sum(1) / n.sum(1)
    return np.percentile(ua, [2.5, 97.5]), np.percentile(wa, [2.5, 97.5])


def figures(path, rng):
    """Label 3 never occurs but is predicted; label 2 occurs for few speakers only."""
    n, n_labels = 240, 5
    group = rng.integers(0, 9, n) * 7 - 20
    y = rng.choice([0, 1, 2, 4], n, p=[0.4, 0.3, 0.1, 0.2])
    y[(y == 2) & (group > -10)] = 0
    z = rng.standard_normal((n, n_labels)) * 1.5
    z[np.arange(n), y] += 1.5 + 0.06 * group  # speakers differ
    p = softmax(z, 1).astype(np.float32)
    present = np.unique(y)
    predicted = p.argmax(1)
    precision, recall, f1, support = precision_recall_fscore_support(
        y, predicted, labels=range(n_labels), zero_division=0
    )
    write(
        path,
        [n, n_labels],
        np.column_stack([y, group, p]),
        [
            100 * recall_score(y, predicted, labels=present, average="macro"),
            100 * accuracy_score(y, predicted),
            100 * f1_score(y, predicted, labels=present, average="macro"),
            log_loss(y, p.astype(float) / p.sum(1, keepdims=True, dtype=float), labels=range(n_labels)),
            ece(p, y),
        ],
        np.column_stack([precision, recall, f1, support]),
        *intervals(p, y, group, n_labels, rng),
        *intervals(p, y, np.arange(n), n_labels, rng),
    )


def regression(path, rng):
    """Features of very different means and scales, one of them constant; weights as of altered copies."""
    n, n_in, n_labels = 150, 40, 4
    centres = 0.6 * rng.standard_normal((n_labels, n_in))
    y = rng.choice(n_labels, n, p=[0.4, 0.3, 0.2, 0.1])
    mixing = rng.standard_normal((n_in, n_in)) / 4 + np.eye(n_in)
    x = (centres[y] + rng.standard_normal((n, n_in))) @ mixing
    x = x * np.exp(2 * rng.standard_normal(n_in)) + 3 * rng.standard_normal(n_in)
    x[:, 5] = 0.3
    x = x.astype(np.float32)
    weight = np.where(np.arange(n) % 3 == 0, 1, 0.25)
    mean, deviation = x.mean(0, dtype=float), x.std(0, dtype=float)
    z = (x.astype(float) - mean) / np.where(deviation > 1e-6, deviation, 1)
    z[:, 5] = 0
    out = [[n, n_in, n_labels], np.column_stack([y, weight, x])]
    for c, w in ((0.01, None), (1, None), (0.05, weight)):
        model = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(z, y, sample_weight=w)
        out += [[c, w is not None], model.coef_, model.intercept_, model.predict_proba(z)]
    write(path, *out)


def temperature(path, rng):
    """Logits that are too sure, and their best temperature."""
    n, n_labels = 200, 6
    y = rng.integers(0, n_labels, n)
    z = rng.standard_normal((n, n_labels))
    z[np.arange(n), y] += 1
    z = (3 * z).astype(np.float32)

    def loss(log_t):
        return -log_softmax(z.astype(float) / np.exp(log_t), 1)[np.arange(n), y].mean()

    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-9})
    write(path, [n, n_labels], np.column_stack([y, z]), [np.exp(best.x)])


def components(path, rng):
    """Rows far from the origin whose second and third component are about equally strong, more rows than
    dimensions and fewer; the side with the largest coordinate is positive."""
    out = []
    for n, dims in ((60, 37), (30, 70)):
        strengths = np.r_[3, 1.5, 1.45, 0.9 ** np.arange(dims - 3)]
        mixing = np.linalg.qr(rng.standard_normal((dims, dims)))[0]
        x = (rng.standard_normal((n, dims)) * strengths @ mixing + 20 * rng.standard_normal(dims)).astype(np.float32)
        u, s, _ = np.linalg.svd(x.astype(float) - x.mean(0, dtype=float), full_matrices=False)
        xy = u[:, :2] * s[:2]
        xy *= np.sign(xy[abs(xy).argmax(0), [0, 1]])
        out += [[n, dims], x, xy]
    write(path, *out)


def main(folder):
    folder = pathlib.Path(folder)
    for name in ("metrics", "train"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(46)
    figures(folder / "metrics" / "figures.txt", rng)
    regression(folder / "train" / "regression.txt", rng)
    temperature(folder / "train" / "temperature.txt", rng)
    components(folder / "metrics" / "components.txt", rng)


if __name__ == "__main__":
    main(sys.argv[1])
