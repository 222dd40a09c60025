#!/usr/bin/env python3
"""How much of speech is found, how much of what is none is called speech, and how near the network is to its authors'.

  tools/check_voice_activity.py SER BENCH DATA_DIR [--before OLD_SER]      writes the tables of docs/voice-activity.md

SER is the program, OLD_SER one to compare it with, BENCH build/bench/voice/bench-voice-activity, DATA_DIR a folder with
emodb/wav and ravdess. Sounds of Debian packages are fetched by apt-get download into a temporary folder (200 MB) and
thrown away. Packages: tools/requirements-voice.txt.
"""
import argparse
import glob
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
import soundfile
from scipy import signal

RATE = 16000
SPOKEN = r"(_desc|_(..|.._..|.._...))\.ogg$"  # tuxpaint: what is said of a stamp, in many languages
NO_VOICE = "silence/|beep|tone|confbridge-(join|leave)|ascending|descending"  # asterisk: prompts that are none
PACKAGES = {
    # kind: (package, pattern of paths, pattern of paths that are something else, every how many-th)
    "telephone prompts (GSM)": ("asterisk-core-sounds-en-gsm", r"en_US_f_Allison/.*\.gsm$", NO_VOICE, 5),
    "animals": ("tuxpaint-stamps-default", r"stamps/animals/.*\.ogg$", SPOKEN, 1),
    "things and weather": ("tuxpaint-stamps-default", r"stamps/(household|hobbies|naturalforces)/.*\.ogg$", SPOKEN, 1),
    "ringtones and notifications": ("lomiri-sounds", r"\.ogg$", "^$", 1),
    "desktop sounds": ("oxygen-sounds", r"\.ogg$", "^$", 1),
    "short instrument sounds": ("sound-icons", r"\.wav$", "^$", 1),
    "game music": ("frozen-bubble-data", r"(mainzik.*|introzik|newroot.*)\.ogg$", "^$", 1),
    "keyboard clicks": ("bucklespring-data", r"\.wav$", "^$", 6),
}


def read(path):
    gsm = dict(format="RAW", subtype="GSM610", samplerate=8000, channels=1) if path.endswith(".gsm") else {}
    x, rate = soundfile.read(path, dtype="float32", always_2d=True, **gsm)
    common = np.gcd(rate, RATE)
    return signal.resample_poly(x.mean(axis=1), RATE // common, rate // common)[: 10 * RATE].astype(np.float32)


def rms(x):
    return np.sqrt(np.mean(np.square(x, dtype=np.float64))) + 1e-12


def noise(n, colour, rng):
    x = rng.standard_normal(n)
    if colour == "pink":
        spectrum = np.fft.rfft(x)
        x = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), n)
    return x / rms(x)


def in_noise(x, snr_db, colour, rng):
    return x + noise(len(x), colour, rng) * rms(x) * 10 ** (-snr_db / 20)


def telephone(x):
    """300 to 3,400 Hz at 8 kHz, mu-law in 8 bits."""
    x = signal.sosfilt(signal.butter(6, [300, 3400], "bandpass", fs=RATE, output="sos"), x)
    x = signal.resample_poly(x, 1, 2)
    peak = abs(x).max() + 1e-12
    code = np.round(127 * np.sign(x) * np.log1p(255 * abs(x) / peak) / np.log(256)) / 127
    return signal.resample_poly(peak * np.sign(code) * np.expm1(abs(code) * np.log(256)) / 255, 2, 1)


def synthetic(rng):
    t = np.arange(6 * RATE) / RATE
    levels = 10 ** (np.arange(-60, -5, 10) / 20)
    hum = [sum(np.sin(2 * np.pi * f * k * t + k) / k for k in (1, 2, 3, 5, 7)) for f in (50, 60)]
    clicks = np.zeros(len(t))
    for at in rng.integers(0, len(t) - 200, 12):
        clicks[at : at + 160] += rng.standard_normal(160) * np.exp(-np.arange(160) / 30)
    pair = lambda a, b: (np.sin(2 * np.pi * a * t) + np.sin(2 * np.pi * b * t)) * (t % 0.2 < 0.1)
    return {
        "digital silence": [np.zeros(n * RATE) for n in (1, 10, 60)],
        "white noise": [level * noise(len(t), "white", rng) for level in levels],
        "pink noise": [level * noise(len(t), "pink", rng) for level in levels],
        "mains hum": [level * (x + 0.03 * noise(len(t), "white", rng)) for x in hum for level in levels],
        "tones": [level * np.sin(2 * np.pi * f * t) for f in (100, 220, 440, 1000, 3000) for level in levels[::2]],
        "dialling tones": [level * pair(*p) for p in ((697, 1209), (941, 1477), (350, 440)) for level in levels[::2]],
        "clicks": [level * clicks for level in (0.1, 0.3, 1)],
    }


def packaged(folder):
    found = {}
    for kind, (package, wanted, other, step) in PACKAGES.items():
        where = folder / package
        if not where.exists():
            where.mkdir()
            subprocess.run(["apt-get", "download", package], cwd=where, check=True, capture_output=True)
            subprocess.run(["dpkg-deb", "-x", *glob.glob(str(where / "*.deb")), where / "x"], check=True)
        paths = sorted(str(p) for p in (where / "x").rglob("*") if p.is_file())
        paths = [p for p in paths if re.search(wanted, p) and not re.search(other, p)]
        found[kind] = [x for x in map(read, paths[::step]) if len(x) > RATE // 4]
    return found


def share_called_speech(ser, sounds):
    """Of recordings, percent."""
    with tempfile.TemporaryDirectory() as folder:
        for i, x in enumerate(sounds):
            soundfile.write(os.path.join(folder, "%04d.wav" % i), np.clip(x, -1, 1), RATE, subtype="PCM_16")
        out = subprocess.run([ser, "predict", "--format", "json", folder], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    assert len(rows) == len(sounds), out.stderr
    return 100 * sum(row["label"] is not None for row in rows) / len(rows)


def probabilities(bench, x):
    with tempfile.NamedTemporaryFile(suffix=".f32") as f:
        f.write(x.astype("<f4").tobytes())
        f.flush()
        out = subprocess.run([bench, f.name], capture_output=True, check=True)
    return np.frombuffer(out.stdout, "<f4"), out.stderr.decode()


def reference(session, x):
    """The package's model as its own wrapper calls it: window by window, 64 samples of context, the rest zeros."""
    x = np.concatenate([np.zeros(64), x, np.zeros(-len(x) % 512)]).astype(np.float32)
    state, out = np.zeros((2, 1, 128), np.float32), []
    for at in range(0, len(x) - 64, 512):
        feed = {"input": x[None, at : at + 576], "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(None, feed)
        out.append(probability[0, 0])
    return np.array(out)


def compare(bench, kinds):
    package = pathlib.Path(importlib.util.find_spec("silero_vad").origin).parent / "data/silero_vad.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(package), options, providers=["CPUExecutionProvider"])
    for kind, sounds in kinds.items():
        pairs = [(probabilities(bench, x)[0], reference(session, x)) for x in sounds]
        yield kind, sum(len(a) for a, _ in pairs), max(abs(a - b).max() for a, b in pairs)


def processor():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text).group(1).split()
    return "%s, %s" % (name.group(1) if name else "unknown", "AVX-512" if "avx512f" in flags else "no AVX-512")


def main():
    parser = argparse.ArgumentParser()
    for name in ("ser", "bench", "data"):
        parser.add_argument(name)
    parser.add_argument("--before")
    a = parser.parse_args()
    rng = np.random.default_rng(16)
    page = pathlib.Path(__file__).resolve().parent.parent / "docs/voice-activity.md"

    corpora = {"EMO-DB": sorted(glob.glob(a.data + "/emodb/wav/*"))[::10], "RAVDESS": sorted(glob.glob(a.data + "/ravdess/*/*"))[::36]}
    speech = {}
    for name, paths in corpora.items():
        clean = speech[name] = [read(p) for p in paths]
        for colour in ("white", "pink"):
            for snr_db in (10, 0):
                speech["%s, %s noise at %d dB" % (name, colour, snr_db)] = [in_noise(x, snr_db, colour, rng) for x in clean]
        phone = speech[name + ", telephone"] = [telephone(x) for x in clean]
        speech[name + ", telephone, at -45 dB"] = [x * 10 ** (-45 / 20) / rms(x) for x in phone]
    with tempfile.TemporaryDirectory() as folder:
        nothing = {**synthetic(rng), **packaged(pathlib.Path(folder))}
    speech["telephone prompts (GSM)"] = nothing.pop("telephone prompts (GSM)")

    def table(kinds):
        lines = ["| what | recordings | seconds |%s now, %% |" % (" before, % |" if a.before else ""), "| --- | ---: | ---: |" + (" ---: |" if a.before else "") + " ---: |"]
        for kind, sounds in kinds.items():
            figures = [share_called_speech(ser, sounds) for ser in (a.before, a.ser) if ser]
            cells = [kind, str(len(sounds)), "%d" % (sum(map(len, sounds)) / RATE), *("%.1f" % f for f in figures)]
            lines.append("| " + " | ".join(cells) + " |")
            print(lines[-1], file=sys.stderr, flush=True)
        return "\n".join(lines)

    compared = {"EMO-DB": speech["EMO-DB"], "RAVDESS": speech["RAVDESS"], "telephone": speech["EMO-DB, telephone"],
                "GSM": speech["telephone prompts (GSM)"], "music": nothing["game music"], "digital silence": nothing["digital silence"]}
    network = ["| what | windows | largest difference |", "| --- | ---: | ---: |"]
    network += ["| %s | %d | %.1e |" % row for row in compare(a.bench, compared)]
    speed = probabilities(a.bench, np.concatenate(speech["EMO-DB"]))[1].strip().splitlines()
    values = dict(network="\n".join(network), speed="\n".join("- %s (%s)" % (s, processor()) for s in speed),
                  speech=table(speech), nothing=table(nothing))
    text = page.read_text()
    for name, value in values.items():
        text, n = re.subn(r"(<!-- %s -->\n).*?(<!-- end -->)" % name, lambda m: m.group(1) + value + "\n" + m.group(2), text, flags=re.S)
        assert n == 1, name
    page.write_text(text)


main()
