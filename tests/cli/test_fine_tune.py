#!/usr/bin/env python3
"""ser train --fine-tune, with a tiny Whisper.

Usage: test_fine_tune.py PATH_OF_SER        (the environment: SER_TEST_DIR, the folder tests/)
"""
import functools, glob, json, math, os, shutil, subprocess, time, unittest

import numpy

from test_program import SER, Case, voice, write_wav

TINY = os.path.join(os.environ.get("SER_TEST_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")), "golden/tune/tiny")
TUNE = ("--feature-type", "WHISPER", "--model-type", "linear", "--encoder", TINY, "--layers", "1,2", "--pooling", "all", "--split-fold", "0",
        "--fine-tune", "--fine-tune-steps", "3", "--embed-encoder", "--jobs", "2")


@functools.cache  # each test has the same ones
def voiced(pitch):
    return voice(pitch, 0.6)


class FineTune(Case):
    def make(self, name, emotions, shift):
        os.makedirs(self.path(name))
        with open(self.path(name + ".csv"), "w") as f:
            f.write("file,emotion,speaker\n")
            for k, emotion in enumerate(emotions):
                for i in range(6):
                    write_wav(self.path(f"{name}/{emotion}{i}.wav"), voiced(120 + 60 * k + 5 * i + shift))
                    f.write(f"{name}/{emotion}{i}.wav,{emotion},s{i % 3}\n")
        return self.path(name + ".csv")

    def train(self, data, run, *more, status=0):
        return self.ser("train", "--data", data, *TUNE, *more, "--run", self.path(run), status=status)

    def setUp(self):
        super().setUp()
        self.one = self.make("one", ("angry", "sad", "neutral"), 0)
        self.two = self.make("two", ("angry", "neutral", "surprised"), 9)

    def check_rule(self, report, path):
        """When an answer gets a label, computed again from the answers of the parts left out."""
        with open(path) as f:
            answers = [json.loads(line) for line in f]
        said = []
        for a in answers:
            p = {k: math.exp(z / report["temperature"]) for k, z in a["logits"].items() if z > -1e3}
            best = max(p, key=p.get)
            said.append((p[best] / sum(p.values()), best in ("neutral", "calm"), best == a["emotion"]))
        said.sort(reverse=True)
        right = sum(r for _, _, r in said) / len(said)
        least = said[(len(said) - 1) // 2][0]
        plain = [(c, r) for c, is_plain, r in said if is_plain]
        shares = [sum(r for _, r in plain[:i + 1]) / (i + 1) for i in range(len(plain))]
        least_plain = min([least, *(c for (c, _), share in zip(plain, shares) if share >= right)])
        labelled = [r for c, is_plain, r in said if c >= (least_plain if is_plain else least)]
        for key, value in (("min_confidence", least), ("min_confidence_plain", least_plain), ("right", right),
                           ("labelled", len(labelled) / len(said)), ("right_above", sum(labelled) / len(labelled))):
            self.assertAlmostEqual(report[key], value, 3, key)
        self.assertIsInstance(report["ece"], float)

    def check_history(self, run, parts):
        """A line for each epoch of each training, of which there is one here: 3 batches."""
        with open(self.path(run + "/history.jsonl")) as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([(e["part"], e["epoch"]) for e in lines], [(part, 1) for part in parts])
        for e in lines:
            self.assertTrue(e["train_loss"] > 0 and 0 <= e["train_accuracy"] <= 100 and e["rate"] > 0, e)

    def test_many_corpora(self):
        self.train(self.one + "+" + self.two, "a")
        with open(self.path("a/report.json")) as f:
            report = json.load(f)
        self.assertEqual([p["left_out"] for p in report["parts_left_out"]], ["one", "two"])
        self.assertEqual([p["n"] for p in report["parts_left_out"]], [12, 12])  # of each, two emotions were heard elsewhere
        self.check_rule(report, self.path("a/left-out.jsonl"))
        self.check_history("a", ["without one", "without two", "final encoder"])
        self.assertEqual(sorted(os.listdir(self.path("a/encoder"))), ["config.json", "head.safetensors", "learned-from.json", "model.safetensors", "preprocessor_config.json"])
        self.assertFalse([n for n in os.listdir(self.path("a")) if n.startswith("tuning")])
        out, _ = self.ser("predict", "--model", self.path("a/model.safetensors"), "--format", "json", "--min-confidence", "0", self.path("one/angry0.wav"))
        answer = json.loads(out)
        self.assertEqual(sorted(answer["scores"]), ["angry", "neutral", "sad", "surprised"])
        self.train(self.one + "+" + self.two, "b", "--jobs", "1")  # the same bits, by any number of threads
        with open(self.path("a/model.safetensors"), "rb") as a, open(self.path("b/model.safetensors"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        self.train(self.one + "+" + self.two, "c", "--fine-tune-from", "1")  # another training
        with open(self.path("a/model.safetensors"), "rb") as a, open(self.path("c/model.safetensors"), "rb") as c:
            self.assertNotEqual(a.read(), c.read())

    def evaluate(self, encoder, *more, status=0):
        """Of corpus one, three folds of a speaker each: the report, what was printed."""
        out, err = self.ser("evaluate", "--data", self.one, "--feature-type", "WHISPER", "--encoder", self.path(encoder), "--pooling", "all", "--augment", "none",
                            "--protocol", "loso", "--jobs", "2", *more, "--json", self.path("e.json"), status=status)
        if status:
            return err
        with open(self.path("e.json")) as f:
            return json.load(f), out

    def test_linear_models_start_from_the_encoders_head(self):
        self.train(self.one + "+" + self.two, "a", "--keep-encoders", "--precision", "fp32")
        with open(self.path("a/left-out.jsonl")) as f:
            said = {os.path.basename(a["file"]): a["logits"] for a in map(json.loads, f) if a["left_out"] == "one"}
        self.assertEqual(len(said), 12)
        unheard = self.path("a/encoder-without-one")
        head = unheard + "/head.safetensors"
        metadata, tensors = self.read(head)
        self.assertEqual(json.loads(metadata["ser.labels"]), ["angry", "neutral", "surprised"])

        # a model file like others
        answers, _ = self.ser("predict", "--model", head, "--encoder", unheard, "--precision", "fp32", "--format", "json", *(self.path("one/" + n) for n in said))
        answers = [a for a in map(json.loads, answers.splitlines()) if a["scores"]]
        self.assertGreater(len(answers), 3)  # the others have no voice in them by the voice detector
        for a in answers:
            z = said[os.path.basename(a["file"])]
            for emotion in ("angry", "surprised"):
                self.assertAlmostEqual(math.log(a["scores"][emotion] / a["scores"]["neutral"]), z[emotion] - z["neutral"], 2)

        # with a penalty that lets nothing be learned, that is what linear models say: but for a fold's bias and temperature
        note = "The encoder has learned from two, and the linear model starts from its head\n"
        report, out = self.evaluate("a/encoder-without-one", "--layers", "1,2", "--c", "1e-6")
        self.assertIn(note, out)
        self.assertTrue(report["starts_from_head"])
        shutil.copy(self.path("e.json"), self.path("with.json"))
        folds = [[], [], []]
        for p in report["predictions"]:
            name = os.path.basename(p["file"])
            if name in said:
                z = said[name]
                folds[int(name[-5]) % 3].append((z["angry"] - z["neutral"], math.log(p["scores"]["angry"] / p["scores"]["neutral"])))
        for pairs in folds:
            self.assertEqual(len(pairs), 4)
            x, y = numpy.array(pairs).T
            slope, start = numpy.polyfit(x, y, 1)
            self.assertGreater(slope, 0)
            self.assertLess(abs(slope * x + start - y).max(), 0.02 * (y.max() - y.min()))

        # so do models that are kept, and they say so
        self.ser("train", "--data", self.one, "--feature-type", "WHISPER", "--model-type", "linear", "--encoder", unheard, "--layers", "1,2", "--pooling", "all",
                 "--augment", "none", "--c", "1e-6", "--split-fold", "3", "--run", self.path("k"))
        with open(self.path("k/report.json")) as f:
            self.assertTrue(json.load(f)["starts_from_head"])
        self.assertIn("starts_from_head", self.read(self.path("k/model.safetensors"))[0]["ser.provenance"])
        answers, _ = self.ser("predict", "--model", self.path("k/model.safetensors"), "--encoder", unheard, "--precision", "fp32", "--format", "json",
                              *(self.path("one/" + n) for n in said))
        points = [(said[n]["angry"] - said[n]["neutral"], math.log(a["scores"]["angry"] / a["scores"]["neutral"]))
                  for a in map(json.loads, answers.splitlines()) if a["scores"] for n in [os.path.basename(a["file"])]]
        x, y = numpy.array(points).T
        slope, start = numpy.polyfit(x, y, 1)
        self.assertLess(abs(slope * x + start - y).max(), 0.02 * (y.max() - y.min()))

        # where features are others than it reads, and where voices have a baseline, nothing of it
        for other in (("--layers", "1"), ("--layers", "1,2", "--normalize", "speaker"), ("--layers", "1,2", "--normalize", "corpus"), ("--layers", "weighted")):
            report, out = self.evaluate("a/encoder-without-one", *other)
            self.assertNotIn("starts_from_head", report)
            self.assertIn("The encoder has learned from two\n", out)
        self.assertIn(note, self.evaluate("a/encoder-without-one", "--layers", "2,1")[1])

        # who has it and who has not do not compare, and do not join
        one_fold = ("evaluate", "--data", self.one, "--feature-type", "WHISPER", "--encoder", unheard, "--layers", "1,2", "--pooling", "all", "--augment", "none",
                    "--protocol", "loso")
        self.ser(*one_fold, "--fold", "1", "--run", self.path("f1"))
        os.rename(head, self.path("away"))
        self.ser(*one_fold, "--fold", "2", "--run", self.path("f2"))
        self.ser(*one_fold, "--fold", "3", "--run", self.path("f3"))
        _, err = self.ser("merge", self.path("f1"), self.path("f2"), self.path("f3"), "-o", self.path("m"), status=1)
        self.assertIn("encoder's head", err)
        _, err = self.ser("evaluate", "--reproduce", self.path("with.json"), status=1)
        self.assertIn("beside this encoder lies none", err)
        os.rename(self.path("away"), head)
        self.ser("evaluate", "--reproduce", self.path("with.json"))

        # one that is of other weights, or broken
        shutil.copy(self.path("a/encoder/head.safetensors"), head)
        self.assertIn("head.safetensors: it is not the head of these weights: remove it", self.evaluate("a/encoder-without-one", "--layers", "1,2", status=1))
        with open(head, "wb") as f:
            f.write(b"\x08" + bytes(7) + b"{}      ")
        self.assertIn("head.safetensors: ", self.evaluate("a/encoder-without-one", "--layers", "1,2", status=1))
        os.remove(head)
        self.assertNotIn(note, self.evaluate("a/encoder-without-one", "--layers", "1,2")[1])

    def read(self, path):
        """Of a model file: its metadata, {name: (type, shape, bytes)}."""
        with open(path, "rb") as f:
            n = int.from_bytes(f.read(8), "little")
            header, data = json.loads(f.read(n)), f.read()
        return header.pop("__metadata__"), {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}

    def write(self, path, metadata, tensors):
        header, data = {"__metadata__": metadata}, b""
        for name, (kind, shape, content) in tensors.items():
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
            data += content
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as f:
            f.write(len(text).to_bytes(8, "little") + text + data)

    def check_tests_lower_it_too(self, model):
        """Scores beyond the reach as ser predict has them, in the predictions of ser test and of ser test-cross-corpus."""
        both = self.one + "+" + self.two
        for name, how in (("test", ("--data", both)), ("test-cross-corpus", ("--data", both, "--target", self.two, "--normalize", "none"))):
            self.ser(name, *how, "--test-path", model, "--precision", "fp32", "--json", self.path("tested.json"))
            with open(self.path("tested.json")) as f:
                tested = {os.path.basename(p["file"]): p["scores"] for p in json.load(f)["predictions"] if "two/" in p["file"]}
            out, _ = self.ser("predict", "--explain", "--model", model, "--precision", "fp32", "--format", "json", *(self.path("two/" + n) for n in tested))
            heard = [(a, tested[os.path.basename(a["file"])]) for a in map(json.loads, out.splitlines()) if a["scores"]]
            self.assertGreater(len(heard), 3)  # the others have no voice in them by the voice detector
            for answer, scores in heard:
                self.assertGreater(answer["unlike"], 1.1)
                for emotion, p in answer["scores"].items():
                    self.assertAlmostEqual(p, scores[emotion], 4)

    def test_how_unlike_recordings_are(self):
        self.train(self.one + "+" + self.two, "a", "--keep-encoders")
        with open(self.path("a/report.json")) as f:
            report = json.load(f)
        with open(self.path("a/left-out.jsonl")) as f:
            lines = f.read()
        away = sorted(json.loads(line)["distance"] for line in lines.splitlines())
        self.assertAlmostEqual(report["reach"], away[math.ceil(0.99 * len(away)) - 1], 4)
        for part in report["parts_left_out"]:
            own = sorted(a["distance"] for a in map(json.loads, lines.splitlines()) if a["left_out"] == part["left_out"])
            self.assertAlmostEqual(part["distance"]["half"], own[math.ceil(0.5 * len(own)) - 1], 4)
        self.assertGreater(report["temperature_per_reach"], 0)
        model = self.path("a/model.safetensors")
        metadata, tensors = self.read(model)
        vectors = {k: numpy.frombuffer(tensors["unlike." + k][2], numpy.float32) for k in ("mean", "scale", "reach")}
        self.assertEqual(len(vectors["mean"]), len(vectors["scale"]))
        self.assertAlmostEqual(float(vectors["reach"][0]), report["reach"], 5)
        # An answer's distance, computed again from what the model reads; half of it, the active frames', does not count.
        (answer,) = map(json.loads, self.ser("predict", "--explain", "--model", model, "--format", "json", self.path("one/angry0.wav"))[0].splitlines())
        used = vectors["scale"] != 0
        self.assertTrue(used.any())
        self.assertLessEqual(used.sum(), len(used) / 2)
        self.ser("extract", "--feature-type", "WHISPER", "--layers", "1,2", "--encoder", self.path("a/encoder"), "-o", self.path("x.npy"), self.path("one/angry0.wav"))
        pooled = [s(block, axis=0) for block in numpy.split(numpy.load(self.path("x.npy")), 2, axis=1) for s in (numpy.mean, numpy.std) * 2]
        away = numpy.abs((numpy.concatenate(pooled) - vectors["mean"]) * vectors["scale"])[used].mean() / report["reach"]
        self.assertAlmostEqual(answer["unlike"], away, delta=0.1 * away)  # the encoder in the file has weights of 8 bits
        # The same recordings, beyond a reach that is hardly any: less confident, and told.
        near = dict(tensors, **{"unlike.reach": ("F32", [1], numpy.float32(report["reach"] / 4).tobytes())})
        self.write(self.path("near.safetensors"), metadata, near)
        out = self.ser("predict", "--explain", "--model", self.path("near.safetensors"), "--format", "json", self.path("one/angry0.wav"))[0]
        far = json.loads(out)
        self.assertAlmostEqual(far["unlike"], 4 * answer["unlike"], 2)
        self.assertEqual(far["note"], "unlike the training recordings")
        factor = 1 + report["temperature_per_reach"] * (far["unlike"] - 1)
        even = {k: p ** (1 / factor) for k, p in answer["scores"].items()}
        for k, p in far["scores"].items():
            self.assertAlmostEqual(p, even[k] / sum(even.values()), 3)
        self.check_tests_lower_it_too(self.path("near.safetensors"))
        # A run of before, which has no such thing, gets it from the encoders that it kept; all else stays as it is.
        old = {k: v for k, v in tensors.items() if not k.startswith("unlike.")}
        self.write(model, metadata, old)
        plain = json.loads(self.ser("predict", "--explain", "--model", model, "--format", "json", self.path("one/angry0.wav"))[0])
        self.assertIsNone(plain["unlike"])
        if answer["unlike"] <= 1:
            self.assertEqual(plain["scores"], answer["scores"])
        before = "".join(line[:line.index(', "distance"')] + "}\n" for line in lines.splitlines())
        for other, said in (("\n" + before, "line 1 is not"), (before[:before.rindex("{\"file")], "lines, and"), (before + before, "is not of")):
            with open(self.path("a/left-out.jsonl"), "w") as f:
                f.write(other)
            self.assertIn(said, self.ser("train", "--resume", self.path("a"), status=1)[1])
            with open(self.path("a/left-out.jsonl")) as f:
                self.assertEqual(f.read(), other)
        with open(self.path("a/left-out.jsonl"), "w") as f:
            f.write(before[:-1])  # its last line without an end
        self.ser("train", "--resume", self.path("a"))
        with open(self.path("a/left-out.jsonl")) as f:
            self.assertEqual(f.read(), lines)
        with open(self.path("a/report.json")) as f:
            self.assertEqual(json.load(f), report)
        self.assertEqual(self.read(model)[1], tensors)
        shutil.rmtree(self.path("a/encoder-without-two"))  # without them nothing happens
        self.write(model, metadata, old)
        self.ser("train", "--resume", self.path("a"))
        self.assertEqual(self.read(model)[1], old)
        shutil.rmtree(self.path("a/encoder-without-one"))  # and the corpus need not be there
        os.rename(self.one, self.path("gone.csv"))
        self.ser("train", "--resume", self.path("a"))
        os.makedirs(self.path("a/encoder-without-one"))
        os.remove(model)
        self.ser("train", "--resume", self.path("a"))

    def tensors(self, path):
        """Of a safetensors file: {name: array}."""
        with open(path, "rb") as f:
            n = int.from_bytes(f.read(8), "little")
            header, data = json.loads(f.read(n)), f.read()
        kinds = {"F64": numpy.float64, "F32": numpy.float32, "F16": numpy.float16}
        return {name: numpy.frombuffer(data[slice(*t["data_offsets"])], kinds[t["dtype"]]).reshape(t["shape"])
                for name, t in header.items() if name != "__metadata__"}

    def weights_of(self, folder):
        """Of a checkpoint: {name: array}."""
        return {name: w.astype(float) for name, w in self.tensors(os.path.join(folder, "model.safetensors")).items()}

    def way(self, run, *options):
        """What the encoder became, less what it was, and its numbers in a row."""
        self.train(self.one + "+" + self.two, run, *options)
        before, after = self.weights_of(TINY), self.weights_of(self.path(run + "/encoder"))
        return {name: after[name] - w for name, w in before.items() if name in after}

    def test_each_option_does_what_it_says(self):
        def length(way):
            return math.sqrt(sum(float((w ** 2).sum()) for w in way.values()))
        usual = self.way("usual", "--fine-tune-blend", "1", "--fine-tune-steps", "6")
        matrix = next(n for n in usual if n.endswith("layers.0.fc1.weight"))
        stem = next(n for n in usual if n.endswith("conv1.weight"))
        self.assertGreater(length(usual), 0)
        self.assertGreater(abs(usual[stem]).max(), 0)
        self.assertEqual(length(self.way("head", "--fine-tune-steps", "0")), 0)
        # the mean of two heads: one reads all means, the other what stands above the lowest layer
        tensors = self.read(self.path("head/encoder/head.safetensors"))[1]
        n_labels, n_in = tensors["plain.weight"][1]
        weights = abs(numpy.frombuffer(tensors["plain.weight"][2], numpy.float32).reshape(n_labels, 2, -1, usual[stem].shape[0])).max(axis=(0, 3))
        self.assertEqual(weights.shape[1] * 2 * usual[stem].shape[0], n_in)
        self.assertEqual(weights[0, 1], 0)  # deviations of the lowest layer
        self.assertTrue(weights[0, 0] > 0 and weights[1, 0] > 0 and weights[1, 1] > 0, weights)
        self.way("head-mixed", "--fine-tune-steps", "0", "--fine-tune-mixup", "0.4")  # the head is fitted to what is not mixed
        with open(self.path("head/left-out.jsonl")) as a, open(self.path("head-mixed/left-out.jsonl")) as b:
            self.assertEqual(a.read(), b.read())
        self.assertEqual(length(self.way("start", "--fine-tune-blend", "0", "--fine-tune-steps", "6")), 0)
        half = self.way("half", "--fine-tune-blend", "0.5", "--fine-tune-steps", "6")
        self.assertAlmostEqual(length(half) / length(usual), 0.5, 3)
        slow = self.way("slow", "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--fine-tune-rate", "1e-6")
        self.assertLess(length(slow), length(usual) / 20)
        pulled = self.way("pulled", "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--fine-tune-pull", "9000")
        self.assertLess(length(pulled), length(usual) / 2)
        low = self.way("low", "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--lora", "2")
        little = self.way("little", "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--lora", "2", "--lora-alpha", "1")
        self.assertLess(length(little), length(low) / 4)
        self.assertEqual(abs(low[stem]).max(), 0)
        soup = self.way("low-soup", "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--lora", "2", "--fine-tune-soup", "3")
        self.assertEqual(abs(soup[stem]).max(), 0)
        self.assertGreater(abs(soup[matrix] - low[matrix]).max(), 0)
        sizes = numpy.linalg.svd(low[matrix], compute_uv=False)
        self.assertGreater(sizes[1], 0)
        self.assertLess(sizes[2], sizes[1] / 100)
        self.assertGreater(numpy.linalg.svd(usual[matrix], compute_uv=False)[2], 0)
        self.two = self.make("few", ("angry", "neutral"), 9)  # corpora of unlike sizes
        alike, by_size = (self.way("balance" + e, "--fine-tune-blend", "1", "--fine-tune-steps", "6", "--fine-tune-balance", e) for e in ("0", "1"))
        self.assertGreater(abs(alike[matrix] - by_size[matrix]).max(), 0)
        self.two = self.path("two.csv")
        for i, other in enumerate((("--fine-tune-mixup", "0.4"), ("--fine-tune-plain",), ("--fine-tune-neutral", "9"))):
            changed = self.way(f"other{i}", "--fine-tune-blend", "1", "--fine-tune-steps", "6", *other)
            self.assertGreater(abs(changed[matrix] - usual[matrix]).max(), 0, other)

    def test_listeners_votes_are_learned_from(self):
        with open(self.path("one.votes.csv"), "w") as f:
            f.write("utterance,angry,sad,neutral\nangry0,0,9,1\nsad1,1,3,6\n")
        matrix, ways = "layers.0.fc1.weight", []
        for share in ("0", "0.5", "1"):
            way = self.way("votes" + share, "--fine-tune-votes", share)
            ways.append(next(w for n, w in way.items() if n.endswith(matrix)))
        self.assertGreater(abs(ways[0] - ways[1]).max(), 0)
        self.assertGreater(abs(ways[2] - ways[1]).max(), 0)

    def test_a_corpus_of_any_name_is_remembered(self):
        self.train(self.make("x+\x01y", ("angry", "sad"), 0), "a")
        with open(self.path("a/encoder/learned-from.json")) as f:
            self.assertEqual(json.load(f)["corpora"], ["x__y"])

    def test_frozen_layers_are_heard_once(self):
        options = ("--fine-tune-from", "1", "--fine-tune-copies", "2", "--fine-tune-blend", "1")
        a, b = self.way("a", *options, "--jobs", "1"), self.way("b", *options)
        frozen = [n for n in a if "layers.0." in n or "conv" in n]
        self.assertTrue(frozen and all(abs(a[n]).max() == 0 for n in frozen))
        learned = [n for n in a if "layers.1." in n]
        self.assertTrue(any(abs(a[n]).max() > 0 for n in learned))
        self.assertTrue(all((a[n] == b[n]).all() for n in learned))
        anew = self.way("anew", "--fine-tune-from", "1", "--fine-tune-blend", "1")
        self.assertTrue(any(abs(anew[n] - a[n]).max() > 0 for n in learned))

    def test_options_that_do_not_go_together(self):
        for options, said in ((("--lora", "2", "--fine-tune-pull", "1"), "give one of the two"),
                              (("--fine-tune-from", "1", "--fine-tune-copies", "2", "--fine-tune-mixup", "0.4"), "give one of the two"),
                              (("--fine-tune-copies", "2"), "give --fine-tune-from, too"), (("--lora-alpha", "0"), "--lora-alpha"),
                              (("--fine-tune-blend", "1.5"), "from 0 to 1"), (("--fine-tune-soup", "0"), "from 1 to 10"),
                              (("--fine-tune-soup", "2", "--fine-tune-steps", "0"), "give --fine-tune-steps, too"), (("--lora", "9999"), "from 0 to 1024")):
            _, err = self.train(self.one, "x", *options, status=2)
            self.assertIn(said, err)

    def learned_from(self, folder):
        with open(self.path(folder + "/learned-from.json")) as f:
            said = json.load(f)
        return said["corpora"], len(set(said["recordings"]))

    def test_encoders_that_did_not_hear_a_corpus_are_kept(self):
        both = self.one + "+" + self.two
        self.train(both, "a", "--keep-encoders")
        weights = []
        for name, corpora in (("encoder", ["one", "two"]), ("encoder-without-one", ["two"]), ("encoder-without-two", ["one"])):
            with open(self.path(f"a/{name}/model.safetensors"), "rb") as f:
                weights.append(f.read())
            self.assertEqual(self.learned_from("a/" + name), (corpora, 18 * len(corpora)))
        self.assertEqual(len(set(weights)), 3)
        _, err = self.ser("train", "--data", both, "--keep-encoders", "--run", self.path("b"), status=2)
        self.assertIn("it is for --fine-tune", err)

        # an encoder's own recordings test nothing that is built on it
        reads = ("--feature-type", "WHISPER", "--layers", "1,2", "--augment", "none", "--model-type", "linear", "--jobs", "2")
        heard, unheard = ("--encoder", self.path("a/encoder")), ("--encoder", self.path("a/encoder-without-one"))
        again = [o for o in TUNE if o not in ("--encoder", TINY, "--embed-encoder")]
        for command in (("evaluate", "--data", self.one, *reads, "--protocol", "group-kfold=3"), ("train", "--data", self.one, *reads, "--split-fold", "3"),
                        ("train-lmmd", "--data", self.two, "--target", self.one, *reads), ("train", "--data", self.one, *again),
                        ("evaluate", "--data", self.one, *(o for o in again if o not in ("--split-fold", "0")), "--protocol", "group-kfold=3")):
            _, err = self.ser(*command, *heard, "--run", self.path("c"), status=2)
            self.assertIn(f"{self.path('a/encoder')} learned from 18 of the 18 recordings of one, which would be tested", err)
        out, _ = self.ser("evaluate", "--data", self.one, *reads, *unheard, "--protocol", "group-kfold=3", "--json", self.path("e.json"), "--run", self.path("e"))
        self.assertIn("The encoder has learned from two, and the linear model starts from its head\n", out)
        with open(self.path("e.json")) as f:
            self.assertEqual(json.load(f)["encoder_learned_from"], "two")

        # where nothing is tested, what was chosen and calibrated is said to be of recordings that it knows
        only = ("--encoder", self.path("a/encoder-without-two"))
        for run, command in (("h", ("train", "--data", self.one, *reads, *heard, "--split-fold", "0")), ("l", ("train-lmmd", "--data", self.one, "--target", self.two, *reads, *only))):
            _, err = self.ser(*command, "--run", self.path(run))
            self.assertIn("The encoder has learned from 18 of the 18 recordings of one: what is chosen", err)
            with open(self.path(run + "/report.json")) as f:
                self.assertEqual(json.load(f)["encoder_heard"], 18)

        # what is built on it knows what it knew
        _, err = self.ser("train", "--data", self.one, *reads, *unheard, "--split-fold", "0", "--run", self.path("d"))
        self.assertNotIn("The encoder has learned", err)
        with open(self.path("d/report.json")) as f:
            self.assertNotIn("encoder_heard", json.load(f))
        out, _ = self.ser("info", self.path("d/model.safetensors"))
        self.assertIn('"trained_on":36', out)
        self.assertIn('"encoder_learned_from":"two"', out)
        _, err = self.ser("test-cross-corpus", "--data", self.one, "--target", self.two, "--test-path", self.path("d/model.safetensors"), *unheard, "--run", self.path("t"))
        self.assertIn("1 of 1 models were trained on recordings of this test, up to 18 of 18", err)
        self.ser("train", "--data", self.one, *again, *unheard, "--run", self.path("f"))
        self.assertEqual(self.learned_from("f/encoder"), (["two", "one"], 36))

    def test_an_encoder_that_says_nonsense_of_what_it_learned_from(self):
        hashes = ["0123456789abcdef"]
        shutil.copytree(TINY, self.path("tuned"))
        for said, words in (("{", "learned-from.json: line 1"), ("[]", "no lists"), ({"corpora": ["a"]}, "no lists"), ({"corpora": [1], "recordings": hashes}, "corpora[0]"),
                            ({"corpora": ["a" * 1001], "recordings": hashes}, "corpora[0]"), ({"corpora": ["a"], "recordings": [*hashes, "0123456789abcdeg"]}, "recordings[1]"),
                            ({"corpora": ["a"], "recordings": hashes[0]}, "no lists"), ({"corpora": ["a"], "recordings": [None]}, "recordings[0]")):
            with open(self.path("tuned/learned-from.json"), "w") as f:
                f.write(said if isinstance(said, str) else json.dumps(said))
            _, err = self.ser("evaluate", "--data", self.one, "--encoder", self.path("tuned"), "--protocol", "group-kfold=3", "--run", self.path("e"), status=1)
            self.assertIn(words, err)
            self.assertEqual(err.count("\n"), 1, err)

    def test_a_model_with_its_encoder_inside_is_tested_without_another(self):
        both = self.one + "+" + self.two
        self.train(both, "a")
        for more, figures in ((), "t"), (("--encoder", self.path("a/encoder")), "u"):
            _, err = self.ser("test", "--data", both, "--test-path", self.path("a/model.safetensors"), *more, "--precision", "fp32", "--json", self.path(figures + ".json"))
            self.assertIn("1 of 1 models were trained on recordings of this test", err)
        with open(self.path("t.json")) as f, open(self.path("u.json")) as g:
            carried, whole = json.load(f), json.load(g)
        self.assertNotEqual(carried["encoder_sha256"], whole["encoder_sha256"])  # one has weights of 8 bits
        self.assertAlmostEqual(carried["ua"], whole["ua"], delta=15)
        files = [p["file"].split("/", 1)[1] for p in carried["predictions"]]  # joined corpora stand in front
        out, _ = self.ser("predict", "--model", self.path("a/model.safetensors"), "--format", "json", "--precision", "fp32", *(self.path(f) for f in files))
        heard = [(a["scores"], p["scores"]) for a, p in zip(map(json.loads, out.splitlines()), carried["predictions"]) if a["scores"]]
        self.assertGreater(len(heard), 3)  # the others have no voice in them by the voice detector
        for answer, tested in heard:
            for emotion, p in answer.items():
                self.assertAlmostEqual(p, tested[emotion], 4)

    def test_evaluate_says_what_the_training_said(self):
        both = self.one + "+" + self.two
        self.train(both, "a")
        with open(self.path("a/report.json")) as f:
            parts = json.load(f)["parts_left_out"]
        with open(self.path("a/left-out.jsonl")) as f:
            answers = [json.loads(line) for line in f]
        self.assertEqual(len(answers), 24)
        for part in parts:  # the figures follow from the answers that are kept
            mine = [a for a in answers if a["left_out"] == part["left_out"]]
            present = sorted({a["emotion"] for a in mine})
            right = lambda e, of: [max(of(a), key=a["logits"].get) == e for a in mine if a["emotion"] == e]
            for key, of in (("ua_restricted", lambda a: present), ("ua_open", lambda a: a["logits"])):
                shares = [sum(r) / len(r) for r in (right(e, of) for e in present)]
                self.assertAlmostEqual(100 * sum(shares) / len(shares), part[key], places=4)
            # of so few recordings all are asked again
            self.assertEqual(sorted(part["conditions"]), ["clipped", "echo", "noise", "none", "quiet", "telephone"])
            self.assertAlmostEqual(part["conditions"]["none"], part["ua_restricted"], places=4)
        options = [o for o in TUNE if o not in ("--split-fold", "0", "--embed-encoder")]
        self.ser("evaluate", "--data", both, *options, "--protocol", "loco", "--run", self.path("e"))
        with open(self.path("e/report.json")) as f:
            report = json.load(f)
        for key in ("ua_restricted", "ua_open"):
            self.assertAlmostEqual(report[key], sum(p[key] for p in parts) / len(parts), places=4)
        self.assertFalse([n for n in os.listdir(self.path("e")) if "state" in n])
        self.check_history("e", ["fold one", "fold two"])
        self.assertEqual(report["config"]["augment"], "none")
        _, err = self.ser("evaluate", "--data", both, *options, "--protocol", "loco", "--normalize", "speaker", "--run", self.path("n"), status=2)
        self.assertIn("--normalize", err)

    def test_a_fold_alone_needs_room_for_its_own_states(self):
        """On a disk that two states of 1.3 MB fit on, of three that all folds need."""
        small = self.path("small")
        os.makedirs(small)
        mounted = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=3m none "$0" && { [ $# = 0 ] || "$@"; }', small]
        if not shutil.which("unshare") or subprocess.run(mounted, stderr=subprocess.DEVNULL).returncode:
            self.skipTest("no disk can be mounted here")
        options = [o for o in TUNE if o not in ("--split-fold", "0", "--embed-encoder")]
        command = [*mounted, SER, "evaluate", "--data", self.one + "+" + self.two, *options, "--fine-tune-steps", "1", "--protocol", "loco", "--run", small + "/r"]
        for more, status, said in (((), 1, b"the states of the trainings to come take"), (("--fold", "1"), 0, b"")):
            p = subprocess.run([*command, *more], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=600)
            self.assertEqual(p.returncode, status, p.stderr)
            self.assertIn(said, p.stderr)

    def test_an_honest_run_that_was_killed_goes_on(self):
        options = [o for o in TUNE if o not in ("--split-fold", "0", "--embed-encoder")]
        command = ["evaluate", "--data", self.one + "+" + self.two, *options, "--fine-tune-steps", "1", "--fine-tune-soup", "2", "--protocol", "loco", "--honest"]
        self.ser(*command, "--run", self.path("whole"))
        p = subprocess.Popen([SER, *command, "--run", self.path("killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(p.kill)
        states = self.path("killed/fold-group-kfold=5-2/state-1.safetensors")  # the third protocol's
        while p.poll() is None and not os.path.exists(states):
            time.sleep(0.01)
        p.kill()
        p.wait()
        self.assertEqual(len(glob.glob(self.path("killed/fold-kfold=5-?/state-[12].safetensors"))), 10)
        self.assertTrue(os.path.exists(states))
        self.ser("evaluate", "--resume", self.path("killed"))
        reports = []
        for run in ("whole", "killed"):
            with open(self.path(run + "/report.json")) as f:
                reports.append(json.load(f))
            self.assertFalse([n for n in os.listdir(self.path(run)) if "fold" in n])
        self.assertEqual(*reports)
        folds = ["fold one", "fold two", *(f"fold {p}-{i}" for p in ("kfold=5", "group-kfold=5") for i in range(1, 6))]
        self.check_history("killed", [part for part in folds for _ in range(2)])
        self.assertEqual(sum("ua" in row for row in reports[0]["honest"]), 3)

    def test_a_soup_is_the_mean_of_its_trainings(self):
        """Stopped when all have learned, by a file where the encoder would be: their states say what came of each."""
        command = ("train", "--data", self.one + "+" + self.two, *TUNE, "--fine-tune-steps", "6", "--fine-tune-blend", "1", "--fine-tune-soup", "2")
        self.ser(*command, "--run", self.path("whole"))
        p = subprocess.Popen([SER, *command, "--run", self.path("a")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(p.kill)
        while p.poll() is None and not os.path.exists(self.path("a/tuning-1.safetensors")):
            time.sleep(0.01)
        p.kill()
        p.wait()
        with open(self.path("a/encoder"), "w"):
            pass
        _, err = self.ser("train", "--resume", self.path("a"), status=1)
        self.assertIn("encoder", err)
        states = [self.tensors(self.path(f"a/tuning-{i}.safetensors"))["average"] for i in range(1, 7)]
        for one, other in zip(states[::2], states[1::2]):
            self.assertGreater(abs(one - other).max(), 0)
        os.remove(self.path("a/encoder"))
        self.ser("train", "--resume", self.path("a"))
        weights = self.tensors(self.path("a/encoder/model.safetensors"))
        laid_out_otherwise = (".conv1.weight", ".conv2.weight", ".fc2.weight", "embed_positions.weight")  # or never learned
        for name, w in weights.items():  # each lies somewhere in the states in one piece
            w, mean = w.ravel(), ((states[4] + states[5]) / 2).astype(w.dtype)
            places = numpy.flatnonzero(mean[:mean.size - w.size + 1] == w[0])
            self.assertTrue(name.endswith(laid_out_otherwise) or any((mean[i:i + w.size] == w).all() for i in places), name)
        for run in ("a", "whole"):
            self.check_history(run, [part for part in ("without one", "without two", "final encoder") for _ in range(2)])
            self.assertFalse([n for n in os.listdir(self.path(run)) if n.startswith("tuning")])
        with open(self.path("a/model.safetensors"), "rb") as a, open(self.path("whole/model.safetensors"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        with open(self.path("a/history.jsonl")) as f:
            self.assertEqual([json.loads(line)["network"] for line in f], [1, 2] * 3)

    def test_one_corpus_leaves_speakers_out(self):
        self.train(self.one, "a")
        with open(self.path("a/report.json")) as f:
            self.assertEqual(len(json.load(f)["parts_left_out"]), 3)

    def test_what_cannot_be_left_out_is_told_before_anything_is_learned(self):
        strange = self.make("strange", ("bliss", "gloom"), 9)
        alone = self.path("alone.csv")
        with open(self.one) as f, open(alone, "w") as g, open(self.path("nobody.csv"), "w") as h, open(self.path("each.csv"), "w") as e:
            for line in f:
                head = line.startswith("file,")
                g.write(line if head else line.rsplit(",", 1)[0] + ",s0\n")
                h.write(line if head else line.rsplit(",", 1)[0] + ",\n")
                e.write(line if head else line.rsplit(",", 1)[0] + "," + line.split(",")[1] + "\n")
        options = [o for o in TUNE if o not in ("--split-fold", "0", "--embed-encoder")]
        for k, (data, words) in enumerate(((self.one + "+" + strange, "is one of the others'"), (alone, "fewer than three"),
                                           (self.path("nobody.csv"), "not all known"), (self.path("each.csv"), "some speakers alone"))):
            _, err = self.train(data, f"x{k}", status=2)
            self.assertIn(words, err)
            self.assertFalse(os.path.exists(self.path(f"x{k}")))
        _, err = self.train(self.one + "+" + self.two + "+" + strange, "three")
        self.assertIn("strange: no emotion of it is one of the others'", err)
        with open(self.path("three/report.json")) as f:
            part = json.load(f)["parts_left_out"][2]
        self.assertEqual((part["left_out"], part["n"], part["ua_restricted"], part["conditions"]["none"]), ("strange", 0, None, None))
        _, err = self.ser("evaluate", "--data", self.one + "+" + strange, *options, "--protocol", "loco", "--run", self.path("e"), status=2)
        self.assertIn("is one of the others'", err)
        self.assertFalse(os.path.exists(self.path("e")))

    def test_what_does_not_fit(self):
        for k, (args, status, words) in enumerate(((("--layers", "auto"), 2, "name the layers"), (("--feature-type", "LOGMEL", "--layers", "auto"), 2, "Whisper"),
                                                   (("--split-fold", "2"), 2, "split-fold 0"), (("--model-type", "timnet"), 2, "linear"),
                                                   (("--layers", "1,9"), 2, "9"), (("--fine-tune-from", "2"), 2, "from"))):
            _, err = self.train(self.one, f"x{k}", *args, status=status)
            self.assertIn(words, err)
            self.assertLessEqual(err.count("\n"), 3, err)
            self.assertFalse(os.path.exists(self.path(f"x{k}")), args)


if __name__ == "__main__":
    unittest.main()
