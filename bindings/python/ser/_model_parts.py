"""What models of every sort stand on: a handle of the library with its sessions, settings, and a way to stop."""

from __future__ import annotations

import ctypes as c
import os
from collections import deque
from typing import Any, Callable, Optional, Sequence

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError
from ._sound import Source, is_path, is_whole, path_bytes

PRECISIONS = ("auto", "fp32", "bf16", "int8")
ENGINES = ("onednn", "ref")
MAX_THREADS = 1024


def check_jobs(jobs: Any) -> int:
    if not is_whole(jobs):
        raise ArgumentTypeError(f"jobs is a {type(jobs).__name__}: give a number of threads, 0 for all cores")
    if not 0 <= jobs <= MAX_THREADS:
        raise ArgumentError(f"jobs is {jobs}: a number from 0 to {MAX_THREADS} is wanted")
    return int(jobs)


def flag(value: Any, name: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentTypeError(f"{name} is a {type(value).__name__}: give True or False")
    return bool(value)


def word_of(value: Any, words: Sequence[str], name: str) -> int:
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} is a {type(value).__name__}: give one of {', '.join(words)}")
    if value not in words:
        raise ArgumentError(f"{name}: '{value}' does not fit: give one of {', '.join(words)}")
    return words.index(value)


class Handle:
    """A model of the library with its idle sessions. It lives as long as somebody uses it: what is closed while another
    thread is busy with it goes when that thread is done."""

    def __init__(self) -> None:
        self.model = c.c_void_p()
        self.idle: dict[Any, deque[Any]] = {}
        # Kept here because at the interpreter's exit the module's own names may be gone.
        self._free_session, self._close = lib.ser().ser_session_free, lib.ser().ser_model_close
        self._pid, self._getpid, self._byref = os.getpid(), os.getpid, c.byref

    def __del__(self) -> None:
        if getattr(self, "_byref", None) is None or self._getpid() != self._pid:
            return  # of the parent, whose threads a forked process does not have
        for sessions in self.idle.values():
            for session in sessions:
                self._free_session(self._byref(session))
        self._close(self._byref(self.model))


class Stop:
    """An exception that a callback raised, on its way through C."""

    def __init__(self, tell: Optional[Callable[[float, float], Any]] = None) -> None:
        self.raised: Optional[BaseException] = None
        self.tell = tell
        self.cancelled = False

    def __call__(self, _context: Any, heard_s: float, total_s: float) -> int:
        try:
            if self.tell:
                self.tell(heard_s, total_s)
        except BaseException as e:
            self.raised = e
        return int(self.raised is not None or self.cancelled or lib.calls.closing)


def settings_of(precision: Any, engine: Any, encoder: Any) -> Any:
    settings = lib.Settings()
    lib.ser().ser_settings_init(c.byref(settings), c.sizeof(settings))
    settings.precision = word_of(precision, PRECISIONS, "precision")
    settings.engine = word_of(engine, ENGINES, "engine")
    names = [] if encoder is None else [encoder] if is_path(encoder) else encoder
    if not isinstance(names, (list, tuple)):
        raise ArgumentTypeError(f"encoder is a {type(encoder).__name__}: give a folder, or a list of them")
    settings.encoders, settings.n_encoders = lib.strings([path_bytes(e, "encoder") for e in names]), len(names)
    return settings


class Opened:
    """Something of the library's that is open: with working memory for each thread, and features."""

    _handle: Optional[Handle]

    def _open(self, open_it: Callable[[Any, Any], int], about: str) -> None:
        handle, err = Handle(), lib.ErrorText()
        lib.check(open_it(c.byref(handle.model), c.byref(err)), err, about)
        self._handle = handle

    def _live(self) -> Handle:
        handle: Optional[Handle] = getattr(self, "_handle", None)
        if handle is None:
            raise ArgumentError("the model is closed: open it again")
        return handle

    def _session(self, handle: Handle, n_threads: int) -> Any:
        """Working memory that belongs to the caller until _give_back. A forked process takes none of its parent's, with
        which a thread may have been busy."""
        idle = handle.idle.setdefault((os.getpid(), n_threads), deque())
        try:
            return idle.pop()
        except IndexError:
            session, err = c.c_void_p(), lib.ErrorText()
            settings = lib.SessionSettings(c.sizeof(lib.SessionSettings), n_threads)
            lib.check(lib.ser().ser_session_new(c.byref(session), handle.model, c.byref(settings), c.byref(err)), err)
            return session

    def _give_back(self, handle: Handle, n_threads: int, session: Any) -> None:
        handle.idle[(os.getpid(), n_threads)].append(session)

    def _features_of(self, source: Source, name: str, pooled: bool, n_threads: int) -> np.ndarray:
        """Float32: (n_frames, n_dims), or (4 * n_dims,)."""
        handle = self._live()
        session = self._session(handle, n_threads)
        array, err, ser = lib.FeatureArray(), lib.ErrorText(), lib.ser()
        try:
            read = getattr(ser, "ser_features" + source.suffix)
            lib.check(read(session, *source.arguments, int(pooled), c.byref(array), c.byref(err)), err, name)
            shape = (array.n_dims,) if pooled else (array.n_rows, array.n_dims)
            if not array.n_rows:
                return np.empty(shape, np.float32)
            return np.array(np.ctypeslib.as_array(array.values, shape))
        finally:
            ser.ser_feature_array_release(c.byref(array))
            self._give_back(handle, n_threads, session)
