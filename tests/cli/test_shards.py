#!/usr/bin/env python3
"""Shards, and what joins them: ser predict --shard, ser extract --shard, ser merge.

Usage: test_shards.py PATH_OF_SER
"""
import json, os, shutil, signal, subprocess, sys, time, unittest

from test_program import HAS_MODEL, SER, Case, tone, voice, write_wav


class Shards(Case):
    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def manifest(self, name):
        return json.loads(self.read(name))

    def count(self, folder):
        """Of the files: while somebody writes there, what is listed may have another name at the next look."""
        return sum(len(names) for _, _, names in os.walk(self.path(folder)))

    def contents(self, folder):
        found = {}
        for where, _, names in os.walk(self.path(folder)):
            for name in names:
                path = os.path.join(where, name)
                with open(path, "rb") as f:
                    found[os.path.relpath(path, self.path(folder))] = f.read()
        return found

    def merge(self, out, *parts, status=0):
        return self.ser("merge", "-o", self.path(out), *[self.path(p) for p in parts], status=status)

    def check_refused(self, out, parts, *words):
        _, err = self.merge(out, *parts, status=1)
        self.assertEqual(len(err.splitlines()), 1, err)
        for word in words:
            self.assertIn(word, err)
        self.assertFalse(os.path.exists(self.path(out)))


@unittest.skipUnless(HAS_MODEL, "no built-in model")
class Predict(Shards):
    def make_recordings(self):
        """Voices, tones, silence, a name that CSV quotes, and one that cannot be read, which all fail or succeed by themselves."""
        os.makedirs(self.path("r/deep, er"))
        for i in range(4):
            write_wav(self.path(f"r/voice{i}.wav"), voice(110 + 30 * i, 1, seed=i))
            write_wav(self.path(f"r/deep, er/tone{i}.wav"), tone(200 + 100 * i, 0.3, seed=i))
        write_wav(self.path("r/silence.wav"), [0] * 8000)
        write_wav(self.path("r/none.wav"), [])

    def shard(self, i, n, name, *args, status=None, folder="r"):
        """Its output; status None: 1 for the share with the recording that cannot be read."""
        p = subprocess.run([SER, "predict", "-q", "--shard", f"{i}/{n}", "-o", self.path(name), *args, folder], env=self.env,
                           cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        failed = any(r["state"] == "failed" for r in self.manifest(name + ".manifest.json")["recordings"]) if status is None else status
        self.assertEqual(p.returncode, int(failed), p.stderr)
        return p.stderr.decode()

    def test_merged_is_one_run(self):
        self.make_recordings()
        for format, extra in (("csv", ["--timeline"]), ("json", ["-j", "1"]), ("text", [])):
            args = ["--format", format, *extra]
            self.ser("predict", "-q", "-o", self.path("whole"), *args, "r", status=1)
            for n in (1, 2, 3, 4) if format == "csv" else (3,):
                parts = [f"p{n}-{i}" for i in range(1, n + 1)]
                for i, part in enumerate(parts, 1):
                    self.shard(i, n, part, *args)
                _, err = self.merge("merged", *reversed(parts), status=1)
                self.assertIn("1 of 10 recordings", err)
                self.assertEqual(self.read("merged"), self.read("whole"), (format, n))
                noted = [r for p in parts for r in self.manifest(p + ".manifest.json")["recordings"]]
                self.assertEqual(sorted(r["position"] for r in noted), list(range(10)))
                self.assertEqual([r["file"] for r in noted if r["state"] == "failed"], ["r/none.wav"])
                os.remove(self.path("merged"))

    def test_shards_without_recordings(self):
        os.makedirs(self.path("r"))
        write_wav(self.path("r/a.wav"), voice(120, 1))
        self.ser("predict", "--format", "json", "-o", self.path("whole"), "r")
        for i in range(1, 4):
            self.shard(i, 3, f"p{i}", "--format", "json")
        self.assertEqual(sorted(len(self.read(f"p{i}")) > 0 for i in range(1, 4)), [False, False, True])
        self.merge("merged", "p1", "p2", "p3")
        self.assertEqual(self.read("merged"), self.read("whole"))

    def test_deal_depends_on_the_path_alone(self):
        self.make_recordings()
        self.shard(1, 2, "before", "--format", "csv")
        files = lambda name: {r["file"] for r in self.manifest(name + ".manifest.json")["recordings"]}
        for i in range(3):
            shutil.copy(self.path("r/silence.wav"), self.path(f"r/also{i}.wav"))
        self.shard(1, 2, "after", "--format", "csv")
        self.assertEqual(files("before"), {f for f in files("after") if "also" not in f})
        self.assertTrue(0 < len(files("before")) < 10)
        os.rename(self.path("r"), self.path("moved"))
        self.shard(1, 2, "moved-out", "--format", "csv", folder="moved")
        self.assertEqual({f.replace("r/", "", 1) for f in files("after")}, {f.replace("moved/", "", 1) for f in files("moved-out")})

    def test_what_does_not_belong_together_is_refused(self):
        self.make_recordings()
        for i in (1, 2):
            self.shard(i, 2, f"p{i}", "--format", "csv")
        self.check_refused("m", ["p1"], "shard 2/2 is missing")
        self.check_refused("m", ["p1", "p2", "p1"], "p1", "shard 1/2", "so is")
        self.check_refused("m", ["p1", "gone"], "gone", "not there")
        self.shard(2, 2, "other", "--format", "csv", "--min-confidence", "0.9")
        self.check_refused("m", ["p1", "other"], "other", "min-confidence", "p1")
        self.shard(2, 3, "of3", "--format", "csv")
        self.check_refused("m", ["p1", "of3"], "of3", "one of 3 shards")
        for name, key, value, word in (("version", "version", "0.0.1", "0.0.1"), ("model", "options", None, "model")):
            shutil.copy(self.path("p2"), self.path(name))
            manifest = self.manifest("p2.manifest.json")
            manifest[key] = value or dict(manifest[key], model_sha256="0" * 64)
            with open(self.path(name + ".manifest.json"), "w") as f:
                json.dump(manifest, f)
            self.check_refused("m", ["p1", name], name + ": ", word)
        with open(self.path("p2"), "ab") as f:
            f.write(b"more\n")
        self.check_refused("m", ["p1", "p2"], "p2", "manifest")
        self.shard(2, 2, "p2", "--format", "csv")
        os.remove(self.path("r/silence.wav"))
        self.shard(2, 2, "fewer", "--format", "csv")
        self.check_refused("m", ["p1", "fewer"], "fewer", "other recordings")
        for text in (b"{", b"[]", b'{"format_version": 1}', b'{"format_version": 9}'):
            with open(self.path("p2.manifest.json"), "wb") as f:
                f.write(text)
            self.check_refused("m", ["p1", "p2"], "p2: ")

    def test_wrong_usage(self):
        self.make_recordings()
        for shard in ("5/4", "0/4", "1", "1/", "/2", "1/2x", "-1/2", "1/99999999999999999999"):
            _, err = self.ser("predict", "--shard", shard, "-o", "x", "r", status=2)
            self.assertIn("--shard", err)
            self.ser("extract", "--data", "r", "--feature-type", "MFCC", "--shard", shard, status=2)
        self.ser("predict", "--shard", "1/2", "r", status=2)
        self.ser("predict", "--shard", "1/2", "-o", "x", "--follow", "r", status=2)
        self.ser("predict", "--shard", "1/2", "-o", "x", "-", status=2)
        os.makedirs(self.path("empty"))
        self.assertIn("must find all", self.ser("predict", "--shard", "1/2", "-o", "x", "r", "empty", status=1)[1])
        self.ser("merge", "p1", status=2)
        self.ser("merge", "-o", "x", status=2)
        self.assertEqual(os.listdir(self.dir).count("x"), 0)

    def test_killed(self):
        self.make_recordings()
        for i in range(150):  # more than can be answered before it is killed
            os.link(self.path("r/voice0.wav"), self.path(f"r/more{i}.wav"))
        command = [SER, "predict", "--shard", "1/1", "--format", "csv", "-j", "1", "-o", self.path("p"), "r"]
        p = subprocess.Popen(command, env=self.env, cwd=self.dir, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertEqual(p.returncode, -signal.SIGKILL)
        self.assertFalse(os.path.exists(self.path("p")))
        self.check_refused("m", ["p"], "p: it is not there")
        self.shard(1, 1, "p", "--format", "csv")
        self.ser("predict", "-q", "--format", "csv", "-o", self.path("whole"), "r", status=1)
        self.assertEqual(self.read("p"), self.read("whole"))


SLURM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/slurm")
SBATCH = """#!/usr/bin/env python3
# Slurm as far as the scripts see it: every task at once, one after another.
import os, subprocess, sys
options = [a for a in sys.argv[1:sys.argv.index(next(a for a in sys.argv[1:] if not a.startswith("-")))]]
job = sys.argv[1 + len(options):]
values = dict(o.split("=", 1) for o in options if "=" in o)
first, _, last = values.get("--array", "0").partition("-")
with open("submitted", "a") as f:
    f.write(" ".join(options) + chr(10))
for task in range(int(first), int(last or first) + 1):
    subprocess.run(job, env=dict(os.environ, SLURM_ARRAY_TASK_ID=str(task), SLURM_CPUS_PER_TASK="2"), stdout=sys.stderr)
print("17;cluster")
"""


class Slurm(Shards):
    def submit(self, *args):
        with open(self.path("sbatch"), "w") as f:
            f.write(SBATCH)
        os.chmod(self.path("sbatch"), 0o755)
        env = dict(self.env, PATH=self.dir + os.pathsep + os.environ["PATH"], SER=SER)
        return subprocess.run(args, env=env, cwd=self.dir, check=True, capture_output=True, text=True)

    def test_scripts(self):
        self.make_corpus(per_class=2)
        args = ("--data", "corpus", "--feature-type", "LOGMEL")
        self.ser("extract", *args, "--features-dir", "whole")
        p = self.submit(SLURM + "/submit.sh", "3", "parts", "merged", "extract", *args)
        self.assertEqual(p.stdout, "17;cluster\n")
        self.assertEqual(self.contents("merged"), self.contents("whole"))
        self.assertEqual(self.read("submitted").decode().splitlines(),
                         ["--parsable --array=1-3", "--parsable --dependency=afterany:17"])
        shutil.rmtree(self.path("parts/2"))
        shutil.rmtree(self.path("merged"))
        p = self.submit(self.path("sbatch"), SLURM + "/merge.sh", "3", "parts", "merged")
        self.assertIn("parts/2: it is not there", p.stderr)
        self.submit(self.path("sbatch"), "--array=2", SLURM + "/shard.sh", "3", "parts", "extract", *args)
        self.submit(self.path("sbatch"), SLURM + "/merge.sh", "3", "parts", "merged")
        self.assertEqual(self.contents("merged"), self.contents("whole"))
        if HAS_MODEL:
            self.ser("predict", "-q", "--format", "json", "-o", "one", "corpus")
            self.submit(SLURM + "/submit.sh", "2", "answers", "all", "predict", "--format", "json", "corpus")
            self.assertEqual(self.read("all"), self.read("one"))

    def test_folds_and_sweep(self):
        self.make_corpus(per_class=4)
        args = ("--data", "corpus", "--feature-type", "LOGMEL", "--protocol", "kfold=2", "--inner-folds", "2")
        self.submit(SLURM + "/folds.sh", "2", "parts", "merged", *args)
        self.ser("evaluate", *args, "--run", "whole")
        ua = lambda run: self.manifest(run + "/report.json")["ua"]
        self.assertEqual(ua("merged"), ua("whole"))
        with open(self.path("options"), "w") as f:
            f.write("--c 300\n--seed 5 --c 30\n")
        self.submit(self.path("sbatch"), "--array=1-2", SLURM + "/sweep.sh", "options", "sweep", "evaluate", *args)
        self.assertEqual(ua("sweep/1"), ua("whole"))
        self.assertEqual(self.manifest("sweep/2/report.json")["config"]["c"], 30)


class Extract(Shards):
    def extract(self, features, *args, status=0, data="corpus", type="LOGMEL"):
        return self.ser("extract", "--data", data, "--feature-type", type, "--features-dir", self.path(features), *args, status=status)

    def shards(self, n, status=0, **kw):
        for i in range(1, n + 1):
            self.extract(f"s{n}/{i}", "--shard", f"{i}/{n}", status=status if isinstance(status, int) else status(i), **kw)
        return [f"s{n}/{i}" for i in range(1, n + 1)]

    def test_merged_is_one_run(self):
        self.make_corpus()
        self.extract("whole", type="LOGMEL+MFCC")
        for n in (1, 2, 3, 4):
            parts = self.shards(n, type="LOGMEL+MFCC")
            out, _ = self.merge(f"merged{n}", *reversed(parts))
            self.assertIn("18 recordings", out)
            self.assertEqual(self.contents(f"merged{n}"), self.contents("whole"))
            noted = [r for p in parts for r in self.manifest(p + "/manifest.json")["recordings"]]
            self.assertEqual(sorted(r["position"] for r in noted), list(range(18)))
            self.assertEqual(sorted(os.listdir(self.path(f"s{n}"))), [str(i) for i in range(1, n + 1)])
        self.ser("evaluate", "--data", "corpus", "--feature-type", "LOGMEL+MFCC", "--protocol", "kfold=2", "--inner-folds", "2",
                 "--features-dir", self.path("merged4"))

    def test_shards_without_recordings(self):
        self.make_corpus(per_class=2)
        self.extract("whole")
        self.merge("merged", *self.shards(20))
        self.assertEqual(self.contents("merged"), self.contents("whole"))

    def test_two_trees_in_one_folder(self):
        self.make_corpus(per_class=2)
        for type in ("LOGMEL", "MFCC"):
            self.extract("whole", type=type)
            self.merge("merged", *self.shards(2, type=type))
            shutil.rmtree(self.path("s2"))
        self.assertEqual(self.contents("merged"), self.contents("whole"))

    def test_a_recording_that_fails(self):
        self.make_corpus()
        write_wav(self.path("corpus/anger/none.wav"), [])
        self.extract("whole", status=1)
        failed = [i for i in (1, 2, 3) if self.takes("anger/none.wav", i, 3)]
        parts = self.shards(3, status=lambda i: int(i in failed))
        _, err = self.merge("merged", *parts, status=1)
        self.assertIn("1 of 19 recordings", err)
        self.assertEqual(self.contents("merged"), self.contents("whole"))
        noted = [r for p in parts for r in self.manifest(p + "/manifest.json")["recordings"] if r["state"] == "failed"]
        self.assertEqual([(r["file"], "none.wav" in r["error"]) for r in noted], [("anger/none.wav", True)])
        write_wav(self.path("corpus/anger/none.wav"), tone(900, 0.5))
        shutil.rmtree(self.path("whole"))
        self.extract("whole")
        out, _ = self.extract(f"s3/{failed[0]}", "--shard", f"{failed[0]}/3")
        self.merge("again", *parts)
        self.assertEqual(self.contents("again"), self.contents("whole"))

    @staticmethod
    def takes(path, i, n):
        import hashlib
        return int(hashlib.sha256(path.encode()).hexdigest()[:15], 16) % n + 1 == i

    def test_what_does_not_belong_together_is_refused(self):
        self.make_corpus(per_class=2)
        one, two = self.shards(2)
        self.check_refused("m", [two], "shard 1/2 is missing")
        self.check_refused("m", [one, two, two], "s2/2", "shard 2/2", "so is")
        self.extract("hop", "--shard", "2/2", "--hop-length", "512")
        self.check_refused("m", [one, "hop"], "hop: ", "hop_length", "s2/1")
        self.make_corpus("larger", per_class=3)
        self.extract("large", "--shard", "2/2", data="larger")
        self.check_refused("m", [one, "large"], "large: ", "other recordings")
        self.make_corpus("namesake/x", per_class=2)
        self.extract("named", "--shard", "2/2", data="namesake/x")
        self.check_refused("m", [one, "named"], "named: ", "other corpora")
        _, err = self.extract("s2/1", "--shard", "2/2", status=1)
        self.assertIn("something else than this shard", err)
        self.extract("tree")
        self.assertIn("something else", self.extract("tree", "--shard", "1/2", status=1)[1])
        before = self.contents("tree")
        _, err = self.merge("tree", one, two, status=1)
        self.assertIn("features are there already", err)
        self.assertEqual(self.contents("tree"), before)
        name = next(n for n in self.contents(one) if n.endswith(".npy"))
        os.remove(os.path.join(self.path(one), name))
        _, err = self.merge("m", one, two, status=1)
        self.assertIn(name, err)
        self.assertEqual([n for n in self.contents("m") if n.endswith("index.json")], [])

    def test_manifests_lead_nowhere_else(self):
        self.make_corpus(per_class=2)
        (part,) = self.shards(1)
        for change in (lambda m: m["trees"][0].update(folder="../out"), lambda m: m["recordings"][0].update(utterance="../../x")):
            manifest = self.manifest(part + "/manifest.json")
            change(manifest)
            with open(self.path("s1/1/manifest.json"), "w") as f:
                json.dump(manifest, f)
            self.assertIn("damaged", self.merge("m", part, status=1)[1])
            self.assertFalse(os.path.exists(self.path("out")))
            shutil.rmtree(self.path("s1"))
            self.shards(1)

    def test_killed(self):
        os.makedirs(self.path("many/anger"))
        os.makedirs(self.path("many/neutral"))
        write_wav(self.path("one.wav"), tone(300, 1))
        for i in range(60):
            shutil.copy(self.path("one.wav"), self.path(f"many/{'anger' if i % 2 else 'neutral'}/{i}.wav"))
        self.extract("whole", data="many")
        command = [SER, "extract", "--data", "many", "--feature-type", "LOGMEL", "--features-dir", self.path("p1"), "--shard", "1/2"]
        p = subprocess.Popen(command, env=self.env, cwd=self.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while p.poll() is None and self.count("p1.partial") < 9:
            time.sleep(0.002)
        p.send_signal(signal.SIGKILL)
        p.wait()
        self.assertEqual(p.returncode, -signal.SIGKILL)
        self.assertFalse(os.path.exists(self.path("p1")))
        self.extract("p2", "--shard", "2/2", data="many")
        self.check_refused("m", ["p1", "p2"], "p1: it is not there")
        done = {n: os.stat(os.path.join(self.path("p1.partial"), n)).st_mtime_ns for n in self.contents("p1.partial") if n.endswith(".npy")}
        self.extract("p1", "--shard", "1/2", data="many")
        kept = sum(os.stat(os.path.join(self.path("p1"), n)).st_mtime_ns == t for n, t in done.items())
        self.assertGreaterEqual(kept, len(done) - 2)  # what has no facts yet is made again
        self.merge("merged", "p1", "p2")
        self.assertEqual(self.contents("merged"), self.contents("whole"))


class Folds(Shards):
    """ser evaluate --fold I, and what joins them."""
    ARGS = ("--data", "corpus", "--feature-type", "LOGMEL", "--protocol", "kfold=3", "--inner-folds", "2", "--model-type", "linear+timnet",
            "--epoch", "2", "--filter-size", "4", "--dilation-size", "1", "--stack-size", "1", "--networks", "2")

    def report(self, run):
        def plain(x):
            if isinstance(x, dict):
                return {k: plain(v) for k, v in x.items() if k not in ("seconds", "jobs")}
            return [plain(v) for v in x] if isinstance(x, list) else x
        return plain(self.manifest(run + "/report.json"))

    def fold(self, i, run, *args, status=0):
        return self.ser("evaluate", *self.ARGS, *args, "--fold", str(i), "--run", run, status=status)

    def test_merged_is_one_run(self):
        self.make_corpus(per_class=4)
        self.ser("evaluate", *self.ARGS, "--run", "whole")
        for i in (1, 2, 3):
            self.fold(i, f"f{i}", "-j", str(i))
            self.assertEqual(sorted(os.listdir(self.path(f"f{i}"))), ["config.json", "fold.bin", "history.jsonl", "manifest.json"])
        out, _ = self.merge("merged", "f3", "f1", "f2")
        self.assertIn("merged: 3 folds", out)
        self.assertEqual(self.report("merged"), self.report("whole"))
        self.assertEqual(sorted(os.listdir(self.path("merged"))), sorted(n for n in os.listdir(self.path("whole")) if n != "history.jsonl"))

    def test_what_does_not_belong_together_is_refused(self):
        self.make_corpus(per_class=4)
        for i in (1, 2):
            self.fold(i, f"f{i}")
        self.fold(3, "other", "--seed", "7")
        self.check_refused("m", ["f1", "f2"], "shard 3/3 is missing")
        self.check_refused("m", ["f1", "f2", "f1"], "f1", "so is")
        self.check_refused("m", ["f1", "f2", "other"], "other: its seed is not that of")
        self.fold(3, "f3")
        with open(self.path("f3/fold.bin"), "r+b") as f:
            f.write(b"x" * 40)
        _, err = self.merge("m", "f1", "f2", "f3", status=1)
        self.assertIn("f3/fold.bin: it is not what its manifest says", err)
        # Damaged, and with a manifest that knows of it: what is inside is looked at as well.
        import hashlib
        manifest = self.manifest("f3/manifest.json")
        for n in (0, 40, 5000):
            with open(self.path("f3/fold.bin"), "r+b") as f:
                f.truncate(n)
                f.seek(0)
                manifest["fold_sha256"] = hashlib.sha256(f.read()).hexdigest()
            with open(self.path("f3/manifest.json"), "w") as f:
                json.dump(manifest, f)
            shutil.rmtree(self.path("m"))
            _, err = self.merge("m", "f1", "f2", "f3", status=1)
            self.assertIn("what was learned is damaged", err)
            self.assertFalse(os.path.exists(self.path("m/report.json")))
        for args in (("--seeds", "2"), ("--honest",)):
            self.assertIn("leave one of them out", self.fold(1, "x", *args, status=2)[1])
        self.assertIn("there is no fold 4: the protocol has 3", self.fold(4, "y", status=2)[1])


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    print("%d passed, %d failed" % (result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped),
                                    len(result.failures) + len(result.errors)))
    sys.exit(not result.wasSuccessful())
