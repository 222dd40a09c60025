"""Exceptions, one for each status of the library. Their text is the library's own."""

from __future__ import annotations

from typing import Any


class Error(Exception):
    """Anything that the library refuses; what the others derive from."""


class FormatError(Error, ValueError):
    """The content is damaged or not what it should be: a recording, a model, a table."""


class FileError(Error, OSError):
    """A file cannot be opened, read or written."""


class UnsupportedError(Error):
    """Well-formed, but not something that this version handles."""


class ArgumentError(Error, ValueError):
    """Arguments that contradict each other, are out of range, or have a wrong shape."""


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument of a type that cannot be taken."""


class OutOfMemoryError(Error, MemoryError):
    """Out of memory."""


class CancelledError(Error):
    """The work was stopped."""


class MissingPackageError(Error, ImportError):
    """A part of this package that needs another package, which is not installed."""


BY_STATUS = {-1: OutOfMemoryError, -2: FileError, -3: FormatError, -4: UnsupportedError, -5: ArgumentError, -6: CancelledError}


def needed(name: str, what: str) -> Any:
    """The package of that name, or an error that says what it is needed for."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as e:
        package = {"sklearn": "scikit-learn"}.get(name.split(".")[0], name.split(".")[0])
        raise MissingPackageError(f"{what} needs {package}: pip install {package}") from e
