#!/usr/bin/env python3
"""Classifiers for scikit-learn: the command line's weights; usable where scikit-learn expects its own."""
import pickle, sys, unittest

import numpy as np

import ser
from common import Case, run, SPEECH, tensors, tone

try:
    import sklearn
except ImportError:
    sklearn = None


class Estimator(Case):
    def test_the_same_weights_as_the_command_line(self):
        corpus, paths, y, speakers = self.corpus()
        c = ser.Classifier("LOGMEL", augment=1, seed=3).fit(paths, y, groups=speakers)
        c.save("ours.safetensors")
        with open("absolute.csv", "w") as f:
            f.write("file,emotion,speaker\n" + "".join(f"{p},{e},{s}\n" for p, e, s in zip(paths, y, speakers)))
        run("train", "--data", "absolute.csv", "--feature-type", "LOGMEL", "--model-type", "linear", "--preset", "best", "--augment", "1",
            "--seed", "3", "--split-fold", "0", "--run", "there")
        ours, theirs = ser.Model("ours.safetensors"), ser.Model("there")
        self.assertEqual(tensors("ours.safetensors"), tensors("there/model.safetensors"))
        self.assertEqual(ours.labels, theirs.labels)
        self.assertEqual(list(c.classes_), ["angry", "neutral", "sad"])
        again = pickle.loads(pickle.dumps(c))
        p = c.predict_proba([SPEECH, paths[0]])
        np.testing.assert_array_equal(again.predict_proba([SPEECH, paths[0]]), p)
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
        self.assertIn(c.predict([SPEECH])[0], y)
        self.assertTrue(0 <= c.score([SPEECH], ["sad"]) <= 1)

    def test_other_classes_and_arrays(self):
        x = [tone(f * (1 + 0.02 * i), seed=i) for f in (200, 900) for i in range(6)]
        y = np.repeat([7, 3], 6)
        c = ser.Classifier("LOGMEL", augment="none").fit(x, y)
        self.assertEqual(list(c.classes_), [3, 7])
        self.assertIn(c.predict(x[:1])[0], (3, 7))

    def test_what_is_wrong(self):
        corpus, paths, y, _ = self.corpus(per_class=3)
        c = ser.Classifier("LOGMEL")
        with self.assertRaisesRegex(ser.ArgumentError, "not fitted"):
            c.predict(paths)
        for bad in (y[:-1], ["same"] * len(y), np.zeros((9, 2))):
            with self.assertRaises(ser.ArgumentError):
                c.fit(paths, bad)
        with self.assertRaisesRegex(ser.ArgumentError, "no such setting"):
            ser.Classifier("LOGMEL", colour="red").fit(paths, y)

    def test_a_training_that_is_stopped_says_nothing_of_a_folder_that_is_gone(self):
        corpus, paths, y, _ = self.corpus(per_class=3)

        def stop(*_):
            raise ZeroDivisionError("mine")

        settings = {"epoch": 2, "filter_size": 4, "augment": "none", "on_epoch": stop}
        said = []
        for fit in (lambda: ser.Classifier("LOGMEL", "timnet", **settings).fit(paths, y),
                    lambda: ser.train(corpus, feature_type="LOGMEL", split_fold=0, run="run", **settings)):
            with self.assertRaisesRegex(ZeroDivisionError, "mine") as caught:
                fit()
            said.append(getattr(caught.exception, "__notes__", []))
        self.assertEqual(said[0], [])
        self.assertEqual(bool(said[1]), sys.version_info >= (3, 11))

    @unittest.skipUnless(sklearn, "needs scikit-learn")
    def test_where_scikit_learn_expects_its_own(self):
        from sklearn.base import clone, is_classifier
        from sklearn.model_selection import GroupKFold, cross_val_predict

        corpus, paths, y, speakers = self.corpus()
        c = ser.Classifier("LOGMEL", augment="none")
        self.assertTrue(is_classifier(c))
        self.assertEqual(clone(c).get_params(), c.get_params())
        self.assertEqual(clone(c).set_params(seed=5, rate=8000).get_params()["seed"], 5)
        p = cross_val_predict(c, paths, y, groups=speakers, cv=GroupKFold(3), method="predict_proba")
        self.assertEqual(p.shape, (27, 3))


if __name__ == "__main__":
    unittest.main()
