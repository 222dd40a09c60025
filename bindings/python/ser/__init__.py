"""Which emotion does a voice carry?

>>> import ser
>>> ser.predict("call.wav").label
'angry'

Everything here is the C library's work (libser, libser-run): same models, same bits as the command line ``ser``, which
``python -m ser`` is. NumPy is the only package that is needed; pandas, scikit-learn, matplotlib and tqdm are used where
they are there.
"""

from ._errors import (ArgumentError, ArgumentTypeError, CancelledError, Error, FileError, FormatError, MissingPackageError,
                      OutOfMemoryError, UnsupportedError)
from ._model import Answer, Model, Segment, predict

__all__ = ["Answer", "ArgumentError", "ArgumentTypeError", "CancelledError", "Error", "FileError", "FormatError",
           "MissingPackageError", "Model", "OutOfMemoryError", "Segment", "UnsupportedError", "predict"]


def __getattr__(name: str):
    if name == "__version__":
        from ._library import ser, text

        return text(ser().ser_version())
    raise AttributeError(f"module 'ser' has no attribute '{name}'")
