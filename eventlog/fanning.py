"""Work fanned out over processes, here or on whatever machines somebody else's engine has.

`executor` is any `concurrent.futures.Executor`: a process pool, or that of a cluster (Dask's `Client.get_executor()`).

F1. What comes back stands at its work's place: it does not matter who did what, in which order, or how often.
F2. Work whose worker died is done again and counts once. When a whole pool broke, each piece that was with it is done
    again alone in a process of its own, so that the one that breaks pools is known; the others go on in a new pool.

Not here: what the work is (`campaigns`, `exploring`).
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Final

from eventlog.errors import RequestError

MOST_TRIES: Final = 3
MOST_OUT: Final = 256
"""So many pieces of work are with an executor at one time."""


def find_named(name: str) -> Callable[..., Any]:
    """What `package.module:function` names. Raises RequestError when there is no such thing."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute) if attribute else None
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(f"{name!r} can't be imported: {error}") from None
    if not callable(found):
        raise RequestError(f"{name!r} must name a function, like 'package.module:function'")
    checked: Callable[..., Any] = found
    return checked


class FannedOut:
    """What became of each piece of work, by its index: a result, or why there is none."""

    __slots__ = ("lost", "results", "tried_again")

    def __init__(self) -> None:
        self.results: dict[int, Any] = {}
        self.lost: dict[int, str] = {}
        self.tried_again = 0


def fan_out(
    function: Callable[[Any], Any],
    works: Sequence[Any],
    executor: Executor | None = None,
    jobs: int = 1,
    heard: Callable[[Sequence[Any]], None] | None = None,
    most_tries: int = MOST_TRIES,
) -> FannedOut:
    """`function` of each of `works`, which must be a module's function and plain values. Each counts once.

    Without an executor and with one job: here. An interrupt ends it with what is done.
    """
    if executor is None and jobs == 1:
        return _here(function, works, heard)
    fanning = _Fanning(function, works, executor, jobs, heard, most_tries)
    try:
        fanning.go()
    except KeyboardInterrupt:
        fanning.stop()
    finally:
        fanning.close()
    return fanning.out


def _here(
    function: Callable[[Any], Any], works: Sequence[Any], heard: Callable[[Sequence[Any]], None] | None
) -> FannedOut:
    out = FannedOut()
    try:
        for index, work in enumerate(works):
            out.results[index] = function(work)
            if heard is not None:
                heard(list(out.results.values()))
    except KeyboardInterrupt:
        pass
    return out


def _new_pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))


class _Fanning:
    __slots__ = ("function", "heard", "jobs", "most_tries", "out", "own", "pool", "todo", "tries", "under_way", "works")

    def __init__(
        self,
        function: Callable[[Any], Any],
        works: Sequence[Any],
        executor: Executor | None,
        jobs: int,
        heard: Callable[[Sequence[Any]], None] | None,
        most_tries: int,
    ) -> None:
        self.function = function
        self.works = works
        self.heard = heard
        self.most_tries = most_tries
        self.jobs = jobs if executor is None else max(jobs, os.cpu_count() or 1)
        self.own: ProcessPoolExecutor | None = _new_pool(self.jobs) if executor is None else None
        self.pool: Executor | None = executor if executor is not None else self.own
        self.out = FannedOut()
        self.todo = deque(range(len(works)))
        self.tries = [0] * len(works)
        self.under_way: dict[Future[Any], int] = {}

    def go(self) -> None:
        suspects: list[int] = []
        while self.todo or self.under_way:
            is_broken = not self._submit()
            if not is_broken:
                done, _ = wait(self.under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    is_broken = self._is_broken(future, suspects) or is_broken
            if is_broken:
                for future in list(self.under_way):
                    self._is_broken(future, suspects)
                self._renew()
        for index in suspects:
            self._alone(index)

    def _submit(self) -> bool:
        """Hand out what the executor takes; False when it takes nothing any more."""
        assert self.pool is not None
        while self.todo and len(self.under_way) < MOST_OUT:
            index = self.todo[0]
            try:
                future = self.pool.submit(self.function, self.works[index])
            except BrokenExecutor:
                return False
            except RuntimeError as error:
                if self.pool is self.own:
                    raise
                raise RequestError(f"the executor takes no work: {error}") from None
            self.todo.popleft()
            self.under_way[future] = index
            self._tries_once_more(index)
        return True

    def _tries_once_more(self, index: int) -> None:
        self.tries[index] += 1
        self.out.tried_again += self.tries[index] == 2

    def _is_broken(self, future: Future[Any], suspects: list[int]) -> bool:
        """Take what a future has come to, which is waited for; True when its whole pool is broken."""
        index = self.under_way.pop(future)
        try:
            result = future.result()
        except BrokenExecutor:
            suspects.append(index)
            return True
        except Exception as error:
            if self.tries[index] < self.most_tries:
                self.todo.append(index)
            else:
                self._lose(index, error)
            return False
        self._keep(index, result)
        return False

    def _keep(self, index: int, result: Any) -> None:
        self.out.results[index] = result
        if self.heard is not None:
            self.heard(list(self.out.results.values()))

    def _lose(self, index: int, error: BaseException) -> None:
        self.out.lost[index] = f"its worker died {self.tries[index]} times ({type(error).__name__}: {error})"

    def _renew(self) -> None:
        """A pool of our own in place of the broken one; somebody else's is left to its owner."""
        if self.own is not None:
            self.own.shutdown(wait=False, cancel_futures=True)
        self.pool = self.own = _new_pool(self.jobs)

    def _alone(self, index: int) -> None:
        """In a process of its own: if that dies too, it is this one's doing."""
        while True:
            self._tries_once_more(index)
            with _new_pool(1) as pool:
                try:
                    self._keep(index, pool.submit(self.function, self.works[index]).result())
                    return
                except BrokenExecutor as error:
                    if self.tries[index] >= self.most_tries:
                        self._lose(index, error)
                        return

    def stop(self) -> None:
        """Call back what has not begun, and take what is done."""
        for future, index in self.under_way.items():
            if not future.cancel() and future.done() and future.exception() is None:
                self.out.results[index] = future.result()

    def close(self) -> None:
        if self.own is not None:
            self.own.shutdown(wait=False, cancel_futures=True)
