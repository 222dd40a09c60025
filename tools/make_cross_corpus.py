#!/usr/bin/env python3
"""Runs every adaptation that docs/cross-corpus.md quotes, and writes its tables.

  tools/make_cross_corpus.py PATH_OF_SER DATA_DIR WHISPER_FOLDER [OUTPUT_FOLDER]

DATA_DIR holds emodb/ and ravdess/. Reports go to OUTPUT_FOLDER (default: runs/cross-corpus); one that is there already is
not computed again. Needs nothing but Python's own library.
"""
import json, math, os, shutil, subprocess, sys

SER, DATA, WHISPER = (os.path.abspath(p) for p in sys.argv[1:4])
OUT = os.path.abspath(sys.argv[4] if len(sys.argv) > 4 else "runs/cross-corpus")
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "docs", "cross-corpus.md")
SEEDS = (46, 56, 66, 76, 86)  # projections and networks of a run take the seeds that follow
DIRECTIONS = (("EMODB", "RAVDESS"), ("RAVDESS", "EMODB"))
ALL = ["--layers", "1,2,3,4"]
ONE = ["--networks", "1"] + ALL


def terms(lmmd=0, entropy=0, balance=0):
    return ["--lmmd-weight", str(lmmd), "--entropy-weight", str(entropy), "--balance-weight", str(balance)]


# name, options, what it is; of "before" rows the unadapted model counts
BEFORE = [
    ("none", ["--normalize", "none"] + ONE + terms(lmmd=1), "no statistics of the target"),
    ("corpus", ["--normalize", "corpus"] + ONE + terms(lmmd=1), "standardised per corpus"),
    ("speaker", ONE + terms(lmmd=1), "standardised per speaker"),
]
ALONE = [
    ("none", ["--normalize", "none"] + ONE + terms(lmmd=1), "LMMD, no statistics of the target"),
    ("corpus", ["--normalize", "corpus"] + ONE + terms(lmmd=1), "LMMD, standardised per corpus"),
    ("speaker", ONE + terms(lmmd=1), "LMMD"),
    ("entropy", ONE + terms(entropy=0.3), "entropy of each answer"),
    ("information", ONE + terms(entropy=0.3, balance=0.3), "entropy of each answer, and balance of all"),
    ("lmmd-information", ONE + terms(lmmd=1, entropy=0.1, balance=0.1), "LMMD, entropy and balance"),
    ("too-much", ONE + terms(lmmd=30), "LMMD thirty times as strong: a harmful setting"),
]
BEST = [
    ("best", [], "`linear`: five projections, the preset `best`"),
    ("all-layers", ALL, "the same, always of layers 1 to 4"),
    ("layers-234", ["--layers", "2,3,4"], "the same, always of layers 2 to 4"),
    ("timnet", ["--model-type", "timnet"] + ONE, "`timnet`: one network"),
]


def run(name, options, source, seed):
    path = os.path.join(OUT, "%s-%s-%d.json" % (name, source.lower(), seed))
    if not os.path.exists(path):
        folder = path[:-5]
        shutil.rmtree(folder, ignore_errors=True)
        print("ser train-lmmd --data", source, *options, "--seed", seed, flush=True)
        subprocess.run([SER, "train-lmmd", "--data", source, "--data-dir", DATA, "--encoder", WHISPER, "--seed", str(seed), *options,
                        "--run", folder, "--json", path], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(folder)
    with open(path) as f:
        return json.load(f)


EMODB_LETTERS = {"W": "angry", "E": "disgust", "A": "fear", "F": "happy", "N": "neutral", "T": "sad"}
RAVDESS_NUMBERS = {"05": "angry", "07": "disgust", "06": "fear", "03": "happy", "01": "neutral", "04": "sad"}
FOLDERS = {"EMODB": "emodb/wav", "RAVDESS": "ravdess"}


def truth_of(target, path):
    name = os.path.basename(path)
    return EMODB_LETTERS.get(name[5]) if target == "EMODB" else RAVDESS_NUMBERS.get(name.split("-")[2])


def predict(source, target, options):
    """UA over the shared emotions of a linear model of source."""
    model = os.path.join(OUT, "model-" + source.lower())
    answers = os.path.join(OUT, "predict-%s-%s.jsonl" % (source.lower(), options[0][2:] if options else "plain"))
    if not os.path.exists(os.path.join(model, "report.json")):
        shutil.rmtree(model, ignore_errors=True)
        subprocess.run([SER, "train", "--data", source, "--data-dir", DATA, "--encoder", WHISPER, "--feature-type", "WHISPER", "--preset",
                        "best", "--model-type", "linear", "--split-fold", "0", "--run", model], check=True, stdout=subprocess.DEVNULL)
    if not os.path.exists(answers):
        print("ser predict", *options, target, flush=True)
        with open(answers, "w") as f:
            subprocess.run([SER, "predict", "--format", "json", "--model", os.path.join(model, "model.safetensors"), "--encoder", WHISPER,
                            "--precision", "fp32", *options, os.path.join(DATA, FOLDERS[target])], check=True, stdout=f)
    right = {e: [] for e in EMODB_LETTERS.values()}
    with open(answers) as f:
        for line in f:
            answer = json.loads(line)
            truth = truth_of(target, answer["file"])
            if truth and answer["scores"]:
                right[truth].append(max(right, key=answer["scores"].get) == truth)
    return 100 * sum(sum(r) / len(r) for r in right.values()) / len(right)


def predict_table():
    lines = ["| | EMO-DB to RAVDESS | RAVDESS to EMO-DB |", "| --- | --- | --- |"]
    for option, what in ((None, "`ser predict`"), ("--baseline", "`--baseline`"), ("--adapt", "`--adapt`")):
        figures = [predict(s, t, [option, os.path.join(DATA, FOLDERS[t])] if option else []) for s, t in DIRECTIONS]
        lines.append("| %s | %.1f | %.1f |" % (what, *figures))
    return lines


def spread(values):
    mean = sum(values) / len(values)
    return "%.1f ± %.1f" % (mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1)))


def cells(rows, part):
    """UA over the shared emotions and accuracy by the mapping, each way."""
    out = []
    for source, _ in DIRECTIONS:
        reports = [r if part == "kept" else r[part] for r in rows[source]]
        out += [spread([r["ua_shared"] for r in reports]), spread([r["acc_lenient"] for r in reports])]
    return out


def table(settings, columns):
    lines = []
    for name, options, what in settings:
        rows = {source: [run(name, options, source, seed) for seed in SEEDS] for source, _ in DIRECTIONS}
        line = [what]
        for part in columns:
            line += cells(rows, part)
        if "adapted" in columns:
            line.append(" / ".join("%d of %d" % (sum(r["kept"] == "adapted" for r in rows[s]), len(SEEDS)) for s, _ in DIRECTIONS))
        lines.append("| " + " | ".join(line) + " |")
    return lines


def header(first, *more):
    names = [first, "EMO-DB to RAVDESS, UA", "by the mapping", "RAVDESS to EMO-DB, UA", "by the mapping", *more]
    return ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]


def main():
    os.makedirs(OUT, exist_ok=True)
    parts = {
        "predict": predict_table(),
        "before": header("unadapted, one projection") + table(BEFORE, ["before"]),
        "best": header("adapted", "kept") + table(BEST[:3], ["adapted"]),
        "alone": header("adapted, one projection", "kept") + table(ALONE, ["adapted"]),
        "others": header("adapted", "kept") + table(BEST[3:], ["adapted"]),
        "best-before": header("the same models, unadapted") + table(BEST[:3], ["before"]),
    }
    with open(PAGE) as f:
        page = f.read()
    for name, lines in parts.items():
        begin, end = "<!-- %s -->\n" % name, "<!-- end -->"
        head, rest = page.split(begin)
        page = head + begin + "\n".join(lines) + "\n" + rest[rest.index(end):]
    with open(PAGE, "w") as f:
        f.write(page)


main()
