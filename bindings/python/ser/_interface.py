"""As audEERING's tools do it: recordings in, a DataFrame with the index (file, start, end) out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Callable, Optional, Union

import numpy as np

from ._errors import ArgumentError, ArgumentTypeError, FileError, FormatError, needed
from ._many import listed
from ._model import Answer, Model, builtin
from ._sound import Path, is_path, path_text, seconds


def _time(text: str, name: str) -> Optional[float]:
    """Of a cell of a CSV table; None where it is empty."""
    if text in ("", "NaT", "nan"):
        return None
    try:
        return float(text)
    except ValueError:
        pass
    pd = needed("pandas", "ser.Interface")
    try:
        return float(pd.Timedelta(text).total_seconds())
    except ValueError as e:
        raise FormatError(f"{name} is '{text}': seconds, or a timedelta such as 0 days 00:00:01.500 is wanted") from e


def _key(file: Any, start: Any, end: Any) -> tuple[str, float, Optional[float]]:
    name = path_text(file) if is_path(file) else ""
    try:
        return name, seconds(start, "start") or 0.0, seconds(end, "end")
    except ArgumentError:  # which the answer says
        return name, 0.0, None


def _told(error: Exception) -> str:
    """Its text, for tables that hold no bytes of a name that is no UTF-8."""
    return str(error).encode("utf-8", "backslashreplace").decode()


class Interface:
    """Answers as a pandas DataFrame with a MultiIndex ``file``, ``start``, ``end`` (timedelta64), as audformat's segmented
    tables have it.

    Columns: ``label``, ``confidence``, the score of each emotion, ``note``, ``error``. A recording that fails has its error
    there, no label, and NaT as its end where none was asked for. ``timeline``: a row for each stretch of one emotion.
    ``jobs``: threads, 0 for all cores.
    """

    def __init__(self, model: Union[None, Path, Model] = None, *, timeline: bool = False, min_confidence: Union[str, float] = "auto",
                 jobs: int = 0, progress: Union[bool, Callable[[int, int], Any]] = False) -> None:
        needed("pandas", "ser.Interface")
        self.model = builtin() if model is None else model if isinstance(model, Model) else Model(model)
        self.timeline, self.min_confidence, self.jobs, self.progress = timeline, min_confidence, jobs, progress

    def __repr__(self) -> str:
        return f"<ser.Interface of {self.model!r}>"

    def process_file(self, file: Path, *, root: Optional[Path] = None) -> Any:
        """One recording."""
        return self.process_files([file], root=root)

    def process_files(self, files: Sequence[Path], *, root: Optional[Path] = None) -> Any:
        """Many recordings, in their order. Names are relative to ``root``."""
        return self._answered([(f, 0, None) for f in listed(files)], root)

    def process_folder(self, folder: Path, *, filetype: Optional[str] = None) -> Any:
        """All recordings below a folder, in byte order of their names; ``filetype``: with this extension only. Without, what
        is no audio is left out."""
        root = path_text(folder, "folder")
        if not os.path.isdir(root):
            raise ArgumentError(f"{root} is no folder")
        if filetype is not None and not isinstance(filetype, str):
            raise ArgumentTypeError(f"filetype is a {type(filetype).__name__}: give an extension, such as wav")
        files = [os.path.join(at, name) for at, _, names in os.walk(root) for name in names
                 if filetype is None or name.lower().endswith("." + filetype.lower().lstrip("."))]
        files.sort(key=lambda f: os.fsencode(os.path.relpath(f, root)))
        table = self.process_files(files)
        if filetype is None:
            table = table[[not (isinstance(e, str) and "not audio" in e) for e in table["error"]]]
        return table

    def process_index(self, index: Any, *, root: Optional[Path] = None) -> Any:
        """An audformat index: the level ``file``, or ``file, start, end`` (timedeltas; an end of NaT is the recording's); or a
        DataFrame or Series that has one. A recording of several stretches is decoded once. Names are relative to ``root``."""
        pd = needed("pandas", "ser.Interface")
        index = index.index if isinstance(index, (pd.DataFrame, pd.Series)) else index
        if not isinstance(index, pd.Index):
            raise ArgumentTypeError(f"index is a {type(index).__name__}: give a pandas index with the level file, or file, start, end")
        if list(index.names) not in (["file"], ["file", "start", "end"]):
            raise ArgumentError(f"the index has the levels {list(index.names)}: file, or file, start, end are wanted")
        return self._answered(list(index) if index.nlevels == 3 else [(f, 0, None) for f in index.get_level_values(0)], root)

    def process_table(self, table: Path, *, output: Optional[Path] = None, root: Optional[Path] = None) -> Any:
        """An audformat CSV: the column ``file``, or ``file,start,end`` as timedeltas (``0 days 00:00:01.500``) or seconds; other
        columns are left out. ``output``: where the answers go as such a CSV. Names are relative to ``root``, without to the
        table's folder."""
        pd = needed("pandas", "ser.Interface")
        name, to = path_text(table), None if output is None else path_text(output, "output")
        try:
            rows = pd.read_csv(name, dtype=str, keep_default_na=False)
        except OSError as e:
            raise FileError(f"{name}: {e.strerror or e}") from e
        except (ValueError, pd.errors.ParserError) as e:
            raise FormatError(f"{name}: it is no CSV table: {e}") from e
        if "file" not in rows or ("start" in rows) != ("end" in rows):
            raise FormatError(f"{name}: the columns file, or file, start and end are wanted")
        n = len(rows)
        starts, ends = (rows["start"], rows["end"]) if "start" in rows else ([""] * n, [""] * n)
        items = [(f, _time(s, f"{name}: row {i + 1}: start"), _time(e, f"{name}: row {i + 1}: end"))
                 for i, (f, s, e) in enumerate(zip(rows["file"], starts, ends))]
        answered = self._answered(items, (os.path.dirname(name) or None) if root is None else root)
        if to is not None:
            try:
                answered.to_csv(to)
            except OSError as e:
                raise FileError(f"{to}: {e.strerror or e}") from e
        return answered

    def process_signal(self, signal: Any, sampling_rate: int, *, file: Optional[str] = None) -> Any:
        """Samples, shape (n,), or (channels, n) as audinterface has them."""
        try:
            signal = np.asarray(signal)
        except (TypeError, ValueError) as e:
            raise ArgumentTypeError(f"signal is a {type(signal).__name__}: give an array of samples") from e
        x = signal.T if signal.ndim == 2 and signal.shape[0] < signal.shape[1] else signal
        answer = self.model.predict(x, sampling_rate, timeline=self.timeline, min_confidence=self.min_confidence, jobs=self.jobs)
        return self._frame([(file or "", 0.0, None)], [answer])

    # ---- inside ----

    def _answered(self, items: list[Any], root: Optional[Path]) -> Any:
        """Of (file, start, end)."""
        base = "" if root is None else path_text(root, "root")
        given: list[Any] = []
        for file, start, end in items:
            given.append((os.path.join(base, path_text(file)), start, end) if is_path(file) else file)
        answers = self.model.predict_many(given, timeline=self.timeline, min_confidence=self.min_confidence, jobs=self.jobs,
                                          progress=self.progress)
        return self._frame([_key(*item) for item in items], answers)

    def _frame(self, asked: list[tuple[str, float, Optional[float]]], answers: list[Answer]) -> Any:
        """asked: name, start, and where it was given end of what each answer is about. They come out as they went in."""
        pd = needed("pandas", "ser.Interface")
        rows: list[list[Any]] = []
        keys: list[Any] = []
        for (file, at, end), a in zip(asked, answers):
            for s in a.segments if a.segments else [None]:
                if s is None:
                    keys.append((file, at, end if end is not None else None if a.error is not None else at + a.duration))
                else:
                    keys.append((file, at + s.start, at + s.end))
                of: Any = a if s is None else s
                scores = of.scores or {}
                rows.append([of.label, of.confidence, *(scores.get(k, np.nan) for k in self.model.labels), a.note,
                             None if a.error is None else _told(a.error)])
        index = pd.MultiIndex.from_arrays([pd.Index([k[0] for k in keys], dtype=object), *(
            pd.to_timedelta([None if k[i] is None else round(k[i] * 1e9) for k in keys], unit="ns").astype("timedelta64[ns]") for i in (1, 2))],
            names=["file", "start", "end"])
        frame = pd.DataFrame(rows, index=index, columns=["label", "confidence", *self.model.labels, "note", "error"])
        return frame.astype({k: float for k in ("confidence", *self.model.labels)})
