#!/usr/bin/env python3
"""What lowering the confidence of recordings unlike the training's is worth: prints two tables.

  tools/check_unlike.py SER DATA RUN OUTPUT_FOLDER [CORPUS...]

RUN is a run folder of 'ser train --fine-tune --keep-encoders' on EMODB+RAVDESS+CREMAD+NEMO in DATA. For each CORPUS (default: all
four) recordings that were left out (left-out.jsonl, every nth, 150 at most) are heard by the encoder that did not hear CORPUS, as they are and
altered until they are like nothing that was learned from. The head that learned together with that encoder is known by what it said of
these recordings: in its place stands the smallest head that says the same of them. Distances are computed here, with NumPy, from 150 recordings
of each other corpus; the reach and what a temperature grows by are the run's. What lies in OUTPUT_FOLDER already is not computed again.
Needs NumPy and soundfile."""
import json, os, random, shutil, sys
import numpy as np
import soundfile

from left_out import FOLDERS, TOLD, least_head, name_of, pooled, sounds_in

SER, DATA, RUN, OUT = (os.path.abspath(p) for p in sys.argv[1:5])
MOST_ASKED, MOST_ALTERED, MOST_LEARNED, RATE = 150, 50, 150, 16000
with open(os.path.join(RUN, "report.json")) as f:
    REPORT = json.load(f)


def loud(x):
    return np.sqrt(np.mean(x ** 2))


def noise(decibels):
    def add(x, r):
        n = r.standard_normal(len(x))
        return x + n * loud(x) / loud(n) * 10 ** (-decibels / 20)
    return add


def low_pass(x, r):
    bins = np.fft.rfft(x)
    bins[int(len(bins) * 1000 / (RATE / 2)):] = 0
    return np.fft.irfft(bins, len(x))


def clip(x, r):
    most = np.quantile(abs(x), 0.7)
    return np.clip(x, -most, most) / max(most, 1e-9) * 0.9


def echo(x, r):
    t = np.arange(2 * RATE) / RATE
    tail = r.standard_normal(len(t)) * 10 ** (-3 * t / 2)
    late = np.fft.irfft(np.fft.rfft(x, 4 * len(x)) * np.fft.rfft(tail, 4 * len(x)), 4 * len(x))[:len(x)]
    return x + late * loud(x) / max(loud(late), 1e-9) * 10 ** (3 / 20)


def middle(x, r):
    n = int(0.6 * RATE)
    return x[max(0, (len(x) - n) // 2):][:n]


ALTERED = {"0.6 s of it": middle, "white noise at 0 dB": noise(0), "white noise at -5 dB": noise(-5), "nothing above 1 kHz": low_pass,
           "30 % clipped": clip, "echo of 2 s, louder than the voice": echo}


def recordings(corpus):
    return sounds_in(os.path.join(DATA, FOLDERS[corpus]))


def every(items, n):
    return [items[i * len(items) // min(n, len(items))] for i in range(min(n, len(items)))]


def alter(path, change, folder):
    x, rate = soundfile.read(path, always_2d=True)
    x = x.mean(1)
    if rate != RATE:  # by the bins of the spectrum: enough for speech of a few seconds
        n = round(len(x) * RATE / rate)
        x = np.fft.irfft(np.fft.rfft(x)[:n // 2 + 1], n) * n / len(x)
    x = change(x, np.random.default_rng(random.Random(name_of(path)).getrandbits(32)))
    out = os.path.join(folder, name_of(path) + ".wav")
    soundfile.write(out, x / max(1, abs(x).max()), RATE, subtype="PCM_16")
    return out


def measure(target):
    """Of each recording: kind, distance, logits, right label."""
    kept = os.path.join(OUT, target + ".npz")
    if os.path.exists(kept):
        return dict(np.load(kept, allow_pickle=False))
    with open(os.path.join(RUN, "left-out.jsonl")) as f:
        said = every([a for a in map(json.loads, f) if a["left_out"] == target], MOST_ASKED)
    path_of = {name_of(p): p for p in recordings(target)}
    asked, labels = [path_of[name_of(a["file"])] for a in said], sorted(said[0]["logits"])
    learned = pooled(SER, RUN, target, OUT, [p for c in FOLDERS if c != target for p in every(recordings(c), MOST_LEARNED)])
    mean, deviation = learned.mean(0), learned.std(0)
    z = (pooled(SER, RUN, target, OUT, asked) - mean) / deviation
    logits = np.array([[a["logits"][label] for label in labels] for a in said])
    weight, bias = least_head(z, logits)
    kinds, distances, all_logits, truth = ["as they are"] * len(z), [abs(z).mean(1)], [logits], [labels.index(a["emotion"]) for a in said]
    chosen, folder = every(list(range(len(said))), MOST_ALTERED), os.path.join(OUT, "altered")
    for kind, change in ALTERED.items():
        os.makedirs(folder, exist_ok=True)
        z = (pooled(SER, RUN, target, OUT, [alter(asked[i], change, folder) for i in chosen]) - mean) / deviation
        shutil.rmtree(folder)
        kinds += [kind] * len(chosen)
        distances.append(abs(z).mean(1))
        all_logits.append(z @ weight.T + bias)
        truth += [labels.index(said[i]["emotion"]) for i in chosen]
    found = {"kind": np.array(kinds), "distance": np.concatenate(distances), "logits": np.concatenate(all_logits), "truth": np.array(truth)}
    np.savez(kept, **found)
    return found


def confidences(d, lowered):
    factor = 1 + REPORT["temperature_per_reach"] * np.maximum(d["away"] - 1, 0) if lowered else np.ones(len(d["away"]))
    z = d["logits"] / (REPORT["temperature"] * factor)[:, None]
    p = np.exp(z - z.max(1, keepdims=True))
    return (p / p.sum(1, keepdims=True)).max(1)


def area(confidence, right):
    """Under the curve: how often a right answer is more confident than a wrong one."""
    a, b = confidence[right], confidence[~right]
    return np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)) if len(a) and len(b) else np.nan


def table(head, rows):
    return "\n".join(["| " + " | ".join(head) + " |", "|" + " --- |" * len(head), *("| " + " | ".join(r) + " |" for r in rows)])


os.makedirs(OUT, exist_ok=True)
all_of = {target: measure(target) for target in sys.argv[5:] or FOLDERS}
d = {k: np.concatenate([m[k] for m in all_of.values()]) for k in next(iter(all_of.values()))}
d["away"] = d["distance"] / REPORT["reach"]
right, before, after = d["logits"].argmax(1) == d["truth"], confidences(d, False), confidences(d, True)


def figures(which):
    return [f"{100 * (d['away'][which] > 1).mean():.0f} %", f"{100 * right[which].mean():.0f}", f"{100 * before[which].mean():.0f}", f"{100 * after[which].mean():.0f}",
            f"{area(before[which], right[which]):.2f}", f"{area(after[which], right[which]):.2f}"]


head = ["recordings", "beyond the reach", "right", "confidence, as it was", "lowered", "area, as it was", "lowered"]
kinds = list(dict.fromkeys(d["kind"]))
rows = [[kind, *figures(d["kind"] == kind)] for kind in kinds]
rows.append(["all of them", *figures(np.full(len(right), True))])
print(table(head, rows) + "\n")
corpus = np.concatenate([[t] * len(m["truth"]) for t, m in all_of.items()])
rows = [[TOLD[t], *figures((corpus == t) & (d["away"] > 1))] for t in all_of]
print("Of those beyond the reach, by the corpus that was left out:\n\n" + table(head, rows))
