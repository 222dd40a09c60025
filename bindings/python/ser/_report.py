"""What a job found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Optional

import numpy as np

from ._errors import ArgumentError, FileError, FormatError, needed
from ._sound import path_text

_FIGURES = (("ua", "UA %"), ("wa", "WA %"), ("f1", "macro F1 %"), ("ece", "calibration error %"), ("loss", "log loss, nats"),
            ("ua_shared", "UA over shared emotions %"), ("acc_lenient", "lenient accuracy %"))


class Report(Mapping[str, Any]):
    """The report of a run: a mapping of what ``report.json`` holds (docs/report.md lists the keys), which are attributes as
    well: ``report["ua"]`` is ``report.ua``. Rates are percent.

    ``folder`` is the run folder, ``text`` the report for people. ``was_complete``: a run to be resumed was complete already.
    """

    def __init__(self, data: dict[str, Any], *, folder: Optional[str] = None, text: str = "", was_complete: bool = False) -> None:
        self.data, self.folder, self.text, self.was_complete = data, folder, text, was_complete

    @classmethod
    def open(cls, folder: Any) -> "Report":
        """The report of a run folder, or of a ``report.json``."""
        import json

        path = path_text(folder, "folder")
        file = os.path.join(path, "report.json") if os.path.isdir(path) else path
        try:
            with open(file, encoding="utf-8") as f:
                data = json.load(f)
        except OSError as e:
            raise FileError(f"{file}: it cannot be read ({e.strerror})") from e
        except (ValueError, RecursionError) as e:
            raise FormatError(f"{file}: it is no report: {e}") from e
        if not isinstance(data, dict):
            raise FormatError(f"{file}: it is no report")
        return cls(data, folder=path if os.path.isdir(path) else None)

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "data":
            raise AttributeError(name)
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"this report has no '{name}': it has {', '.join(self.data) or 'nothing'}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.data]

    def __str__(self) -> str:
        return self.text or repr(self)

    def __repr__(self) -> str:
        figures = ", ".join(f"{k} {v[0]:.2f}" for k, v in self.figures().items())
        return f"<ser.Report {self.data.get('corpus') or ''}: {figures or 'no figures'}>"

    def figures(self) -> dict[str, tuple[float, Optional[float], Optional[float]]]:
        """By name: the figure, and the two ends of its 95 % interval, or None twice where there is no interval."""
        found: dict[str, tuple[float, Optional[float], Optional[float]]] = {}
        for key, _ in _FIGURES:
            if isinstance(self.data.get(key), (int, float)):
                low, high = self.data.get(key + "_ci95") or (None, None)
                found[key] = (float(self.data[key]), low, high)
        return found

    @property
    def model(self) -> Any:
        """The trained model: a `Model`."""
        from ._model import Model

        if not self.folder:
            raise ArgumentError("there is no run folder, so there is no model")
        return Model(self.folder)

    def _need(self, key: str) -> Any:
        if key not in self.data:
            raise ArgumentError(f"this report has no '{key}': it is of a job without figures, or of a run that was complete already "
                                "(ser.Report.open(folder) reads it)")
        return self.data[key]

    def to_frame(self) -> Any:
        """The predictions as a pandas DataFrame: index ``file``, columns ``label`` (truth), ``predicted``, and the score of
        each emotion."""
        pd = needed("pandas", "to_frame()")
        rows = self._need("predictions")
        frame = pd.DataFrame([{"label": r["label"], "predicted": r["predicted"], **(r["scores"] or {})} for r in rows],
                             index=pd.Index([r["file"] for r in rows], name="file"))
        return frame

    def confusion(self) -> Any:
        """Counts, rows: truth, columns: answer. A pandas DataFrame where pandas is installed, else an int array, shape
        (n_labels, n_answers)."""
        counts = np.asarray(self._need("confusion"), dtype=int)
        try:
            import pandas as pd
        except ImportError:
            return counts
        return pd.DataFrame(counts, index=pd.Index(self.data["labels"], name="truth"), columns=pd.Index(self._answers(), name="answer"))

    def _answers(self) -> list[str]:
        return list(self.data.get("predicted_labels") or self.data["labels"])

    def plot(self, ax: Any = None) -> Any:
        """The confusion matrix in percent of each row, with matplotlib; gives the axes."""
        plt = needed("matplotlib.pyplot", "plot()")
        counts = np.asarray(self._need("confusion"), dtype=float)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        if ax is None:  # of its own: with room for the names, which a saved file would cut off otherwise
            _, ax = plt.subplots(constrained_layout=True)
        ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
        ax.set_xticks(range(share.shape[1]), self._answers(), rotation=45, ha="right")
        ax.set_yticks(range(share.shape[0]), self.data["labels"])
        ax.set_xlabel("answer"), ax.set_ylabel("truth")
        for (i, j), value in np.ndenumerate(share):
            ax.text(j, i, f"{value:.0f}", ha="center", va="center", color="white" if value > 50 else "black")
        ax.set_title(", ".join(f"{k.upper()} {v[0]:.1f} %" for k, v in self.figures().items() if k in ("ua", "wa")))
        return ax

    def _repr_html_(self) -> str:
        words = dict(_FIGURES)
        rows = "".join(f"<tr><th>{escape(words[k])}</th><td>{v:.2f}</td><td>{'' if low is None else f'{low:.2f} to {high:.2f}'}</td></tr>"
                       for k, (v, low, high) in self.figures().items())
        about = " · ".join(escape(str(self.data[k])) for k in ("corpus", "protocol", "feature_type", "model_type") if self.data.get(k))
        html = f"<h4>{about}</h4><table><tr><th></th><th>figure</th><th>95 % interval</th></tr>{rows}</table>"
        if "confusion" not in self.data:
            return html
        head = "".join(f"<th>{escape(a)}</th>" for a in self._answers())
        body = "".join(f"<tr><th>{escape(label)}</th>" + "".join(f"<td>{n}</td>" for n in row) + "</tr>"
                       for label, row in zip(self.data["labels"], self.data["confusion"]))
        return html + f"<table><tr><th>truth \\ answer</th>{head}</tr>{body}</table>"
