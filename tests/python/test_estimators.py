#!/usr/bin/env python3
"""scikit-learn's own checks of estimators, as far as they fit what takes recordings.

They feed tables of numbers. Here each row of one becomes a sound, of tones whose levels are its numbers, so that what they ask
of an estimator's manners is asked of ser.Features and ser.Classifier as they are. Whatever does not fit is named with its reason.
"""
import unittest, warnings

import numpy as np

import ser
from common import Case

try:
    from sklearn.utils.estimator_checks import estimator_checks_generator
except ImportError:  # before scikit-learn 1.6
    estimator_checks_generator = None

TABLES = "a list of recordings has no number of columns, and no dtype or sparse form of a table"
READ_LATER = "fit opens no recording: what is wrong with one is told by transform"
BOTH = {
    "check_n_features_in": TABLES, "check_n_features_in_after_fitting": TABLES, "check_complex_data": TABLES, "check_estimator_sparse_tag": TABLES,
    "check_estimator_sparse_array": TABLES, "check_estimator_sparse_matrix": TABLES, "check_estimators_empty_data_messages": TABLES,
}
NOT_OF_FEATURES = {**BOTH, "check_estimators_nan_inf": READ_LATER}
NOT_OF_CLASSIFIER = {
    **BOTH,
    "check_estimators_nan_inf": "the sounds that these rows become have no numbers that are not finite in them",
    "check_no_attributes_set_in_init": "settings of ser train come as **settings, which __init__ keeps as they are",
    "check_classifiers_train": "tones have no voice in them, so that all classes are as probable",
}


def sounds(X):
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError("Reshape your data: Expected 2D array, got 1D array instead")
    tones = np.sin(2 * np.pi * np.outer(200 + 37 * np.arange(X.shape[1]), np.arange(800) / 16000))
    return list(np.tanh(X.astype(float) @ tones / 4).astype(np.float32))


class Tables:
    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array, tags.input_tags.string = True, False, False
        return tags


class Features(Tables, ser.Features):
    def fit(self, X, y=None):
        sounds(X)
        return super().fit(X, y)

    def transform(self, X):
        return super().transform(sounds(X))


class Classifier(Tables, ser.Classifier):
    def fit(self, X, y, groups=None):
        return super().fit(sounds(X), y, groups)

    def predict_proba(self, X):
        return super().predict_proba(sounds(X))


@unittest.skipUnless(estimator_checks_generator, "needs scikit-learn 1.6 or later")
class Checks(Case):
    def check(self, estimator, known, at_least):
        passed, failed = 0, {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for one, check in estimator_checks_generator(estimator):
                name = check.func.__name__
                try:
                    if name not in known:
                        check(one)
                        passed += 1
                except unittest.SkipTest:
                    pass
                except Exception as e:
                    failed[name] = f"{type(e).__name__}: {str(e)[:200]}"
        self.assertEqual(failed, {})
        self.assertGreaterEqual(passed, at_least)

    def test_features(self):
        self.check(Features("LOGMEL", pooling="mean"), NOT_OF_FEATURES, 30)

    def test_classifier(self):
        self.check(Classifier("LOGMEL", augment="none", jobs=1), NOT_OF_CLASSIFIER, 35)


if __name__ == "__main__":
    unittest.main()
