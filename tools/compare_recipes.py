#!/usr/bin/env python3
"""What each part of the recipe of docs/strangers.md is worth by itself, on corpora left out.

  tools/compare_recipes.py SER DATA_DIR WHISPER_FOLDER OUT_FOLDER [--share N] [--steps N] [RECIPE...]

Every N-th recording (5th) of EMO-DB, RAVDESS, CREMA-D and nEMO; for each recipe 'ser evaluate --fine-tune --protocol loco', by
default with 200 steps: four trainings, about a quarter of an hour on one core with AMX. What OUT_FOLDER has already is not done
again. Prints the table: UA of each corpus left out, among its own emotions, and the mean of that and of UA among all."""
import argparse, json, os, subprocess

RECIPES = {"usual": (), "head": ("--fine-tune-steps", "0"), "end": ("--fine-tune-blend", "1"), "plain": ("--fine-tune-plain",),
           "mixup": ("--fine-tune-mixup", "0.4"), "lora": ("--lora", "8", "--fine-tune-blend", "1", "--fine-tune-rate", "1e-3"),
           "intended": ("--fine-tune-votes", "0"), "sizes": ("--fine-tune-balance", "1"), "neutral": ("--fine-tune-neutral", "1"),
           "pull": ("--fine-tune-pull", "30", "--fine-tune-blend", "1"), "upper": ("--fine-tune-from", "2"),
           "copies": ("--fine-tune-from", "2", "--fine-tune-copies", "2"), "six": ("--layers", "1,2,3,4,5,6"), "top": ("--layers", "4")}
WORDS = {"usual": "as it is", "head": "no step: the head alone", "end": "the weights at the end, none of those at the start",
         "plain": "crops as they were recorded", "mixup": "pairs of crops mixed (0.4)", "lora": "LoRA of rank 8, at a rate of 1e-3, without going back",
         "intended": "what the actor meant, without the listeners' votes", "sizes": "corpora drawn by their size", "neutral": "neutral no oftener than other emotions",
         "pull": "pulled towards the start instead of going back", "upper": "layers 3 and 4 alone learn",
         "copies": "the same, from two altered copies made once", "six": "all six layers", "top": "layer 4 alone is read"}
spent = [0.0]  # seconds of the processors by what has ended so far
CORPORA = {"EMODB": "emodb", "RAVDESS": "ravdess", "CREMAD": "cremad", "NEMO": "nemo"}


def link_share(data, to, share):
    """Links to every share-th recording, and to the tables beside them, in the layout of the publishers."""
    for folder in CORPORA.values():
        sounds = []
        for root, _, names in os.walk(os.path.join(data, folder), followlinks=True):
            sounds += [os.path.relpath(os.path.join(root, n), data) for n in names if n.lower().endswith((".wav", ".flac", ".opus"))]
            for name in names:
                if name.endswith(".csv"):
                    link(os.path.join(data, os.path.relpath(os.path.join(root, name), data)), os.path.join(to, os.path.relpath(os.path.join(root, name), data)))
        for path in sorted(sounds)[::share]:
            link(os.path.join(data, path), os.path.join(to, path))
    kept = {os.path.splitext(n)[0] for n in os.listdir(os.path.join(to, "nemo", "samples"))}
    with open(os.path.join(data, "nemo", "data.tsv"), encoding="utf-8") as f, open(os.path.join(to, "nemo", "data.tsv"), "w", encoding="utf-8") as out:
        for i, line in enumerate(f):
            if i == 0 or os.path.splitext(line.split("\t")[0])[0] in kept:
                out.write(line)


def link(path, to):
    os.makedirs(os.path.dirname(to), exist_ok=True)
    if not os.path.lexists(to):
        os.symlink(os.path.abspath(path), to)


def run(a, name):
    folder = os.path.join(a.out, name)
    if os.path.exists(os.path.join(folder, "report.json")):
        return
    given = {"--layers": "1,2,3,4", "--fine-tune-steps": str(a.steps), "--augment": "0"}
    for key in RECIPES[name]:
        given.pop(key, None)
    anew = ["--data", "+".join(CORPORA), "--data-dir", os.path.join(a.out, "data"), "--feature-type", "WHISPER", "--model-type", "linear", "--encoder",
            a.whisper, "--pooling", "all", "--c", "30", "--protocol", "loco", "--precision", "bf16", "--fine-tune",
            *[x for item in given.items() for x in item], *RECIPES[name], "--run", folder]
    command = [a.ser, "evaluate", *(["--resume", folder] if os.path.exists(os.path.join(folder, "config.json")) else anew)]
    try:
        subprocess.run(command, check=True)
    finally:  # its processor time, of each piece where it was interrupted
        with open(folder + ".seconds", "a") as f:
            f.write(f"{sum(os.times()[2:4]) - sum(spent):.1f}\n")
        spent.append(sum(os.times()[2:4]) - sum(spent))


def print_row(name, report, seconds):
    folds = {f["fold"]: f for f in report["folds"]}
    with open(seconds) as f:
        minutes = sum(map(float, f)) / 60
    each = [folds[c]["ua_restricted"] for c in CORPORA]
    print(f"| {WORDS[name]} | " + " | ".join(f"{x:.1f}" for x in each) + f" | **{report['ua_restricted']:.1f}** | {report['ua_open']:.1f} | "
          f"{minutes:.0f} |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("ser"), p.add_argument("data"), p.add_argument("whisper"), p.add_argument("out"), p.add_argument("recipe", nargs="*")
    p.add_argument("--share", type=int, default=5), p.add_argument("--steps", type=int, default=200)
    a = p.parse_intermixed_args()
    asked, path = f"--share {a.share} --steps {a.steps}", os.path.join(a.out, "asked.txt")
    os.makedirs(a.out, exist_ok=True)
    with open(path, "a+") as f:
        f.seek(0)
        before = f.read()
        if before not in ("", asked):
            p.error(f"{a.out} is of {before}: take another folder")
        f.write("" if before else asked)
    link_share(a.data, os.path.join(a.out, "data"), a.share)
    for name in a.recipe or RECIPES:
        run(a, name)
    print("| recipe | " + " | ".join(CORPORA) + " | mean | among all emotions | processor minutes |\n" + "| --- " * 8 + "|", flush=True)
    for name in RECIPES:
        path = os.path.join(a.out, name, "report.json")
        if os.path.exists(path):
            with open(path) as f:
                print_row(name, json.load(f), os.path.join(a.out, name + ".seconds"))


main()
