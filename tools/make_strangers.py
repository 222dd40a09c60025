#!/usr/bin/env python3
"""Writes what a fine-tuned model's training measured on the corpora that it left out into docs/strangers.md and
docs/model-card.md.

  tools/make_strangers.py REPORT.json      report.json of the run folder of 'ser train --fine-tune': of many corpora, or of
                                           CREMA-D alone, whose table stands in the model card

tools/make_builtin.sh calls it. Needs nothing but Python's own library."""
import json, os, re, sys

report = json.load(open(sys.argv[1]))
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
parts = report["parts_left_out"]
alone = "+" not in report["corpus"]  # then thirds of its speakers were left out, by number
names = {"EMODB": "EMO-DB", "RAVDESS": "RAVDESS", "CREMAD": "CREMA-D", "NEMO": "nEMO"}
name_of = lambda p: "speakers, part " + p["left_out"] if alone else names.get(p["left_out"], p["left_out"])
rows = ["| left out | recordings asked | UA, its own emotions | UA, all emotions |", "| --- | --- | --- | --- |"]
for p in parts:
    rows.append(f"| {name_of(p)} | {p['n']} | {p['ua_restricted']:.1f} | {p['ua_open']:.1f} |")
mean = lambda key: sum(p[key] for p in parts) / len(parts)
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
    rows.append(f"| {name_of(p)} | " + " | ".join(f"{p['conditions'][c]:.1f}" for c in ["none", *conditions]) + " |")
worse = lambda c: sum(p["conditions"][c] - (0 if c == "none" else p["conditions"]["none"]) for p in parts) / len(parts)
rows.append(f"| mean, and what is lost | {worse('none'):.1f} | " + " | ".join(f"{worse(c):+.1f}" for c in conditions) + " |")
table += "\n\nOf each part, at most 200 recordings again under bad conditions (`--test-condition`), UA among its own emotions:\n\n" + "\n".join(rows)
mark = "speakers left out" if alone else "left out"
for page in ("model-card.md",) if alone else ("strangers.md", "model-card.md"):
    path = os.path.join(root, "docs", page)
    text = open(path).read()
    assert f"<!-- {mark} -->" in text, path
    new = re.sub(rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)", lambda m: m.group(1) + table + m.group(2), text, flags=re.S)
    open(path, "w").write(new)
