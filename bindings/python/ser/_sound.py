"""What people call a recording, as the library takes it: a path, or the bytes of an audio file.

Samples become a WAV file in memory, so that an array is decoded, mixed and resampled by the code that reads files, to the
same bits.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Union

import numpy as np

from ._errors import ArgumentError, ArgumentTypeError

Path = Union[str, bytes, "os.PathLike[Any]"]
RATE_HZ = 16000
MAX_CHANNELS = 256
# dtype: WAVE's format code and the type it is written as, little-endian.
_FORMATS = {"uint8": (1, "|u1"), "int16": (1, "<i2"), "int32": (1, "<i4"), "float16": (3, "<f4"), "float32": (3, "<f4"), "float64": (3, "<f8")}


def is_path(x: Any) -> bool:
    return isinstance(x, (str, bytes, os.PathLike))


def path_bytes(x: Path, what: str = "the path") -> bytes:
    if not is_path(x):
        raise ArgumentTypeError(f"{what} is a {type(x).__name__}: give str, bytes or pathlib.Path")
    b = os.fsencode(x)
    if b == b"-":  # means standard input to the library: sys.stdin.buffer here
        b = b"./-"
    if b"\0" in b:
        raise ArgumentError(f"{what} holds a zero byte: give io.BytesIO(...) for the bytes of an audio file")
    if not b:
        raise ArgumentError(f"{what} is empty")
    return b


def name_of(x: Any) -> str:
    return os.fsdecode(x) if is_path(x) else ""


def check_rate(rate: Any) -> int:
    if isinstance(rate, (bool, np.bool_)) or not isinstance(rate, (int, float, np.integer, np.floating)):
        raise ArgumentTypeError(f"rate is a {type(rate).__name__}: give the samples per second, such as rate=16000")
    if not 1000 <= rate <= 768000 or rate != int(rate):
        raise ArgumentError(f"rate is {rate}: a whole number of samples per second from 1000 to 768000 is wanted")
    return int(rate)


def wav_bytes(x: Any, rate: Any) -> bytes:
    """A WAV file of samples x, shape (n,) or (n, channels): uint8, int16, int32, or float of nominal range [-1, 1]."""
    if rate is None:
        raise ArgumentError("rate is missing: give the samples per second of the array, such as rate=16000")
    rate = check_rate(rate)
    try:
        x = np.asarray(x)
    except Exception as e:  # whatever an object's own conversion raises
        raise ArgumentTypeError(f"a {type(x).__name__} is no recording: give a path, or a NumPy array of samples") from e
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


def as_recording(x: Any, rate: Any = None) -> tuple[bytes, bool]:
    """(path, True), or (bytes of an audio file, False)."""
    if is_path(x):
        if rate is not None:
            raise ArgumentError("rate is for arrays: a file says its own")
        return path_bytes(x), True
    read = getattr(x, "read", None)
    if callable(read):
        data = read()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ArgumentTypeError("the file is open as text: open it with 'rb'")
        return bytes(data), False
    if isinstance(x, (bytearray, memoryview)):
        raise ArgumentTypeError(f"a {type(x).__name__} is no recording: give io.BytesIO(...) for the bytes of an audio file")
    return wav_bytes(x, rate), False
