#!/usr/bin/env python3
"""Two encoders joined, from features to models, with tiny checkpoints.

Usage: test_joined.py PATH_OF_SER        (the environment: SER_TEST_DIR, the folder tests/)
"""
import json, os, unittest

from test_program import Case, voice, write_wav

GOLDEN = os.path.join(os.environ.get("SER_TEST_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")), "golden/encoder")
HUBERT, WAVLM, WHISPER = (os.path.join(GOLDEN, n) for n in ("hubert_base", "wavlm_base", "tiny"))
BOTH = ("--feature-type", "HUBERT+WAVLM")
# In another order than the features, with and without a type in front.
GIVEN = ("--encoder", WAVLM, "-e", "hubert=" + HUBERT)


class Joined(Case):
    def setUp(self):
        super().setUp()
        self.env["HF_HOME"] = self.path("hub")
        write_wav(self.path("a.wav"), voice(150, 0.8))

    def features(self, *args, name="x.npy", status=0):
        _, err = self.ser("extract", "-o", self.path(name), *args, self.path("a.wav"), status=status)
        if status:
            return err
        with open(self.path(name), "rb") as f:
            return f.read()

    def test_each_encoder_finds_its_features(self):
        wanted = self.features(*BOTH, "--encoder", "HUBERT=" + HUBERT, "--encoder", "WAVLM=" + WAVLM)
        self.assertEqual(self.features(*BOTH, *GIVEN), wanted)
        self.assertEqual(self.features(*BOTH, "-e", HUBERT, "-e", WAVLM), wanted)
        self.assertNotEqual(self.features(*BOTH, "-e", "HUBERT=" + WAVLM, "-e", "WAVLM=" + HUBERT), wanted)

    def test_layers_of_each(self):
        self.features("--feature-type", "LOGMEL+HUBERT+WHISPER", "-e", WHISPER, "-e", HUBERT, "--layers", "WHISPER=1,2+HUBERT=0")
        self.assertIn("(39, 304)", self.ser("info", self.path("x.npy"))[0])  # 128 + 48 + 2 * 64
        self.assertIn("say of which", self.features(*BOTH, *GIVEN, "--layers", "1", status=2))

    def test_wrong_encoders(self):
        self.assertIn("HUBERT has one already", self.features(*BOTH, "-e", HUBERT, "-e", HUBERT, status=2))
        self.assertIn("computes none of", self.features(*BOTH, "-e", WHISPER, status=2))
        self.assertIn("WHISPER is not among the features", self.features(*BOTH, "-e", "WHISPER=" + WHISPER, status=2))
        self.assertTrue(self.features(*BOTH, "-e", HUBERT, status=1).endswith("ser pull microsoft/wavlm-base\n"))
        self.assertIn("no folder", self.features(*BOTH, "-e", "HUBERT=" + self.path("none"), status=1))

    def test_feature_tree_and_evaluation(self):
        corpus = self.make_corpus()
        layers = ("--layers", "HUBERT=1,2+WAVLM=2")
        evaluate = ("evaluate", "--data", corpus, *BOTH, *GIVEN, *layers, "--protocol", "kfold=2", "--augment", "none",
                    "--features-dir", self.path("features"), "--json", self.path("r.json"))
        self.ser(*evaluate)
        computed = self.report()
        out, _ = self.ser("extract", "--data", corpus, *BOTH, *GIVEN, *layers, "--features-dir", self.path("features"))
        self.assertIn("18 recordings of 144 dims", out)
        with open(self.path("features/HUBERT+WAVLM/corpus_HUBERT+WAVLM/index.json")) as f:
            parameters = json.load(f)["parameters"]
        self.assertEqual(parameters["layers"], {"HUBERT": [1, 2], "WAVLM": [2]})
        self.assertRegex(parameters["encoder_sha256"], r"^[0-9a-f]{64}\+[0-9a-f]{64}$")
        for name in ("anger", "neutral", "sadness"):
            for i in range(6):
                os.unlink(os.path.join(corpus, name, "%s%d.wav" % (name, i)))
        os.rename(corpus, corpus + "-gone")
        self.ser(*evaluate)
        from_tree = self.report()
        for key in ("ua", "layers", "encoder_sha256", "predictions"):
            self.assertEqual(from_tree[key], computed[key])
        self.assertEqual(computed["layers"], {"HUBERT": [1, 2], "WAVLM": [2]})
        self.assertEqual(computed["config"]["encoder"], [GIVEN[1], GIVEN[3]])
        self.assertIn("Reproduced", self.ser("evaluate", "--reproduce", self.path("r.json"))[0])

    def report(self):
        with open(self.path("r.json")) as f:
            return json.load(f)

    def predict(self, model, *args, status=0):
        out, err = self.ser("predict", "--format", "json", "--precision", "fp32", "--model", self.path(model), *args, self.path("a.wav"), status=status)
        return err if status else json.loads(out)["scores"]

    def test_models(self):
        corpus = self.make_corpus()
        train = ("train", "--data", corpus, *BOTH, *GIVEN, "--layers", "HUBERT=1+WAVLM=1,2", "--epoch", "2", "--filter-size", "8",
                 "--dilation-size", "2", "--stack-size", "1", "--split-fold", "2")
        self.ser(*train, "--run", self.path("plain"))
        self.ser(*train, "--run", self.path("whole"), "--embed-encoder")
        plain = self.predict("plain/model.safetensors", *GIVEN)
        self.assertEqual(plain, self.predict("plain/model.safetensors", "-e", HUBERT, "-e", WAVLM))
        carried = self.predict("whole/model.safetensors")
        self.assertIn("carries its encoder", self.predict("whole/model.safetensors", "-e", HUBERT, status=2))
        for label, score in plain.items():  # the carried weights have 8 bits
            self.assertAlmostEqual(carried[label], score, delta=0.1)
        self.assertTrue(self.predict("plain/model.safetensors", status=1).endswith("ser pull facebook/hubert-base-ls960\n"))
        self.assertIn("not what this model was trained with",
                      self.predict("plain/model.safetensors", "-e", "HUBERT=" + WAVLM, "-e", "WAVLM=" + HUBERT, status=2))
        self.assertIn("HUBERT(layers=1;pad=0)+WAVLM(layers=1,2;pad=0)", self.ser("info", self.path("whole/model.safetensors"))[0])
        self.ser("test", "--data", corpus, "--test-path", self.path("plain"), *GIVEN, "--json", self.path("r.json"))
        self.assertEqual(self.report()["n"], 18)
        self.ser(*train, "--resume", self.path("plain"))
        _, err = self.ser("train", "--resume", self.path("plain"), "-e", HUBERT, "-e", WAVLM, status=2)
        self.assertIn("another --encoder", err)


if __name__ == "__main__":
    unittest.main()
