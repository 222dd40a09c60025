#!/usr/bin/env python3
"""Writes what a fine-tuned model's training measured on the corpora that it left out into docs/strangers.md and
docs/model-card.md.

  tools/make_strangers.py REPORT.json      report.json of the run folder of 'ser train --fine-tune': of many corpora, or of
                                           CREMA-D alone, whose table stands in the model card; with left-out.jsonl beside it

tools/make_builtin.sh calls it. Needs nothing but Python's own library."""
import json, math, os, re, sys

report = json.load(open(sys.argv[1]))
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
parts = report["parts_left_out"]
alone = "+" not in report["corpus"]  # then thirds of its speakers were left out, by number
names = {"EMODB": "EMO-DB", "RAVDESS": "RAVDESS", "CREMAD": "CREMA-D", "NEMO": "nEMO"}
figure = lambda x, digits=1: "–" if x is None or math.isnan(x) else f"{x:.{digits}f}"  # none where nothing was asked
name_of = lambda p: "speakers, part " + p["left_out"] if alone else names.get(p["left_out"], p["left_out"])
rows = ["| left out | recordings asked | UA, its own emotions | UA, all emotions |", "| --- | --- | --- | --- |"]
for p in parts:
    rows.append(f"| {name_of(p)} | {p['n']} | {figure(p['ua_restricted'])} | {figure(p['ua_open'])} |")


def confidence_of(answer, lowered):
    """Of the likeliest emotion, and whether that is right; lowered as src/model/unlike.c lowers it."""
    beyond = max(answer["distance"] / report["reach"] - 1, 0) if lowered else 0
    temperature = report["temperature"] * (1 + report.get("temperature_per_reach", 0) * beyond)
    logits = answer["logits"]
    best = max(logits, key=logits.get)
    return 1 / sum(math.exp((z - logits[best]) / temperature) for z in logits.values()), best == answer["emotion"]


def area(said):
    """Under the curve: how often a right answer is more confident than a wrong one; no number where all are right, or none."""
    right, wrong = ([c for c, r in said if r == of] for of in (True, False))
    if not right or not wrong:
        return math.nan
    return sum((a > b) + (a == b) / 2 for a in right for b in wrong) / (len(right) * len(wrong))


def calibration_error(said):
    """Percent, as src/metrics/metrics.c has it."""
    bins = {}
    for c, r in said:
        bins.setdefault(min(max(math.ceil(c * 15) - 1, 0), 14), []).append((c, r))
    return sum(abs(sum(c - r for c, r in b)) for b in bins.values()) * 100 / len(said)


def confidence_table():
    """What the confidence is worth, part by part, and how far the parts lie from what was learned from."""
    if "reach" not in report:
        return ""
    with open(os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "left-out.jsonl")) as f:
        answers = [json.loads(line) for line in f]
    lines = ["| left out | right | mean confidence | calibration error | area under the curve | the same of the distance | distance, half within | 99 of 100 within |", "| --- |" + " --- |" * 7]

    def line(name, some):
        said = [confidence_of(a, True) for a in some]
        away = sorted(a["distance"] / report["reach"] for a in some)
        within = lambda share: away[math.ceil(share * len(away)) - 1]
        near = [(-a["distance"], right) for a, (_, right) in zip(some, said)]
        lines.append(f"| {name} | {100 * sum(r for _, r in said) / len(said):.1f} | {100 * sum(c for c, _ in said) / len(said):.1f} | "
                     f"{calibration_error(said):.1f} | {figure(area(said), 2)} | {figure(area(near), 2)} | {within(0.5):.2f} | {within(0.99):.2f} |")

    for p in (p for p in parts if p["n"]):
        line(name_of(p), [a for a in answers if a["left_out"] == p["left_out"]])
    line("all of them", answers)
    before = [confidence_of(a, False) for a in answers]
    return ("\n\nHow far confidence can be trusted on these recordings, and how far they lie from those that were learned from, in reaches:\n\n" + "\n".join(lines) +
            f"\n\nWithout what lies beyond the reach being lowered, all of them have a calibration error of {calibration_error(before):.1f} % and an area of {area(before):.3f}.")


asked = [p for p in parts if p["n"]]
mean = lambda key: sum(p[key] for p in asked) / len(asked)
rows.append(f"| mean | | **{mean('ua_restricted'):.1f}** | **{mean('ua_open'):.1f}** |")
table = "\n".join(rows) + (f"\n\nTemperature {report['temperature']:.2f}; below a confidence of {100 * report['min_confidence']:.0f} % an "
                           f"answer is *uncertain*, neutral and calm below {100 * report['min_confidence_plain']:.0f} %; "
                           f"{100 * report['labelled']:.0f} % of these recordings get a label: "
                           f"{100 * report['right_above']:.0f} % of those labels are right, of all answers {100 * report['right']:.0f} %. "
                           f"Calibration error {report['ece']:.1f} % over all of them, by the temperature that was chosen on the same answers.")
conditions = [c for c in parts[0]["conditions"] if c != "none"]
told = {"noise": "noise at 10 dB", "telephone": "telephone", "echo": "echo", "quiet": "30 dB quieter", "clipped": "clipped"}
rows = ["| left out | as it is | " + " | ".join(told.get(c, c) for c in conditions) + " |", "| --- |" + " --- |" * (1 + len(conditions))]
for p in parts:
    rows.append(f"| {name_of(p)} | " + " | ".join(figure(p["conditions"][c]) for c in ["none", *conditions]) + " |")
worse = lambda c: sum(p["conditions"][c] - (0 if c == "none" else p["conditions"]["none"]) for p in asked) / len(asked)
rows.append(f"| mean, and what is lost | {worse('none'):.1f} | " + " | ".join(f"{worse(c):+.1f}" for c in conditions) + " |")
table += confidence_table()
table += "\n\nThe same recordings under bad conditions (`--test-condition`), UA among its own emotions:\n\n" + "\n".join(rows)
mark = "speakers left out" if alone else "left out"
for page in ("model-card.md",) if alone else ("strangers.md", "model-card.md"):
    path = os.path.join(root, "docs", page)
    text = open(path).read()
    assert f"<!-- {mark} -->" in text, path
    new = re.sub(rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)", lambda m: m.group(1) + table + m.group(2), text, flags=re.S)
    open(path, "w").write(new)
