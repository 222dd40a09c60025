#!/usr/bin/env python3
"""ser.Features and ser.encoders: the values of ser extract, to the last bit; where scikit-learn expects its own. Stretches of recordings."""
import os, pickle, unittest, unittest.mock

import numpy as np

import ser
from common import GOLDEN, SPEECH, Case, run, samples, tone, write_wav

try:
    import sklearn
except ImportError:
    sklearn = None
try:
    import pandas as pd
except ImportError:
    pd = None

TINY = os.path.join(GOLDEN, "encoder/tiny")
FAMILY = os.path.join(GOLDEN, "encoder/hubert_base")


def extracted(*options):
    """By one thread, because sums inside HuBERT's convolutions go with the number of threads."""
    run("extract", "-j", 1, "-o", "out.npy", *options, "short.wav")  # the small encoder takes no more than a second
    return np.load("out.npy")


class Values(Case):
    def setUp(self):
        super().setUp()
        write_wav("short.wav", tone(300, 0.9))

    def test_frames_are_those_of_ser_extract(self):
        for ours, theirs in (
                (ser.Features("LOGMEL", pooling=None), ["--feature-type", "LOGMEL"]),
                (ser.Features("MFCC", pooling=None, hop_length=160), ["--feature-type", "MFCC", "--hop-length", 160]),
                (ser.Features("WHISPER", layers=[1, 0], encoder=TINY, pooling=None), ["--feature-type", "WHISPER", "--encoder", TINY, "--layers", "1,0"]),
                (ser.Features(None, layers=1, encoder=TINY, pooling=None, pad=1), ["--feature-type", "WHISPER", "--encoder", TINY, "--layers", 1, "--pad", 1]),
                (ser.Features("LOGMEL+HUBERT", layers={"HUBERT": (2,)}, encoder=[FAMILY], pooling=None),
                 ["--feature-type", "FUSION", "--encoder", FAMILY, "--layers", 2])):
            frames = ours.fit_transform(["short.wav", "short.wav"])
            self.assertEqual((frames.shape, frames.dtype, frames[0].dtype), ((2,), object, np.float32))
            for x in frames:
                np.testing.assert_array_equal(x, extracted(*theirs))
            self.assertEqual(len(ours.get_feature_names_out()), frames[0].shape[1])

    def test_an_encoder_that_is_pooled(self):
        """Its mean over time in every frame, as --pool-encoder; the pooled values are those of these frames."""
        asked = dict(layers=[0, 1], encoder=TINY, pool_encoder=True)
        frames = ser.Features("LOGMEL+WHISPER", **asked, pooling=None).fit_transform(["short.wav"])[0]
        np.testing.assert_array_equal(frames, extracted("--feature-type", "LOGMEL+WHISPER", "--encoder", TINY, "--layers", "0,1", "--pool-encoder"))
        self.assertEqual([len({row.tobytes() for row in x}) for x in (frames[:, :128], frames[:, 128:])], [len(frames), 1])
        f = ser.Features("LOGMEL+WHISPER", **asked)
        whole = dict(zip(f.get_feature_names_out(), f.fit_transform(["short.wav"])[0]))
        plain = ser.Features("LOGMEL+WHISPER", layers=[0, 1], encoder=TINY)
        self.assertEqual({n: v for n, v in zip(plain.get_feature_names_out(), plain.fit_transform(["short.wav"])[0]) if n.startswith("LOGMEL")},
                         {n: v for n, v in whole.items() if n.startswith("LOGMEL")})
        for name, value in whole.items():
            layer, statistic, i = name.split("_")[0], name.split("_", 1)[1].rsplit("_", 1)[0], int(name.rsplit("_", 1)[1])
            if layer != "LOGMEL":
                dims = (frames.shape[1] - 128) // 2
                self.assertEqual(value, frames[0, 128 + int(layer[-1]) * dims + i] if "mean" in statistic else 0, name)
        f.set_params(pool_encoder=False)
        np.testing.assert_array_equal(f.transform(["short.wav"]), plain.transform(["short.wav"]))

    def test_a_model_of_a_pooled_encoder(self):
        """What `test` says of a recording, whose frames it has all, is what the file answers to it, and what a classifier does."""
        corpus, paths, y, speakers = self.corpus(per_class=4)
        settings = dict(layers=[1], encoder=TINY, pool_encoder=True)
        network = dict(epoch=1, filter_size=8, stack_size=1, dilation_size=4, augment="none")
        c = ser.Classifier("LOGMEL+WHISPER", "linear+timnet", "original", **settings, **network).fit(paths, y, groups=speakers)
        c.save("model.safetensors")
        x, rate = samples(SPEECH)
        for name in ["voice", *c.classes_]:
            write_wav(f"{name}.wav", x[:int(0.95 * rate), 0] / np.float32(32767), rate)
        with open("voice.csv", "w") as f:
            f.write("file,emotion\n" + "".join(f"{e}.wav,{e}\n" for e in c.classes_))
        with ser.Model("model.safetensors", encoder=TINY, precision="fp32") as m:
            self.assertEqual(m.features, "LOGMEL(hop=320)+WHISPER(layers=1;pad=0) mean over time")
            np.testing.assert_array_equal(m.features_of("voice.wav", pooled=True), ser.Features("LOGMEL+WHISPER", **settings).transform(["voice.wav"])[0])
            answer = m.predict("voice.wav", min_confidence=0).scores
        self.assertEqual([answer[k] for k in c.classes_], [*c.predict_proba(["voice.wav"])[0]])
        tested = ser.test("model.safetensors", "voice.csv", encoder=TINY, jobs=1, on_message=lambda text: None).predictions[0]["scores"]
        for label, want in tested.items():
            self.assertAlmostEqual(answer[label], want, 5)
        for kind in ("onnx", "c"):
            run("export", "--format", kind, "--encoder", TINY, "-o", "out", "model.safetensors", status=1)

    def test_a_model_that_carries_its_encoder(self):
        """It needs none to answer, and takes none; a classifier's is for the training alone."""
        _, paths, y, _ = self.corpus(per_class=2)
        c = ser.Classifier("WHISPER", layers=[1], encoder=TINY, embed_encoder=True, augment="none").fit(paths, y)
        self.assertIn(c.predict(paths[:1])[0], y)
        c.save("model.safetensors")
        x, rate = samples(SPEECH)
        write_wav("voice.wav", x[:int(0.95 * rate), 0] / np.float32(32767), rate)
        with ser.Model("model.safetensors", precision="fp32") as m:
            answer = m.predict("voice.wav", min_confidence=0).scores
        self.assertEqual([answer[k] for k in c.classes_], [*c.predict_proba(["voice.wav"])[0]])
        with self.assertRaisesRegex(ser.ArgumentError, f"carries its encoder: {TINY} has"):
            ser.Model("model.safetensors", encoder=TINY)
        run("export", "--format", "onnx", "--encoder", TINY, "-o", "out", "model.safetensors", status=2)
        self.assertFalse(os.path.exists("out"))

    def test_hidden_states(self):
        for place, kind in ((TINY, "WHISPER"), (FAMILY, "HUBERT")):
            with ser.encoders.Encoder(place) as e:
                self.assertEqual((e.type, e.layers[0]), (kind, 0))
                every = e.hidden_states("short.wav", jobs=1)
                for i in e.layers:
                    np.testing.assert_array_equal(every[i], extracted("--feature-type", kind, "--encoder", place, "--layers", i))
                self.assertEqual(every.shape, (len(e.layers), every.shape[1], e.dims))
                x, rate = samples("short.wav")
                np.testing.assert_array_equal(e.hidden_states(x, rate, jobs=1), every)
            with self.assertRaisesRegex(ser.ArgumentError, "closed"):
                e.hidden_states("short.wav")
            np.testing.assert_array_equal(ser.encoders.hidden_states("short.wav", encoder=place, layers=[1], jobs=1), every[1:2])

    def test_pooled_values_are_those_that_models_read(self):
        corpus, paths, *_ = self.corpus(per_class=4)
        ser.train(corpus, feature_type="LOGMEL", model_type="linear", preset="best", augment="none", split_fold=0, run="run", jobs=1,
                  on_message=lambda text: None)
        want = np.stack([ser.Model("run").features_of(p, pooled=True) for p in paths])
        np.testing.assert_array_equal(ser.Features("LOGMEL").fit_transform(paths), want)
        d = 128
        for pooling, columns in (("all", slice(0, 2 * d)), ("active", slice(2 * d, 4 * d)), ("mean", slice(0, d))):
            f = ser.Features("LOGMEL", pooling=pooling, jobs=2)
            np.testing.assert_array_equal(f.fit_transform(paths), want[:, columns])
            self.assertEqual(len(f.get_feature_names_out()), want[:, columns].shape[1])
        two = ser.Features("LOGMEL+WHISPER", layers=[0, 1], encoder=TINY, pooling="mean")
        names = list(two.fit(None).get_feature_names_out())
        self.assertEqual((names[0], names[127], names[128], names[-1][:13]), ("LOGMEL_mean_0", "LOGMEL_mean_127", "WHISPER0_mean_0", "WHISPER1_mean"))
        every = ser.Features("LOGMEL+WHISPER", layers=[0, 1], encoder=TINY)
        whole = dict(zip(every.get_feature_names_out(), every.fit_transform(paths[:1])[0]))
        self.assertEqual([whole[n] for n in names], list(two.fit_transform(paths[:1])[0]))

    def test_what_is_wrong(self):
        for kind, words, made in (
                (ser.ArgumentError, "NOSUCH", dict(feature_type="NOSUCH")), (ser.ArgumentTypeError, "feature_type", dict(feature_type=5)),
                (ser.ArgumentError, "pooling", dict(pooling="max")), (ser.ArgumentTypeError, "pooling", dict(pooling=3)),
                (ser.ArgumentError, "layer", dict(feature_type="LOGMEL", layers=[1])), (ser.ArgumentTypeError, "layers", dict(layers=[None])),
                (ser.ArgumentTypeError, "layers", dict(layers=object())), (ser.ArgumentTypeError, "layers", dict(layers=[])),
                (ser.Error, "layer|hidden", dict(encoder=TINY, layers=[99])), (ser.ArgumentError, "twice", dict(encoder=TINY, layers=[1, 1])),
                (ser.ArgumentError, "hop", dict(feature_type="LOGMEL", hop_length=3)), (ser.ArgumentError, "padding", dict(encoder=TINY, pad=99)),
                (ser.ArgumentTypeError, "pad", dict(pad="x")), (ser.ArgumentTypeError, "pool_encoder", dict(pool_encoder="yes")), (ser.ArgumentError, "precision", dict(precision="fp64")),
                (ser.ArgumentError, "no features", dict(feature_type=None)), (ser.ArgumentTypeError, "encoder", dict(encoder=7)),
                (ser.Error, "", dict(encoder=self.dir))):
            with self.assertRaisesRegex(kind, words, msg=made):
                ser.Features(**made).fit_transform([SPEECH])
        f = ser.Features("LOGMEL")
        for kind, X in ((ser.ArgumentTypeError, SPEECH), (ser.ArgumentTypeError, None), (ser.ArgumentError, []), (ser.ArgumentTypeError, 5),
                        (ser.FileError, ["missing.wav"]), (ser.FormatError, [SPEECH, __file__]), (ser.FormatError, [tone(300, 0.01)]),
                        (ser.FormatError, [np.full(16000, np.nan, np.float32)]), (ser.ArgumentTypeError, [None]), (ser.ArgumentTypeError, [object()])):
            with self.assertRaises(kind, msg=X):
                f.transform(X)
        for call in (lambda: ser.encoders.Encoder(5), lambda: ser.encoders.Encoder(TINY, type="LOGMEL"), lambda: ser.encoders.Encoder("no/such-place"),
                     lambda: ser.encoders.hidden_states(SPEECH, encoder=TINY, colour="red")):
            with self.assertRaises(ser.Error):
                call()

    @unittest.skipUnless(sklearn, "needs scikit-learn")
    def test_where_scikit_learn_expects_its_own(self):
        from sklearn.base import clone
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        _, paths, y, speakers = self.corpus()
        f = ser.Features("LOGMEL", pooling="all", jobs=1)
        whole = make_pipeline(f, StandardScaler(), LogisticRegression(max_iter=1000))
        p = cross_val_predict(whole, paths, y, groups=speakers, cv=GroupKFold(3), method="predict_proba")
        apart = cross_val_predict(make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)), f.fit_transform(paths), y, groups=speakers,
                                  cv=GroupKFold(3), method="predict_proba")
        np.testing.assert_array_equal(p, apart)
        self.assertEqual(clone(f).get_params(), f.get_params())
        again = pickle.loads(pickle.dumps(f.fit(paths)))
        np.testing.assert_array_equal(again.transform(paths[:1]), f.transform(paths[:1]))
        search = GridSearchCV(whole, {"features__pooling": ["all", "mean"]}, cv=GroupKFold(3)).fit(paths, y, groups=speakers)
        self.assertIn(search.best_params_["features__pooling"], ("all", "mean"))

    @unittest.skipUnless(sklearn and pd is not None, "needs scikit-learn and pandas")
    def test_tables_come_out_where_scikit_learn_is_asked_for_them(self):
        from sklearn.base import clone
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        _, paths, _, _ = self.corpus(per_class=1)
        X = pd.Series(paths, index=list("abc"))
        f = ser.Features("LOGMEL", pooling="mean")
        rows = f.transform(X)
        self.assertIs(type(rows), np.ndarray)
        whole = make_pipeline(clone(f), StandardScaler()).set_output(transform="pandas")
        table = clone(whole)[0].fit_transform(X)
        self.assertEqual((list(table.index), list(table.columns)), (list("abc"), list(f.get_feature_names_out())))
        np.testing.assert_array_equal(table.to_numpy(), rows)
        self.assertEqual(list(whole.fit_transform(X).index), list("abc"))
        with sklearn.config_context(transform_output="pandas"):
            self.assertIs(type(f.transform(paths)), pd.DataFrame)
            self.assertIs(type(clone(f).set_output(transform="default").transform(paths)), np.ndarray)
        with unittest.mock.patch("sklearn.get_config", lambda: {}):  # before 1.2
            self.assertIs(type(clone(f).transform(paths)), np.ndarray)
        stretch = pd.MultiIndex.from_arrays([paths[:1], pd.to_timedelta([0.1], unit="s"), pd.to_timedelta([None])], names=["file", "start", "end"])
        self.assertTrue(f.set_output(transform="pandas").transform(stretch).index.equals(stretch))
        with self.assertRaisesRegex(ser.ArgumentError, "'pandas' or 'default'"):
            f.set_output(transform="polars")


class Stretches(Case):
    def setUp(self):
        super().setUp()
        x, rate = samples(SPEECH)
        write_wav("at16k.wav", np.concatenate([np.zeros(8000, np.float32), tone(300), tone(800)]))
        self.x = np.concatenate([np.zeros(8000, np.float32), tone(300), tone(800)])

    def test_a_stretch_is_heard_as_a_file_of_it_is(self):
        written = samples("at16k.wav")[0][:, 0]
        with open("cut.wav", "wb"):
            pass
        write_wav("cut.wav", written[8000:12000] / np.float32(32767))
        cut = samples("cut.wav")[0]
        np.testing.assert_array_equal(cut[:, 0], written[8000:12000])
        f = ser.Features("LOGMEL")
        both = f.transform([("at16k.wav", 0.5, 0.75), "cut.wav", ("at16k.wav", np.timedelta64(500, "ms"), 0.75), ("at16k.wav", 0.75, None)])
        np.testing.assert_array_equal(both[0], both[1])
        np.testing.assert_array_equal(both[2], both[1])
        self.assertFalse(np.array_equal(both[3], both[1]))
        np.testing.assert_array_equal(f.transform([("at16k.wav", 0, None)]), f.transform(["at16k.wav"]))
        want = ser.predict(SPEECH)
        self.assertEqual(ser.predict((SPEECH, 0, None)), want)
        m = ser.Model()
        part = m.predict((SPEECH, 0.2, 1.2))
        self.assertAlmostEqual(part.duration, 1.0, 9)
        self.assertEqual([a.scores for a in m.predict_many((SPEECH, SPEECH, SPEECH))], [want.scores] * 3)
        self.assertEqual([a.scores for a in m.predict_many([(SPEECH, 0.2, 1.2), SPEECH, (SPEECH, 0.2, 1.2)])], [part.scores, want.scores, part.scores])

    def test_a_recording_is_decoded_once(self):
        from ser import _library as lib

        read, n = lib.ser().ser_samples_read_file, []

        def counted(*arguments):
            n.append(arguments)
            return read(*arguments)

        lib.ser().ser_samples_read_file = counted
        self.addCleanup(setattr, lib.ser(), "ser_samples_read_file", read)
        write_wav("other.wav", self.x)
        given = [(name, i / 10, i / 10 + 0.3) for i in range(10) for name in ("at16k.wav", "other.wav")]
        rows = ser.Features("LOGMEL", jobs=3).transform(given)
        self.assertEqual((len(n), len(rows)), (2, 20))
        np.testing.assert_array_equal(rows[0], ser.Features("LOGMEL").transform(given[:1])[0])

    def test_what_is_wrong(self):
        m = ser.Model()
        for kind, stretch in ((ser.ArgumentError, ("at16k.wav", 1, 0.5)), (ser.ArgumentError, ("at16k.wav", -1, None)), (ser.ArgumentError, ("at16k.wav", 1, 1)),
                              (ser.ArgumentTypeError, ("at16k.wav", [1], None)), (ser.ArgumentError, ("at16k.wav", float("inf"), None)),
                              (ser.FormatError, ("at16k.wav", 99, 100)), (ser.FormatError, ("at16k.wav", 0.5, 0.51)), (ser.FileError, ("missing.wav", 1, 2)),
                              (ser.FormatError, (__file__, 1, 2)), (ser.ArgumentError, ("", 1, 2)), (ser.ArgumentError, ("a\0b", 1, 2))):
            with self.assertRaises(kind, msg=stretch):
                m.predict(stretch)
            self.assertIsInstance(m.predict_many([stretch, "at16k.wav"])[0].error, kind)

    def test_a_classifier_learns_from_stretches(self):
        _, paths, y, speakers = self.corpus(per_class=4)
        whole = np.concatenate([samples(p)[0] for p in paths])[:, 0]
        write_wav("long.wav", whole / np.float32(32767))
        stretches = [("long.wav", 0.5 * i, 0.5 * (i + 1)) for i in range(len(paths))]
        ours = ser.Classifier("LOGMEL", augment="none").fit(stretches, y, groups=speakers)
        theirs = ser.Classifier("LOGMEL", augment="none").fit(paths, y, groups=speakers)
        np.testing.assert_array_equal(ours.predict_proba(paths), theirs.predict_proba(paths))
        np.testing.assert_array_equal(ours.predict_proba(stretches), theirs.predict_proba(paths))


if __name__ == "__main__":
    unittest.main()
