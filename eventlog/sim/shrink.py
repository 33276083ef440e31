"""A failing run made small: fewer deviations first, then simpler ones.

Deviations call events by name, so one can be left out and the others mean what they meant. What is left out is found by
delta debugging: in chunks, one by one, in pairs. Where a deviation's event has gone together with one that was left out
(the second try of a request whose first answer was lost), it is moved to the same event as it came before.

S1. A plan is kept only if it failed when it was run; fewer deviations always win over simpler ones.
S2. No plan is run twice, and equal calls run the same plans in the same order.
S3. A deviation that did not apply is left out without a run: it changed nothing.

Not here: what a run is, and what "fails in the same way" means. `run` says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final, NamedTuple

from eventlog.sim.choices import ANYBODY
from eventlog.sim.faults import Deviation
from eventlog.values import FAULTS

Plan = tuple[Deviation, ...]

MOST_RUNS: Final = 400
MILDER: Final[dict[str, tuple[str, ...]]] = {
    "crash_losing_tail": ("disconnect", "crash"),
    "crash_wiped": ("disconnect", "crash", "crash_losing_tail"),
    "snapshot_lost": ("disconnect", "crash"),
    "snapshot_old": ("disconnect", "crash"),
    "snapshot_corrupt": ("disconnect", "crash"),
    "power_cut": ("disconnect", "crash"),
    "crash": ("disconnect",),
    "pause": ("disconnect",),
    "clean_restart": ("disconnect", "election"),
    "isolate": ("election", "cut"),
    "split": ("election", "isolate"),
    "cut": ("disconnect", "cut_one_way"),
    "cut_one_way": ("disconnect",),
    "unclean_election": ("election", "crash"),
    "stuck_fetcher": ("slow_follower",),
}
"""What else could happen in place of a fault at the same event, the mildest first."""
_COUNTED: Final = re.compile(r"\b(try|epoch) (\d+)")


class Outcome(NamedTuple):
    """What came of a run: did it fail in the same way, and which deviations did not apply. `played`: the deviations as
    they were taken, where the run knows better than the plan (None: as planned)."""

    fails: bool
    unused: Plan = ()
    played: Plan | None = None


class Shrunk(NamedTuple):
    """The smallest failing plan that was found. `fails` False: not even the first plan failed, and it stands here as it
    came. `unused`: deviations of the first plan that did not apply. `is_done` False: `most_runs` ended it."""

    deviations: Plan
    fails: bool
    runs: int
    unused: Plan
    is_done: bool


Run = Callable[[Plan], "bool | Outcome"]


def shrink(run: Run, deviations: Plan, most_runs: int = MOST_RUNS) -> Shrunk:
    """The smallest plan found from `deviations` that `run` says still fails."""
    return _Shrinking(run, most_runs).shrink(tuple(deviations))


class _Spent(Exception):
    """No run is left."""


class _Shrinking:
    __slots__ = ("best", "most_runs", "run", "runs", "tried")

    def __init__(self, run: Run, most_runs: int) -> None:
        self.run = run
        self.most_runs = most_runs
        self.runs = 0
        self.tried: dict[Plan, Outcome] = {}
        self.best: Plan = ()

    def shrink(self, first: Plan) -> Shrunk:
        self.best = first
        if self.most_runs < 1:
            return Shrunk(first, False, 0, (), False)
        outcome = self._outcome(first)
        if not outcome.fails:
            return Shrunk(first, False, self.runs, outcome.unused, True)
        is_done = True
        try:
            self._accept(first, outcome)
            self._fewer()
            while self._milder():
                self._fewer()
        except _Spent:
            is_done = False
        return Shrunk(self.best, True, self.runs, outcome.unused, is_done)

    # --- trying ---------------------------------------------------------------------------------------------------

    def _outcome(self, plan: Plan) -> Outcome:
        known = self.tried.get(plan)
        if known is None:
            if self.runs >= self.most_runs:
                raise _Spent
            self.runs += 1
            said = self.run(plan)
            known = said if isinstance(said, Outcome) else Outcome(bool(said))
            self.tried[plan] = known
        return known

    def _accept(self, plan: Plan, outcome: Outcome) -> None:
        applied = tuple([deviation for deviation in plan if deviation not in outcome.unused])
        self.best = applied if outcome.played is None else outcome.played
        self.tried[self.best] = Outcome(True)

    def _holds(self, plan: Plan) -> bool:
        """Does `plan` fail? Then it is the best one."""
        outcome = self._outcome(plan)
        if outcome.fails:
            self._accept(plan, outcome)
        return outcome.fails

    def _holds_without(self, left_out: Plan) -> bool:
        """Does the best plan fail without these? If some of the others don't apply then, also with those moved."""
        plan = tuple([deviation for deviation in self.best if deviation not in left_out])
        if self._holds(plan):
            return True
        unused = self._outcome(plan).unused
        if not unused or len(unused) == len(plan):
            return False
        moved = tuple([_earlier(deviation) if deviation in unused else deviation for deviation in plan])
        return moved != plan and len(dict.fromkeys(moved)) == len(moved) and self._holds(moved)

    # --- fewer ----------------------------------------------------------------------------------------------------

    def _fewer(self) -> None:
        self._holds(tuple([_usual(deviation) for deviation in self.best]))
        count = len(self.best)
        self._drop_chunks()
        while self._drop(1) or self._drop(2):
            pass
        if len(self.best) < count:
            self._fewer()

    def _drop_chunks(self) -> None:
        size = len(self.best) // 2
        while size > 1:
            start = 0
            while start < len(self.best):
                if not self._holds_without(self.best[start : start + size]):
                    start += size
            size = min(size, len(self.best)) // 2

    def _drop(self, count: int) -> bool:
        """Leave out any `count` of them; later ones first, since most depends on the earlier."""
        return any(self._holds_without(left_out) for left_out in combinations(self.best[::-1], count))

    # --- simpler --------------------------------------------------------------------------------------------------

    def _milder(self) -> bool:
        """One of them made simpler."""
        for place, deviation in enumerate(self.best):
            for simpler in _simpler(deviation):
                if self._holds((*self.best[:place], simpler, *self.best[place + 1 :])):
                    return True
        return False


def _usual(deviation: Deviation) -> Deviation:
    """The same fault, for as long as it usually lasts."""
    kind = FAULTS.get(deviation.fault)
    return deviation if kind is None else deviation._replace(duration_ms=kind.default_duration_ms)


def _earlier(deviation: Deviation) -> Deviation:
    """The same fault at the event as it came before: the occurrence, the try or the leader epoch before this one."""
    if deviation.occurrence > 1:
        return deviation._replace(occurrence=deviation.occurrence - 1)
    event = _COUNTED.sub(_one_less, deviation.event)
    return deviation._replace(event=event)


def _one_less(counted: re.Match[str]) -> str:
    least = 1 if counted[1] == "try" else 0
    return f"{counted[1]} {max(int(counted[2]) - 1, least)}"


def _simpler(deviation: Deviation) -> Iterator[Deviation]:
    usual = _usual(deviation)
    if usual != deviation:
        yield usual
    for fault in MILDER.get(deviation.fault, ()):
        yield _usual(deviation._replace(fault=fault, target=ANYBODY))
