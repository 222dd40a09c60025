#!/usr/bin/env python3
"""Runs of training as users make, interrupt, resume and test them.

Usage: test_training.py PATH_OF_SER
"""
import fcntl, json, os, resource, shutil, signal, subprocess, sys, time, unittest, zipfile

from test_program import SER, Case, tone, write_wav

SMALL = ("--feature-type", "LOGMEL", "--filter-size", "8", "--dilation-size", "2", "--stack-size", "1")


class Training(Case):
    def train(self, *args, status=0):
        return self.ser("train", "--data", self.path("corpus"), *SMALL, *args, status=status)

    def contents(self, folder):
        found = {}
        for where, _, names in os.walk(folder):
            for n in names:
                path = os.path.join(where, n)
                with open(path, "rb") as f:
                    found[os.path.relpath(path, folder)] = f.read()
        return found

    def check_error(self, err, *words):
        self.assertEqual(len(err.splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)


class Runs(Training):
    def setUp(self):
        super().setUp()
        self.make_corpus()

    def test_what_a_run_leaves(self):
        out, _ = self.train("--epoch", "3", "--run", self.path("run"))
        self.assertEqual(out.splitlines()[-1], self.path("run"))
        files = self.contents(self.path("run"))
        pictures = [n + e for n in ("confusion", "loss", "accuracy") for e in (".png", ".svg")]
        self.assertEqual(sorted(files), sorted(pictures + [
            "config.json", "fold-1.safetensors", "fold-1/weights.h5", "fold-2.safetensors", "fold-2/weights.h5", "history.jsonl",
            "metrics.xlsx", "model.safetensors", "report.html", "report.json"]))
        report = json.loads(files["report.json"])
        self.assertEqual((report["n"], report["protocol"], report["model_type"], len(report["folds"])), (18, "kfold=2", "timnet", 2))
        self.assertEqual((report["config"]["epoch"], report["config"]["patience"]), (3, 10))  # as given, and by the preset
        history = [json.loads(line) for line in files["history.jsonl"].splitlines()]
        self.assertEqual([(e["part"], e["epoch"]) for e in history],
                         [(p, e) for p in ("fold 1", "fold 2", "final model") for e in (1, 2, 3)])
        self.assertIn(b"UA", files["report.html"])
        with zipfile.ZipFile(self.path("run/metrics.xlsx")) as book:
            self.assertIsNone(book.testzip())
        rows, _ = self.ser("predict", "--format", "json", "--model", self.path("run/model.safetensors"), self.path("corpus/anger/anger0.wav"))
        self.assertEqual(sorted(json.loads(rows)["scores"] or {"angry": 1, "neutral": 0, "sad": 0}), ["angry", "neutral", "sad"])
        self.assertIn("timnet", self.ser("info", self.path("run/model.safetensors"))[0])
        self.assertIn("weights for Keras", self.ser("info", self.path("run/fold-1/weights.h5"))[0])

    def test_same_command_same_bits(self):
        runs = []
        for name, jobs in (("a", "1"), ("b", "2")):
            self.train("--epoch", "2", "--jobs", jobs, "--run", self.path(name))
            files = self.contents(self.path(name))
            runs.append({n: files[n] for n in files if n.endswith((".safetensors", ".h5"))})
        self.assertEqual(runs[0], runs[1])

    def test_kill_and_resume(self):
        """Killed at some moments of the run, it ends with the same bits."""
        self.train("--epoch", "30", "--patience", "0", "--run", self.path("whole"))
        whole = self.contents(self.path("whole"))
        args = [SER, "train", "--data", self.path("corpus"), *SMALL, "--epoch", "30", "--patience", "0", "--run", self.path("killed")]
        for signal_number in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
            if os.path.exists(self.path("killed/history.jsonl")):
                os.remove(self.path("killed/history.jsonl"))  # so that it is there again only when the run is under way
            p = subprocess.Popen(args, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.dir)
            epochs = 0
            started = time.monotonic()
            while p.poll() is None and epochs < 3 and time.monotonic() - started < 60:
                time.sleep(0.02)
                if os.path.exists(self.path("killed/history.jsonl")):
                    with open(self.path("killed/history.jsonl")) as f:
                        epochs = len(f.read().splitlines())
            p.send_signal(signal_number)
            _, err = p.communicate()
            if signal_number == signal.SIGINT and p.returncode:
                self.assertEqual(p.returncode, 130)
                self.assertIn("--resume", err.decode())
            args = [SER, "train", "--resume", self.path("killed")]
        self.ser("train", "--resume", self.path("killed"))
        resumed = self.contents(self.path("killed"))
        for name in whole:
            if name.endswith((".safetensors", ".h5")):
                self.assertEqual(whole[name], resumed[name], name)
        self.assertEqual(sorted(whole), sorted(resumed))
        self.assertIn("complete", self.ser("train", "--resume", self.path("killed"))[1])

    def test_folders_that_are_taken(self):
        self.train("--epoch", "1", "--run", self.path("run"))
        self.check_error(self.train("--epoch", "1", "--run", self.path("run"), status=2)[1], "run", "--resume")
        os.remove(self.path("run/report.json"))
        _, err = self.ser("train", "--resume", self.path("run"), "--epoch", "2", status=2)
        self.check_error(err, "--epoch")
        self.check_error(self.ser("train", "--resume", self.path("nowhere"), status=1)[1], "nowhere")
        with open(self.path("run/config.json"), "w") as f:
            f.write("{")
        self.check_error(self.ser("train", "--resume", self.path("run"), status=1)[1], "config.json")

    def put(self, name):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(name)

    def test_other_peoples_files(self):
        """A folder with other things is no run folder, and a run removes nothing that it has not made."""
        self.put("mine/papers/state-of-the-art.pdf")
        _, err = self.train("--epoch", "1", "--run", self.path("mine"), status=2)
        self.check_error(err, "mine", "not empty")
        self.assertEqual(list(self.contents(self.path("mine"))), ["papers/state-of-the-art.pdf"])
        self.train("--epoch", "1", "--run", self.path("run"))
        whole = set(self.contents(self.path("run")))
        others = ["papers/state-of-the-art.pdf", "state-secret.txt", ".ser-notes", ".ser-1-0", "fold-1/state-of-mind.md"]
        for name in others:
            self.put("run/" + name)
        os.remove(self.path("run/report.json"))  # as if it had been killed before its end
        self.put("run/.ser-4711-0")
        with open(self.path("run/.made"), "w") as f:
            f.write("process 4711\nfile ../corpus/anger/anger0.wav\nfile papers/../state-secret.txt\nfile link/anger0.wav\nfile \n")
        os.symlink(self.path("corpus/anger"), self.path("run/link"))
        self.ser("train", "--resume", self.path("run"))
        self.assertEqual(set(self.contents(self.path("run"))), whole | set(others))
        self.assertTrue(os.path.exists(self.path("corpus/anger/anger0.wav")))

    def test_folder_in_use_and_full(self):
        os.makedirs(self.path("run"))
        with open(self.path("run/.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for _ in range(2):  # that one was refused must not let the next one in
                self.check_error(self.train("--run", self.path("run"), status=1)[1], "run", "at work")
        self.train("--epoch", "1", "--run", self.path("run"))
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        p = subprocess.run([SER, "train", "--data", self.path("corpus"), *SMALL, "--epoch", "2", "--run", self.path("full")],
                           env=self.env, capture_output=True, preexec_fn=limit)
        self.assertEqual(p.returncode, 1)
        self.check_error(p.stderr.decode(), "full", "space")
        self.ser("train", "--resume", self.path("full"))

    def test_linear_and_both(self):
        for kind in ("linear", "linear+timnet"):
            self.train("--epoch", "2", "--model-type", kind, "--run", self.path(kind))
            self.assertIn(kind, self.ser("info", self.path(kind + "/model.safetensors"))[0])
            self.ser("predict", "--model", self.path(kind + "/model.safetensors"), self.path("corpus/sadness/sadness1.wav"))
        self.train("--model-type", "linear", "--split-fold", "0", "--run", self.path("final"))
        self.assertEqual(sorted(self.contents(self.path("final"))), ["config.json", "model.safetensors", "report.json"])

    def test_bad_corpora(self):
        self.check_error(self.train("--split-fold", "100", status=2)[1], "100")
        for emotion in ("sadness", "neutral"):
            shutil.rmtree(self.path("corpus/" + emotion))
        self.check_error(self.train(status=1)[1], "corpus")


class Tests(Training):
    def setUp(self):
        super().setUp()
        self.make_corpus()
        self.train("--epoch", "2", "--run", self.path("run"))

    def run_test(self, *args, status=0):
        return self.ser("test", *SMALL, "--json", self.path("t.json"), *args, status=status)

    def report(self):
        with open(self.path("t.json")) as f:
            return json.load(f)

    def test_heard_recordings_are_told(self):
        _, err = self.run_test("--data", self.path("corpus"), "--test_path", self.path("run"), "--run", self.path("test"))
        self.assertIn("2 of 2 models were trained on recordings of this test", err)
        report = self.report()
        with open(self.path("run/report.json")) as f:
            trained = json.load(f)
        self.assertEqual(report["leaks"]["duplicates"], [9, 9])
        for key in ("ua", "wa", "f1"):  # who had not heard a recording is the model of its fold
            self.assertAlmostEqual(report["unheard"][key], trained[key], delta=1e-4)
        self.assertEqual([f["fold"] for f in report["folds"]], ["fold-1", "fold-2"])

    def test_a_corpus_of_strangers(self):
        for emotion, frequency in (("anger", 910), ("sadness", 210), ("neutral", 460)):
            os.makedirs(self.path(f"others/{emotion}"))
            for i in range(3):
                write_wav(self.path(f"others/{emotion}/{emotion}{i}x.wav"), tone(frequency * (1 + 0.03 * i), 0.5, seed=77 + i + frequency))
        _, err = self.run_test("--data", self.path("others"), "--test-path", self.path("run"), "--run", self.path("test"))
        self.assertEqual(err, "")
        self.assertNotIn("unheard", self.report())

    def test_keras_weights(self):
        self.run_test("--data", self.path("corpus"), "--test-path", self.path("run"), "--run", self.path("a"))
        own = self.report()["folds"][0]
        self.run_test("--data", self.path("corpus"), "--test-path", self.path("run/fold-1"), "--run", self.path("b"))
        self.assertEqual(self.report()["ua"], own["ua"])
        _, err = self.ser("test", "--feature-type", "LOGMEL", "--data", self.path("corpus"), "--test-path", self.path("run/fold-1"), status=1)
        self.check_error(err, "weights.h5")

    def test_options_that_could_not_work(self):
        for command in ("test", "test-cross-corpus"):
            help_text = self.ser(command, "--help")[0]
            for option in ("--lr ", "--epoch ", "--augment ", "--dropout ", "--label-smoothing ", "--mixup "):
                self.assertNotIn(option, help_text)
            self.ser(command, "--data", "EMODB", "--test-path", self.path("run"), "--epoch", "3", status=2)
        for command in ("test", "train"):
            self.assertNotIn("--normalize", [w for line in self.ser(command, "--help")[0].splitlines() for w in line.split()[:1]])
            self.ser(command, "--data", "EMODB", "--normalize", "speaker", status=2)

    def test_bad_input(self):
        self.check_error(self.run_test("--data", self.path("corpus"), "--test-path", self.path("corpus"), status=1)[1], "holds no models")
        self.ser("test", "--data", self.path("corpus"), status=2)
        os.rename(self.path("corpus/anger"), self.path("corpus/disgust"))
        _, err = self.run_test("--data", self.path("corpus"), "--test-path", self.path("run"), status=1)
        self.check_error(err, "emotions")


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed" % (result.testsRun - failed, failed))
    sys.exit(failed > 0)
