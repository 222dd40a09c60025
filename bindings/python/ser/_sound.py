"""What people call a recording, as the library takes it: a path, the bytes of an audio file, or samples of a recording that is
decoded once for several stretches of it.

Samples that a caller has become a WAV file in memory, so that an array is decoded, mixed and resampled by the code that reads
files, to the same bits.
"""

from __future__ import annotations

import ctypes as c
import math
import os
import struct
import threading
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError, FormatError

Path = Union[str, bytes, "os.PathLike[Any]"]
RATE_HZ = 16000
MIN_SAMPLES = 400  # 25 ms, the least that the library takes
MAX_CHANNELS = 256
# dtype: WAVE's format code and the type it is written as, little-endian.
_FORMATS = {"uint8": (1, "|u1"), "int16": (1, "<i2"), "int32": (1, "<i4"), "float16": (3, "<f4"), "float32": (3, "<f4"), "float64": (3, "<f8")}


def is_whole(x: Any) -> bool:
    """A number without a fraction. NumPy takes stretches of time for such, too."""
    return isinstance(x, (int, np.integer)) and not isinstance(x, (bool, np.timedelta64))


def is_number(x: Any) -> bool:
    return is_whole(x) or isinstance(x, (float, np.floating))


def is_path(x: Any) -> bool:
    return isinstance(x, (str, bytes, os.PathLike))


def path_bytes(x: Path, what: str = "the path") -> bytes:
    if not is_path(x):
        raise ArgumentTypeError(f"{what} is a {type(x).__name__}: give str, bytes or pathlib.Path")
    try:
        b = os.fsencode(x)
    except UnicodeEncodeError as e:
        raise ArgumentError(f"{what} is no name that a file can have: {e}") from e
    except TypeError as e:  # what its __fspath__ gives
        raise ArgumentTypeError(f"{what}: {e}") from e
    if b == b"-":  # means standard input to the library: sys.stdin.buffer here
        b = b"./-"
    if b"\0" in b:
        raise ArgumentError(f"{what} holds a zero byte: give io.BytesIO(...) for the bytes of an audio file")
    if not b:
        raise ArgumentError(f"{what} is empty")
    return b


def path_text(x: Any, what: str = "the path") -> str:
    return os.fsdecode(path_bytes(x, what))


def name_of(x: Any) -> str:
    x = x[0] if is_stretch(x) else x
    return os.fsdecode(x) if is_path(x) else ""


def check_rate(rate: Any) -> int:
    if not is_number(rate):
        raise ArgumentTypeError(f"rate is a {type(rate).__name__}: give the samples per second, such as rate=16000")
    if not 1000 <= rate <= 768000 or rate != int(rate):
        raise ArgumentError(f"rate is {rate}: a whole number of samples per second from 1000 to 768000 is wanted")
    return int(rate)


def wav_bytes(x: Any, rate: Any) -> bytes:
    """A WAV file of samples x, shape (n,) or (n, channels): uint8, int16, int32, or float of nominal range [-1, 1]."""
    no_recording = f"a {type(x).__name__} is no recording: give a path, or a NumPy array of samples"
    try:
        x = np.asarray(x)
    except Exception as e:  # whatever an object's own conversion raises
        raise ArgumentTypeError(no_recording) from e
    if x.ndim == 0 and x.dtype.name not in _FORMATS:  # None, an object, a single int
        raise ArgumentTypeError(no_recording)
    if rate is None:
        raise ArgumentError("rate is missing: give the samples per second of the array, such as rate=16000")
    rate = check_rate(rate)
    if x.dtype.name not in _FORMATS:
        raise ArgumentTypeError(f"samples are of dtype {x.dtype}: give int16 or float32 (uint8, int32, float16, float64 as well)")
    if x.ndim not in (1, 2):
        raise ArgumentError(f"the array's shape is {x.shape}: (n_samples,) or (n_samples, channels) is wanted")
    if x.size == 0:
        raise ArgumentError(f"the array's shape is {x.shape}: there are no samples")
    channels = x.shape[1] if x.ndim == 2 else 1
    if channels > MAX_CHANNELS or channels > x.shape[0]:
        raise ArgumentError(f"the array's shape is {x.shape}: (n_samples, channels) is wanted, so transpose it")
    code, kind = _FORMATS[x.dtype.name]
    data = np.ascontiguousarray(x, dtype=kind)
    if data.nbytes > 0xFFFFFF00:
        raise ArgumentError(f"{data.nbytes} bytes of samples are more than 4 GB: write them to a file and give its path")
    width = data.itemsize
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data.nbytes, b"WAVE", b"fmt ", 16, code, channels, rate,
                       rate * channels * width, channels * width, 8 * width, b"data", data.nbytes)
    return head + data.tobytes()


@dataclass(frozen=True)
class Source:
    """What one of ser_predict, ser_predict_file, ser_predict_bytes and their like takes: which of them, and its arguments
    behind the session."""

    suffix: str
    arguments: tuple[Any, ...]


def as_source(x: Any, rate: Any = None) -> Source:
    """Of a whole recording."""
    if is_path(x):
        if rate is not None:
            raise ArgumentError("rate is for arrays: a file says its own")
        return Source("_file", (path_bytes(x),))
    read = getattr(x, "read", None)
    if callable(read):
        if getattr(x, "closed", False) is True:
            raise ArgumentError("the file is closed: open it with 'rb', and close it afterwards")
        data = read()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentTypeError("the file is open as text: open it with 'rb'")
        data = bytes(data)
    elif isinstance(x, (bytearray, memoryview)):
        raise ArgumentTypeError(f"a {type(x).__name__} is no recording: give io.BytesIO(...) for the bytes of an audio file")
    else:
        data = wav_bytes(x, rate)
    return Source("_bytes", (data, len(data)))


# ---- stretches ----


def is_stretch(x: Any) -> bool:
    """(path, start, end), as a row of an audformat index is. A tuple of three paths is a list of recordings."""
    return isinstance(x, tuple) and len(x) == 3 and is_path(x[0]) and not is_path(x[1]) and not is_path(x[2])


def is_one_recording(x: Any) -> bool:
    """And no list of them."""
    return is_path(x) or is_stretch(x) or isinstance(x, np.ndarray) and x.dtype.kind in "iuf" and x.ndim == 1


def seconds(x: Any, name: str) -> Optional[float]:
    """Of a number, or a timedelta of Python, NumPy or pandas; None where there is none (None, NaN, NaT)."""
    if x is None:
        return None
    if isinstance(x, np.timedelta64):
        x = x / np.timedelta64(1, "s")
    elif hasattr(x, "total_seconds"):
        x = x.total_seconds()
    elif type(x).__name__ == "NaTType":
        return None
    if not is_number(x):
        raise ArgumentTypeError(f"{name} is a {type(x).__name__}: give seconds, or a timedelta")
    at = float(x) if not is_whole(x) or abs(x) < 1e300 else math.inf  # a whole number may be too large for a float
    if math.isnan(at):
        return None
    if not 0 <= at <= 1e9:
        raise ArgumentError(f"{name} is {at:g}: give seconds from the recording's beginning")
    return at


class Decoded:
    """A recording of which several stretches are asked for: decoded for the first of them, given back with the last."""

    def __init__(self, path: bytes) -> None:
        self.path, self.lock = path, threading.Lock()
        self.start, self.end, self.users = math.inf, 0.0, 0
        self.sound: Any = None
        self.failed: Optional[Exception] = None
        # Kept here because at the interpreter's exit the module's own names may be gone.
        self._release, self._byref = lib.ser().ser_samples_release, c.byref

    def __del__(self) -> None:
        if getattr(self, "sound", None) is not None:
            self._release(self._byref(self.sound))

    def add(self, start: float, end: Optional[float]) -> None:
        """Before anything is read."""
        self.start = min(self.start, start)
        self.end = math.inf if end is None else max(self.end, end)
        self.users += 1

    def _read(self) -> None:
        samples, err = lib.Samples(), lib.ErrorText()
        options = lib.SamplesOptions(c.sizeof(lib.SamplesOptions), self.start, self.end if self.end < math.inf else 0.0)
        lib.check(lib.ser().ser_samples_read_file(c.byref(samples), self.path, c.byref(options), c.byref(err)), err, name_of(self.path))
        self.sound = samples

    def source(self, start: float, end: Optional[float]) -> Source:
        with self.lock:
            if self.sound is None and self.failed is None:
                try:
                    self._read()
                except Exception as e:
                    self.failed = e
            if self.failed is not None:
                raise self.failed
            origin = _sample_at(self.start)
            first = min(_sample_at(start) - origin, self.sound.n_samples)
            last = self.sound.n_samples if end is None else min(_sample_at(end) - origin, self.sound.n_samples)
            if last - first < MIN_SAMPLES:  # here, where it is known what was asked for
                raise FormatError(f"{name_of(self.path)}: from {start:g} s{'' if end is None else f' to {end:g} s'} it holds "
                                  f"{1000 * (last - first) / RATE_HZ:.1f} ms of sound: at least 25 ms are needed")
            at = c.addressof(self.sound.samples.contents)
            return Source("", (c.cast(at + 4 * first, c.POINTER(c.c_float)), last - first))

    def done(self) -> None:
        """One stretch less is wanted."""
        with self.lock:
            self.users -= 1
            if self.users <= 0 and self.sound is not None:
                self._release(self._byref(self.sound))
                self.sound = None


def _sample_at(at: float) -> int:
    return math.floor(at * RATE_HZ + 0.5)


def check_stretch(start: Any, end: Any) -> tuple[float, Optional[float]]:
    start_s, end_s = seconds(start, "start") or 0.0, seconds(end, "end")
    if end_s is not None and end_s <= start_s:
        raise ArgumentError(f"a stretch from {start_s:g} to {end_s:g} s ends before it begins")
    return start_s, end_s
