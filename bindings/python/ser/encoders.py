"""Hidden states of speech encoders: Whisper's, HuBERT, wav2vec 2.0, WavLM, data2vec, of any size.

>>> encoder = ser.encoders.Encoder("whisper-base/")
>>> encoder.hidden_states("call.wav").shape
(7, 143, 512)

The values are those that ``ser extract --feature-type TYPE --encoder PLACE --layers ...`` writes, to the last bit (of HuBERT's
family where as many threads work inside a recording).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

import numpy as np

from ._errors import ArgumentError, UnsupportedError
from ._features import Reader
from ._many import one_source
from ._model_parts import check_jobs
from ._sound import Path, name_of, path_bytes

__all__ = ["Encoder", "hidden_states"]


class Encoder:
    """A checkpoint: a folder with ``config.json`` and weights, or its name in the model hub's cache
    (``"openai/whisper-base"``).

    ``layers``: which hidden states, all of them without; 0 is what the first transformer layer reads, the last includes the
    final norm, as in transformers. No layer beyond the highest is loaded. ``type``: of HuBERT's family, whose checkpoints are
    alike, what it counts as (``"HUBERT"``). ``pad``: pad with silence to so many seconds as the reference does (30), or not
    (0). ``precision``: ``fp32``, ``bf16``, ``int8``, ``auto``. May be used by several threads at once.
    """

    def __init__(self, place: Path, *, layers: Union[None, int, str, Sequence[int]] = None, type: Optional[str] = None, pad: int = 0,
                 precision: str = "fp32", engine: str = "onednn") -> None:
        path_bytes(place, "place")
        self._reader = Reader(type, "all" if layers is None else layers, place, pad=pad, hop_length=0, pool_encoder=False, precision=precision,
                              engine=engine)
        if any(b.layer is None for b in self._reader.blocks) or len({b.name for b in self._reader.blocks}) != 1:
            raise UnsupportedError("type: one encoder is wanted: ser.Features joins several")

    @property
    def type(self) -> str:
        """``WHISPER``, ``HUBERT``, ``WAV2VEC2``, ``WAVLM`` or ``DATA2VEC``."""
        return self._reader.blocks[0].name

    @property
    def layers(self) -> list[int]:
        """Which hidden states come out, in their order."""
        return [int(b.layer or 0) for b in self._reader.blocks]

    @property
    def dims(self) -> int:
        """Values of one hidden state."""
        return self._reader.blocks[0].dims

    def hidden_states(self, recording: Any, rate: Optional[int] = None, *, jobs: int = 0) -> np.ndarray:
        """Float32, shape (n_layers, n_frames, dims), 50 frames a second. ``recording`` and ``rate`` as in `Model.predict`.
        Of more than 30 s windows of 30 s with 5 s of overlap are read."""
        n_threads = check_jobs(jobs)
        with one_source(recording, rate) as source:
            x = self._reader._features_of(source, name_of(recording), False, n_threads)
        return np.ascontiguousarray(x.reshape(x.shape[0], len(self.layers), self.dims).transpose(1, 0, 2))

    def close(self) -> None:
        """Gives its memory back; twice is fine."""
        self._reader._handle = None

    def __enter__(self) -> "Encoder":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<ser.encoders.Encoder {self._reader.key}>"


def hidden_states(recording: Any, rate: Optional[int] = None, *, encoder: Path, layers: Union[None, int, str, Sequence[int]] = None,
                  jobs: int = 0, **settings: Any) -> np.ndarray:
    """Of one recording: shape (n_layers, n_frames, dims). To read several, keep an `Encoder`, which has the other arguments."""
    unknown = set(settings) - {"type", "pad", "precision", "engine"}
    if unknown:
        raise ArgumentError(f"there is no argument '{min(unknown)}'")
    with Encoder(encoder, layers=layers, **settings) as e:
        return e.hidden_states(recording, rate, jobs=jobs)
