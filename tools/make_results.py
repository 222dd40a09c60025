#!/usr/bin/env python3
"""Runs every evaluation that docs/results.md quotes, and writes the table into it.

  tools/make_results.py PATH_OF_SER DATA_DIR WHISPER_FOLDER [OUTPUT_FOLDER]

DATA_DIR holds emodb/, ravdess/ and emobox/ (the public fold lists). Reports go to OUTPUT_FOLDER (default:
runs/results); a report that is there already is not computed again. Needs nothing but Python's own library.
"""
import json, os, subprocess, sys

SER, DATA, WHISPER = (os.path.abspath(p) for p in sys.argv[1:4])
OUT = sys.argv[4] if len(sys.argv) > 4 else "runs/results"
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FOLDS = {c: os.path.join(DATA, "emobox", c + "_test_folds.csv") for c in ("emodb", "ravdess")}

EMODB = ["--data", "EMODB", "--feature-type", "WHISPER"]
RAVDESS = ["--data", "RAVDESS", "--feature-type", "WHISPER"]
EMOBOX = {"EMODB": ["--protocol", "emobox", "--folds", FOLDS["emodb"]], "RAVDESS": ["--protocol", "emobox", "--folds", FOLDS["ravdess"]]}

TIMNET, COMBINED = ["--model-type", "timnet"], ["--model-type", "linear+timnet"]

# name, arguments, what it is, the figure to reach (UA), the best published
RESULTS = [
    ("emodb-emobox", EMODB + EMOBOX["EMODB"], "EMO-DB, emobox (speakers on both sides)", 95.0, "92.6 (WavLM large)"),
    ("ravdess-emobox", RAVDESS + EMOBOX["RAVDESS"], "RAVDESS, emobox", 77.5, "75.3 (Whisper large v3)"),
    ("emodb-loso", EMODB + ["--protocol", "loso"], "EMO-DB, leave one speaker out", 93.0, "93.0 (human listeners)"),
    ("emodb-loso-speaker", EMODB + ["--protocol", "loso", "--normalize", "speaker"], "EMO-DB, leave one speaker out, per speaker", 95.0, ""),
    ("ravdess-emobox-speaker", RAVDESS + EMOBOX["RAVDESS"] + ["--normalize", "speaker"], "RAVDESS, emobox, per speaker", 84.5, ""),
    ("emodb-emobox-plain", EMODB + EMOBOX["EMODB"] + ["--augment", "none"], "EMO-DB, emobox, no altered copies", None, ""),
    ("ravdess-emobox-plain", RAVDESS + EMOBOX["RAVDESS"] + ["--augment", "none"], "RAVDESS, emobox, no altered copies", None, ""),
    ("emodb-emobox-auto", EMODB + EMOBOX["EMODB"] + ["--precision", "auto"], "EMO-DB, emobox, in the precision that `auto` takes", 96.4, ""),
    ("emodb-emobox-int8", EMODB + EMOBOX["EMODB"] + ["--precision", "int8"], "EMO-DB, emobox, in 8 bits", None, ""),
    ("emodb-emobox-weighted", EMODB + EMOBOX["EMODB"] + ["--layers", "weighted"], "EMO-DB, emobox, a learned weighting of all layers", None, ""),
    ("ravdess-emobox-weighted", RAVDESS + EMOBOX["RAVDESS"] + ["--layers", "weighted"], "RAVDESS, emobox, a learned weighting of all layers", None, ""),
    ("emodb-joined", ["--data", "EMODB", "--feature-type", "LOGMEL+WHISPER"] + EMOBOX["EMODB"], "EMO-DB, emobox, LOGMEL+WHISPER", None, ""),
    ("ravdess-joined", ["--data", "RAVDESS", "--feature-type", "LOGMEL+WHISPER"] + EMOBOX["RAVDESS"], "RAVDESS, emobox, LOGMEL+WHISPER", None, ""),
    ("ravdess-kfold2", RAVDESS + ["--protocol", "kfold=2"], "RAVDESS, the original's way: two random folds", None, ""),
    ("emodb-kfold2", EMODB + ["--protocol", "kfold=2"], "EMO-DB, the original's way: two random folds", None, ""),
    ("emodb-timnet", EMODB + EMOBOX["EMODB"] + TIMNET, "EMO-DB, emobox, timnet", 93.5, ""),
    ("ravdess-timnet", RAVDESS + EMOBOX["RAVDESS"] + TIMNET, "RAVDESS, emobox, timnet", 73.0, ""),
    ("emodb-both", EMODB + EMOBOX["EMODB"] + COMBINED, "EMO-DB, emobox, linear+timnet", 96.0, ""),
    ("ravdess-both", RAVDESS + EMOBOX["RAVDESS"] + COMBINED, "RAVDESS, emobox, linear+timnet", 77.0, ""),
    ("emodb-both-speaker", EMODB + EMOBOX["EMODB"] + COMBINED + ["--normalize", "speaker"], "EMO-DB, emobox, linear+timnet, per speaker", 96.0, ""),
    ("ravdess-both-speaker", RAVDESS + EMOBOX["RAVDESS"] + COMBINED + ["--normalize", "speaker"], "RAVDESS, emobox, linear+timnet, per speaker", 85.0, ""),
    ("emodb-loso-both", EMODB + ["--protocol", "loso"] + COMBINED, "EMO-DB, leave one speaker out, linear+timnet", None, ""),
    ("emodb-logmel-timnet", ["--data", "EMODB", "--feature-type", "LOGMEL"] + EMOBOX["EMODB"] + TIMNET, "EMO-DB, emobox, LOGMEL, timnet", None, ""),
    ("ravdess-logmel-timnet", ["--data", "RAVDESS", "--feature-type", "LOGMEL"] + EMOBOX["RAVDESS"] + TIMNET, "RAVDESS, emobox, LOGMEL, timnet", None, ""),
    ("emodb-logmel", ["--data", "EMODB", "--feature-type", "LOGMEL"] + EMOBOX["EMODB"], "EMO-DB, emobox, LOGMEL", None, ""),
    ("ravdess-logmel", ["--data", "RAVDESS", "--feature-type", "LOGMEL"] + EMOBOX["RAVDESS"], "RAVDESS, emobox, LOGMEL", None, ""),
    ("emodb-mfcc", ["--data", "EMODB", "--feature-type", "MFCC"] + EMOBOX["EMODB"], "EMO-DB, emobox, MFCC", None, ""),
    ("ravdess-mfcc", ["--data", "RAVDESS", "--feature-type", "MFCC"] + EMOBOX["RAVDESS"], "RAVDESS, emobox, MFCC", None, ""),
    ("emodb-mfcc-timnet", ["--data", "EMODB", "--feature-type", "MFCC"] + EMOBOX["EMODB"] + TIMNET, "EMO-DB, emobox, MFCC, timnet", None, ""),
    ("ravdess-mfcc-timnet", ["--data", "RAVDESS", "--feature-type", "MFCC"] + EMOBOX["RAVDESS"] + TIMNET, "RAVDESS, emobox, MFCC, timnet", None, ""),
]


def evaluate(name, args):
    path = os.path.join(OUT, name + ".json")
    if not os.path.exists(path):
        print("ser evaluate", " ".join(args), flush=True)
        subprocess.run([SER, "evaluate", *args, "--data-dir", DATA, "--encoder", WHISPER, "--json", path], check=True,
                       stdout=subprocess.DEVNULL)
    with open(path) as f:
        return json.load(f)


def command(args):
    return "`ser evaluate " + " ".join(os.path.basename(a) if os.path.isabs(a) else a for a in args) + "`"


def results_table():
    lines = ["| corpus and protocol | UA (95 % interval) | WA | macro F1 | calibration error | to reach | published | command |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, args, what, target, published in RESULTS:
        r = evaluate(name, args)
        lines.append("| %s | **%.1f** (%.1f to %.1f) | %.1f | %.1f | %.1f %% | %s | %s | %s |" % (
            what, r["ua"], *r["ua_ci95"], r["wa"], r["f1"], r["ece"], "" if target is None else "%.1f" % target, published, command(args)))
    return lines


def fill(path, tables):
    """Replaces what stands between <!-- NAME --> and <!-- end --> lines."""
    with open(path) as f:
        lines = f.read().split("\n")
    out, skipping = [], False
    for line in lines:
        if line == "<!-- end -->":
            skipping = False
        if not skipping:
            out.append(line)
        for name, table in tables.items():
            if line == "<!-- %s -->" % name:
                out += table
                skipping = True
    with open(path, "w") as f:
        f.write("\n".join(out))


os.makedirs(OUT, exist_ok=True)
machine = evaluate(RESULTS[0][0], RESULTS[0][1])
facts = ["Measured with ser %s on %s, precision %s, %d threads, seed %d." % (
    machine["version"], machine["cpu"], machine["precision"], machine["jobs"], machine["seed"])]
fill(os.path.join(ROOT, "docs/results.md"), {"results": results_table(), "machine": facts})
