"""Models and answers."""

from __future__ import annotations

import ctypes as c
import math
import os
import threading
from dataclasses import dataclass, fields
from typing import Any, Callable, Iterable, Optional, Sequence, Union

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError, Error
from ._many import in_turn, listed, one_source, teller
from ._model_parts import Handle, Opened, Stop, check_jobs, flag, settings_of
from ._sound import Path, Source, is_number, name_of, path_bytes

_NOTES = {1: "silence", 2: "no voice", 3: "unlike the training recordings"}


def _to_ms(seconds: float) -> float:
    """To the millisecond as C rounds, halves away from zero."""
    return math.floor(seconds * 1000 + 0.5) / 1000


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording; start and end in seconds. ``label`` and ``scores`` are None where there is no voice."""

    start: float
    end: float
    label: Optional[str]
    confidence: float
    scores: Optional[dict[str, float]]


@dataclass(frozen=True)
class Sound:
    """How a recording sounds, as far as answers depend on it (docs/sound.md); None: could not be measured.

    ``voice_s``: in so many seconds a voice is heard. ``bandwidth_hz``: up to which frequency there is sound, 8000 at most.
    ``level_db`` of the voice and ``noise_db`` of the pauses, in dB of full scale; ``snr_db``, the voice to the noise.
    ``clipped``: share of the samples that are cut off at the ceiling, 0 to 1. ``decay_s``: roughly, how long a sound takes
    to fade by 60 dB.
    """

    voice_s: float
    bandwidth_hz: Optional[float]
    level_db: Optional[float]
    noise_db: Optional[float]
    snr_db: Optional[float]
    clipped: float
    decay_s: Optional[float]


@dataclass(frozen=True)
class Answer:
    """What a model hears in one recording.

    ``label`` is the most probable emotion, ``"uncertain"`` where its probability is below the model's own limit (see
    ``min_confidence`` of `predict`), and None in silence and in noise without a voice, where ``note`` says why.
    ``confidence`` is its probability, ``scores`` holds that of each emotion: calibrated, from 0 to 1, adding up to 1; None
    without a label. ``segments`` are there with ``timeline=True``. ``duration`` is in seconds. ``sound``, with
    ``explain=True``, says how it sounds, as far as answers depend on it. ``unlike``: how far it lies from what the model learned
    from; 1 is as far as 99 of 100 recordings of corpora that it was tried on, and beyond that ``scores`` were evened out and
    ``note`` says so; None without a label, or where the model does not measure it. ``warning`` says what was odd about the recording,
    such as a truncated file. ``error`` is the exception of a recording that failed in `Model.predict_many`, and everything
    else is then empty.
    """

    file: str
    label: Optional[str] = None
    confidence: float = 0.0
    scores: Optional[dict[str, float]] = None
    segments: Optional[list[Segment]] = None
    note: Optional[str] = None
    warning: Optional[str] = None
    duration: float = 0.0
    error: Optional[Error] = None
    sound: Optional[Sound] = None
    unlike: Optional[float] = None

    def to_dict(self) -> dict[str, Any]:
        """The object that ``ser predict --format json`` prints; times to the millisecond, scores unrounded."""
        if self.error is not None:
            return {"file": self.file, "error": str(self.error)}
        d: dict[str, Any] = {"file": self.file, "duration": _to_ms(self.duration), "label": self.label,
                             "confidence": self.confidence, "scores": self.scores}
        if self.note:
            d["note"] = self.note
        if self.segments is not None:
            d["segments"] = [{"start": _to_ms(s.start), "end": _to_ms(s.end), "label": s.label, "confidence": s.confidence,
                              "scores": s.scores} for s in self.segments]
        return d

    def _repr_html_(self) -> str:
        from html import escape

        if self.error is not None or not self.scores:
            return f"<p><b>{escape(self.file)}</b> {escape(str(self.error or self.note))}</p>"
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{100 * v:.1f} %</td><td><progress max=1 value={v:.4f}></progress></td></tr>"
                       for k, v in sorted(self.scores.items(), key=lambda kv: -kv[1]))
        return f"<p><b>{escape(self.file)} {escape(str(self.label))}</b></p><table>{rows}</table>"


class Model(Opened):
    """A model of emotion: a ``.safetensors`` file, a run folder, or without a path the one that is built in.

    May be used by several threads at once, each of which gets working memory of its own; C works without the GIL. In a
    forked process a model goes on working, with working memory of its own.

    ``precision`` of the encoder: ``auto`` (the fastest on this processor that keeps the accuracy), ``fp32``, ``bf16``,
    ``int8``. ``encoder`` names the encoder's folder (or its name in the model hub's cache) for models that carry none; a
    list where a model needs several.
    """

    def __init__(self, path: Optional[Path] = None, *, precision: str = "auto", engine: str = "onednn",
                 encoder: Union[None, Path, Sequence[Path]] = None) -> None:
        self._handle: Optional[Handle] = None
        self._args: Any = (path, precision, engine, encoder)
        settings = settings_of(precision, engine, encoder)
        self.path = None if path is None else os.fsdecode(path_bytes(path, "the model's path"))
        file = self.path
        if file and os.path.exists(os.path.join(file, "model.safetensors")):
            file = os.path.join(file, "model.safetensors")
        name = None if file is None else path_bytes(file)
        self._open(lambda model, err: lib.ser().ser_model_open(model, name, c.byref(settings), err), self.path or "")
        self._labels = [lib.text(lib.ser().ser_model_label(self._live().model, i)) for i in range(len(self))]
        self._rule = [float(lib.ser().ser_model_min_confidence_of(self._live().model, i)) for i in range(len(self))]

    # ---- what it is ----

    def __len__(self) -> int:
        return int(lib.ser().ser_model_n_labels(self._live().model))

    @property
    def labels(self) -> list[str]:
        """The emotions that it tells apart, in alphabetical order."""
        self._live()
        return list(self._labels)

    @property
    def type(self) -> str:
        """``linear``, ``timnet``, or ``linear+timnet``."""
        return lib.text(lib.ser().ser_model_type(self._live().model))

    @property
    def features(self) -> str:
        """What it reads, such as ``WHISPER(layers=2,3,4;pad=0)``."""
        return lib.text(lib.ser().ser_model_features(self._live().model))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where it comes from, as its maker wrote it: corpora, hashes, settings, figures. Empty where the file does not say."""
        import json

        said = lib.ser().ser_model_provenance(self._live().model)
        return json.loads(said.decode("utf-8", "replace")) if said else {}

    @property
    def min_confidence(self) -> float:
        """Below it a label is ``uncertain``, by the model's own rule; 0: never. For neutral and calm it may be lower."""
        return float(lib.ser().ser_model_min_confidence(self._live().model))

    def close(self) -> None:
        """Gives its memory back; twice is fine. Threads that are busy with it finish first."""
        self._handle = None

    def __enter__(self) -> "Model":
        self._live()
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        if getattr(self, "_handle", None) is None:
            return "<ser.Model, closed>"
        return f"<ser.Model {self.path or 'built in'}: {self.type} on {self.features}, {', '.join(self._labels)}>"

    def __reduce__(self) -> Any:
        self._live()
        return _reopen, self._args

    def _limits(self, min_confidence: Any) -> list[float]:
        self._live()
        if isinstance(min_confidence, str) and min_confidence == "auto":
            return self._rule
        if not is_number(min_confidence):
            raise ArgumentTypeError("min_confidence: give 'auto' or a number from 0 to 1")
        if not 0 <= min_confidence <= 1:
            raise ArgumentError(f"min_confidence is {min_confidence}: give 'auto' or a number from 0 to 1")
        return [float(min_confidence)] * len(self._labels)

    # ---- answers ----

    def predict(self, recording: Any, rate: Optional[int] = None, *, timeline: bool = False, explain: bool = False,
                min_confidence: Union[str, float] = "auto", jobs: int = 0,
                progress: Optional[Callable[[float, float], Any]] = None) -> Answer:
        """The emotion of one recording.

        ``recording``: the path of an audio file of any kind, rate and number of channels; an open binary file; samples,
        shape (n_samples,) or (n_samples, channels), int16 or float of nominal range [-1, 1], of ``rate`` per second; or a
        stretch of a file, (path, start, end) in seconds or timedeltas, where an end of None is the recording's.
        ``timeline``: the emotion over time too, as ``segments``. ``explain``: how the recording sounds, as ``sound``.
        ``min_confidence``: below it the label is ``uncertain``; 0: never. ``jobs``: threads, 0 for all cores.
        ``progress(heard_s, total_s)`` is called about once a second of sound.

        Raises `FormatError` for what cannot be decoded, is shorter than 25 ms, or holds samples that are not finite.
        """
        limits, n_threads = self._limits(min_confidence), check_jobs(jobs)
        wanted = (flag(timeline, "timeline"), flag(explain, "explain"))
        if progress is not None and not callable(progress):
            raise ArgumentTypeError(f"progress: a {type(progress).__name__} cannot be called")
        with one_source(recording, rate) as source:
            return self._answer(self._live(), source, name_of(recording), wanted, limits, n_threads, Stop(progress))

    def _answer(self, handle: Handle, source: Source, name: str, wanted: tuple[bool, bool], limits: list[float], n_threads: int,
                stop: Stop) -> Answer:
        session = self._session(handle, n_threads)
        result, err, ser = lib.Result(), lib.ErrorText(), lib.ser()
        callback = lib.PredictProgress(stop)
        timeline, explain = wanted
        options = lib.PredictOptions(c.sizeof(lib.PredictOptions), int(timeline), 0, callback, None, int(explain))
        try:
            predict = getattr(ser, "ser_predict" + source.suffix)
            status = predict(session, *source.arguments, c.byref(options), c.byref(result), c.byref(err))
            if stop.raised is not None:
                raise stop.raised
            lib.check(status, err, name)
            return self._answer_of(result, name, wanted, limits)
        finally:
            ser.ser_result_release(c.byref(result))
            self._give_back(handle, n_threads, session)

    def _named(self, label: int, scores: Any, limits: list[float]) -> tuple[Optional[str], float, Optional[dict[str, float]]]:
        if label < 0:
            return None, 0.0, None
        confidence = float(scores[label])
        name = "uncertain" if np.float32(confidence) < limits[label] else self._labels[label]
        return name, confidence, {k: float(scores[i]) for i, k in enumerate(self._labels)}

    def _answer_of(self, r: Any, name: str, wanted: tuple[bool, bool], limits: list[float]) -> Answer:
        label, confidence, scores = self._named(r.label, r.scores, limits)
        segments = None
        sound: Optional[Sound] = None
        if wanted[0]:
            segments = [Segment(s.start_s, s.end_s, *self._named(s.label, s.scores, limits)) for s in r.segments[:r.n_segments]]
        if wanted[1]:
            figures: dict[str, Any] = {f.name: getattr(r.sound, f.name) for f in fields(Sound)}
            figures.update({name: None for name, v in figures.items() if not math.isfinite(v)})
            sound = Sound(**figures)
        return Answer(file=name, label=label, confidence=confidence, scores=scores, segments=segments, note=_NOTES.get(r.note),
                      warning=r.warning.decode("utf-8", "replace") or None, duration=r.duration_s,
                      sound=sound, unlike=float(r.unlike) if r.unlike > 0 else None)

    def predict_many(self, recordings: Iterable[Any], rate: Optional[int] = None, *, jobs: int = 0, timeline: bool = False,
                     explain: bool = False, min_confidence: Union[str, float] = "auto", progress: Union[bool, Callable[[int, int], Any]] = False
                     ) -> list[Answer]:
        """The emotions of many recordings, in their order, several at a time; see `predict`.

        One that fails leaves the others be: its answer has ``error``, and no label. A file of which several stretches are
        asked for is decoded once; the times of segments count from the beginning of the stretch. ``progress``: True for tqdm's bar
        where tqdm is installed, or a function of how many are done and how many there are.
        """
        handle, limits, items = self._live(), self._limits(min_confidence), listed(recordings)
        wanted, told = (flag(timeline, "timeline"), flag(explain, "explain")), teller(progress, len(items))

        def answer(source: Source, i: int, n_threads: int, stop: Stop) -> Answer:
            return self._answer(handle, source, name_of(items[i]), wanted, limits, n_threads, stop)

        return in_turn(items, rate, jobs, answer, lambda i, e: Answer(file=name_of(items[i]), error=e), told)

    def features_of(self, recording: Any, rate: Optional[int] = None, *, pooled: bool = False, jobs: int = 0) -> np.ndarray:
        """What the model reads of a recording, float32: shape (n_frames, n_dims); ``pooled``: (n_dims,), for each hidden
        state (or log-mel, ...) mean and deviation over all frames, then over the active ones. `recording` as in `predict`.
        """
        n_threads, as_one = check_jobs(jobs), flag(pooled, "pooled")
        with one_source(recording, rate) as source:
            return self._features_of(source, name_of(recording), as_one, n_threads)


def _reopen(path: Any, precision: str, engine: str, encoder: Any) -> Model:
    return Model(path, precision=precision, engine=engine, encoder=encoder)


_builtin: Optional[Model] = None
_builtin_lock = threading.Lock()


def builtin() -> Model:
    """The built-in model, opened once."""
    global _builtin
    with _builtin_lock:
        if _builtin is None or _builtin._handle is None:
            _builtin = Model()
        return _builtin


def _after_fork() -> None:
    global _builtin_lock
    _builtin_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def predict(recording: Any, rate: Optional[int] = None, *, model: Union[None, Path, Model] = None, timeline: bool = False,
            explain: bool = False, min_confidence: Union[str, float] = "auto", jobs: int = 0,
            progress: Optional[Callable[[float, float], Any]] = None) -> Answer:
    """The emotion of one recording, by the model that is built in, or by ``model`` (a `Model`, or the path of one).

    See `Model.predict` for everything else. To answer for many, open a `Model` once.
    """
    chosen = builtin() if model is None else model if isinstance(model, Model) else Model(model)
    return chosen.predict(recording, rate, timeline=timeline, explain=explain, min_confidence=min_confidence, jobs=jobs,
                          progress=progress)
