#!/usr/bin/env python3
"""Runs every evaluation that docs/results.md and docs/model-card.md quote, and writes the tables into them.

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
BOTH = ["--data", "EMODB+RAVDESS", "--feature-type", "WHISPER", "--layers", "2,3,4", "--pooling", "all", "--c", "30"]
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
TRAVEL = [("1,2,3", "all", "30"), ("2,3,4", "all", "30"), ("1,2,3,4", "all", "30"), ("3,4", "all", "30"), ("2,3,4", "all", "10"),
          ("2,3,4", "all", "300"), ("2,3,4", "both", "30"), ("2,3,4", "both", "300")]
CONDITIONS = [("none", "as recorded"), ("noise", "pink noise at 10 dB"), ("telephone", "telephone band, 8 kHz"), ("echo", "room echo, 0.5 s"),
              ("quiet", "30 dB quieter, 16 bit"), ("clipped", "5 % of the samples clipped")]


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


def recall_of(report, prefix):
    """UA of the recordings of one corpus in a joint evaluation, over the emotions it has."""
    right, n = {}, {}
    for p in report["predictions"]:
        if p["file"].startswith(prefix):
            n[p["label"]] = n.get(p["label"], 0) + 1
            right[p["label"]] = right.get(p["label"], 0) + (p["predicted"] == p["label"])
    return 100 * sum(right[e] / n[e] for e in n) / len(n)


def results_table():
    lines = ["| corpus and protocol | UA (95 % interval) | WA | macro F1 | calibration error | to reach | published | command |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, args, what, target, published in RESULTS:
        r = evaluate(name, args)
        lines.append("| %s | **%.1f** (%.1f to %.1f) | %.1f | %.1f | %.1f %% | %s | %s | %s |" % (
            what, r["ua"], *r["ua_ci95"], r["wa"], r["f1"], r["ece"], "" if target is None else "%.1f" % target, published, command(args)))
    return lines


def conditions_table():
    args = BOTH + ["--protocol", "group-kfold=6"]
    lines = ["| recordings | UA, nine emotions | EMO-DB's | RAVDESS's | WA | calibration error |", "| --- | --- | --- | --- | --- | --- |"]
    for condition, what in CONDITIONS:
        extra = [] if condition == "none" else ["--test-condition", condition]
        r = evaluate("both-" + condition, args + extra)
        lines.append("| %s | %.1f (%.1f to %.1f) | %.1f | %.1f | %.1f | %.1f %% |" % (
            what, r["ua"], *r["ua_ci95"], recall_of(r, "EMODB/"), recall_of(r, "RAVDESS/"), r["wa"], r["ece"]))
    return lines + ["", "Command: " + command(args) + ", with `--test-condition`."]


def shared_corpus():
    """A CSV of both corpora's six shared emotions, with the corpus as fold: who is trained on one is tested on the other."""
    letters = dict(W="angry", E="disgust", A="fear", F="happy", T="sad", N="neutral")
    numbers = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust"}
    rows = []
    for folder, _, files in sorted(os.walk(os.path.join(DATA, "emodb"))):
        rows += [(os.path.join(folder, f), letters[f[5]], "EMODB/" + f[:2], 1) for f in sorted(files) if len(f) > 7 and f[5] in letters]
    for folder, _, files in sorted(os.walk(os.path.join(DATA, "ravdess"))):
        rows += [(os.path.join(folder, f), numbers[f[6:8]], "RAVDESS/" + f[18:20], 2) for f in sorted(files) if f[6:8] in numbers]
    path = os.path.join(OUT, "shared.csv")
    with open(path, "w") as f:
        f.write("file,emotion,speaker,fold\n")
        f.writelines("%s,%s,%s,%d\n" % row for row in rows)
    return path


def travel_table():
    path = shared_corpus()
    lines = ["| layers | statistics of | c | RAVDESS to EMO-DB | EMO-DB to RAVDESS | mean |", "| --- | --- | --- | --- | --- | --- |"]
    for layers, pooling, c in TRAVEL:
        args = ["--data", path, "--feature-type", "WHISPER", "--protocol", "emobox", "--layers", layers, "--pooling", pooling, "--c", c]
        r = evaluate("travel-%s-%s-%s" % (layers.replace(",", ""), pooling, c), args)
        ua = [f["ua"] for f in r["folds"]]
        lines.append("| %s | %s frames | %s | %.1f | %.1f | %.1f |" % (layers, "all" if pooling == "all" else "all and active", c, ua[0], ua[1], sum(ua) / 2))
    return lines + ["", "Command: `ser evaluate --data shared.csv --feature-type WHISPER --protocol emobox --layers L --pooling P --c C`,"
                    " where the fold of `shared.csv` is the corpus."]


def per_class_table():
    r = evaluate("both-none", BOTH + ["--protocol", "group-kfold=6"])
    lines = ["| emotion | recall | precision | recordings |", "| --- | --- | --- | --- |"]
    for i, label in enumerate(r["labels"]):
        row, column = r["confusion"][i], [c[i] for c in r["confusion"]]
        lines.append("| %s | %.1f %% | %.1f %% | %d |" % (label, 100 * row[i] / sum(row), 100 * column[i] / max(sum(column), 1), sum(row)))
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
fill(os.path.join(ROOT, "docs/model-card.md"), {"machine": facts, "travel": travel_table()})
fill(os.path.join(ROOT, "docs/model-card.md"), {"conditions": conditions_table(), "per class": per_class_table()})
