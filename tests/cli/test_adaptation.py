#!/usr/bin/env python3
"""Adapting models to another corpus without its labels, as users do it.

Usage: test_adaptation.py PATH_OF_SER
"""
import json, os, re, shutil, signal, subprocess, sys, time, unittest, zipfile

from test_cross_corpus import PITCH, SMALL, Cross
from test_layers import HUBERT
from test_program import SER, voice, write_wav

QUICK = ("--feature-type", "LOGMEL", "--epoch", "3", "--networks", "1", "--augment", "none")


class Adaptation(Cross):
    def adapt(self, *args, status=0, data="EMODB", run="a"):
        self.env["SER_DATA_DIR"] = self.path("data")
        shutil.rmtree(self.path(run), ignore_errors=True)
        out, err = self.ser("train-lmmd", "--data", data, *QUICK, "--run", self.path(run), *args, status=status)
        if status:
            self.assertEqual(len(err.splitlines()), 1, err)
            return err
        with open(self.path(run + "/report.json")) as f:
            self.report = json.load(f)
        self.out, self.err = out, err
        return self.report

    def models(self, run):
        found = {}
        for where, _, names in os.walk(self.path(run)):
            for n in names:
                if n.endswith((".safetensors", ".h5")):
                    with open(os.path.join(where, n), "rb") as f:
                        found[n] = f.read()
        return found

    def answers(self, model, *args, folder="data/RAVDESS/Actor_01"):
        folder = self.path(folder)
        out, _ = self.ser("predict", "--format", "json", "--model", model, *args, folder)
        return [json.loads(line) for line in out.splitlines()]

    def unlabelled(self, n=8):
        for i in range(n):
            self.speak("plain/%d.wav" % i, sorted(PITCH)[i % len(PITCH)], 30)
        with open(self.path("plain.csv"), "w") as f:
            f.write("file,emotion\n" + "".join("plain/%d.wav,\n" % i for i in range(n)))
        return self.path("plain.csv")


class Runs(Adaptation):
    def test_both_ways(self):
        for data, other in (("EMODB", "RAVDESS"), ("RAVDESS", "EMODB")):
            r = self.adapt("--visualize", data=data)
            self.assertEqual(self.out.splitlines()[-1], self.path("a"))
            self.assertEqual(self.err, "")
            self.assertEqual((r["source"], r["target"], r["corpus"], r["normalize"]), (data, other, other, "speaker"))
            self.assertEqual((r["config"]["lmmd_weight"], r["config"]["dropout"], r["config"]["normalize"]), (1, 0, "speaker"))  # in force
            with open(self.path("a/config.json")) as f:
                given = json.load(f)
            self.assertEqual((given["lmmd_weight"], given["dropout"], given["normalize"]), (None, None, "speaker"))
            self.assertIn(r["kept"], ("adapted", "source"))
            self.assertIn(r["reason"], self.out)
            self.assertEqual(r["ua_shared"], (r["adapted"] if r["kept"] == "adapted" else r["before"])["ua_shared"])
            self.assertEqual([f["fold"] for f in r["folds"]], ["source", "adapted"])
            self.assertEqual(r["shared_labels"], ["angry", "neutral", "sad"])
            for p in r["predictions"]:
                self.assertAlmostEqual(sum(p["scores"].values()), 1, places=5)
            pictures = {n + e for n in ("confusion", "confusion-before", "confusion-after", "map", "adaptation-losses", "loss", "accuracy")
                        for e in (".png", ".svg")}
            self.assertEqual(set(os.listdir(self.path("a"))), pictures | {
                "config.json", "history.jsonl", "metrics.xlsx", "model.safetensors", "report.html", "report.json"})
            with open(self.path("a/report.html")) as f:
                page = f.read()
            for tag in ("table", "thead", "tbody", "tr", "th", "td", "section"):
                self.assertEqual(len(re.findall(f"<{tag}[ >]", page)), page.count(f"</{tag}>"), tag)
            places = [page.find(words) for words in ("Kept: the", "Both corpora as the models see them", "matrix, before the adaptation", "matrix, after the adaptation",
                                                     "Distance between the corpora (LMMD)", "Who is taken for whom", "The most confident mistakes")]
            self.assertEqual(places, sorted(places))
            self.assertGreater(places[0], 0)
            with zipfile.ZipFile(self.path("a/metrics.xlsx")) as book:
                self.assertIsNone(book.testzip())
            with open(self.path("a/history.jsonl")) as f:
                epochs = [json.loads(line) for line in f]
            self.assertEqual(len(epochs), 2 * 3)
            self.assertTrue(all(e["lmmd"] >= 0 and e["entropy"] >= 0 for e in epochs))
        self.assertRegex(self.ser("info", self.path("a/model.safetensors"))[0], r'"adapted_to": ?\d+[,}]')
        for row in self.answers(self.path("a/model.safetensors")) + self.answers(
                self.path("a/model.safetensors"), "--baseline", self.path("data/RAVDESS/Actor_01")):
            self.assertTrue(row["label"] is None or row["label"] in row["scores"], row)

    def test_own_recordings(self):
        """ser predict --adapt: other answers than --baseline, the same from every thread."""
        self.adapt()
        model, folder = self.path("a/model.safetensors"), self.path("voices")
        for i in range(20):  # tones are no voices
            os.makedirs(folder + "/%d" % (i % 4), exist_ok=True)
            write_wav(folder + "/%d/%d.wav" % (i % 4, i), voice(150 + 2 * i, 0.6, level=0.05 + 0.02 * i, seed=i))
        plain, baseline, adapted, again = (self.answers(model, *args, folder="voices/1") for args in (
            (), ("--baseline", folder), ("--adapt", folder, "--jobs", "1"), ("--adapt", folder, "--jobs", "3")))
        self.assertTrue(all(row["label"] for row in plain), plain)
        self.assertEqual(adapted, again)
        self.assertNotEqual(adapted, baseline)
        self.assertNotEqual(baseline, plain)
        followed = [self.answers(model, "--follow", "--jobs", jobs, folder="voices/1") for jobs in ("1", "3")]
        self.assertEqual(followed[0], followed[1])
        self.assertNotIn(followed[0], (plain, baseline))
        _, err = self.ser("predict", "--model", model, "--adapt", folder + "/1", folder, status=1)
        self.assertIn("20 recordings", err)
        self.ser("predict", "--model", model, "--adapt", folder, "--baseline", folder, folder, status=2)

    def test_each_term_and_preset(self):
        plain = self.adapt("--lmmd-weight", "0", "--entropy-weight", "0", "--balance-weight", "0")
        self.assertEqual(plain["before"]["ua_shared"], plain["adapted"]["ua_shared"])
        self.assertEqual(plain["agreement"], 100)
        models = [self.models("a")]
        for args in (("--entropy-weight", "1"), ("--preset", "original"), ("--seed", "7"), ("--networks", "2")):
            r = self.adapt(*args)
            models.append(self.models("a"))
            self.assertEqual(r["config"][args[0][2:].replace("-", "_")], type(r["config"][args[0][2:].replace("-", "_")])(args[1]))
        self.assertEqual(r["before"]["n_shared"], 18)
        self.adapt("--networks", "2", "--jobs", "1")
        self.assertEqual(self.models("a"), models[-1])  # the same bits

    def test_a_run_of_an_older_version(self):
        self.adapt()
        with open(self.path("a/config.json")) as f:
            config = json.load(f)
        for key, value in (("self_training", 0), ("coral_weight", 0.5), ("adapt_norms", True)):
            with open(self.path("a/config.json"), "w") as f:
                json.dump(dict(config, **{key: value}), f)
            _, err = self.ser("train-lmmd", "--resume", self.path("a"), status=1 if value else 0)
            self.assertIn(key if value else "complete", err)

    def test_features_in_which_the_corpora_are_closer(self):
        joined = ("--feature-type", "LOGMEL+MFCC+HUBERT", "--encoder", HUBERT)
        for args, n_sets in (((), 2), (("--layers", "1"), 1)):
            self.adapt(*joined, *args)
            with open(self.path("a/history.jsonl")) as f:
                last = {e["part"]: e["lmmd"] for e in map(json.loads, f) if e["epoch"] == 3}
            self.assertEqual(len(last), n_sets + 1)
        self.assertNotIn("rather than", self.out)
        self.adapt(*joined)
        found = re.search(r"^(\S.*) rather than (.*): the two .* closer .*LMMD ([\d.]+) rather than ([\d.]+)\)$", self.out, re.M)
        self.assertEqual(sorted(found.group(1, 2)), ["LOGMEL + MFCC + HUBERT 1", "MFCC + HUBERT 1"])
        with open(self.path("a/history.jsonl")) as f:
            tried = [e["lmmd"] for e in map(json.loads, f) if e["epoch"] == 3 and e["part"].startswith("source")]
        self.assertLess(tried["LOGMEL" not in found.group(1)], tried["LOGMEL" in found.group(1)])
        self.assertEqual(found.group(3), "%.3f" % min(tried))

    def test_labels_are_not_looked_at(self):
        """With wrong labels of the target, the same model and decision."""
        right = self.adapt("--model-type", "linear+timnet", *SMALL)
        models = self.models("a")
        for where, _, names in list(os.walk(self.path("data/RAVDESS"))):
            for n in sorted(names):
                parts = n.split("-")
                parts[2] = {"05": "04", "04": "05"}.get(parts[2], parts[2])
                os.rename(os.path.join(where, n), os.path.join(where, "x" + "-".join(parts)))
        for where, _, names in list(os.walk(self.path("data/RAVDESS"))):
            for n in names:
                os.rename(os.path.join(where, n), os.path.join(where, n[1:]))
        self.assertEqual(right["config"]["lmmd_weight"], {"linear": 1, "timnet": 0.3})
        wrong = self.adapt("--model-type", "linear+timnet", *SMALL)
        self.assertEqual((right["kept"], right["agreement"]), (wrong["kept"], wrong["agreement"]))
        self.assertNotEqual(right["confusion"], wrong["confusion"])
        self.assertEqual(sorted(models), sorted(self.models("a")))

    def test_kill_and_resume(self):
        args = ("--model-type", "timnet", *SMALL, "--epoch", "25")
        self.adapt(*args, run="whole")
        command = [SER, "train-lmmd", "--data", "EMODB", *QUICK, *args, "--run", self.path("killed")]
        for number in (signal.SIGKILL, signal.SIGINT):
            if os.path.exists(self.path("killed/history.jsonl")):
                os.remove(self.path("killed/history.jsonl"))  # so that it is there again only when the run is under way
            p = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.dir)
            started, epochs = time.monotonic(), 0
            while p.poll() is None and epochs < 30 and time.monotonic() - started < 60:
                time.sleep(0.02)
                if os.path.exists(self.path("killed/history.jsonl")):
                    with open(self.path("killed/history.jsonl")) as f:
                        epochs = len(f.readlines())
            p.send_signal(number)
            err = p.communicate()[1].decode()
            if number == signal.SIGINT and p.returncode:
                self.assertEqual(p.returncode, 130)
                self.assertIn("train-lmmd --resume", err)
            command = [SER, "train-lmmd", "--resume", self.path("killed")]
        self.ser("train-lmmd", "--resume", self.path("killed"))
        self.assertEqual(self.models("killed"), self.models("whole"))
        self.assertFalse([n for n in os.listdir(self.path("killed")) if n.startswith("state")])
        _, err = self.ser("train-lmmd", "--resume", self.path("killed"))
        self.assertIn("complete", err)


class Bad(Adaptation):
    def test_target_without_labels(self):
        r = self.adapt("--target", self.unlabelled(), data="EMODB")
        self.assertEqual((r["ua_shared"], r["acc_lenient"], r["normalize"]), (None, None, "corpus"))
        self.assertIn("nothing to score", self.out)
        self.assertEqual(len(r["predictions"]), 8)

    def test_few_recordings(self):
        r = self.adapt("--target", self.unlabelled(1))
        self.assertEqual(r["kept"], "source")
        self.assertIn("too few", r["reason"])

    def test_no_shared_emotion(self):
        for i in range(6):
            self.speak("odd/%s/%d.wav" % (("bored stiff", "amazed")[i % 2], i), "neutral", i)
        self.assertIn("emotion", self.adapt("--target", self.path("odd"), status=1))

    def test_wrong_usage(self):
        self.assertIn("--target", self.adapt(data=self.folder(), status=2))
        self.ser("train-lmmd", status=2)
        self.ser("train-lmmd", "--data", "EMODB", "--lmmd-weight", "much", status=2)
        self.ser("train-lmmd", "--data", "EMODB", "extra", status=2)
        self.assertIn("speaker", self.adapt("--target", self.unlabelled(), "--normalize", "speaker", status=2))

    def folder(self):
        for i in range(6):
            self.speak("own/%s/%d.wav" % (("angry", "sad")[i % 2], i), ("angry", "sad")[i % 2], i)
        return self.path("own")

    def test_full_or_used_folder(self):
        self.adapt()
        err = self.ser("train-lmmd", "--data", "EMODB", *QUICK, "--run", self.path("a"), status=2)[1]
        self.assertIn("--resume", err)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(failed > 0)
