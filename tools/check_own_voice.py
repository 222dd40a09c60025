#!/usr/bin/env python3
"""What a stranger gains from recordings of the own voice that nobody labelled: prints a table.

  tools/check_own_voice.py SER DATA RUN OUTPUT_FOLDER [CORPUS...]

RUN is a run folder of 'ser train --fine-tune --keep-encoders' on EMODB+RAVDESS+CREMAD+NEMO in DATA. For each CORPUS (default:
all four) a model is put together that has two heads, as that run's own has, and heard nothing of CORPUS. The head for a voice's
baseline is one of 'ser train', which learns from at most 1,500 recordings of each other corpus and reads the encoder that did not
hear this one. The head that learned together with that encoder is known by what it said of recordings of CORPUS (left-out.jsonl):
in its place stands the smallest head that says the same of them.

Then 'ser predict --baseline' and '--adapt' answer for those recordings but for the first thirty of each voice, in an order that is random and
always the same, of which the baselines are. What lies in OUTPUT_FOLDER already is not computed again. Needs NumPy."""
import csv, json, os, random, shutil, struct, subprocess, sys
import numpy as np

from left_out import FOLDERS, LAYERS, TOLD, WIDTH, least_head, name_of, pooled, sounds_in

SER, DATA, RUN, OUT = (os.path.abspath(p) for p in sys.argv[1:5])
MOST_LEARNED, MOST_VOICES = 1500, 48
WAYS = ((0, ""), (3, "--baseline"), (10, "--baseline"), (30, "--baseline"), (30, "--adapt"))  # recordings of the voice, and for what
# codes of emotions, and what a name says: (speaker, code)
CORPORA = {
    "EMODB": (dict(W="angry", L="boredom", E="disgust", A="fear", F="happy", N="neutral", T="sad"), lambda n: (n[:2], n[5])),
    "RAVDESS": ({"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust", "08": "surprised"},
                lambda n: (n[18:20], n[6:8])),
    "CREMAD": (dict(ANG="angry", DIS="disgust", FEA="fear", HAP="happy", NEU="neutral", SAD="sad"), lambda n: (n[:4], n[9:12])),
    "NEMO": (dict(anger="angry", fear="fear", happiness="happy", neutral="neutral", sadness="sad", surprised="surprised"),
             lambda n: (n[:3], n.split("_")[1])),
}


def recordings(corpus):
    """[(path, speaker, emotion)], in an order that is random and always the same."""
    emotions, read = CORPORA[corpus]
    found = []
    for path in sounds_in(os.path.join(DATA, FOLDERS[corpus])):
        speaker, code = read(os.path.basename(path))
        found.append((path, speaker, emotions[code]))
    random.Random(corpus).shuffle(found)
    return found


def said_of(target):
    """{name: logits by emotion}: what the tuned head said of recordings of target before it had heard any."""
    with open(os.path.join(RUN, "left-out.jsonl")) as f:
        answers = [json.loads(line) for line in f]
    return {name_of(a["file"]): a["logits"] for a in answers if a["left_out"] == target}


def learn(target):
    """The linear model that knows nothing of target."""
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
                        "--augment", "none", "--precision", "bf16", "--split-fold", "0", "--embed-encoder", "--run", run],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return model


def two_heads(model, target, own):
    """Writes the model with the tuned head in the plain one's place; its path."""
    said, out = said_of(target), os.path.join(OUT, target, "two-heads.safetensors")
    if os.path.exists(out):
        return out
    with open(model, "rb") as f:
        n, = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), bytearray(f.read())
    with open(os.path.join(RUN, "report.json")) as f:
        report = json.load(f)
    about = header["__metadata__"]
    labels = json.loads(about["ser.labels"])

    def tensor(name):
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(data, "<f4", (end - begin) // 4, begin).reshape(header[name]["shape"])

    # Of each hidden state the statistics of all frames, then those of the active ones, which are not read.
    place = np.arange(LAYERS * 4 * WIDTH).reshape(LAYERS, 4, WIDTH)[:, :2].reshape(-1)
    asked = [path for path, _, _ in own if name_of(path) in said]
    z = (pooled(SER, RUN, target, OUT, asked) - tensor("plain.mean")[place]) * tensor("plain.scale")[place]
    logits = np.array([[said[name_of(path)][label] for label in labels] for path in asked])
    weight, bias = least_head(z, logits)
    tensor("plain.weight")[:] = 0
    tensor("plain.weight")[:, place] = weight
    tensor("plain.bias")[:] = bias
    tensor("plain.temperature")[:] = report["temperature"]
    for key in ("min_confidence", "min_confidence_plain"):
        about["ser." + key] = repr(report[key])
    text = json.dumps(header).encode()
    with open(out + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(text) + -len(text) % 8) + text + b" " * (-len(text) % 8) + data)
    os.rename(out + ".part", out)
    return out


def answers(model, paths, voice, option):
    """{path: scores}; those without a voice have none. voice: paths of its recordings, for the option."""
    folder = os.path.join(OUT, "voice")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for i, path in enumerate(voice):
        os.symlink(path, os.path.join(folder, f"{i}-{os.path.basename(path)}"))
    out = subprocess.run([SER, "predict", "--quiet", "--format", "json", "--min-confidence", "0", "--model", model,
                          *((option, folder) if voice else ()), *paths], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {a["file"]: a["scores"] for a in map(json.loads, out.splitlines()) if a["scores"]}


def measure(target):
    """UA in percent over the emotions of target that were asked for, for each of WAYS."""
    kept = os.path.join(OUT, target + ".json")
    if os.path.exists(kept):
        with open(kept) as f:
            return json.load(f)
    own, said = recordings(target), said_of(target)
    model = two_heads(learn(target), target, own)
    voices = sorted({speaker for _, speaker, _ in own})
    voices = voices[::-(-len(voices) // MOST_VOICES)]
    known = {emotion for path, _, emotion in own if name_of(path) in said}
    most = max(n for n, _ in WAYS)
    right = [{e: [] for e in known} for _ in WAYS]
    for voice in voices:
        mine = [r for r in own if r[1] == voice]
        asked = {path: emotion for path, _, emotion in mine[most:] if name_of(path) in said}
        for way, (n, option) in enumerate(WAYS if asked else ()):
            for path, scores in answers(model, list(asked), [path for path, _, _ in mine[:n]], option).items():
                right[way][asked[path]].append(max(known, key=lambda e: scores.get(e, 0)) == asked[path])
    told = {"voices": len(voices), "asked": sum(map(len, right[0].values())),
            "ua": [100 * sum(sum(r) / len(r) for r in way.values() if r) / sum(bool(r) for r in way.values()) for way in right]}
    with open(kept, "w") as f:
        json.dump(told, f)
    return told


os.makedirs(OUT, exist_ok=True)
lines = ["| knows nothing of | voices | recordings asked | " + " | ".join(f"`{option}`, {n}" if n else "neither" for n, option in WAYS) + " |",
         "|" + " --- |" * (3 + len(WAYS))]
figures = {target: measure(target) for target in sys.argv[5:] or CORPORA}
for target, said in figures.items():
    lines.append(f"| {TOLD[target]} | {said['voices']} | {said['asked']} | " + " | ".join(f"{ua:.1f}" for ua in said["ua"]) + " |")
means = [sum(said["ua"][i] for said in figures.values()) / len(figures) for i in range(len(WAYS))]
lines.append("| mean | | | " + " | ".join(f"**{m:.1f}**" for m in means) + " |")
print("\n".join(lines))
