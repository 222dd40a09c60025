#!/usr/bin/env python3
"""examples/train_and_evaluate.c on a small corpus of tones.

Usage: test_example.py PATH_OF_THE_EXAMPLE
"""
import array, math, os, random, subprocess, sys, tempfile, wave

EXAMPLE = os.path.abspath(sys.argv[1])
RATE = 16000


def write_tone(path, frequency, seed):
    r = random.Random(seed)
    samples = (0.3 * math.sin(2 * math.pi * frequency * i / RATE) + 0.01 * r.gauss(0, 1) for i in range(RATE // 2))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with wave.open(path, "wb") as w:
        w.setnchannels(1), w.setsampwidth(2), w.setframerate(RATE)
        w.writeframes(array.array("h", (int(32767 * max(-1, min(1, x))) for x in samples)).tobytes())


with tempfile.TemporaryDirectory() as folder:
    rows = ["file,emotion,speaker"]
    for emotion, frequency in (("angry", 900), ("sad", 200), ("neutral", 450)):
        for i in range(9):
            write_tone(f"{folder}/{emotion}/{i}.wav", frequency * (1 + 0.03 * i), i + frequency)
            rows.append(f"{emotion}/{i}.wav,{emotion},s{i % 3}")
    with open(f"{folder}/corpus.csv", "w") as f:
        f.write("\n".join(rows) + "\n")
    env = dict(os.environ, XDG_CACHE_HOME=f"{folder}/cache")
    asked = [f"{folder}/sad/1.wav", f"{folder}/nowhere.wav", f"{folder}/angry/2.wav"]
    p = subprocess.run([EXAMPLE, f"{folder}/corpus.csv", f"{folder}/run", *asked], env=env, cwd=folder,
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stderr
    assert "fold s2" in p.stdout and "\nUA " in p.stdout, p.stdout
    told = p.stdout.splitlines()[-3:]
    assert [line.split(": ")[0] for line in told] == asked and "No such file" in told[1], p.stdout
    assert f"leaves its results in {folder}/run" in p.stderr and "done" in p.stderr, p.stderr
    assert sorted(os.listdir(f"{folder}/run")) == ["config.json", "model.safetensors", "report.json"], os.listdir(f"{folder}/run")
    again = subprocess.run([EXAMPLE, f"{folder}/corpus.csv", f"{folder}/run", f"{folder}/sad/1.wav"], env=env, cwd=folder,
                           capture_output=True, text=True)
    assert again.returncode == 1 and "holds a run already" in again.stderr, again.stderr
print("ok")
