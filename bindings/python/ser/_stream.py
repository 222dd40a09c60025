"""Speech that comes bit by bit."""

from __future__ import annotations

import ctypes as c
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError
from ._model import Model, builtin
from ._model_parts import check_jobs
from ._sound import MAX_CHANNELS, Path, check_rate, is_number, is_whole

_KINDS = {1: "speech_start", 2: "measurement", 3: "speech_end"}


@dataclass(frozen=True)
class Event:
    """``event`` is ``speech_start``, ``measurement`` or ``speech_end``; start and end in seconds since the stream began. A
    measurement is ``final`` when later sound cannot change it. Label, confidence and scores as in `Answer`."""

    event: str
    start: float
    end: float
    label: Optional[str]
    confidence: float
    scores: Optional[dict[str, float]]
    final: bool


class Stream:
    """Listens to speech as it comes: `push` samples, get `Event`s; `finish` ends an utterance under way.

    ``rate`` of the samples per second and ``channels`` of what is pushed. ``pause``: so many seconds end an utterance (0.1
    to 10). ``update``: an utterance under way is measured so often, in seconds (0.25 to 10); None: never. ``model``: a
    `Model`, or the path of one; without, the one that is built in. A stream belongs to one thread at a time.
    """

    def __init__(self, rate: int = 16000, channels: int = 1, *, pause: float = 0.5, update: Optional[float] = 1.0,
                 model: Union[None, Path, Model] = None, jobs: int = 1) -> None:
        self._stream, self._session = c.c_void_p(), c.c_void_p()
        # Bound here because at the interpreter's exit the module's own names may be gone.
        self._close_stream, self._free_session, self._byref = lib.ser().ser_stream_close, lib.ser().ser_session_free, c.byref
        self._lock = threading.Lock()
        self._finished = False
        for name, value in (("pause", pause), ("update", 1.0 if update is None else update)):
            if not is_number(value):
                raise ArgumentTypeError(f"{name} is a {type(value).__name__}: give seconds")
            if not 0 < value <= 1e9:
                raise ArgumentError(f"{name} is {value}: give seconds")
        if not is_whole(channels):
            raise ArgumentTypeError(f"channels is a {type(channels).__name__}: give a number")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ArgumentError(f"channels is {channels}: a number from 1 to {MAX_CHANNELS} is wanted")
        self._channels = int(channels)
        self._model = builtin() if model is None else model if isinstance(model, Model) else Model(model)
        self._handle = self._model._live()  # which lives as long as the stream does
        err, settings = lib.ErrorText(), lib.SessionSettings(c.sizeof(lib.SessionSettings), check_jobs(jobs))
        lib.check(lib.ser().ser_session_new(c.byref(self._session), self._handle.model, c.byref(settings), c.byref(err)), err)
        live = lib.StreamSettings(c.sizeof(lib.StreamSettings), check_rate(rate), self._channels, float(pause),
                                  -1.0 if update is None else float(update))
        lib.check(lib.ser().ser_stream_open(c.byref(self._stream), self._session, c.byref(live), c.byref(err)), err)

    def push(self, samples: Any) -> list[Event]:
        """What became known by these samples: an array, shape (n,) or (n, channels), int16 or float of nominal range [-1, 1];
        or an iterable of such arrays."""
        if hasattr(samples, "read"):
            raise ArgumentTypeError(f"a {type(samples).__name__} holds no samples: give a NumPy array")
        if isinstance(samples, Iterable) and not isinstance(samples, (np.ndarray, str, bytes)) and not _is_numbers(samples):
            return [event for chunk in samples for event in self.push(chunk)]
        x = self._samples(samples)
        with self._lock:
            self._check_open()
            err = lib.ErrorText()
            pointer = x.ctypes.data_as(c.POINTER(c.c_float))
            lib.check(lib.ser().ser_stream_push(self._stream, pointer, x.size // self._channels, c.byref(err)), err)
            return list(self._events())

    def finish(self) -> list[Event]:
        """No more will come: what became known by that. The stream is over then; twice is fine."""
        with self._lock:
            if self._finished:
                return []
            self._check_open()
            err = lib.ErrorText()
            lib.check(lib.ser().ser_stream_finish(self._stream, c.byref(err)), err)
            self._finished = True
            return list(self._events())

    def close(self) -> None:
        """Gives its memory back; twice is fine."""
        with self._lock:
            self._close_stream(self._byref(self._stream))
            self._free_session(self._byref(self._session))

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_byref", None) is not None:
            self._close_stream(self._byref(self._stream))
            self._free_session(self._byref(self._session))

    def _check_open(self) -> None:
        if not self._stream:
            raise ArgumentError("the stream is closed: open another")
        if self._finished:
            raise ArgumentError("the stream is over: open another")

    def _samples(self, samples: Any) -> np.ndarray:
        try:
            x = np.asarray(samples)
        except Exception as e:  # whatever an object's own conversion raises
            raise ArgumentTypeError(f"a {type(samples).__name__} holds no samples: give a NumPy array") from e
        if x.dtype == np.int16:
            x = x.astype(np.float32) / np.float32(32768)
        elif x.dtype.kind != "f":
            raise ArgumentTypeError(f"samples are of dtype {x.dtype}: give int16 or float32")
        if not (x.ndim == 1 and self._channels == 1 or x.ndim == 2 and x.shape[1] == self._channels):
            wanted = "(n,)" if self._channels == 1 else f"(n, {self._channels})"
            raise ArgumentError(f"the array's shape is {x.shape}: {wanted} is wanted")
        return np.ascontiguousarray(x, np.float32)

    def _events(self) -> Iterator[Event]:
        while True:
            event = lib.ser().ser_stream_next(self._stream)
            if not event:
                return
            e = event.contents
            label, confidence, scores = self._model._named(e.label, e.scores, self._model._rule)
            yield Event(_KINDS.get(e.kind, str(e.kind)), e.start_s, e.end_s, label, confidence, scores, bool(e.final))


def _is_numbers(x: Any) -> bool:
    """A list of plain numbers, or something that says itself how it becomes an array."""
    if hasattr(x, "__array__"):
        return True
    return isinstance(x, (list, tuple)) and (not x or isinstance(x[0], (int, float, np.number)))
