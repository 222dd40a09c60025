"""As audEERING's tools do it: recordings in, a DataFrame with the index (file, start, end) out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, Callable, Optional, Union

import numpy as np

from ._errors import ArgumentError, ArgumentTypeError, UnsupportedError, needed
from ._model import Answer, Model, builtin
from ._sound import Path, is_path


class Interface:
    """Answers as a pandas DataFrame with a MultiIndex ``file``, ``start``, ``end`` (timedelta64), as audformat's segmented
    tables have it.

    Columns: ``label``, ``confidence``, the score of each emotion, ``note``, ``error``. A recording that fails has its error
    there and no label. ``timeline``: a row for each stretch of one emotion. ``jobs``: threads, 0 for all cores.
    """

    def __init__(self, model: Union[None, Path, Model] = None, *, timeline: bool = False, min_confidence: Union[str, float] = "auto",
                 jobs: int = 0, progress: Union[bool, Callable[[int, int], Any]] = False) -> None:
        needed("pandas", "ser.Interface")
        self.model = builtin() if model is None else model if isinstance(model, Model) else Model(model)
        self.timeline, self.min_confidence, self.jobs, self.progress = timeline, min_confidence, jobs, progress

    def process_file(self, file: Path, *, root: Optional[Path] = None) -> Any:
        """One recording."""
        return self.process_files([file], root=root)

    def process_files(self, files: Sequence[Path], *, root: Optional[Path] = None) -> Any:
        """Many recordings, in their order. Names are relative to ``root``."""
        if is_path(files) or not isinstance(files, Iterable):
            raise ArgumentTypeError("files: give a list of paths")
        base = "" if root is None else os.fsdecode(os.fspath(root))
        files = list(files)
        paths = [os.path.join(base, os.fsdecode(os.fspath(f))) if is_path(f) else f for f in files]
        answers = self.model.predict_many(paths, timeline=self.timeline, min_confidence=self.min_confidence, jobs=self.jobs,
                                          progress=self.progress)
        return self._frame([os.fsdecode(os.fspath(f)) if is_path(f) else "" for f in files], answers)

    def process_folder(self, folder: Path, *, filetype: Optional[str] = None) -> Any:
        """All recordings below a folder, in byte order of their names; ``filetype``: with this extension only. Without, what
        is no audio is left out."""
        root = os.fsdecode(os.fspath(folder)) if is_path(folder) else ""
        if not os.path.isdir(root):
            raise ArgumentError(f"{folder!r} is no folder")
        files = [os.path.join(at, name) for at, _, names in os.walk(root) for name in names
                 if filetype is None or name.lower().endswith("." + filetype.lower().lstrip("."))]
        files.sort(key=lambda f: os.fsencode(os.path.relpath(f, root)))
        table = self.process_files(files)
        if filetype is None:
            table = table[[not (isinstance(e, str) and "not audio" in e) for e in table["error"]]]
        return table

    def process_index(self, index: Any, *, root: Optional[Path] = None) -> Any:
        """An audformat index of whole recordings (the level ``file``; or ``file, start, end`` with start 0 and end NaT), or a
        DataFrame or Series that has one."""
        pd = needed("pandas", "ser.Interface")
        index = index.index if isinstance(index, (pd.DataFrame, pd.Series)) else index
        if not isinstance(index, pd.Index):
            raise ArgumentTypeError(f"index is a {type(index).__name__}: give a pandas index with the level file, or file, start, end")
        if list(index.names) not in (["file"], ["file", "start", "end"]):
            raise ArgumentError(f"the index has the levels {list(index.names)}: file, or file, start, end are wanted")
        if index.nlevels == 3 and (any(index.get_level_values(1) != pd.Timedelta(0)) or not all(index.get_level_values(2).isna())):
            raise UnsupportedError("the index has stretches of recordings: this version answers for whole ones; cut them first")
        return self.process_files(list(index.get_level_values(0)), root=root)

    def process_signal(self, signal: Any, sampling_rate: int, *, file: Optional[str] = None) -> Any:
        """Samples, shape (n,), or (channels, n) as audinterface has them."""
        signal = np.asarray(signal)
        x = signal.T if signal.ndim == 2 and signal.shape[0] < signal.shape[1] else signal
        answer = self.model.predict(x, sampling_rate, timeline=self.timeline, min_confidence=self.min_confidence, jobs=self.jobs)
        return self._frame([file or ""], [answer])

    # ---- inside ----

    def _frame(self, files: list[str], answers: list[Answer]) -> Any:
        pd = needed("pandas", "ser.Interface")
        rows: list[list[Any]] = []
        keys: list[Any] = []
        for file, a in zip(files, answers):
            for s in a.segments if a.segments else [None]:
                begin, end = (0.0, a.duration) if s is None else (s.start, s.end)
                keys.append((file, begin, end))
                of: Any = a if s is None else s
                scores = of.scores or {}
                rows.append([of.label, of.confidence, *(scores.get(k, np.nan) for k in self.model.labels), a.note,
                             None if a.error is None else str(a.error)])
        index = pd.MultiIndex.from_arrays([pd.Index([k[0] for k in keys], dtype=object), *(
            pd.to_timedelta([round(k[i] * 1e9) for k in keys], unit="ns").astype("timedelta64[ns]") for i in (1, 2))],
            names=["file", "start", "end"])
        frame = pd.DataFrame(rows, index=index, columns=["label", "confidence", *self.model.labels, "note", "error"])
        return frame.astype({k: float for k in ("confidence", *self.model.labels)})
