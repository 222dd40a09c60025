#!/usr/bin/env python3
"""What a stranger gains from recordings of the own voice that nobody labelled: prints a table.

  tools/check_own_voice.py SER DATA RUN OUTPUT_FOLDER [CORPUS...]

RUN is a run folder of 'ser train --fine-tune --keep-encoders' on EMODB+RAVDESS+CREMAD+NEMO in DATA. For each CORPUS (default:
all four) a linear model learns from at most 1,500 recordings of each of the others, reading the encoder that did not hear this
one. Then 'ser predict --baseline' answers, at most 24 voices of the corpus, for at most 480 of their recordings, which are in
no baseline. What lies in OUTPUT_FOLDER already is not computed again. Needs nothing but Python's own library."""
import csv, json, os, random, shutil, subprocess, sys

SER, DATA, RUN, OUT = (os.path.abspath(p) for p in sys.argv[1:5])
MOST_LEARNED, MOST_VOICES, MOST_ASKED, SIZES = 1500, 24, 480, (0, 3, 10, 30)
# the folder, what a name says: (speaker, emotion)
CORPORA = {
    "EMODB": ("emodb/wav", dict(W="angry", L="boredom", E="disgust", A="fear", F="happy", N="neutral", T="sad"), lambda n: (n[:2], n[5])),
    "RAVDESS": ("ravdess", {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust", "08": "surprised"},
                lambda n: (n[18:20], n[6:8])),
    "CREMAD": ("cremad/AudioWAV", dict(ANG="angry", DIS="disgust", FEA="fear", HAP="happy", NEU="neutral", SAD="sad"), lambda n: (n[:4], n[9:12])),
    "NEMO": ("nemo/samples", dict(anger="angry", fear="fear", happiness="happy", neutral="neutral", sadness="sad", surprised="surprised"),
             lambda n: (n[:3], n.split("_")[1])),
}
TOLD = {"EMODB": "EMO-DB", "RAVDESS": "RAVDESS", "CREMAD": "CREMA-D", "NEMO": "nEMO"}


def recordings(corpus):
    """[(path, speaker, emotion)], in an order that is random and always the same."""
    folder, emotions, read = CORPORA[corpus]
    found = []
    for place, _, names in os.walk(os.path.join(DATA, folder)):
        for name in (n for n in names if n.lower().endswith((".wav", ".flac", ".opus"))):
            speaker, code = read(name)
            found.append((os.path.join(place, name), speaker, emotions[code]))
    found.sort()
    random.Random(corpus).shuffle(found)
    return found


def learn(target):
    """The model that knows nothing of target."""
    run, tables = os.path.join(OUT, target), []
    model = os.path.join(run, "model.safetensors")
    for corpus in (c for c in CORPORA if c != target):
        tables.append(os.path.join(OUT, f"{corpus}.csv"))
        with open(tables[-1], "w", newline="") as f:
            csv.writer(f).writerows([("file", "speaker", "emotion"), *recordings(corpus)[:MOST_LEARNED]])
    if not os.path.exists(model):
        shutil.rmtree(run, ignore_errors=True)
        subprocess.run([SER, "train", "--data", "+".join(tables), "--feature-type", "WHISPER", "--model-type", "linear", "--encoder",
                        os.path.join(RUN, "encoder-without-" + target), "--layers", "1,2,3,4", "--pooling", "all", "--preset", "best", "--c", "30",
                        "--augment", "none", "--precision", "bf16", "--split-fold", "0", "--embed-encoder", "--run", run], check=True, stdout=subprocess.DEVNULL)
    return model


def answers(model, paths, baseline):
    """{path: scores}; those without a voice have none. baseline: paths of a voice's recordings."""
    folder = os.path.join(OUT, "voice")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for i, path in enumerate(baseline):
        os.symlink(path, os.path.join(folder, f"{i}-{os.path.basename(path)}"))
    out = subprocess.run([SER, "predict", "--quiet", "--format", "json", "--min-confidence", "0", "--model", model,
                          *(("--baseline", folder) if baseline else ()), *paths], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {a["file"]: a["scores"] for a in map(json.loads, out.splitlines()) if a["scores"]}


def measure(target):
    """UA in percent over the emotions of target that the others have as well, for each of SIZES."""
    kept = os.path.join(OUT, target + ".json")
    if os.path.exists(kept):
        with open(kept) as f:
            return json.load(f)
    model, own = learn(target), recordings(target)
    known = {e for c in CORPORA if c != target for e in CORPORA[c][1].values()} & set(CORPORA[target][1].values())
    voices = sorted({speaker for _, speaker, _ in own})
    voices = voices[::-(-len(voices) // MOST_VOICES)]
    right = {n: {e: [] for e in known} for n in SIZES}
    for voice in voices:
        mine = [r for r in own if r[1] == voice]
        asked = {path: emotion for path, _, emotion in mine[max(SIZES):] if emotion in known}
        asked = dict(list(asked.items())[:MOST_ASKED // len(voices)])
        for n in SIZES:
            for path, scores in answers(model, list(asked), [path for path, _, _ in mine[:n]]).items():
                right[n][asked[path]].append(max(known, key=lambda e: scores.get(e, 0)) == asked[path])
    said = {"voices": len(voices), "asked": sum(map(len, right[0].values())),
            "ua": [100 * sum(sum(r) / len(r) for r in right[n].values() if r) / sum(bool(r) for r in right[n].values()) for n in SIZES]}
    with open(kept, "w") as f:
        json.dump(said, f)
    return said


os.makedirs(OUT, exist_ok=True)
lines = ["| knows nothing of | voices | recordings asked | " + " | ".join("no baseline" if not n else f"{n} recordings" for n in SIZES) + " |",
         "|" + " --- |" * (3 + len(SIZES))]
figures = {target: measure(target) for target in sys.argv[5:] or CORPORA}
for target, said in figures.items():
    lines.append(f"| {TOLD[target]} | {said['voices']} | {said['asked']} | " + " | ".join(f"{ua:.1f}" for ua in said["ua"]) + " |")
means = [sum(said["ua"][i] for said in figures.values()) / len(figures) for i in range(len(SIZES))]
lines.append("| mean | | | " + " | ".join(f"**{m:.1f}**" for m in means) + " |")
print("\n".join(lines))
