#!/usr/bin/env python3
"""Feature trees as users make and use them: ser extract --data, and ser evaluate on what it left.

Usage: test_extract.py PATH_OF_SER
"""
import json, os, resource, shutil, signal, struct, subprocess, sys, time, unittest

from test_program import SER, Case, tone, write_wav


class Trees(Case):
    def extract(self, *args, status=0):
        return self.ser("extract", "--features-dir", self.path("features"), *args, status=status)

    def evaluate(self, *args, status=0):
        return self.ser("evaluate", "--features-dir", self.path("features"), "--feature-type", "LOGMEL", "--inner-folds", "2",
                        "--protocol", "kfold=2", "--json", self.path("r.json"), *args, status=status)

    def report(self):
        with open(self.path("r.json")) as f:
            report = json.load(f)
        del report["config"]
        for fold in report["folds"]:
            fold.pop("seconds", None)
        return report

    def files(self, folder):
        found = []
        for where, _, names in os.walk(self.path(folder)):
            found += [os.path.relpath(os.path.join(where, n), self.path(folder)) for n in names]
        return sorted(found)

    def contents(self, folder):
        found = {}
        for name in self.files(folder):
            with open(os.path.join(self.path(folder), name), "rb") as f:
                found[name] = f.read()
        return found

    def read_npy(self, path):
        with open(path, "rb") as f:
            data = f.read()
        n = struct.unpack("<H", data[8:10])[0]
        header = eval(data[10:10 + n])
        self.assertEqual((data[:6], header["descr"], header["fortran_order"]), (b"\x93NUMPY", "<f4", False))
        self.assertEqual(len(data), 10 + n + 4 * header["shape"][0] * header["shape"][1])
        return header["shape"], data[10 + n:]

    def check_error(self, err, *words):
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertTrue(err.startswith("ser: "), err)
        for word in words:
            self.assertIn(word, err)


class Layout(Trees):
    def test_names_and_index(self):
        corpus = self.make_corpus()
        for type, width in (("LOGMEL", 128), ("MFCC", 96), ("LOGMEL+MFCC", 224)):
            out, _ = self.extract("--data", corpus, "--feature_type", type)
            name = {"LOGMEL": "corpus_LOGMEL_128", "MFCC": "corpus_MFCC_96"}.get(type, "corpus_" + type)
            folder = self.path(f"features/{type}/{name}")
            self.assertTrue(out.startswith(folder + ": 18 recordings"), out)
            with open(folder + "/index.json") as f:
                index = json.load(f)
            self.assertEqual((index["complete"], index["corpus"], index["dims"]), (True, "corpus", width))
            self.assertEqual(index["parameters"]["feature_type"], type)
            self.assertEqual(index["parameters"]["hop_length"], 320)
            self.assertEqual(len(index["recordings"]), 18)
            self.assertEqual(len([n for n in os.listdir(folder) if n.endswith(".npy")]), 18)
            for r in index["recordings"]:
                self.assertEqual(r["label"], {"anger": "angry", "sadness": "sad", "neutral": "neutral"}[r["file"].split("/")[0]])
                shape, data = self.read_npy(f"{folder}/{r['utterance']}.npy")
                self.assertEqual(shape, (r["n_frames"], width))
                self.ser("extract", "--feature-type", type, "-o", self.path("one.npy"), os.path.join(corpus, r["file"]))
                self.assertEqual(self.read_npy(self.path("one.npy")), (shape, data))

    def test_joined_corpora(self):
        a, b = self.make_corpus("a", 2), self.make_corpus("b", 2)
        self.extract("--data", f"{a}+{b}", "--feature-type", "LOGMEL")
        folder = self.path("features/LOGMEL/a+b_LOGMEL_128")
        with open(folder + "/index.json") as f:
            index = json.load(f)
        self.assertEqual(index["recordings"][0]["utterance"], "a/anger0")
        self.assertTrue(os.path.exists(folder + "/b/sadness1.npy"))
        self.evaluate("--data", f"{a}+{b}", "--augment", "none")
        with_audio = self.report()
        shutil.rmtree(a), shutil.rmtree(b)
        self.evaluate("--data", f"{a}+{b}", "--augment", "none")
        self.assertEqual(self.report(), with_audio)

    def test_checkpoints_as_people_name_them(self):
        golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/encoder/wavlm_base")
        write_wav(self.path("a.wav"), tone(300, 0.5))

        def answer(encoder, status=0):
            _, err = self.ser("extract", "--feature-type", "WAVLM", "--encoder", encoder, "-o", self.path("out.npy"), self.path("a.wav"),
                              status=status)
            return err if status else self.read_npy(self.path("out.npy"))

        expected = answer(golden)
        self.check_error(answer(golden + "/model.safetensors", status=1), "it is a file: name its folder")
        # a model's folder in the hub's cache: the snapshot that refs/main names
        hub = self.path("models--some--model")
        commit = "a" * 40
        shutil.copytree(golden, hub + "/blobs")
        os.makedirs(hub + "/refs"), os.makedirs(hub + "/snapshots/" + commit)
        with open(hub + "/refs/main", "w") as f:
            f.write(commit)
        for name in os.listdir(golden):
            os.symlink("../../blobs/" + name, hub + "/snapshots/%s/%s" % (commit, name))
        self.assertEqual(answer(hub), expected)
        for name in os.listdir(golden):  # copied without links
            os.remove(hub + "/snapshots/%s/%s" % (commit, name))
            with open(hub + "/snapshots/%s/%s" % (commit, name), "w") as f:
                f.write("../../blobs/" + name)
        self.check_error(answer(hub, status=1), commit, "the text of a link into the model cache")
        # transformers 5 writes processor_config.json alone
        shutil.copytree(golden, self.path("v5"))
        os.remove(self.path("v5/preprocessor_config.json"))
        for normalise in (False, True):
            with open(self.path("v5/processor_config.json"), "w") as f:
                json.dump({"feature_extractor": {"do_normalize": normalise, "feature_size": 1, "sampling_rate": 16000}}, f)
            with open(golden + "/preprocessor_config.json") as f:
                self.assertEqual(answer(self.path("v5")) == expected, normalise == json.load(f)["do_normalize"])
        with open(self.path("v5/processor_config.json"), "w") as f:
            f.write('{"feature_extractor": 3}')
        self.check_error(answer(self.path("v5"), status=1), "processor_config.json: 'feature_extractor' is no object")
        with open(self.path("v5/config.json"), "w") as f:
            f.write("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
        self.check_error(answer(self.path("v5"), status=1), "git lfs pull")

    def test_fusion(self):
        hubert = ("--encoder", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/encoder/hubert_base"))
        corpus = self.make_corpus(per_class=1)
        one = os.path.join(corpus, "anger/anger0.wav")
        folders = [self.path("features/" + n) for n in ("LOGMEL/corpus_LOGMEL_128", "HUBERT/corpus_HUBERT", "FUSION/corpus_FUSION")]
        out, _ = self.extract("--data", corpus, *hubert)  # FUSION is the default
        self.assertEqual([line.split(":")[0] for line in out.splitlines()], folders)
        for folder, type in zip(folders, ("LOGMEL", "HUBERT", "FUSION")):
            self.ser("extract", "--feature-type", type, *hubert, "-o", self.path("one.npy"), one)
            self.assertEqual(self.read_npy(folder + "/anger0.npy"), self.read_npy(self.path("one.npy")))
        before = self.contents("features")
        _, err = self.extract("--data", corpus, *hubert, "--pool-encoder", status=1)
        self.check_error(err, "FUSION: its pool_encoder is false, not true")
        shutil.rmtree(folders[1])
        self.extract("--data", corpus, *hubert, "--pool-encoder", status=1)
        self.assertFalse(os.path.exists(folders[1]))  # nothing is computed only to be refused
        self.extract("--data", corpus, *hubert, "--pool-encoder", "--overwrite")
        (n, dims), data = self.read_npy(folders[2] + "/anger0.npy")
        rows = [data[4 * dims * i:4 * dims * (i + 1)] for i in range(n)]
        self.assertEqual(len({row[4 * 128:] for row in rows}), 1)
        self.assertEqual(len({row[:4 * 128] for row in rows}), n)
        self.ser("extract", "--feature-type", "FUSION", *hubert, "--pool-encoder", "-o", self.path("one.npy"), one)
        self.assertEqual(((n, dims), data), self.read_npy(self.path("one.npy")))
        self.extract("--data", corpus, *hubert, "--pad", "30", "--overwrite")
        self.ser("extract", "--feature-type", "HUBERT", *hubert, "--pad", "30", "-o", self.path("one.npy"), one)
        self.assertEqual(self.read_npy(folders[1] + "/anger0.npy"), self.read_npy(self.path("one.npy")))
        self.extract("--data", corpus, *hubert, "--overwrite")
        self.assertEqual(before, self.contents("features"))

    def test_usage(self):
        corpus = self.make_corpus(per_class=1)
        self.check_error(self.extract("--data", corpus, "-o", "x.npy", status=2)[1].splitlines()[0], "-o is for recordings")
        self.extract("--data", corpus, "a.wav", status=2)
        self.extract("--data", corpus, "--feature-type", "CHROMA", status=2)
        self.extract("--data", self.path("nowhere"), "--feature-type", "LOGMEL", status=1)
        self.extract("--data", corpus, "--feature-type", "LOGMEL", "--layers", "3", status=2)
        self.extract("--data-dir", self.path("nowhere"), "--feature-type", "LOGMEL", status=1)

    def test_several_recordings(self):
        corpus = self.make_corpus(per_class=2)
        first, second = (os.path.join(corpus, "anger", "anger%d.wav" % i) for i in (0, 1))
        lines = self.extract("--feature-type", "MFCC", "-o", self.path("x.npy"), first, second, status=2)[1].splitlines()
        self.check_error(lines[0], "2 recordings are named: name a folder for their features")
        self.extract("--feature-type", "MFCC", "-o", self.path("one.npy"), second)
        self.extract("--feature-type", "MFCC", "-o", self.path("out/"), first, self.path("nowhere.wav"), second, status=1)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["anger0.npy", "anger1.npy"])
        with open(self.path("one.npy"), "rb") as a, open(self.path("out/anger1.npy"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.check_error(self.extract("--feature-type", "MFCC", "-o", self.path("out"), first, first, status=2)[1].splitlines()[0],
                         "would both be written to")


class Use(Trees):
    def test_without_recordings(self):
        corpus = self.make_corpus()
        self.evaluate("--data", corpus, "--augment", "none")
        computed = self.report()
        self.extract("--data", corpus, "--feature-type", "LOGMEL")
        shutil.rmtree(self.path("cache"))
        self.evaluate("--data", corpus, "--augment", "none")
        self.assertEqual(self.report(), computed)
        self.assertFalse(os.path.exists(self.path("cache")))
        os.rename(corpus, self.path("away"))
        self.evaluate("--data", corpus, "--augment", "none")
        self.assertEqual(self.report(), computed)
        self.check_error(self.evaluate("--data", corpus, status=1)[1], "--augment none")
        self.check_error(self.evaluate("--data", corpus, "--augment", "none", "--hop-length", "512", status=1)[1],
                         "corpus_LOGMEL_128: its hop_length is 320, not 512", "no such corpus")
        self.ser("train", "--features-dir", self.path("features"), "--data", corpus, "--feature-type", "LOGMEL", "--augment", "none",
                 "--epoch", "1", "--filter-size", "8", "--stack-size", "1", "--run", self.path("run"))
        os.rename(self.path("away"), corpus)
        _, err = self.evaluate("--data", corpus, "--augment", "none", "--hop-length", "512")
        self.check_error(err, "its hop_length is 320, not 512: its features are not used")

    def test_changed_recordings_are_read(self):
        corpus = self.make_corpus()
        self.extract("--data", corpus, "--feature-type", "LOGMEL")
        write_wav(os.path.join(corpus, "anger/anger0.wav"), tone(333, 0.7))
        self.evaluate("--data", corpus, "--augment", "none")
        mixed = self.report()
        shutil.rmtree(self.path("features"))
        self.evaluate("--data", corpus, "--augment", "none")
        self.assertEqual(self.report(), mixed)

    def test_damage(self):
        corpus = self.make_corpus()
        self.extract("--data", corpus, "--feature-type", "LOGMEL")
        folder = self.path("features/LOGMEL/corpus_LOGMEL_128")
        npy, index = folder + "/neutral3.npy", folder + "/index.json"
        with open(npy, "rb") as f:
            good = f.read()
        with open(index) as f:
            listed = f.read()
        run = lambda: self.evaluate("--data", corpus, "--augment", "none", status=1)[1]
        for bad, words in ((good.replace(b"<f4", b"<f8"), "not float32"), (good.replace(b"<f4", b">f4"), "not float32"),
                           (good.replace(b"False", b"True "), "Fortran"), (good.replace(b"(26, 128)", b"(128, 26)"), "shape"),
                           (good.replace(b"(26, 128)", b"(26, 127)"), "bytes of numbers"), (good[:-4], "bytes of numbers"), (b"", ""),
                           (good[:-4] + struct.pack("<f", float("nan")), "not finite"), (good[:-4] + struct.pack("<f", float("inf")), "not finite")):
            self.assertNotEqual(bad, good)
            with open(npy, "wb") as f:
                f.write(bad)
            self.check_error(run(), npy, words)
        os.remove(npy)
        self.check_error(run(), npy)
        self.assertEqual(self.extract("--data", corpus, "--feature-type", "LOGMEL")[0].splitlines()[-1], folder + ": 18 recordings of 128 dims")
        with open(npy, "rb") as f:
            self.assertEqual(f.read(), good)
        for bad, words in ((listed[:-30], "line "), ("[]", "no index"), (listed.replace('"neutral3"', '"neutral2"'), "neutral2"),
                           (listed.replace('"neutral3"', '"../neutral3"'), "recording"), (listed.replace('"dims": 128', '"dims": 64'), "dims")):
            with open(index, "w") as f:
                f.write(bad)
            self.check_error(run(), index, words)
        with open(index, "w") as f:
            f.write(listed.replace('"label": "neutral"', '"label": "angry"').replace('"label": "sad"', '"label": "angry"'))
        os.rename(corpus, self.path("away"))
        self.check_error(run(), index, "at least two emotions")


class Work(Trees):
    def many(self):
        for k, emotion in enumerate(("anger", "sadness")):
            os.makedirs(self.path(f"many/{emotion}"))
            write_wav(self.path("long.wav"), tone(300 + 300 * k, 8))
            for i in range(30):
                shutil.copy(self.path("long.wav"), self.path(f"many/{emotion}/{k}{i}.wav"))
        return ("--data", self.path("many"), "--feature-type", "MFCC")

    def start(self, *args, wait_for):
        p = subprocess.Popen([SER, "extract", "--features-dir", self.path("features"), *args], env=self.env, cwd=self.dir, stderr=subprocess.PIPE)
        while p.poll() is None and len(self.files("features")) < wait_for:
            time.sleep(0.002)
        return p

    def check_interrupted(self, number, status):
        args = self.many()
        p = self.start(*args, wait_for=20)
        p.send_signal(number)
        _, err = p.communicate()
        self.assertEqual(p.returncode, status, err)
        with open(self.path("features/MFCC/many_MFCC_96/index.json")) as f:
            self.assertFalse(json.load(f)["complete"])
        done = {n: os.stat(os.path.join(self.path("features"), n)).st_mtime_ns for n in self.files("features") if n.endswith(".npy")}
        self.assertTrue(5 < len(done) < 60, len(done))
        self.check_error(self.ser("evaluate", "--features-dir", self.path("features"), "--data", self.path("many"), "--feature-type", "MFCC",
                                  "--augment", "none", "--protocol", "kfold=2")[1], "not finished")
        self.extract(*args)
        again = {n: os.stat(os.path.join(self.path("features"), n)).st_mtime_ns for n in done}
        self.assertGreaterEqual(sum(done[n] == again[n] for n in done), len(done) - 2 * os.cpu_count())
        resumed = self.contents("features")
        shutil.rmtree(self.path("features"))
        self.extract(*args)
        self.assertEqual(resumed, self.contents("features"))

    def test_interrupted(self):
        self.check_interrupted(signal.SIGINT, 130)

    def test_killed(self):
        self.check_interrupted(signal.SIGKILL, -signal.SIGKILL)

    def test_threads_change_nothing(self):
        corpus = self.make_corpus()
        self.extract("--data", corpus, "--feature-type", "MFCC", "--jobs", "1")
        one = self.contents("features")
        shutil.rmtree(self.path("features"))
        self.extract("--data", corpus, "--feature-type", "MFCC", "--jobs", "7")
        self.assertEqual(one, self.contents("features"))

    def test_other_parameters_are_refused(self):
        corpus = self.make_corpus(per_class=2)
        self.extract("--data", corpus, "--feature-type", "LOGMEL")
        before = self.contents("features")
        _, err = self.extract("--data", corpus, "--feature-type", "LOGMEL", "--hop-length", "512", status=1)
        self.check_error(err, "its hop_length is 320, not 512", "--overwrite")
        self.assertEqual(before, self.contents("features"))
        self.extract("--data", corpus, "--feature-type", "LOGMEL", "--hop-length", "512", "--overwrite")
        self.assertNotEqual(before, self.contents("features"))
        os.remove(os.path.join(corpus, "anger/anger0.wav"))
        _, err = self.extract("--data", corpus, "--feature-type", "LOGMEL", "--hop-length", "512", status=1)
        self.check_error(err, "anger0")
        self.extract("--data", corpus, "--feature-type", "LOGMEL", "--hop-length", "512", "--overwrite")
        self.assertEqual(len(self.files("features")), 2 * 5 + 1)

    def test_broken_recordings_do_not_stop_the_others(self):
        corpus = self.make_corpus(per_class=3)
        with open(os.path.join(corpus, "anger/anger1.wav"), "r+b") as f:
            f.truncate(44)
        out, err = self.extract("--data", corpus, "--feature-type", "LOGMEL", status=1)
        self.check_error(err, "anger1.wav")
        self.assertIn("8 recordings of 128 dims, unfinished", out)
        write_wav(os.path.join(corpus, "anger/anger1.wav"), tone(900, 0.5))
        self.assertIn("9 recordings", self.extract("--data", corpus, "--feature-type", "LOGMEL")[0])

    def test_two_of_one_name(self):
        corpus = self.make_corpus(per_class=2)
        shutil.copy(os.path.join(corpus, "anger/anger0.wav"), os.path.join(corpus, "sadness/anger0.wav"))
        self.extract("--data", corpus, "--feature-type", "LOGMEL")
        names = self.files("features/LOGMEL/corpus_LOGMEL_128")
        self.assertIn("sadness/anger0.npy", names)
        self.assertIn("anger1.npy", names)
        shutil.copy(os.path.join(corpus, "anger/anger1.wav"), os.path.join(corpus, "anger/anger0.flac"))
        self.check_error(self.extract("--data", corpus, "--feature-type", "LOGMEL", status=1)[1], "two recordings are called 'anger/anger0'")

    def test_places_that_cannot_be_written(self):
        corpus = self.make_corpus(per_class=2)
        with open(self.path("features"), "w") as f:
            f.write("a file")
        self.check_error(self.extract("--data", corpus, "--feature-type", "LOGMEL", status=1)[1], self.path("features"))
        os.remove(self.path("features"))

        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

        p = subprocess.run([SER, "extract", "--features-dir", self.path("features"), "--data", corpus, "--feature-type", "LOGMEL"],
                           env=self.env, cwd=self.dir, preexec_fn=no_room, restore_signals=False, capture_output=True, text=True)
        self.assertEqual(p.returncode, 1)
        self.check_error(p.stderr, ".npy: it cannot be written")
        self.assertEqual([n for n in self.files("features") if not n.endswith("index.json")], [])
        self.extract("--data", corpus, "--feature-type", "LOGMEL")


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=1).result
    print("%d passed, %d failed" % (result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped),
                                    len(result.failures) + len(result.errors)))
    sys.exit(not result.wasSuccessful())
