"""As scikit-learn's users know it: features as a transformer, a classifier as an estimator, on paths or arrays of samples.

The protocol of scikit-learn's estimators (parameters, clones, tags) is followed without importing it: an import of ser must
not load it, and both classes work without it.
"""

from __future__ import annotations

import csv
import inspect
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np

from ._errors import ArgumentError, ArgumentTypeError, Error, FileError, needed
from ._features import Block, Layers, Reader
from ._jobs import train_in_passing
from ._many import in_turn, teller
from ._model import Model
from ._model_parts import Stop
from ._sound import RATE_HZ, Path, Source, is_one_recording, name_of, path_bytes, wav_bytes


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
    """Of a list, an array of objects, a column, or what has audformat's index: paths, arrays of samples, stretches."""
    wanted = "give a list of recordings: paths, (path, start, end), or arrays of samples"
    if is_one_recording(X) or X is None:
        raise ArgumentTypeError(f"X: {wanted}")
    if type(X).__module__.split(".")[0] == "pandas":
        index = X if hasattr(X, "names") else getattr(X, "index", None)
        if list(getattr(index, "names", ())) in (["file"], ["file", "start", "end"]):
            X = index
        elif list(getattr(X, "columns", ())) == ["file", "start", "end"]:
            X = X.itertuples(index=False, name=None)
    if getattr(X, "ndim", 1) == 2 and X.shape[1] == 1:  # a column of a table
        X = np.asarray(X)[:, 0]
    if isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 2 and X.shape[1] == 3:
        X = [tuple(row) for row in X]
    try:
        items = list(X)
    except (TypeError, ValueError) as e:
        raise ArgumentTypeError(f"X is a {type(X).__name__}: {wanted}") from e
    if not items:
        raise ArgumentError("X: there are no recordings")
    return items


def _column(values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as e:
        raise ArgumentTypeError(f"{name} is a {type(values).__name__}: give a list, one for each recording") from e


def _fail(_: int, e: Error) -> Any:
    raise e


_POOLINGS: dict[str, tuple[int, ...]] = {"both": (0, 1, 2, 3), "all": (0, 1), "active": (2, 3), "mean": (0,)}
_STATISTICS = ("mean", "deviation", "active_mean", "active_deviation")


class Features(_Estimator):
    """Features of recordings as a transformer: X is a list of paths, of stretches (path, start, end), or of arrays of samples
    (n,) or (n, channels) of ``rate`` per second; a column of a table; or what has audformat's index.

    ``feature_type``: what ``ser extract`` knows, such as ``"LOGMEL"``, ``"WHISPER"``, ``"LOGMEL+HUBERT"``; None: what the
    encoder gives. ``layers``: hidden states, such as ``[1, 2, 3, 4]``, of several encoders ``{"HUBERT": 6, "WHISPER": [2, 3]}``;
    ``"all"``; None: WHISPER's third, the others' last. ``encoder``: the checkpoint's folder or its name in the model hub's
    cache, a list where several are needed. ``pad``, ``hop_length``, ``pool_encoder`` (the encoder's mean over time in
    every frame), ``precision``, ``engine``: as the command's options.

    ``pooling`` over time, one row of float32 per recording: ``"both"``, for each hidden state (or LOGMEL, ...) mean and
    deviation of all frames, then of the active ones, which are within 35 dB of the loudest; ``"all"`` and ``"active"``: one
    half of that; ``"mean"``: of all frames. None: frames, an array of objects, each (n_frames, n_dims). Frames equal those of
    ``ser extract``, and pooled values those that models of ``ser train`` read, to the last bit. ``jobs``: recordings at a
    time, 0 for all cores; a single recording gets that many threads.
    """

    def __init__(self, feature_type: Optional[str] = "WHISPER", *, layers: Layers = None, pooling: Optional[str] = "both",
                 encoder: Union[None, Path, Sequence[Path]] = None, pad: int = 0, hop_length: int = 320, pool_encoder: bool = False,
                 precision: str = "fp32", engine: str = "onednn", rate: int = 16000, jobs: int = 0) -> None:
        self.feature_type, self.layers, self.pooling, self.encoder = feature_type, layers, pooling, encoder
        self.pad, self.hop_length, self.pool_encoder, self.precision, self.engine = pad, hop_length, pool_encoder, precision, engine
        self.rate, self.jobs = rate, jobs

    def fit(self, X: Any = None, y: Any = None) -> "Features":
        """Learns nothing; opens the encoder, so that what is wrong with it is told now."""
        self._statistics(), self._opened()
        return self

    def transform(self, X: Any) -> Any:
        """Shape (n_recordings, n_values), or without pooling (n_recordings,) of arrays (n_frames, n_dims). Raises what is wrong
        with the first recording that cannot be read."""
        statistics, reader, items = self._statistics(), self._opened(), _recordings(X)
        reader._live()

        def answer(source: Source, i: int, n_threads: int, stop: Stop) -> Any:
            return None if stop.cancelled else reader._features_of(source, name_of(items[i]), statistics is not None, n_threads)

        rows = in_turn(items, self.rate, self.jobs, answer, _fail, teller(False, len(items)))
        if statistics is None:
            frames = np.empty(len(rows), dtype=object)
            frames[:] = rows
            return frames
        pooled = np.ascontiguousarray(np.stack(rows)[:, self._columns(reader.blocks, statistics)])
        return self._table(pooled, X) if self._wants_table() else pooled

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """`fit`, then `transform`."""
        return self.fit(X, y).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """What each value of a row is: ``WHISPER2_mean_17``; without pooling, each value of a frame."""
        statistics = self._statistics()
        names = [f"{b.name}{'' if b.layer is None else b.layer}_{'' if s is None else _STATISTICS[s] + '_'}{i}"
                 for b in self._opened().blocks for s in ((None,) if statistics is None else statistics) for i in range(b.dims)]
        return np.asarray(names, dtype=object)

    def set_output(self, *, transform: Optional[str] = None) -> "Features":
        """As scikit-learn's: ``"pandas"``, pooled features are a DataFrame, its columns `get_feature_names_out`, its index that of
        X where X has one; ``"default"``, an array; None, as before."""
        if not (transform is None or isinstance(transform, str) and transform in ("default", "pandas")):
            raise ArgumentError(f"transform: {transform!r} does not fit: give 'pandas' or 'default'")
        if transform is not None:
            self._output = transform
        return self

    def _wants_table(self) -> bool:
        """By `set_output`, without it by scikit-learn's own setting where that is loaded."""
        scikit = sys.modules.get("sklearn")
        said = self.__dict__.get("_output") or (scikit.get_config().get("transform_output", "default") if scikit else "default")
        return bool(said == "pandas")

    def _table(self, rows: np.ndarray, X: Any) -> Any:
        pd = needed("pandas", "an output of pandas")
        index = X if isinstance(X, pd.Index) else X.index if isinstance(X, (pd.DataFrame, pd.Series)) else None
        return pd.DataFrame(rows, index=index, columns=self.get_feature_names_out())

    def __sklearn_clone__(self) -> Any:
        return super().__sklearn_clone__().set_output(transform=self.__dict__.get("_output"))

    def _statistics(self) -> Optional[tuple[int, ...]]:
        if self.pooling is None:
            return None
        if not isinstance(self.pooling, str):
            raise ArgumentTypeError(f"pooling is a {type(self.pooling).__name__}: give one of {', '.join(_POOLINGS)}, or None")
        if self.pooling not in _POOLINGS:
            raise ArgumentError(f"pooling: '{self.pooling}' does not fit: give one of {', '.join(_POOLINGS)}, or None")
        return _POOLINGS[self.pooling]

    @staticmethod
    def _columns(blocks: list[Block], statistics: tuple[int, ...]) -> np.ndarray:
        return np.concatenate([4 * b.offset + s * b.dims + np.arange(b.dims) for b in blocks for s in statistics])

    def _opened(self) -> Reader:
        """Open as long as the parameters that decide it stay the same."""
        asked = repr((self.feature_type, self.layers, self.encoder, self.pad, self.hop_length, self.pool_encoder, self.precision,
                      self.engine))
        kept = self.__dict__.get("_reader")
        if kept is None or kept[0] != asked:
            kept = asked, Reader(self.feature_type, self.layers, self.encoder, pad=self.pad, hop_length=self.hop_length,
                                 pool_encoder=self.pool_encoder, precision=self.precision, engine=self.engine)
            self._reader = kept
        reader: Reader = kept[1]
        return reader

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_reader"}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = self._tags("transformer")
        tags.requires_fit = False
        return tags


class Classifier(_Estimator):
    """A model of emotion as an estimator: ``fit(paths, y, groups=speakers)``, ``predict``, ``predict_proba``, ``score``.

    ``settings``: what ``ser train`` takes, by its option's name with ``_``: ``feature_type="LOGMEL"``, ``layers=[2, 3]``,
    ``model_type``, ``preset``, ``seed``, ``jobs``. Fitted here and by ``ser train --split-fold 0`` with the same settings on
    the same recordings: the same weights to the last bit. ``rate`` of the samples per second, where recordings are arrays.
    """

    _estimator_type = "classifier"

    def __init__(self, feature_type: str = "WHISPER", model_type: str = "linear", preset: str = "best", rate: int = 16000,
                 **settings: Any) -> None:
        self.feature_type, self.model_type, self.preset, self.rate = feature_type, model_type, preset, rate
        self.settings = settings

    def fit(self, X: Any, y: Any, groups: Any = None) -> "Classifier":
        """X: paths, or arrays of samples; y: their classes; groups: who speaks, which choices inside the training hold apart."""
        if y is None:
            raise ArgumentError("this classifier requires y to be passed, but the target y is None")
        items, y = _recordings(X), _column(y, "y")
        if y.ndim == 2 and y.shape[1] == 1:
            warnings.warn("A column-vector y was passed when a 1d array was expected", _conversion_warning(), stacklevel=2)
            y = y[:, 0]
        if y.dtype.kind == "f" and not np.all(np.mod(y, 1) == 0):
            raise ArgumentError("Unknown label type: y holds numbers with fractions, which are no classes")
        groups = None if groups is None else _column(groups, "groups")
        if y.shape != (len(items),) or groups is not None and groups.shape != (len(items),):
            raise ArgumentError(f"X has {len(items)} recordings, y has the shape {y.shape}"
                                + ("" if groups is None else f", groups {groups.shape}"))
        try:
            self.classes_ = np.unique(y)
        except TypeError as e:
            raise ArgumentTypeError(f"y: classes that cannot be sorted: {e}") from e
        if len({str(k) for k in self.classes_}) < len(self.classes_) or len(self.classes_) < 2:
            raise ArgumentError(f"y has {len(self.classes_)} class{'es' * (len(self.classes_) != 1)}: two or more are wanted, whose names differ")
        with tempfile.TemporaryDirectory(prefix="ser-") as folder:
            corpus, run = os.path.join(folder, "corpus.csv"), os.path.join(folder, "run")
            self._write(folder, corpus, items, y, groups)
            settings = dict(self.settings)
            if settings.get("fine_tune"):
                settings["embed_encoder"] = True  # the run folder, where the tuned encoder lies, does not stay
            train_in_passing(corpus, split_fold=0, run=run, on_message=lambda text: None, feature_type=self.feature_type,
                             model_type=self.model_type, preset=self.preset, features_dir=os.path.join(folder, "features"), **settings)
            with open(os.path.join(run, "model.safetensors"), "rb") as f:
                self.model_ = f.read()
        return self

    def _write(self, folder: str, corpus: str, items: list[Any], y: np.ndarray, groups: Any) -> None:
        """A CSV corpus; arrays and stretches become recordings beside it."""

        def place(source: Source, i: int, n_threads: int, stop: Stop) -> str:
            if source.suffix == "_file":
                return os.path.abspath(os.fsdecode(source.arguments[0]))
            data = source.arguments[0] if source.suffix else wav_bytes(np.ctypeslib.as_array(source.arguments[0], (source.arguments[1],)), RATE_HZ)
            path = os.path.join(folder, f"{i:06d}.wav")
            with open(path, "wb") as wav:
                wav.write(data)
            return path

        places = in_turn(items, self.rate, 1, place, _fail, teller(False, len(items)))
        with open(corpus, "w", newline="", encoding="utf-8", errors="surrogateescape") as f:
            table = csv.writer(f, lineterminator="\n")
            table.writerow(["file", "emotion"] + ([] if groups is None else ["speaker"]))
            for i, path in enumerate(places):
                table.writerow([path, str(y[i])] + ([] if groups is None else [str(groups[i])]))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def _opened(self, folder: str) -> Model:
        if not hasattr(self, "model_"):
            raise _not_fitted()("this classifier is not fitted yet: call fit first")
        path = os.path.join(folder, "model.safetensors")
        self.save(path)
        encoder = None if _carries_encoder(self.model_) else self.settings.get("encoder")  # which was for the training
        return Model(path, encoder=encoder, precision=self.settings.get("precision", "fp32"))

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
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def score(self, X: Any, y: Any) -> float:
        """The share of right answers, 0 to 1."""
        answers, y = self.predict(X), _column(y, "y")
        if y.shape != answers.shape:
            raise ArgumentError(f"X has {len(answers)} recordings, y has the shape {y.shape}")
        return float(np.mean(answers == y))

    def save(self, path: Any) -> None:
        """The model file, as ``ser train`` leaves it: for `Model`, ``ser predict --model`` and ``ser info``."""
        if not hasattr(self, "model_"):
            raise _not_fitted()("this classifier is not fitted yet: call fit first")
        name = path_bytes(path)
        try:
            with open(name, "wb") as f:
                f.write(self.model_)
        except OSError as e:
            raise FileError(f"{os.fsdecode(name)}: it cannot be written ({e.strerror})") from e

    def __sklearn_tags__(self) -> Any:
        return self._tags("classifier")


def _carries_encoder(model: bytes) -> bool:
    """Of a model file: docs/model-format.md."""
    n = int.from_bytes(model[:8], "little")
    return "ser.encoder_config" in json.loads(model[8:8 + n])["__metadata__"]


def _not_fitted() -> Any:
    """scikit-learn's own exception where it is there."""
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return ArgumentError
    return type("NotFittedError", (NotFittedError, ArgumentError), {})



def _conversion_warning() -> Any:
    try:
        from sklearn.exceptions import DataConversionWarning
    except ImportError:
        return UserWarning
    return DataConversionWarning
