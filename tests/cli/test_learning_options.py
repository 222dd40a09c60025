#!/usr/bin/env python3
"""The options of training one by one: each is in force as it was given, and each changes what is learned.

Usage: test_learning_options.py PATH_OF_SER
"""
import glob, json, os, re, subprocess, unittest

from test_program import SER, Case, tone, write_wav

# option, value, what the report says is in force
NETWORK = [
    ("average-frames", "3", 3), ("trim", "1", 1), ("epoch", "3", 3), ("batch-size", "5", 5), ("lr", "0.02", 0.02), ("beta1", "0.5", 0.5),
    ("beta2", "0.8", 0.8), ("warmup", "1", 1), ("decay", "0.5", 0.5), ("patience", "1", 1), ("validation", "0.4", 0.4), ("average", "2", 2),
    ("label-smoothing", "0.3", 0.3), ("class-weights", None, True), ("time-masks", "2", 2), ("feature-masks", "2", 2), ("mixup", "0.4", 0.4),
    ("filter-size", "5", 5), ("kernel-size", "5", 5), ("dilation-size", "3", 3), ("stack-size", "2", 2), ("dropout", "0.7", 0.7),
    ("activation", "tanh", "tanh"), ("networks", "2", 2),
]
BASE = {"average-frames": "2", "trim": "0", "epoch": "2", "batch-size": "4", "lr": "0.005", "beta1": "0.9", "beta2": "0.99", "patience": "0", "average": "0",
        "validation": "0.2", "filter-size": "4", "dilation-size": "2", "stack-size": "1", "dropout": "0.1", "networks": "1"}


class Options(Case):
    def setUp(self):
        super().setUp()
        self.corpus = self.make_corpus(per_class=4)
        write_wav(self.path("corpus/anger/anger0.wav"), [0] * 4800 + tone(900, 0.5) + [0] * 4800)  # something to trim
        os.remove(os.path.join(self.corpus, "anger/anger3.wav"))  # else all weigh the same anyway

    def evaluate(self, options, *args):
        given = [a for name, value in options.items() for a in ("--" + name, value) if a is not None]
        self.ser("evaluate", "--data", self.corpus, "--feature-type", "LOGMEL", "--augment", "none", "--protocol", "kfold=2",
                 "--inner-folds", "2", "--json", self.path("r.json"), *given, *args)
        with open(self.path("r.json")) as f:
            return json.load(f)

    def scores(self, report):
        return [p["scores"] for p in report["predictions"]]

    def test_network(self):
        plain = self.evaluate(BASE, "--model-type", "timnet")
        for name, value, expected in NETWORK:
            with self.subTest(name):
                changed = self.evaluate(dict(BASE, **{name: value}), "--model-type", "timnet")
                self.assertEqual(changed["config"][name.replace("-", "_")], expected)
                if name != "patience":  # nothing stops in two epochs
                    self.assertNotEqual(self.scores(changed), self.scores(plain))

    def test_linear(self):
        plain = self.evaluate({})
        for name, value in (("c", "2"), ("pooling", "all")):
            changed = self.evaluate({name: value})
            self.assertEqual(str(changed["config"][name]).replace(".0", ""), value)
            self.assertNotEqual(self.scores(changed), self.scores(plain))

    def test_seeds(self):
        both = self.evaluate({"seeds": "2", "test-condition": "noise"}, "--seed", "5")
        self.assertEqual([s["seed"] for s in both["seeds"]], [5, 6])
        self.assertAlmostEqual(both["ua_mean"], sum(s["ua"] for s in both["seeds"]) / 2, places=5)

    def test_fine_tuning_is_refused(self):
        """What it does, tests/tune tests; here what people give it that does not fit."""
        for features, args, said in (("LOGMEL", (), "give --feature-type WHISPER"), ("WHISPER", ("--fine-tune-from", "99"), "from 0 to 31"),
                                     ("WHISPER", ("--fine-tune-steps", "-1"), "from 0 to")):
            _, err = self.ser("train", "--data", self.corpus, "--feature-type", features, "--fine-tune", *args, status=2)
            self.assertIn(said, err)

    def test_corpora_left_out(self):
        other = self.make_corpus("other", per_class=3)
        os.rename(os.path.join(other, "neutral"), os.path.join(other, "disgust"))
        self.ser("evaluate", "--data", self.corpus + "+" + other, "--feature-type", "LOGMEL", "--augment", "none", "--protocol", "loco",
                 "--json", self.path("r.json"))
        with open(self.path("r.json")) as f:
            r = json.load(f)
        self.assertEqual([(f["fold"], f["n_test"], f["excluded"]) for f in r["folds"]], [("corpus", 11, {"neutral": 4}), ("other", 9, {"disgust": 3})])
        self.assertEqual(r["n"], 20)
        for key in ("ua_restricted", "ua_open", "ece"):
            self.assertAlmostEqual(r[key], sum(f[key] for f in r["folds"]) / 2, places=5)
        self.assertEqual(sum(map(sum, r["confusion"])), 20 - 7)
        self.ser("evaluate", "--data", self.corpus, "--feature-type", "LOGMEL", "--protocol", "loco", status=2)
        os.rename(os.path.join(other, "sadness"), os.path.join(other, "fear"))
        out, _ = self.ser("evaluate", "--data", self.corpus + "+" + other, "--feature-type", "LOGMEL", "--augment", "none", "--protocol", "loco")
        self.assertIn("other: one emotion alone is scored", out)

    def test_voices_of_corpora_left_out(self):
        """By speaker and by sex, computed again from the answers; what no other corpus has is in no figure."""
        for name, emotions, low in (("one", ("angry", "sad", "neutral"), 300), ("two", ("angry", "sad", "bliss"), 450)):
            os.makedirs(self.path(name))
            with open(self.path(name + ".csv"), "w") as f:
                f.write("file,emotion,speaker,sex\n")
                for k, emotion in enumerate(emotions):
                    for i in range(6):
                        write_wav(self.path(f"{name}/{emotion}{i}.wav"), tone(low + 150 * (k + i % 3), 0.3, seed=i))
                        f.write(f"{name}/{emotion}{i}.wav,{emotion},s{i % 3},{'fm'[i % 3 % 2]}\n")
        out, _ = self.ser("evaluate", "--data", self.path("one.csv") + "+" + self.path("two.csv"), "--feature-type", "LOGMEL", "--augment", "none",
                          "--inner-folds", "2", "--protocol", "loco", "--json", self.path("r.json"), "--html", self.path("r.html"))
        with open(self.path("r.json")) as f:
            r = json.load(f)

        def ua(answers, key):
            emotions = {a["label"] for a in answers}
            shares = [[a[key] == e for a in answers if a["label"] == e] for e in emotions]
            return 100 * sum(sum(s) / len(s) for s in shares) / len(shares)

        wrong = 0
        for fold in r["folds"]:
            asked = [p for p in r["predictions"] if p["file"].startswith(fold["fold"] + "/") and p["label"] in ("angry", "sad")]
            for p in asked:
                p["restricted"] = max(("angry", "sad"), key=p["scores"].get)
                p["speaker"] = fold["fold"] + "/s" + str(int(p["file"][-5]) % 3)
                wrong += p["label"] != p["predicted"]
            self.assertEqual(fold["n_scored"], 12)
            self.assertEqual(fold["ci95_over"], "speakers")
            by = {v["speaker"]: v for v in fold["by_speaker"]}
            self.assertEqual([(s, by[s]["sex"], by[s]["n"]) for s in sorted(by)], [(fold["fold"] + s, x, 4) for s, x in (("/s0", "female"), ("/s1", "male"), ("/s2", "female"))])
            for key, answer in (("ua_restricted", "restricted"), ("ua_open", "predicted")):
                self.assertAlmostEqual(fold[key], ua(asked, answer), places=4)
                self.assertTrue(fold[key + "_ci95"][0] <= fold[key] + 1e-4 and fold[key] <= fold[key + "_ci95"][1] + 1e-4)
                for s in by:
                    self.assertAlmostEqual(by[s][key], ua([p for p in asked if p["speaker"] == s], answer), places=4)
                self.assertAlmostEqual(fold["by_sex"]["male"][key], by[fold["fold"] + "/s1"][key])
                self.assertAlmostEqual(fold["by_sex"]["female"][key], ua([p for p in asked if not p["speaker"].endswith("s1")], answer), places=4)
            worst = min(by.values(), key=lambda v: v["ua_restricted"])["ua_restricted"]
            self.assertEqual(by[fold["worst_speaker"]]["ua_restricted"], worst)
            self.assertIn("worst speaker %s %.1f %%" % (fold["worst_speaker"], worst), out)
        self.assertIn("6 of neutral: not scored in one, because no other corpus has that", out)
        with open(self.path("r.html")) as f:
            page = f.read()
        self.assertIn("<h2>Corpora left out</h2>", page)
        # of the mean over both corpora, which vary by themselves: at most as wide as their intervals are on average
        for key in ("ua_restricted", "ua_open"):
            low, high = r[key + "_ci95"]
            widths = [fold[key + "_ci95"][1] - fold[key + "_ci95"][0] for fold in r["folds"]]
            self.assertTrue(low <= r[key] <= high)
            self.assertTrue(min(widths) / 2 <= high - low <= sum(widths) / 2 + 1e-3, (low, high, widths))
        self.assertIn("of %d, worth a listen" % wrong, page)
        ece = re.search(r"ECE ([0-9.]+) %   n 24", out).group(1)
        self.assertIn("Calibration error (ECE) %s %%" % ece, page)

    def test_many_corpora_are_all_told_of(self):
        for c in range(18):
            with open(self.path(f"c{c}.csv"), "w") as f:
                f.write("file,emotion,speaker\n")
                for k, emotion in enumerate(("angry", f"own{c}")):
                    for i in range(2):
                        write_wav(self.path(f"c{c}-{k}{i}.wav"), tone(300 + 20 * c + 150 * k, 0.1, seed=i))
                        f.write(f"c{c}-{k}{i}.wav,{emotion},s{i}\n")
        out, _ = self.ser("evaluate", "--data", "+".join(self.path(f"c{c}.csv") for c in range(18)), "--feature-type", "LOGMEL", "--augment", "none",
                          "--inner-folds", "2", "--protocol", "loco", "--honest")
        for c in range(18):
            self.assertIn(f"2 of own{c}: not scored in c{c},", out)
            self.assertIn(f"c{c}: one emotion alone is scored", out)
        self.assertIn("No figure with sentences left out", out)

    def test_honest(self):
        other = self.make_corpus("other", per_class=3)
        with open(self.path("c.csv"), "w") as f:
            f.write("file,emotion,speaker,text\n")
            for folder, n in ((self.corpus, 3), (other, 3)):
                for emotion in ("anger", "sadness"):
                    f.writelines("%s/%s/%s%d.wav,%s,%d,\n" % (folder, emotion, emotion, i, emotion, i) for i in range(n))
        args = ("--feature-type", "LOGMEL", "--augment", "none", "--inner-folds", "2", "--json", self.path("r.json"))
        self.ser("evaluate", "--data", self.path("c.csv"), "--honest", *args, status=2)  # five folds of three speakers
        rows = []
        for data, protocol in ((self.path("c.csv"), "group-kfold=2"), (self.corpus + "+" + other, "kfold=2")):
            out, _ = self.ser("evaluate", "--data", data, "--protocol", protocol, "--honest", *args)
            with open(self.path("r.json")) as f:
                report = json.load(f)
            rows.append(report["honest"])
            self.assertEqual([r["what"].split()[0] for r in rows[-1]], ["random", "speakers", "sentences", "corpora"])
            for row in rows[-1]:
                self.assertEqual("reason" in row, "ua" not in row)
                self.assertEqual("reason" in row, "\n" + row["what"] + " " not in out)
                self.assertEqual("reason" in row, "No figure with " + row["what"] in out)
            done = [row for row in rows[-1] if "ua" in row]
            self.assertIsNone(done[0]["lost"])
            for before, row in zip(done, done[1:]):
                self.assertAlmostEqual(row["lost"], before["ua"] - row["ua"], places=4)
                self.assertIn("%s, %.1f points %s" % (row["protocol"], abs(row["lost"]), "gained" if row["lost"] < 0 else "lost"), out)
        self.assertEqual([r["protocol"] for r in rows[0] if "ua" in r], ["kfold=5", "group-kfold=3"])
        self.assertEqual([r["protocol"] for r in rows[1] if "ua" in r], ["kfold=5", "loco"])
        self.assertIn("ua_restricted", rows[1][3])

    def test_reproduction_is_exact_on_the_same_machine(self):
        report = self.evaluate({})
        for change, status in (({"ua": 0.2}, 1), ({"wa": 0.2}, 1), ({"ua": 0.2, "cpu": "another"}, 0), ({"ua": 0.7, "cpu": "another"}, 1)):
            wrong = dict(report)
            for key, by in change.items():
                wrong[key] = by if key == "cpu" else report[key] + by
            with open(self.path("wrong.json"), "w") as f:
                json.dump(wrong, f)
            out, err = self.ser("evaluate", "--reproduce", self.path("wrong.json"), status=status)
            self.assertIn("differs by" if status else "Reproduced", err if status else out)


class Coverage(unittest.TestCase):
    def test_every_option_is_in_a_test(self):
        """Of the commands that work on recordings; 'ser serve' has tests of its own."""
        text = ""
        for path in glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cl[iu]*", "*.py")):
            with open(path) as f:
                text += f.read()
        for command in ("predict", "extract", "train", "train-lmmd", "test", "test-cross-corpus", "evaluate"):
            shown = subprocess.run([SER, command, "--help"], capture_output=True, check=True).stdout.decode()
            for short, option in sorted(set(re.findall(r"^ +(?:-(\w), )?--([a-z][a-z0-9-]+)", shown, re.M))):
                forms = ('"-%s"' % (short or option), '"--%s"' % option, '("%s"' % option, '"%s":' % option, '--%s ' % option, '--%s=' % option, '--%s"' % option,
                         '--%s' % option.replace("-", "_"))
                self.assertTrue(any(form in text for form in forms), "ser %s --%s is in no test" % (command, option))


if __name__ == "__main__":
    unittest.main()
