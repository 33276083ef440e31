"""One run of a user's test: a fresh cluster, whatever goes wrong in it, and what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from traceback import walk_tb
from typing import Any, Final, NamedTuple, TypeVar

from eventlog.check import Verdict
from eventlog.check.promises import BROKEN
from eventlog.errors import RequestError
from eventlog.sim.choices import Answerer
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal, run_literal
from eventlog.sim.state import START_MS
from eventlog.sim.trace import describe
from eventlog.testing.crashing import SimulatedCrash, set_supervisor
from eventlog.testing.fault_groups import CLIENT_CRASH
from eventlog.testing.mortal import MortalCluster
from eventlog.values import FAULTS

Result = TypeVar("Result")

CRASH_POINT: Final = "crash point "
PROCESS: Final = "process"
RESTART_MS: Final = 1_000
"""How long a supervisor takes to start a process again."""
MOST_RESTARTS: Final = 10

Failure = tuple[str, str, int]
"""(exception, file, line) of the user's own code, by which two failures are the same."""


def caught(body: Callable[[], object], also: type[BaseException]) -> BaseException | None:
    """With what a test's body failed: an exception, pytest's own failure, or `also`. All else goes on: a skip, an
    interruption."""
    __tracebackhide__ = True
    try:
        body()
    except (Exception, also) as error:
        return error
    except BaseException as error:
        outcomes = sys.modules.get("_pytest.outcomes")
        if outcomes is None or not isinstance(error, outcomes.Failed):
            raise
        failed: BaseException = error
        return failed
    return None


class AtCrashPoint:
    """What the question offers at a crash point: the process itself."""

    def find_target(self, fault: str, event: str, occurrence: int, luck: int) -> str | None:
        return PROCESS


class PromiseBroken(AssertionError):
    """The checker found a promise broken that it holds this cluster to."""

    def __init__(self, verdict: Verdict) -> None:
        first = verdict.findings[0]
        super().__init__(f"{first.promise}: {first.sentence}")
        self.verdict = verdict


class Ran(NamedTuple):
    """A run that is over. `points`: how often each crash point was reached under a supervisor."""

    cluster: MortalCluster
    error: BaseException | None
    deviations: tuple[Deviation, ...]
    points: dict[str, int]

    @property
    def failure(self) -> Failure | None:
        """What failed, and where in the user's code; None when nothing did."""
        return None if self.error is None else failure_of(self.error)

    def shape(self) -> list[str]:
        """What happened, without the bytes that were written: equal for two equal runs of the same code."""
        lines = [f"{at_ms - START_MS} {describe(what)}" for _, at_ms, what in self.cluster.recorder.events]
        ended = "passed" if self.failure is None else "raised {} at {}:{}".format(*self.failure)
        return [f"the test {ended}", *lines, f"crash points: {self.points}"]


def failure_of(error: BaseException) -> Failure:
    """By what two failures are the same one: the exception, and the innermost place."""
    file, line, _ = (places_of(error) or [("", 0, "")])[-1]
    return (type(error).__name__, file, line)


def places_of(error: BaseException) -> list[tuple[str, int, str]]:
    """(file, line, function) of all that is not in this library on the way to where it was raised, the innermost last."""
    return [
        (frame.f_code.co_filename, line, frame.f_code.co_name)
        for frame, line in walk_tb(error.__traceback__)
        if not str(frame.f_globals.get("__name__", "")).startswith("eventlog.")
    ]


class ChaosRun:
    """A run that is under way; it is also the supervisor of the user's processes."""

    def __init__(self, cluster: MortalCluster, answerer: Answerer) -> None:
        self.cluster = cluster
        self.answerer = answerer
        self.points: dict[str, int] = {}
        self.crashes: list[Deviation] = []
        # For each process under supervision, the innermost last: how many clients there were before it.
        self._processes: list[int] = []
        self._is_dying = False
        cluster._open_world().answerer = answerer

    def call(self, body: Callable[[], object]) -> Ran:
        """Run `body` to its end; what it raises, or what the checker finds, is in what comes back."""
        __tracebackhide__ = True
        before = set_supervisor(self)
        try:
            error = caught(body, SimulatedCrash)
        finally:
            set_supervisor(before)
        deviations = (*read_literal(self.cluster.literal)[1], *self.crashes)
        if error is None:
            error = self._judged()
        self.cluster.close()
        return Ran(self.cluster, error, deviations, self.points)

    def _judged(self) -> BaseException | None:
        cluster = self.cluster
        try:
            verdict = cluster.check(heal=not cluster._closed)
        except Exception as error:  # an invariant of the library, broken while things heal
            return error
        return PromiseBroken(verdict) if verdict.of(BROKEN) else None

    # --- processes ------------------------------------------------------------------------------------------------

    def reach(self, point: str) -> None:
        if not self._processes:
            return
        if self._is_dying:  # somebody swallowed the crash
            raise SimulatedCrash(point)
        occurrence = self.points[point] = self.points.get(point, 0) + 1
        event = f"{CRASH_POINT}{point}"
        chosen = self.answerer.answer(event, occurrence, (CLIENT_CRASH,), AtCrashPoint())
        if chosen is not None:
            self.crashes.append(chosen)
            self._is_dying = True
            self.cluster.kill(self.cluster.client_names[self._processes[-1] :], point)
            raise SimulatedCrash(point)

    def supervise(self, process: Callable[[], Result]) -> Result:
        __tracebackhide__ = True
        for _ in range(1 + MOST_RESTARTS):
            self._processes.append(len(self.cluster.client_names))
            try:
                result = process()
            except BaseException:
                if not self._is_dying:
                    raise
            else:
                # A process that goes on after its crash, because it caught everything, is dead all the same.
                if not self._is_dying:
                    return result
            finally:
                self._processes.pop()
            self._is_dying = False
            self.cluster.advance(RESTART_MS)
        raise AssertionError(f"the process died {1 + MOST_RESTARTS} times; no supervisor would start it again")


# --- literals -----------------------------------------------------------------------------------------------------


def write_chaos_literal(test: str, seed: int, deviations: tuple[Deviation, ...]) -> str:
    """A run of a chaos test as a Python literal. Crash points stand apart, for no world knows of them."""
    crashes = [
        (known.event.removeprefix(CRASH_POINT), known.occurrence) for known in deviations if known.fault == CLIENT_CRASH
    ]
    scenario: dict[str, Any] = {"chaos_test": test, "seed": seed}
    if crashes:
        scenario["crash_points"] = crashes
    return run_literal(scenario, [known for known in deviations if known.fault in FAULTS])


def read_chaos_literal(text: str, test: str) -> tuple[int, tuple[Deviation, ...]]:
    """(seed, deviations) of a literal of this test. Raises RequestError that says what is wrong with it."""
    scenario, deviations = read_literal(text)
    name = scenario.get("chaos_test")
    if name != test:
        what = f"of the chaos test {name!r}" if name else "not of a chaos test"
        raise RequestError(f"this literal is {what}, and this test is {test!r}: give it to the one it was printed by")
    seed, crashes = scenario.get("seed", 0), scenario.get("crash_points", [])
    try:
        points = [Deviation(f"{CRASH_POINT}{point}", int(nth), CLIENT_CRASH, PROCESS, 0) for point, nth in crashes]
    except (TypeError, ValueError):
        raise RequestError(f"crash_points are pairs of a name and a number, not {crashes!r}") from None
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise RequestError(f"seed must be a whole number, not {seed!r}")
    return seed, (*deviations, *points)
