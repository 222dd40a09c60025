#!/usr/bin/env python3
"""What `ser predict --explain` says of recordings as they are, and of copies of which the truth is known.

  tools/check_sound.py SER DATA_DIR [--n 16]      writes the tables of docs/sound.md

SER is the program, DATA_DIR a folder with emodb, ravdess, cremad, nemo. Packages: tools/requirements-voice.txt.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import tempfile

import numpy as np
import soundfile
from scipy import signal

RATE = 16000
PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "sound.md"
CORPORA = {"EMO-DB": "emodb", "RAVDESS": "ravdess", "CREMA-D": "cremad", "nEMO": "nemo"}
SUFFIXES = {".wav", ".flac", ".ogg", ".opus"}
FIGURES = {"voice_s": 1, "bandwidth_hz": 0, "level_db": 0, "noise_db": 0, "snr_db": 0, "clipped": 3, "decay_s": 2}


def read(path):
    x, rate = soundfile.read(path, always_2d=True)
    common = np.gcd(rate, RATE)
    return signal.resample_poly(x.mean(axis=1), RATE // common, rate // common)


def voice_rms(x):
    """Of the samples that are no pause, roughly: windows of 32 ms within 25 dB of the loudest."""
    power = (x[: len(x) // 512 * 512].reshape(-1, 512) ** 2).mean(axis=1)
    return np.sqrt(power[power > power.max() / 316].mean())


def echo(decay_s):
    """A direct sound, and as much energy behind it that fades by 60 dB in decay_s."""

    def add(x, rng):
        n = int(1.2 * decay_s * RATE)
        tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / RATE / decay_s)
        tail /= np.sqrt((tail**2).sum())
        tail[0] += 1
        y = signal.fftconvolve(np.concatenate([x, np.zeros(RATE // 2)]), tail)
        return 0.5 * y / np.abs(y).max(), RATE

    return add


def noise(ratio_db):
    def add(x, rng):
        x = np.concatenate([np.zeros(RATE // 2), x])  # a pause to hear it in
        return 0.3 * (x + rng.standard_normal(len(x)) * voice_rms(x) * 10 ** (-ratio_db / 20)), RATE

    return add


COPIES = {
    "as they are": lambda x, rng: (0.7 * x, RATE),
    "white noise, 20 dB": noise(20),
    "white noise, 10 dB": noise(10),
    "white noise, 5 dB": noise(5),
    "white noise, 0 dB": noise(0),
    "8 kHz file": lambda x, rng: (0.7 * signal.resample_poly(x, 1, 2), 8000),
    "5 kHz file": lambda x, rng: (0.7 * signal.resample_poly(x, 5, 16), 5000),
    "clipped at a third of the peak": lambda x, rng: (np.clip(3 * x, -0.99, 0.99), RATE),
    "the same, a file of 44.1 kHz": lambda x, rng: (np.clip(3 * signal.resample_poly(x, 441, 160), -0.99, 0.99), 44100),
    "40 dB below full scale": lambda x, rng: (0.01 * x, RATE),
    "echo of 0.5 s": echo(0.5),
    "echo of 1.0 s": echo(1.0),
    "echo of 1.6 s": echo(1.6),
}
NOTES = {"voice": r"of voice|no voice", "noise": "the noise", "clipped": "clipped", "bandwidth": "bandwidth", "echo": "echo", "level": "of full scale"}


def explain(program, paths):
    """Figures of each recording, None where not known, and the notes of all."""
    out = subprocess.run([program, "predict", "--quiet", "--explain", "--format", "json", *paths], check=True, capture_output=True, text=True).stdout
    sounds = [json.loads(line)["sound"] for line in out.splitlines()]
    return sounds, [note for s in sounds for note in s["notes"]]


def quantiles(rows, figure, shares):
    known = [r[figure] for r in rows if r[figure] is not None]
    digits = FIGURES[figure]
    return [f"{q:.{digits}f}" for q in np.quantile(known, shares)] if known else ["-"] * len(shares), len(known)


def told(notes, n):
    return [f"{100 * sum(bool(re.search(p, note)) for note in notes) / n:.0f}" for p in NOTES.values()]


def write(marker, lines):
    page = PAGE.read_text()
    new = re.sub(rf"(<!-- {marker} -->\n).*?(<!-- end -->)", lambda m: m[1] + "\n".join(lines) + "\n" + m[2], page, flags=re.S)
    assert marker in page, f"{PAGE} has no place for {marker}"
    PAGE.write_text(new)
    print("\n".join(lines), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--n", type=int, default=16, help="recordings of each corpus")
    a = parser.parse_args()
    chosen = {}
    for name, folder in CORPORA.items():
        paths = sorted(str(p) for p in (a.data / folder).rglob("*") if p.suffix in SUFFIXES)
        chosen[name] = random.Random(46).sample(paths, min(a.n, len(paths)))
    heads = "voice, s | bandwidth, Hz | level, dB | noise, dB | ratio, dB | clipped | fades in, s"
    lines = [f"| corpus | share | {heads} |", "| --- |" + " ---: |" * 8]
    all_told = [f"| corpus | {' | '.join(NOTES)} |", "| --- |" + " ---: |" * len(NOTES)]
    for name, paths in chosen.items():
        rows, notes = explain(a.program, paths)
        columns = [quantiles(rows, f, (0.05, 0.5, 0.95))[0] for f in FIGURES]
        for i, share in enumerate(("5 %", "50 %", "95 %")):
            lines.append(f"| {name if not i else ''} | {share} | {' | '.join(c[i] for c in columns)} |")
        all_told.append(f"| {name} | {' | '.join(told(notes, len(rows)))} |")
    write("corpora", [*lines, "", f"Share of the same {a.n} recordings of each that get a note with `--explain`, percent:", "", *all_told])
    heads = "bandwidth, Hz | level, dB | ratio, dB | known | clipped | fades in, s | known"
    lines = [f"| copies | {heads} | notes on {' | '.join(NOTES)} |", "| --- |" + " ---: |" * (7 + len(NOTES))]
    sources = [read(p) for paths in chosen.values() for p in paths[: a.n // 4]]
    for name, alter in COPIES.items():
        rng = np.random.default_rng(46)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for i, x in enumerate(sources):
                y, rate = alter(x / np.abs(x).max(), rng)
                paths.append(f"{folder}/{i:03d}.wav")
                soundfile.write(paths[-1], np.clip(y, -1, 1), rate, subtype="PCM_16")
            rows, notes = explain(a.program, paths)
        cells = []
        for f in ("bandwidth_hz", "level_db", "snr_db", "clipped", "decay_s"):
            (median,), n_known = quantiles(rows, f, (0.5,))
            cells += [median, f"{100 * n_known / len(rows):.0f} %"] if f in ("snr_db", "decay_s") else [median]
        lines.append(f"| {name} | {' | '.join(cells)} | {' | '.join(told(notes, len(rows)))} |")
    write("copies", lines)


if __name__ == "__main__":
    main()
