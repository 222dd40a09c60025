#!/usr/bin/env python3
"""What a tuned encoder's head is worth to somebody with few labelled recordings: prints a table.

  tools/check_few_labels.py SER DATA ENCODER OUTPUT_FOLDER

ENCODER: encoder-without-RAVDESS of 'ser train --fine-tune --keep-encoders'. Linear models learn from the first actors of RAVDESS in DATA,
with the head beside the encoder and without it, and are tested on actors 7 to 24. What lies in OUTPUT_FOLDER already is not computed again."""
import csv, glob, json, os, shutil, subprocess, sys

SER, DATA, ENCODER, OUT = (os.path.abspath(p) for p in sys.argv[1:5])
EMOTIONS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust", "08": "surprised"}
FIRST_TESTED = 7


def table(name, actors):
    """A CSV of these actors' recordings; its path."""
    path = os.path.join(OUT, name + ".csv")
    with open(path, "w", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(("file", "speaker", "emotion"))
        for sound in sorted(glob.glob(os.path.join(DATA, "ravdess", "**", "03-01-*"), recursive=True)):
            code = os.path.basename(sound).split(".")[0].split("-")
            if int(code[6]) in actors:
                rows.writerow((sound, code[6], EMOTIONS[code[2]]))
    return path


def ser(*arguments):
    subprocess.run([SER, *arguments, "--precision", "bf16"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ua(n_actors, encoder, name):
    run, said = os.path.join(OUT, name), os.path.join(OUT, name + ".json")
    if not os.path.exists(said):
        shutil.rmtree(run, ignore_errors=True)
        ser("train", "--data", table(f"first-{n_actors}", range(1, n_actors + 1)), "--feature-type", "WHISPER", "--model-type", "linear",
            "--encoder", encoder, "--preset", "best", "--split-fold", "0", "--run", run)
        ser("test", "--test-path", os.path.join(run, "model.safetensors"), "--data", table("tested", range(FIRST_TESTED, 25)), "--encoder", encoder,
            "--run", run + "-test", "--json", said)
    with open(said) as f:
        return json.load(f)["ua"]


os.makedirs(OUT, exist_ok=True)
bare = os.path.join(OUT, "encoder")
shutil.copytree(ENCODER, bare, ignore=shutil.ignore_patterns("head.safetensors"), dirs_exist_ok=True)
print("| actors that are learned from | recordings | with the head | without it |\n| --- | --- | --- | --- |")
for n in (1, 2, 4, 6):
    try:
        figures = [f"{ua(n, e, f'{n}-{w}'):.1f}" for e, w in ((ENCODER, "with"), (bare, "without"))]
    except subprocess.CalledProcessError as e:
        sys.exit(f"{' '.join(e.cmd)} failed: type it to see why")
    print(f"| {n} | {60 * n} | {' | '.join(figures)} |", flush=True)
