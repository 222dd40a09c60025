"""Which emotion does a voice carry?

>>> import ser
>>> ser.predict("call.wav").label
'angry'

Everything here is the C library's work (libser, libser-run): same models, same bits as the command line ``ser``, which
``python -m ser`` is. NumPy is the only package that is needed; pandas, scikit-learn, matplotlib and tqdm are used where
they are there.
"""

from __future__ import annotations

from typing import Any

from ._errors import (ArgumentError, ArgumentTypeError, CancelledError, Error, FileError, FormatError, MissingPackageError,
                      OutOfMemoryError, UnsupportedError)
from ._jobs import adapt, evaluate, extract, test, train
from ._model import Answer, Model, Segment, Sound, predict
from ._report import Report

__all__ = ["Answer", "ArgumentError", "ArgumentTypeError", "CancelledError", "Classifier", "Error", "Event", "Features", "FileError",
           "FormatError", "Interface", "MissingPackageError", "Model", "OutOfMemoryError", "Report", "Segment", "Sound", "Stream",
           "UnsupportedError", "adapt", "encoders", "evaluate", "extract", "predict", "test", "train"]


_LATER = {"Classifier": "_scikit", "Features": "_scikit", "Interface": "_interface", "Stream": "_stream", "Event": "_stream"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        from importlib import import_module

        return getattr(import_module("." + _LATER[name], __name__), name)
    if name == "encoders":
        from importlib import import_module

        return import_module(".encoders", __name__)
    if name == "__version__":
        from ._library import ser, text

        return text(ser().ser_version())
    raise AttributeError(f"module 'ser' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})
