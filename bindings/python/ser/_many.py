"""Many recordings, several at a time, in their order; of one that is asked for in stretches, one decoding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

from ._errors import ArgumentTypeError, Error
from ._model_parts import Stop, check_jobs, flag
from ._sound import Decoded, Source, as_source, check_stretch, is_one_recording, is_path, is_stretch, path_bytes

Answerer = Callable[[Source, int, int, Stop], Any]  # of (what to hear, which of the list it is, threads, whether to stop)
Failure = Callable[[int, Error], Any]


@contextmanager
def one_source(given: Any, rate: Any) -> Iterator[Source]:
    """Of one recording, or one stretch of one, as long as it is used."""
    if not is_stretch(given):
        yield as_source(given, rate)
        return
    start, end = check_stretch(given[1], given[2])
    if start == 0 and end is None:
        yield as_source(given[0])
        return
    whole = Decoded(path_bytes(given[0]))
    whole.add(start, end)
    try:
        yield whole.source(start, end)
    finally:
        whole.done()


def listed(recordings: Any) -> list[Any]:
    if is_one_recording(recordings):
        raise ArgumentTypeError("a list of recordings is wanted, and this is a single one")
    try:
        return list(recordings)
    except (TypeError, ValueError) as e:
        raise ArgumentTypeError(f"recordings is a {type(recordings).__name__}: give a list") from e


class _Item:
    """One of them, from what the caller gave."""

    def __init__(self, i: int, given: Any, rate: Any, recordings: dict[bytes, Decoded]) -> None:
        self.i, self.given, self.rate = i, given, rate
        self.whole: Optional[Decoded] = None
        self.start, self.end, self.failed = 0.0, None, None  # type: float, Optional[float], Optional[Error]
        if not is_stretch(given):
            return
        try:
            path = path_bytes(given[0])
            self.start, self.end = check_stretch(given[1], given[2])
            if self.start == 0 and self.end is None:
                self.given = given[0]
                return
            self.whole = recordings.setdefault(path, Decoded(path))
            self.whole.add(self.start, self.end)
        except Error as e:
            self.failed = e

    def answer(self, answerer: Answerer, failure: Failure, n_threads: int, stop: Stop) -> Any:
        try:
            if self.failed is not None:
                raise self.failed
            if self.whole is not None:
                source = self.whole.source(self.start, self.end)
            else:
                given = self.given
                source = as_source(given, None if is_path(given) or hasattr(given, "read") else self.rate)
            return answerer(source, self.i, n_threads, stop)
        except Error as e:
            return failure(self.i, e)
        finally:
            if self.whole is not None:
                self.whole.done()


def in_turn(given: list[Any], rate: Any, jobs: int, answerer: Answerer, failure: Failure,
            told: Callable[[int], Any]) -> list[Any]:
    """What answerer says of each. told: how many are done, and -1 at the end."""
    from concurrent.futures import ThreadPoolExecutor  # brings logging along, which an import of ser need not pay for

    recordings: dict[bytes, Decoded] = {}
    items = [_Item(i, x, rate, recordings) for i, x in enumerate(given)]
    n_workers = min(check_jobs(jobs) or len(os.sched_getaffinity(0)), max(len(items), 1))
    # Many recordings: one to a thread; a single one gets them all, as on the command line.
    n_threads = 1 if len(items) > 1 else check_jobs(jobs)
    # Stretches of one recording follow each other, so that few recordings are in memory at a time.
    first = {}  # type: dict[Any, int]
    order = sorted(range(len(items)), key=lambda i: first.setdefault(items[i].whole or i, i))
    stop = Stop()
    answers: list[Any] = [None] * len(items)
    with ThreadPoolExecutor(n_workers, "ser") as pool:
        futures = [(i, pool.submit(items[i].answer, answerer, failure, n_threads, stop)) for i in order]
        try:
            for n, (i, future) in enumerate(futures):
                answers[i] = future.result()
                told(n + 1)
            return answers
        except BaseException:
            stop.cancelled = True
            for _, future in futures:
                future.cancel()
            raise
        finally:
            told(-1)


def teller(progress: Any, total: int) -> Callable[[int], Any]:
    """Of what callers give as progress: a function, True for tqdm's bar, or False."""
    if callable(progress):
        return lambda done: progress(done, total) if done >= 0 else None
    if not flag(progress, "progress"):
        return lambda done: None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return lambda done: None
    bar = tqdm(total=total, unit="recording")
    return lambda done: bar.close() if done < 0 else bar.update(1)
