"""Features without a model of emotion."""

from __future__ import annotations

import ctypes as c
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError
from ._model_parts import Opened, flag, settings_of
from ._sound import Path, is_path, is_whole

Layers = Union[None, int, str, Sequence[int], "dict[str, Any]"]


@dataclass(frozen=True)
class Block:
    """LOGMEL, MFCC, or one hidden state: which of the frames' values it fills."""

    name: str
    layer: Optional[int]
    offset: int
    dims: int


def layers_text(layers: Any) -> Optional[str]:
    """As the library takes it: "1,2,3", or "HUBERT=6+WHISPER=2,3"."""
    if layers is None or isinstance(layers, str):
        return layers
    if isinstance(layers, dict):
        if not all(isinstance(k, str) for k in layers):
            raise ArgumentTypeError("layers: the keys of the dict are feature types, such as 'WHISPER'")
        return "+".join(f"{k}={layers_text(v)}" for k, v in layers.items())
    if is_whole(layers):
        return str(int(layers))
    if isinstance(layers, (list, tuple, range, np.ndarray)):
        items = [layers_text(x) if is_whole(x) else None for x in layers]
        if items and None not in items:
            return ",".join(str(x) for x in items)
    raise ArgumentTypeError(f"layers: {layers!r} does not fit: give numbers of hidden states, such as [1, 2, 3]")


def _text(value: Any, name: str) -> Optional[bytes]:
    if value is None:
        return None
    if not isinstance(value, str):
        raise ArgumentTypeError(f"{name} is a {type(value).__name__}: give text")
    if "\0" in value:
        raise ArgumentError(f"{name} holds a zero byte")
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as e:
        raise ArgumentError(f"{name} is no text: {e}") from e


def _number(value: Any, name: str) -> int:
    if not is_whole(value):
        raise ArgumentTypeError(f"{name} is a {type(value).__name__}: give a whole number")
    if not 0 <= value <= 1 << 30:
        raise ArgumentError(f"{name} is {value}: it is out of range")
    return int(value)


class Reader(Opened):
    """Reads features of recordings; may be used by several threads at once."""

    def __init__(self, feature_type: Optional[str], layers: Layers, encoder: Union[None, Path, Sequence[Path]], *, pad: int,
                 hop_length: int, pool_encoder: bool, precision: str, engine: str) -> None:
        self._handle = None
        settings = settings_of(precision, engine, encoder)
        named = layers_text(layers)
        wanted = lib.FeatureSettings(c.sizeof(lib.FeatureSettings), _text(feature_type, "feature_type"), _text(named, "layers"),
                                     _number(hop_length, "hop_length"), _number(pad, "pad"), int(flag(pool_encoder, "pool_encoder")))
        about = encoder if isinstance(encoder, str) and is_path(encoder) else ""
        self._open(lambda model, err: lib.ser().ser_model_open_features(model, c.byref(wanted), c.byref(settings), err), about)
        #: What decides the values, in a fixed spelling: "WHISPER(layers=2,3;pad=0)".
        self.key = lib.text(lib.ser().ser_model_features(self._live().model))
        self.blocks = self._blocks()

    def _blocks(self) -> list[Block]:
        found: list[Block] = []
        offset = 0
        for name, settings in re.findall(r"(\w+)\(([^)]*)\)", self.key):
            layers = re.match(r"layers=([\d,]+)", settings)
            for layer in [int(n) for n in layers[1].split(",")] if layers else [None]:
                dims = int(lib.ser().ser_model_feature_dims(self._live().model, len(found)))
                found.append(Block(name, layer, offset, dims))
                offset += dims
        return found
