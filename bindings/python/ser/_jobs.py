"""The researcher's commands: evaluate, train, test, adapt, extract. Keyword arguments are the options of the command line, by
their names with ``_``; the library checks them."""

from __future__ import annotations

import ctypes as c
import json
import os
import sys
import threading
import warnings
from typing import Any, Callable, Optional, Union

import numpy as np

from . import _library as lib
from ._errors import ArgumentError, ArgumentTypeError
from ._model_parts import flag
from ._report import Report
from ._sound import is_whole

Progress = Union[bool, Callable[[str, int, int], Any]]
_WARNING, _FOLDER = 0, 2


def _text(value: Any, name: str) -> str:
    if isinstance(value, (bytes, os.PathLike)):
        try:
            value = os.fsdecode(value)
        except TypeError as e:  # what its __fspath__ gives
            raise ArgumentTypeError(f"{name}: {e}") from e
    if isinstance(value, str):
        return value
    if is_whole(value):
        return str(int(value))
    raise ArgumentTypeError(f"{name}: a {type(value).__name__} does not fit: give text")


def _value(name: str, value: Any) -> Any:
    """As JSON: a list of corpora or layers is what the option has, joined."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if is_whole(value):
        return int(value)
    if isinstance(value, np.floating):
        return float(value)
    if isinstance(value, (list, tuple)):
        texts = [_text(v, name) for v in value]
        return texts if name == "encoder" else ("," if name == "layers" else "+").join(texts)
    if name == "layers" and isinstance(value, dict):
        return "+".join(f"{_text(k, name)}={_value(name, v)}" for k, v in value.items())
    return _text(value, name)


def settings_json(settings: dict[str, Any]) -> bytes:
    values = {name: _value(name, value) for name, value in settings.items()}
    # Numbers and names of options that take a word or a number ("augment", "layers") go as text.
    for name in ("augment", "layers"):
        if isinstance(values.get(name), int) and not isinstance(values[name], bool):
            values[name] = str(values[name])
    try:
        return json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as e:
        raise ArgumentError("a name among the settings is not UTF-8: rename the file or folder") from e
    except ValueError as e:
        raise ArgumentError("a number among the settings is not finite") from e


class _Listener:
    """What a job tells, on its way to the caller; an exception of his stops the job and comes out of it."""

    def __init__(self, progress: Progress, on_epoch: Optional[Callable[[dict[str, Any]], Any]],
                 on_message: Optional[Callable[[str], Any]]) -> None:
        self.progress, self.on_epoch, self.on_message = progress, on_epoch, on_message
        self.stop, self.raised, self.folder = False, None, None  # type: bool, Optional[BaseException], Optional[str]
        self.bars: dict[str, Any] = {}
        self.warnings: list[str] = []  # for the caller's thread, and his line
        self.listener = lib.Listener()
        lib.run().ser_run_listener_init(c.byref(self.listener), c.sizeof(self.listener))
        self.listener.on_progress = lib.RunProgress(self._on_progress)
        self.listener.on_epoch = lib.RunEpoch(self._on_epoch)
        self.listener.on_message = lib.RunMessage(self._on_message)

    def _guard(self, call: Callable[[], Any]) -> None:
        try:
            if self.raised is None and not self.stop:
                call()
        except BaseException as e:
            self.raised = e

    def _on_progress(self, _context: Any, what: bytes, done: int, total: int) -> int:
        self._guard(lambda: self._tell(lib.text(what), done, total))
        return int(self.stop or self.raised is not None or lib.calls.closing)

    def _on_epoch(self, _context: Any, epoch: Any) -> None:
        if self.on_epoch:
            e = epoch.contents
            told = {name: getattr(e, name) for name, *_ in e._fields_}
            told["part"] = lib.text(told["part"])
            self._guard(lambda: self.on_epoch(told))  # type: ignore[misc]

    def _on_message(self, _context: Any, kind: int, text: bytes) -> None:
        said = lib.text(text)
        if kind == _FOLDER:
            self.folder = said
        elif self.on_message is None:
            self.warnings += [said] if kind == _WARNING else []
        else:
            self._guard(lambda: self.on_message(said))  # type: ignore[misc]

    def _tell(self, what: str, done: int, total: int) -> None:
        if callable(self.progress):
            self.progress(what, done, total)
        elif self.progress:
            self._bar(what, done, total)

    def _bar(self, what: str, done: int, total: int) -> None:
        if "tqdm" not in self.bars:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                tqdm = None
            self.bars["tqdm"] = tqdm
        if self.bars["tqdm"] and what not in self.bars:
            self.bars[what] = self.bars["tqdm"](total=total or None, desc=what)
        bar = self.bars.get(what)
        if bar is not None:
            bar.n = done
            bar.refresh()

    def close_bars(self) -> None:
        for name, bar in self.bars.items():
            if name != "tqdm":
                bar.close()


def _call(job: str, settings: bytes, listener: _Listener, out: Any, err: Any) -> int:
    """In a thread of its own, so that Ctrl-C reaches Python's main thread, which would be inside C: the job is asked to stop,
    saves what it has, and then KeyboardInterrupt goes on."""
    status: list[int] = []
    done = threading.Event()

    def work() -> None:
        status.append(lib.run().ser_run_json(c.byref(out), job.encode(), settings, c.byref(listener.listener), c.byref(err)))
        done.set()

    if threading.current_thread() is not threading.main_thread():
        work()
        return status[0]
    worker = threading.Thread(target=work, name="ser")
    worker.start()
    interrupt: Optional[BaseException] = None
    while not done.is_set():  # Thread.join would take an interrupted thread for a finished one
        try:
            done.wait(0.2)
        except BaseException as e:
            interrupt, listener.stop = e, True
    if interrupt is not None:
        raise interrupt
    return status[0]


def _run(job: str, settings: dict[str, Any], progress: Progress, on_epoch: Any, on_message: Any, stays: bool = True) -> Report:
    """stays: the run folder does; then who is interrupted is told of it."""
    for name, f in (("on_epoch", on_epoch), ("on_message", on_message)):
        if f is not None and not callable(f):
            raise ArgumentTypeError(f"{name}: a {type(f).__name__} cannot be called")
    listener = _Listener(progress if callable(progress) else flag(progress, "progress"), on_epoch, on_message)
    result, err, run = c.c_void_p(), lib.ErrorText(), lib.run()
    try:
        status = _call(job, settings_json(settings), listener, result, err)
        if listener.raised is not None:
            raise listener.raised
        lib.check(status, err)
        text = run.ser_run_result_json(result).decode()
        return Report(json.loads(text) if text else {}, folder=lib.text(run.ser_run_result_folder(result)) or None,
                      text=run.ser_run_result_text(result).decode(), was_complete=bool(run.ser_run_result_was_complete(result)))
    except BaseException as e:
        if stays and listener.folder and sys.version_info >= (3, 11):
            e.add_note(f"what is done lies in {listener.folder}: go on with resume=True, run={listener.folder!r}")
        raise
    finally:
        listener.close_bars()
        for said in listener.warnings:
            warnings.warn(said, UserWarning, stacklevel=3)
        run.ser_run_result_free(c.byref(result))


def evaluate(data: Any = None, protocol: Optional[str] = None, *, progress: Progress = False,
             on_epoch: Optional[Callable[[dict[str, Any]], Any]] = None, on_message: Optional[Callable[[str], Any]] = None,
             **settings: Any) -> Report:
    """Trains and tests by a protocol, and reports the figures with their confidence intervals: ``ser evaluate``.

    ``data``: a known corpus (``"EMODB"``), a folder, a CSV file, or a list of them. ``protocol``: ``emobox``, ``loso``,
    ``loco``, ``kfold=5``, ``group-kfold=5``. ``settings``: every option of the command line by its name with ``_``, such as
    ``feature_type="LOGMEL"``, ``layers=[1, 2, 3]``, ``model_type="timnet"``, ``seeds=3``, ``jobs=2`` (threads; it changes no
    figure), ``run="folder"`` and ``resume=True``. The run folder is ``Report.folder``.

    ``progress``: True for tqdm's bar, or a function of (what, done, total). ``on_epoch``: told each epoch of a network, as a
    dict: losses in nats, accuracies in percent, seconds. ``on_message``: told what a person should know; without, that is a
    UserWarning. They are called from another thread. Ctrl-C saves what is done; go on with ``run=..., resume=True``.
    """
    return _run("evaluate", {"data": data, "protocol": protocol, **settings}, progress, on_epoch, on_message)


def train(data: Any = None, *, progress: Progress = False, on_epoch: Optional[Callable[[dict[str, Any]], Any]] = None,
          on_message: Optional[Callable[[str], Any]] = None, **settings: Any) -> Report:
    """Trains a model, and judges it on ``split_fold`` folds: ``ser train``. `Report.model` opens it.

    Arguments as in `evaluate`; the defaults are the command's (``model_type="timnet"``, ``preset="original"``).
    """
    return _run("train", {"data": data, **settings}, progress, on_epoch, on_message)


def train_in_passing(data: Any = None, *, progress: Progress = False, on_epoch: Any = None, on_message: Any = None, **settings: Any) -> Report:
    """`train` in a run folder that its caller removes, also when it fails."""
    return _run("train", {"data": data, **settings}, progress, on_epoch, on_message, stays=False)


def test(test_path: Any = None, data: Any = None, *, target: Any = None, progress: Progress = False,
         on_message: Optional[Callable[[str], Any]] = None, **settings: Any) -> Report:
    """The models of a run folder (or a model file, or Keras weights) on a corpus: ``ser test``; with ``target``, what was
    trained on ``data`` on another corpus: ``ser test-cross-corpus``. Arguments as in `evaluate`."""
    if target is None:
        return _run("test", {"test_path": test_path, "data": data, **settings}, progress, None, on_message)
    return _run("test-cross-corpus", {"test_path": test_path, "data": data, "target": target, **settings}, progress, None, on_message)


def adapt(data: Any = None, target: Any = None, *, progress: Progress = False,
          on_epoch: Optional[Callable[[dict[str, Any]], Any]] = None, on_message: Optional[Callable[[str], Any]] = None,
          **settings: Any) -> Report:
    """Trains on ``data`` and adapts to ``target`` without its labels: ``ser train-lmmd``. Arguments as in `evaluate`."""
    return _run("train-lmmd", {"data": data, "target": target, **settings}, progress, on_epoch, on_message)


def extract(data: Any = None, *, recording: Any = None, output: Any = None, progress: Progress = False,
            on_message: Optional[Callable[[str], Any]] = None, **settings: Any) -> Report:
    """Feature trees of corpora, or with ``recording`` and ``output`` the frames of one recording as ``.npy``: ``ser extract``."""
    return _run("extract", {"data": data, "recording": recording, "output": output, **settings}, progress, None, on_message)
