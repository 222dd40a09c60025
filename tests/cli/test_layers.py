#!/usr/bin/env python3
"""A learned weighting of all layers, with tiny checkpoints.

Usage: test_layers.py PATH_OF_SER        (the environment: SER_TEST_DIR, the folder tests/)
"""
import json, os, unittest

from test_program import Case

GOLDEN = os.path.join(os.environ.get("SER_TEST_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")), "golden/encoder")
HUBERT, WHISPER = (os.path.join(GOLDEN, n) for n in ("hubert_base", "tiny"))
ONE = ("--feature-type", "WHISPER", "--encoder", WHISPER, "--layers", "weighted")


class Weighted(Case):
    def setUp(self):
        super().setUp()
        self.corpus = self.make_corpus()

    def report(self, path):
        with open(self.path(path)) as f:
            return json.load(f)

    def evaluate(self, *args):
        out, _ = self.ser("evaluate", "--data", self.corpus, "--protocol", "kfold=2", "--augment", "1", "--json", self.path("r.json"), *args)
        return out, self.report("r.json")

    def test_weights_are_told(self):
        out, report = self.evaluate(*ONE, "--jobs", "1")
        self.assertRegex(out, r"layers \[0,1,2\]  spread [\d.]+  c 300  weights \[0\.\d+,0\.\d+,0\.\d+\]\n")
        for fold in report["folds"]:
            self.assertEqual(fold["layers"], [0, 1, 2])
            self.assertEqual(len(fold["layer_weights"]), 3)
            self.assertAlmostEqual(sum(fold["layer_weights"]), 1, places=6)
            self.assertNotAlmostEqual(fold["layer_weights"][0], 1 / 3, places=3)
        other = self.evaluate(*ONE, "--jobs", "2")[1]
        for key in ("folds", "predictions"):
            self.assertEqual(other[key], report[key])
        self.assertIn("Reproduced", self.ser("evaluate", "--reproduce", self.path("r.json"))[0])

    def test_each_encoder_has_its_own(self):
        _, report = self.evaluate("--feature-type", "LOGMEL+HUBERT+WHISPER", "-e", HUBERT, "-e", WHISPER, "--layers", "weighted")
        for fold in report["folds"]:
            self.assertEqual(fold["layers"]["WHISPER"], [0, 1, 2])
            for encoder, layers in fold["layers"].items():
                self.assertEqual(len(fold["layer_weights"][encoder]), len(layers))
                self.assertAlmostEqual(sum(fold["layer_weights"][encoder]), 1, places=6)

    def test_models_are_ordinary_ones(self):
        encoder = ("--feature-type", "HUBERT", "--encoder", HUBERT)  # WHISPER's is too short for what the voice head hears
        small = ("--epoch", "2", "--filter-size", "8", "--dilation-size", "2", "--stack-size", "1")
        for model in ("linear", "timnet", "linear+timnet"):
            run = self.path(model)
            self.ser("train", "--data", self.corpus, *encoder, "--layers", "weighted", "--model-type", model, *small, "--run", run)
            out, _ = self.ser("info", run + "/model.safetensors")
            self.assertIn("HUBERT(layers=0,1,2;pad=0)", out)
            self.assertEqual("layer_weights" in out, model != "timnet")
            # Each recording answered by the fold's file that has not heard it: as the folds answered when they were trained.
            self.ser("test", "--data", self.corpus, "--test-path", run, "--encoder", HUBERT, "--json", self.path("t.json"))
            tested, trained = self.report("t.json")["unheard"], self.report(model + "/report.json")
            self.assertAlmostEqual(tested["ua"], trained["ua"], places=6)
            self.assertAlmostEqual(tested["ece"], trained["ece"], places=3)
            for fold in trained["folds"]:
                self.assertAlmostEqual(sum(fold["layer_weights"]), 1, places=6)

    def test_refusals(self):
        _, err = self.ser("evaluate", "--data", self.corpus, "--protocol", "kfold=2", "--feature-type", "LOGMEL", "--layers", "weighted", status=2)
        self.assertIn("no layers to weight", err)
        self.assertEqual(len(err.splitlines()), 1, err)
        _, err = self.ser("train-lmmd", "--data", self.corpus, "--target", self.corpus, *ONE, "--model-type", "linear", status=2)
        self.assertIn("--layers weighted", err)


if __name__ == "__main__":
    unittest.main()
