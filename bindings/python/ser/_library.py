"""libser and libser-run through ctypes: the structs and functions of ser/ser.h and ser/run.h.

The libraries are loaded when they are first needed, so that an import costs nothing. ctypes releases the GIL while a
function of theirs works. Layouts are compared with the headers' by tests/python/test_layout.py.
"""

from __future__ import annotations

import atexit
import ctypes as c
import os
import threading
import time
from ctypes import POINTER, byref
from typing import Any, Callable

from ._errors import BY_STATUS, Error

API_VERSION = 1
MAX_LABELS = 64
HERE = os.path.dirname(os.path.abspath(__file__))


class ErrorText(c.Structure):
    _fields_ = [("status", c.c_int), ("text", c.c_char * 512)]


class Settings(c.Structure):
    _fields_ = [("size", c.c_size_t), ("n_threads", c.c_int), ("precision", c.c_int), ("engine", c.c_int),
                ("encoders", POINTER(c.c_char_p)), ("n_encoders", c.c_size_t)]


class SessionSettings(c.Structure):
    _fields_ = [("size", c.c_size_t), ("n_threads", c.c_int)]


class Segment(c.Structure):
    _fields_ = [("start_s", c.c_double), ("end_s", c.c_double), ("label", c.c_int), ("scores", c.c_float * MAX_LABELS)]


class Acoustics(c.Structure):
    _fields_ = [("voice_s", c.c_float), ("bandwidth_hz", c.c_float), ("level_db", c.c_float), ("noise_db", c.c_float),
                ("snr_db", c.c_float), ("clipped", c.c_float), ("decay_s", c.c_float), ("reserved", c.c_float * 5)]


class Result(c.Structure):
    _fields_ = [("duration_s", c.c_double), ("label", c.c_int), ("confidence", c.c_float), ("scores", c.c_float * MAX_LABELS),
                ("note", c.c_int), ("warning", c.c_char * 256), ("segments", POINTER(Segment)), ("n_segments", c.c_size_t),
                ("peaks", POINTER(c.c_float)), ("n_peaks", c.c_size_t), ("sound", Acoustics), ("unlike", c.c_float),
                ("reserved_float", c.c_float), ("reserved", c.c_uint64 * 1)]


PredictProgress = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_double, c.c_double)


class PredictOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("timeline", c.c_int), ("n_peaks", c.c_size_t), ("on_progress", PredictProgress),
                ("context", c.c_void_p), ("sound", c.c_int)]


class FeatureArray(c.Structure):
    _fields_ = [("values", POINTER(c.c_float)), ("n_rows", c.c_size_t), ("n_dims", c.c_size_t), ("frames_per_s", c.c_double),
                ("reserved", c.c_uint64 * 4)]


class FeatureSettings(c.Structure):
    _fields_ = [("size", c.c_size_t), ("type", c.c_char_p), ("layers", c.c_char_p), ("hop_samples", c.c_int), ("pad_s", c.c_int),
                ("pool_encoder", c.c_int)]


class Samples(c.Structure):
    _fields_ = [("samples", POINTER(c.c_float)), ("n_samples", c.c_size_t), ("file_rate_hz", c.c_int), ("file_channels", c.c_int),
                ("warning", c.c_char * 256), ("reserved", c.c_uint64 * 8)]


class SamplesOptions(c.Structure):
    _fields_ = [("size", c.c_size_t), ("start_s", c.c_double), ("end_s", c.c_double)]


class Event(c.Structure):
    _fields_ = [("kind", c.c_int), ("final", c.c_int), ("start_s", c.c_double), ("end_s", c.c_double), ("label", c.c_int),
                ("confidence", c.c_float), ("scores", c.c_float * MAX_LABELS), ("reserved", c.c_uint64 * 8)]


class StreamSettings(c.Structure):
    _fields_ = [("size", c.c_size_t), ("sample_rate_hz", c.c_int), ("n_channels", c.c_int), ("pause_s", c.c_double),
                ("update_s", c.c_double)]


class Epoch(c.Structure):
    _fields_ = [("part", c.c_char_p), ("network", c.c_size_t), ("n_networks", c.c_size_t), ("epoch", c.c_size_t),
                ("n_epochs", c.c_size_t), ("train_loss", c.c_double), ("train_accuracy", c.c_double),
                ("validation_loss", c.c_double), ("validation_accuracy", c.c_double), ("lmmd", c.c_double),
                ("entropy", c.c_double), ("rate", c.c_double), ("seconds", c.c_double), ("restored", c.c_int)]


RunProgress = c.CFUNCTYPE(c.c_int, c.c_void_p, c.c_char_p, c.c_size_t, c.c_size_t)
RunEpoch = c.CFUNCTYPE(None, c.c_void_p, POINTER(Epoch))
RunMessage = c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_char_p)


class Listener(c.Structure):
    _fields_ = [("size", c.c_size_t), ("context", c.c_void_p), ("on_progress", RunProgress), ("on_epoch", RunEpoch),
                ("on_message", RunMessage), ("ranks", c.c_void_p)]


_p, _err = c.c_void_p, POINTER(ErrorText)
_result, _options, _array, _floats = POINTER(Result), POINTER(PredictOptions), POINTER(FeatureArray), POINTER(c.c_float)

# Of libser: what is returned, and of what.
SER = {
    "ser_settings_init": (None, [POINTER(Settings), c.c_size_t]),
    "ser_version": (c.c_char_p, []),
    "ser_api_version": (c.c_int, []),
    "ser_model_open": (c.c_int, [POINTER(_p), c.c_char_p, POINTER(Settings), _err]),
    "ser_model_open_features": (c.c_int, [POINTER(_p), POINTER(FeatureSettings), POINTER(Settings), _err]),
    "ser_model_close": (None, [POINTER(_p)]),
    "ser_model_n_labels": (c.c_size_t, [_p]),
    "ser_model_label": (c.c_char_p, [_p, c.c_size_t]),
    "ser_model_type": (c.c_char_p, [_p]),
    "ser_model_features": (c.c_char_p, [_p]),
    "ser_model_feature_dims": (c.c_size_t, [_p, c.c_size_t]),
    "ser_model_provenance": (c.c_char_p, [_p]),
    "ser_model_min_confidence": (c.c_double, [_p]),
    "ser_model_min_confidence_of": (c.c_double, [_p, c.c_size_t]),
    "ser_session_new": (c.c_int, [POINTER(_p), _p, POINTER(SessionSettings), _err]),
    "ser_session_free": (None, [POINTER(_p)]),
    "ser_predict": (c.c_int, [_p, _floats, c.c_size_t, _options, _result, _err]),
    "ser_predict_file": (c.c_int, [_p, c.c_char_p, _options, _result, _err]),
    "ser_predict_bytes": (c.c_int, [_p, _p, c.c_size_t, _options, _result, _err]),
    "ser_result_release": (None, [_result]),
    "ser_features": (c.c_int, [_p, _floats, c.c_size_t, c.c_int, _array, _err]),
    "ser_features_file": (c.c_int, [_p, c.c_char_p, c.c_int, _array, _err]),
    "ser_features_bytes": (c.c_int, [_p, _p, c.c_size_t, c.c_int, _array, _err]),
    "ser_feature_array_release": (None, [_array]),
    "ser_samples_read_file": (c.c_int, [POINTER(Samples), c.c_char_p, POINTER(SamplesOptions), _err]),
    "ser_samples_release": (None, [POINTER(Samples)]),
    "ser_stream_open": (c.c_int, [POINTER(_p), _p, POINTER(StreamSettings), _err]),
    "ser_stream_push": (c.c_int, [_p, _floats, c.c_size_t, _err]),
    "ser_stream_finish": (c.c_int, [_p, _err]),
    "ser_stream_next": (POINTER(Event), [_p]),
    "ser_stream_close": (None, [POINTER(_p)]),
}
# Of libser-run.
RUN = {
    "ser_run_api_version": (c.c_int, []),
    "ser_run_listener_init": (None, [POINTER(Listener), c.c_size_t]),
    "ser_run_json": (c.c_int, [POINTER(_p), c.c_char_p, c.c_char_p, POINTER(Listener), _err]),
    "ser_run_result_folder": (c.c_char_p, [_p]),
    "ser_run_result_json": (c.c_char_p, [_p]),
    "ser_run_result_text": (c.c_char_p, [_p]),
    "ser_run_result_was_complete": (c.c_int, [_p]),
    "ser_run_result_n_failed": (c.c_size_t, [_p]),
    "ser_run_result_free": (None, [POINTER(_p)]),
}


class _Calls:
    """The calls that are inside the libraries. exit() takes down what they work with while daemon threads still run in them,
    so the interpreter's exit asks those calls to stop, waits for them, and holds back whatever such threads call afterwards.
    """

    WAIT_S = 20.0  # for a call that does not ask whether it shall stop

    def __init__(self) -> None:
        self._reset()
        atexit.register(self._close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)  # the parent's threads are not the child's

    def _reset(self) -> None:
        self.lock, self.n, self.closing = threading.Lock(), 0, False

    def _close(self) -> None:
        with self.lock:
            self.closing = True
        until = time.monotonic() + self.WAIT_S
        while self.n and time.monotonic() < until:
            time.sleep(0.001)

    def counted(self, entry: Callable[..., Any]) -> Callable[..., Any]:
        main, current, forever = threading.main_thread, threading.current_thread, threading.Event

        def call(*arguments: Any) -> Any:
            with self.lock:
                held = self.closing and current() is not main()
                self.n += not held
            if held:
                forever().wait()
            try:
                return entry(*arguments)
            finally:
                with self.lock:
                    self.n -= 1

        return call


calls = _Calls()


def _candidates(name: str) -> list[str]:
    """Beside this file, as in a wheel; else where the loader looks."""
    folder = os.environ.get("SER_LIBRARY_DIR") or HERE
    files = [os.path.join(folder, f"{name}.so"), os.path.join(folder, f"{name}.so.0")]
    return [f for f in files if os.path.exists(f)] or [f"{name}.so.0"]


def _load(name: str, functions: dict[str, Any], version: str) -> c.CDLL:
    try:
        lib = c.CDLL(_candidates(name)[0])
        for function, (result, arguments) in functions.items():
            entry = getattr(lib, function)
            entry.restype, entry.argtypes = result, arguments
            setattr(lib, function, calls.counted(entry))
    except (OSError, AttributeError) as e:
        raise Error(f"{name} cannot be loaded: {e}") from e
    found = getattr(lib, version)()
    if found != API_VERSION:
        raise Error(f"{name} is of interface {found}, and this package is made for {API_VERSION}: install both of one version")
    return lib


_loaded: dict[str, c.CDLL] = {}


def ser() -> c.CDLL:
    """libser."""
    if "ser" not in _loaded:
        _loaded["ser"] = _load("libser", SER, "ser_api_version")
    return _loaded["ser"]


def run() -> c.CDLL:
    """libser-run, which finds libser already loaded."""
    ser()
    if "run" not in _loaded:
        _loaded["run"] = _load("libser-run", RUN, "ser_run_api_version")
    return _loaded["run"]


def text(b: bytes | None) -> str:
    return os.fsdecode(b) if b else ""


def check(status: int, err: ErrorText, about: str = "") -> None:
    """Raises what the status says, with the library's text."""
    if status:
        kind = BY_STATUS.get(status, Error)
        said = err.text.decode("utf-8", "replace") or "it failed"
        raise kind(f"{about}: {said}" if about else said)


def strings(items: list[bytes]) -> Any:
    """char *const *: to be kept as long as it is used."""
    return (c.c_char_p * len(items))(*items)


__all__ = ["byref", "check", "run", "ser", "strings", "text"]
