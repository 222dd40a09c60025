"""As scikit-learn's users know it: features as a transformer, a classifier as an estimator, on paths or arrays of samples.

The protocol of scikit-learn's estimators (parameters, clones, tags) is followed without importing it: an import of ser must
not load it, and both classes work without it.
"""

from __future__ import annotations

import csv
import inspect
import os
import tempfile
from typing import Any, Optional

import numpy as np

from ._errors import ArgumentError, ArgumentTypeError, needed
from ._jobs import train
from ._model import Model
from ._sound import RATE_HZ, is_path, path_bytes, wav_bytes


class _Estimator:
    """Parameters are the arguments of __init__, kept as they came."""

    settings: dict[str, Any]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name."""
        found: dict[str, Any] = {}
        for name, p in inspect.signature(type(self)).parameters.items():
            if p.kind is p.VAR_KEYWORD:
                found.update(getattr(self, name))
            else:
                found[name] = getattr(self, name)
        return found

    def set_params(self, **params: Any) -> Any:
        """Sets parameters by name; gives the object itself."""
        for name, value in params.items():
            if name in self.get_params() and not (hasattr(self, "settings") and name in self.settings):
                setattr(self, name, value)
            elif hasattr(self, "settings"):
                self.settings = {**self.settings, name: value}
            else:
                raise ArgumentError(f"{type(self).__name__} has no parameter '{name}': it has {', '.join(self.get_params())}")
        return self

    def __repr__(self) -> str:
        return f"ser.{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def __sklearn_clone__(self) -> Any:
        return type(self)(**self.get_params())

    def _tags(self, kind: Optional[str]) -> Any:
        utils = needed("sklearn.utils", "a pipeline")
        tags = utils.Tags(estimator_type=kind, target_tags=utils.TargetTags(required=kind == "classifier"),
                          input_tags=utils.InputTags(two_d_array=False, one_d_array=True, string=True))
        if kind == "classifier":
            tags.classifier_tags = utils.ClassifierTags()
        else:
            tags.transformer_tags = utils.TransformerTags(preserves_dtype=[])
        return tags


def _recordings(X: Any) -> list[Any]:
    if is_path(X) or X is None:
        raise ArgumentTypeError("X: give a list of recordings: paths, or arrays of samples")
    if getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:  # a column of a table
        X = np.asarray(X)[:, 0]
    try:
        items = list(X)
    except TypeError as e:
        raise ArgumentTypeError(f"X is a {type(X).__name__}: give a list of recordings: paths, or arrays of samples") from e
    if not items:
        raise ArgumentError("X: there are no recordings")
    return items


class Classifier(_Estimator):
    """A model of emotion as an estimator: ``fit(paths, y, groups=speakers)``, ``predict``, ``predict_proba``, ``score``.

    ``settings``: what ``ser train`` takes, by its option's name with ``_``: ``feature_type="LOGMEL"``, ``layers=[2, 3]``,
    ``model_type``, ``preset``, ``seed``, ``jobs``. Fitted here and by ``ser train --split-fold 0`` with the same settings on
    the same recordings: the same weights to the last bit. ``rate`` of the samples per second, where recordings are arrays.
    """

    _estimator_type = "classifier"

    def __init__(self, feature_type: str = "WHISPER", model_type: str = "linear", preset: str = "best", rate: int = RATE_HZ,
                 **settings: Any) -> None:
        self.feature_type, self.model_type, self.preset, self.rate = feature_type, model_type, preset, rate
        self.settings = settings

    def fit(self, X: Any, y: Any, groups: Any = None) -> "Classifier":
        """X: paths, or arrays of samples; y: their classes; groups: who speaks, which choices inside the training hold apart."""
        items, y = _recordings(X), np.asarray(y)
        if y.shape != (len(items),) or groups is not None and len(groups) != len(items):
            raise ArgumentError(f"X has {len(items)} recordings, y has the shape {y.shape}"
                                + ("" if groups is None else f", groups has {len(groups)}"))
        self.classes_ = np.unique(y)
        if len({str(k) for k in self.classes_}) < len(self.classes_) or len(self.classes_) < 2:
            raise ArgumentError("y: two classes or more are wanted, whose names differ")
        with tempfile.TemporaryDirectory(prefix="ser-") as folder:
            corpus, run = os.path.join(folder, "corpus.csv"), os.path.join(folder, "run")
            self._write(folder, corpus, items, y, groups)
            train(corpus, split_fold=0, run=run, on_message=lambda text: None, feature_type=self.feature_type, model_type=self.model_type,
                  preset=self.preset, features_dir=os.path.join(folder, "features"), **self.settings)
            with open(os.path.join(run, "model.safetensors"), "rb") as f:
                self.model_ = f.read()
        return self

    def _write(self, folder: str, corpus: str, items: list[Any], y: np.ndarray, groups: Any) -> None:
        """A CSV corpus; arrays become recordings beside it."""
        with open(corpus, "w", newline="", encoding="utf-8", errors="surrogateescape") as f:
            table = csv.writer(f, lineterminator="\n")
            table.writerow(["file", "emotion"] + ([] if groups is None else ["speaker"]))
            for i, item in enumerate(items):
                path = os.path.abspath(os.fsdecode(path_bytes(item))) if is_path(item) else os.path.join(folder, f"{i:06d}.wav")
                if not is_path(item):
                    with open(path, "wb") as wav:
                        wav.write(wav_bytes(item, self.rate))
                table.writerow([path, str(y[i])] + ([] if groups is None else [str(groups[i])]))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _opened(self, folder: str) -> Model:
        if not hasattr(self, "model_"):
            raise _not_fitted()("this classifier is not fitted yet: call fit first")
        path = os.path.join(folder, "model.safetensors")
        self.save(path)
        return Model(path, encoder=self.settings.get("encoder"), precision=self.settings.get("precision", "fp32"))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Calibrated probabilities, shape (n_recordings, n_classes), in the order of ``classes_``. A recording without a voice
        has the same for each class. Raises what is wrong with a recording that cannot be read."""
        items = _recordings(X)
        with tempfile.TemporaryDirectory(prefix="ser-") as folder, self._opened(folder) as model:
            answers = model.predict_many(items, self.rate, jobs=self.settings.get("jobs", 0), min_confidence=0)
        scores = np.full((len(items), len(self.classes_)), 1 / len(self.classes_))
        for i, a in enumerate(answers):
            if a.error is not None:
                raise a.error
            if a.scores is not None:
                scores[i] = [a.scores[str(k)] for k in self.classes_]
        return scores

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each recording."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Any, y: Any) -> float:
        """The share of right answers, 0 to 1."""
        return float(np.mean(self.predict(X) == np.asarray(y)))

    def save(self, path: Any) -> None:
        """The model file, as ``ser train`` leaves it: for `Model`, ``ser predict --model`` and ``ser info``."""
        if not hasattr(self, "model_"):
            raise _not_fitted()("this classifier is not fitted yet: call fit first")
        with open(path, "wb") as f:
            f.write(self.model_)

    def __sklearn_tags__(self) -> Any:
        return self._tags("classifier")


def _not_fitted() -> Any:
    """scikit-learn's own exception where it is there."""
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return ArgumentError
    return type("NotFittedError", (NotFittedError, ArgumentError), {})

