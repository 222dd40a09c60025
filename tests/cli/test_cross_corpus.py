#!/usr/bin/env python3
"""Tests of models on another corpus than theirs, as users make them.

Usage: test_cross_corpus.py PATH_OF_SER
"""
import json, os, shutil, sys, tempfile, unittest, zipfile

from test_program import Case, tone, write_wav

PITCH = {"angry": 900, "boredom": 150, "calm": 160, "neutral": 450, "sad": 220, "surprised": 1500}
EMODB = {"angry": "W", "boredom": "L", "neutral": "N", "sad": "T"}
RAVDESS = {"angry": 5, "calm": 2, "neutral": 1, "sad": 4, "surprised": 8}
SMALL = ("--filter-size", "8", "--dilation-size", "2", "--stack-size", "1")


class Cross(Case):
    made = None  # corpora and a run of the linear model, made once

    def setUp(self):
        super().setUp()
        self.count = 0
        if not Cross.made:
            Cross.made = tempfile.TemporaryDirectory()
            self.make_corpora()
            self.train("run", "EMODB", "--model-type", "linear")
            for name in ("data", "run"):
                shutil.copytree(self.path(name), os.path.join(Cross.made.name, name))
        else:
            for name in ("data", "run"):
                shutil.copytree(os.path.join(Cross.made.name, name), self.path(name))

    def make_corpora(self):
        self.env["SER_DATA_DIR"] = self.path("data")
        for speaker in (3, 8, 9, 10):
            for emotion, letter in EMODB.items():
                for take in range(2):
                    self.speak("data/EMODB/wav/%02da%02d%sa.wav" % (speaker, take + 1, letter), emotion, speaker)
        for actor in (1, 2, 3):
            for emotion, number in RAVDESS.items():
                for take in (1, 2):
                    self.speak("data/RAVDESS/Actor_%02d/03-01-%02d-01-%02d-01-%02d.wav" % (actor, number, take, actor), emotion, 20 + actor)

    def speak(self, name, emotion, speaker):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        self.count += 1
        write_wav(self.path(name), tone(PITCH[emotion] * (1 + 0.01 * speaker), 0.4, seed=self.count))

    def train(self, run, data, *args):
        self.env["SER_DATA_DIR"] = self.path("data")
        self.ser("train", "--data", data, "--feature-type", "LOGMEL", "--run", self.path(run), *args)

    def cross(self, *args, status=0, data="EMODB", path="run"):
        shutil.rmtree(self.path("x"), ignore_errors=True)
        self.env["SER_DATA_DIR"] = self.path("data")
        out, err = self.ser("test-cross-corpus", "--data", data, "--test_path", self.path(path), "--run", self.path("x"),
                            "--json", self.path("x.json"), *args, status=status)
        if status:
            self.assertEqual(len(err.splitlines()), 1, err)
            return err
        with open(self.path("x.json")) as f:
            self.report = json.load(f)
        self.out, self.err = out, err
        return self.report


class Reports(Cross):
    def test_both_ways(self):
        r = self.cross("--feature_type", "LOGMEL", "--visualize")
        self.assertEqual(self.out.splitlines()[-1], self.path("x"))
        self.assertEqual(self.err, "")
        _, err = self.ser("test", "--data", "RAVDESS", "--test-path", self.path("run"), status=1)  # which has other emotions
        self.assertIn("or with 'ser test-cross-corpus'", err)
        self.assertIn("(angry, boredom, ", err)
        self.assertEqual((r["source"], r["target"], r["corpus"], r["n"]), ("EMODB", "RAVDESS", "RAVDESS", 30))
        self.assertEqual(r["shared_labels"], ["angry", "neutral", "sad"])
        self.assertEqual(r["excluded"], {"surprised": 6})
        self.assertEqual(r["mapping"]["counts_as"]["boredom"], ["calm", "neutral"])
        self.assertEqual(r["labels"], sorted(RAVDESS))
        self.assertEqual(r["predicted_labels"], sorted(EMODB))
        self.assertEqual([sum(row) for row in r["confusion"]], [6] * 5)
        self.assertEqual({len(row) for row in r["confusion"]}, {4})
        self.assertEqual([f["fold"] for f in r["folds"]], ["fold-1", "fold-2"])
        self.assertEqual((r["n_shared"], r["n_lenient"], r["n_known"]), (18, 24, 30))
        self.check_figures(r)
        files = set(os.listdir(self.path("x")))
        pictures = {n + e for n in ("confusion", "confusion-shared", "confusion-fold-1", "confusion-fold-2") for e in (".png", ".svg")}
        self.assertEqual(files, pictures | {"config.json", "metrics.xlsx", "report.html", "report.json"})
        with zipfile.ZipFile(self.path("x/metrics.xlsx")) as book:
            self.assertIsNone(book.testzip())
            self.assertIn(b"Models", book.read("xl/workbook.xml"))
        with open(self.path("x/report.html")) as f:
            page = f.read()
        self.assertIn("EMODB to RAVDESS", page)
        order = [page.index(words) for words in ("<h2>Notes", "<h2>Models", "<svg", "Who is taken for whom", "<h2>The most confident mistakes")]
        self.assertEqual(order, sorted(order))  # what was found stands before its pictures
        self.train("back", "RAVDESS", "--model-type", "linear")
        r = self.cross(data="RAVDESS", path="back")
        self.assertEqual((r["source"], r["target"], r["excluded"]), ("RAVDESS", "EMODB", {}))
        self.check_figures(r)

    def check_figures(self, r):
        """What the report says, once more from its predictions."""
        table, shared = r["mapping"]["counts_as"], r["shared_labels"]
        scored = [p for p in r["predictions"] if p["label"] not in r["excluded"]]
        right = [p["label"] in table[p["predicted"]] for p in scored]
        self.assertAlmostEqual(r["acc_lenient"], 100 * sum(right) / len(right), places=6)
        for p, correct in zip(scored, right):
            self.assertEqual(p["right"], correct)
            self.assertEqual(p["predicted"], max(p["scores"], key=p["scores"].get))
        recalls = []
        for label in shared:
            own = [max(shared, key=p["scores"].get) == label for p in r["predictions"] if p["label"] == label]
            recalls.append(sum(own) / len(own))
        self.assertAlmostEqual(r["ua_shared"], 100 * sum(recalls) / len(recalls), places=6)
        self.assertEqual(r["ua"], r["ua_shared"])

    def test_target_statistics(self):
        """A target at another level, as of another microphone: its own statistics make up for it."""
        for folder, _, names in os.walk(self.path("data/RAVDESS")):
            for name in names:
                emotion = next(e for e, k in RAVDESS.items() if k == int(name[6:8]))
                write_wav(os.path.join(folder, name), tone(PITCH[emotion] * 1.2, 0.4, level=0.02, seed=hash(name) % 1000))
        for how in ("speaker", "corpus"):
            r = self.cross("--normalize", how)
            self.assertEqual(r["normalize"], how)
            self.check_figures(r)
        r = self.cross("--normalize", "speaker", path="run/model.safetensors")  # by the head for a voice's baseline
        self.assertEqual([f["fold"] for f in r["folds"]], ["model"])
        self.train("networks", "EMODB", "--epoch", "2", *SMALL)
        self.assertEqual(self.cross("--normalize", "corpus", path="networks")["model_type"], "timnet")

    def test_own_mapping(self):
        with open(self.path("m.csv"), "w") as f:
            f.write("emotion,counts_as\nAnger,angry\nangry,surprised\nboredom,calm\n")
        r = self.cross("--mapping", self.path("m.csv"))
        self.assertEqual(r["excluded"], {"neutral": 6, "sad": 6})
        self.assertEqual(r["mapping"]["name"], self.path("m.csv"))
        self.check_figures(r)

    def test_recordings_that_were_trained_on(self):
        r = self.cross("--target", "EMODB")
        self.assertIn("2 of 2 models were trained on recordings of this test, up to 16 of 32", self.err)
        self.assertEqual(r["leaks"]["duplicates"], [16, 16])
        self.assertEqual(r["unheard"]["n_known"], 32)
        with open(self.path("run/report.json")) as f:
            self.assertAlmostEqual(r["unheard"]["ua_shared"], json.load(f)["ua"], delta=1e-4)

    def test_the_wrong_source(self):
        self.cross(data="RAVDESS")
        self.assertIn("fold-1 was trained on EMODB, and --data says RAVDESS", self.err)


class Targets(Cross):
    def test_without_labels(self):
        os.makedirs(self.path("mine"))
        for i, name in enumerate(sorted(os.listdir(self.path("data/RAVDESS/Actor_01")))):
            shutil.copy(self.path("data/RAVDESS/Actor_01/" + name), self.path("mine/r%d.wav" % i))
        r = self.cross("--target", self.path("mine"))
        self.assertIn("nothing to score", self.out)
        self.assertEqual((r["ua"], r["ua_shared"], r["acc_lenient"], r["n"], r["n_known"]), (None, None, None, 10, 0))
        self.assertEqual((r["labels"], r["confusion"], len(r["predictions"])), ([], [], 10))
        self.assertIsNone(r["predictions"][0]["label"])
        with open(self.path("x/report.html")) as f:
            self.assertIn("nothing to score", f.read())
        with open(self.path("mine/list.csv"), "w") as f:
            f.write("file,emotion,speaker\nr0.wav,,a\nr1.wav,sad,a\nr2.wav,,a\n")
        r = self.cross("--target", self.path("mine/list.csv"), "--normalize", "speaker")
        self.assertEqual((r["n"], r["n_known"], r["n_shared"], r["shared_labels"]), (3, 1, 1, ["sad"]))
        self.assertIn("2 of 3 recordings are not scored", self.out)

    def test_one_recording(self):
        os.makedirs(self.path("one/sadness"))
        shutil.copy(self.path("data/RAVDESS/Actor_01/03-01-04-01-01-01-01.wav"), self.path("one/sadness/a.wav"))
        r = self.cross("--target", self.path("one"))
        self.assertEqual((r["n"], r["n_shared"]), (1, 1))
        self.cross("--target", self.path("one"), "--normalize", "corpus")
        self.assertIn("cannot be standardised", self.err)
        self.assertIn("no speakers", self.cross("--target", self.path("one"), "--normalize", "speaker", status=2))

    def test_bad_input(self):
        self.make_corpus("others")
        for old, new in (("anger", "amused"), ("sadness", "sleepy"), ("neutral", "none")):
            os.rename(self.path("others/" + old), self.path("others/" + new))
        self.assertIn("no emotion in common", self.cross("--target", self.path("others"), status=1))
        self.assertIn("--target", self.cross(data=self.path("others"), status=2))
        self.assertIn("not there", self.cross("--target", self.path("nowhere"), status=1).replace("no such", "not there"))
        self.assertIn("LOGMEL features, not MFCC", self.cross("--feature-type", "MFCC", status=1))
        tables = {"grumpy,sad": "grumpy", "sad,angry\nangry,sad": "circles", "sad,sad\nsad,sad": "already", "calm,sad": "RAVDESS alone"}
        for rows, words in tables.items():
            with open(self.path("m.csv"), "w") as f:
                f.write("emotion,counts_as\n" + rows + "\n")
            err = self.cross("--mapping", self.path("m.csv"), status=1)
            self.assertIn(words, err)
            self.assertIn("m.csv: ", err)
        self.assertIn("holds no models", self.cross(path="data", status=1))
        self.assertFalse(os.path.exists(self.path("x")))
        self.ser("test-cross-corpus", "--data", "EMODB", status=2)
        self.ser("test-cross-corpus", "--test-path", "run", status=2)


class Keras(Cross):
    def test_what_fits_is_loaded(self):
        args = ("--feature-type", "LOGMEL", *SMALL)
        self.train("net", "EMODB", "--epoch", "2", *SMALL)
        r = self.cross(*args, path="net/fold-1")
        self.assertEqual(self.err, "")
        with_model = self.cross(path="net/fold-1.safetensors")
        self.assertEqual(r["confusion"], with_model["confusion"])
        shutil.rmtree(self.path("data/EMODB/wav"))
        for speaker in (3, 8):  # three emotions instead of four
            for emotion in ("angry", "neutral", "sad"):
                self.speak("data/EMODB/wav/%02da01%sa.wav" % (speaker, EMODB[emotion]), emotion, speaker)
        r = self.cross(*args, path="net/fold-1")
        self.assertIn("1 of 22 layers does not fit and keeps random values: output (layer output: kernel is (64, 4) in the file, (64, 3)", self.err)
        self.assertIn("mean nothing", self.err)
        self.assertEqual(r["predicted_labels"], ["angry", "neutral", "sad"])
        self.assertEqual(r["confusion"], self.cross(*args, path="net/fold-1/weights.h5")["confusion"])
        _, err = self.ser("test", "--data", "EMODB", *args, "--test-path", self.path("net/fold-1"), status=1)
        self.assertIn("layer output", err)
        self.cross("--feature-type", "LOGMEL", "--filter-size", "4", "--dilation-size", "1", "--stack-size", "1", path="net/fold-1")
        self.assertIn("13 of 14 layers do not fit", self.err)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(failed > 0)
