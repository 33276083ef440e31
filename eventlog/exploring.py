"""Floor 7: every run of a scenario within k deviations: a proof, or a counterexample as a story.

```python
from eventlog.exploring import explore
print(explore("P2", max_deviations=2).report())
```

A *proof* holds within its bounds and says what they were: how many deviations, of which kinds, in which steps; what it saw
on the way, so that an empty one shows. A *counterexample* is the first run, in order of deviations, that breaks a promise:
it is repeated in an ordinary world and judged by the checker before anybody is told. Where the table of promises excuses
it (Kafka's own holes, see the README) it says so.

P1. What is found without being repeated by the world is a bug of the search, and raised as one.
P2. The same scenario and bounds give the same states and the same counterexample, in every process, from any number.
P3. A run that goes on for ever although nothing goes wrong any more is a counterexample, too (H13), where nothing else
    is broken within the bounds.

Not here: consumers, transactions; runs longer than the bound.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, Final, NamedTuple

from eventlog.errors import InvariantViolation, RequestError
from eventlog.fanning import fan_out, find_named
from eventlog.scenarios import HORIZON_MS, Played, Scenario, find_scenario, literal_of, play, scenario_of, stage
from eventlog.sim.explore import WorldSpace
from eventlog.sim.explored_world import AtQuestions
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal
from eventlog.sim.search import INTERRUPTED, Progress, Searched, search
from eventlog.sim.slices import Left, SliceSeen, Together, put_together, shares_of, strata_of

MOST_DEVIATIONS: Final = 64
MOST_JOBS: Final = 1_024
SLICES_A_JOB: Final = 3
"""So many for each process, so that none has much left to do when the others are done."""
SLICES: Final = 16
"""So many when somebody else's executor does them."""
MOST_BENIGN_STEPS: Final = 2_000
"""A run in which nothing goes wrong for so many steps is taken to have no end."""
ENOUGH_STATES: Final = 10_000
"""With fewer, what the process has anyway would be counted as theirs."""
UNSEARCHED: Final = ("snapshot_lost", "snapshot_old", "snapshot_corrupt", "append_fails")
"""Faults that strike inside a disk: walks take them (`hunting`), a search doesn't."""
WITHOUT_END: Final = "H13: the run has no end, though nothing goes wrong any more"
MARKS: Final = ("duplicate recognised", "truncation", "broker fenced", "restart")
"""What a proof says of itself even where it never happened."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Nothing is broken within the bounds. `complete`: up to so many deviations everything was seen, -1 for nothing;
    `marks`: (what happened, in how many steps); `missing`: what had to happen sometimes and never did."""

    scenario: Scenario
    max_deviations: int
    searched: Searched
    events: int
    seconds: float
    bytes_a_state: int
    marks: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> int:
        return self.searched.complete

    @property
    def held(self) -> bool:
        """All that was asked for was seen, and nothing that had to happen is missing."""
        return self.complete == self.max_deviations and not self.missing

    def report(self) -> str:
        """What was proven, for people."""
        seen, marks = self.searched, self.marks
        title = f"no promise is broken in {self.scenario.name} within {self.complete} deviations"
        if self.complete < self.max_deviations:
            title += f" (of {self.max_deviations}: stopped by {seen.stopped_by})"
        lines = [
            title,
            f"  bounds      {_bounds(self.scenario)}",
            f"  states      {seen.states:,} ({', '.join([f'{count:,}' for count in seen.levels])} by deviations)",
            f"  transitions {seen.transitions:,} of {self.events:,} events, at most {seen.depth} in a row",
            f"  at rest     {seen.finals:,}; {seen.cycles} benign runs without end",
            f"  seen        {'; '.join([f'{mark}: {times:,}' if times else f'{mark}: never' for mark, times in marks])}",
            f"  took        {self.seconds:.1f} s, {seen.transitions / max(self.seconds, 1e-9):,.0f} transitions and "
            f"{self.events / max(self.seconds, 1e-9):,.0f} events a second"
            + (f", {self.bytes_a_state:,} bytes a state" if seen.states >= ENOUGH_STATES else ""),
        ]
        if self.missing:
            lines.append(f"  missing     {', '.join(self.missing)}: this proof proves less than it seems to")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Counterexample:
    """The first run, in order of deviations, that breaks a promise. `excused`: the table of promises knows it."""

    scenario: Scenario
    promise: str
    message: str
    deviations: tuple[Deviation, ...]
    played: Played
    searched: Searched
    events: int
    seconds: float

    @property
    def excused(self) -> bool:
        return not self.played.promise

    @property
    def literal(self) -> str:
        """What `eventlog replay` takes."""
        return self.played.literal

    def report(self) -> str:
        """The story, for people."""
        count = len(self.deviations)
        lines = [
            f"{self.promise} is broken in {self.scenario.name} by {count} deviation{'s' * (count != 1)}"
            + (" (known: the table of promises excuses it)" if self.excused else ""),
            f"  {self.message}",
            f"  bounds      {_bounds(self.scenario)}",
            f"  states      {self.searched.states:,} in {self.seconds:.1f} s",
            *[f"  {number}. {told(deviation)}" for number, deviation in enumerate(self.deviations, 1)],
            self.played.stage.cluster.story(start=self.played.stage.first_event),
            self.literal,
        ]
        return "\n".join(lines)


def told(deviation: Deviation) -> str:
    """A deviation in words."""
    which = "" if deviation.occurrence == 1 else f" (for the {deviation.occurrence}. time)"
    return f"at '{deviation.event}'{which}: {deviation.fault} {deviation.target}"


def _bounds(scenario: Scenario) -> str:
    budgets = ", ".join([f"{budget} {fault}" for fault, budget in scenario.all_budgets if budget])
    return (
        f"{_many(scenario.brokers, 'broker')}, {_many(scenario.batches, 'batch', 'es')} under way, a "
        f"{'warm' if scenario.is_warm else 'cold'} producer; "
        f"{budgets or 'no faults'}; {'coarse' if scenario.is_coarse else 'fine'} steps; a restarted broker remembers "
        f"{_many(scenario.producer_snapshot_batches, 'batch', 'es')}"
    )


def _many(count: int, what: str, ending: str = "s") -> str:
    return f"{count} {what}{ending if count != 1 else ''}"


def explore(
    scenario: Scenario | str,
    max_deviations: int = 4,
    max_states: int = 5_000_000,
    time_limit_s: float | None = None,
    sometimes: Iterable[str] = (),
    progress: Callable[[Progress], None] | None = None,
    max_memory_bytes: int | None = None,
    jobs: int = 1,
    executor: Executor | None = None,
    plants: Iterable[str] = (),
) -> Proof | Counterexample:
    """All runs of `scenario` with at most `max_deviations`, in their order. `sometimes`: marks (see `Proof.marks`) that
    must have been seen, else the proof doesn't hold. `plants`: rules replaced while it searches, by name
    ("package.module:function", which gives a context manager).

    With `jobs` above 1, or with an `executor`, it goes out in slices (see `sim.slices`): by name and literal, so that a
    worker may be a fresh process anywhere. The bounds on states, time and memory are then each slice's own.

    An interrupt or a bound reached (`max_states`, `time_limit_s`, `max_memory_bytes` of this process) gives what is proven
    until then. Raises RequestError for what can't be.
    """
    found = find_scenario(scenario) if isinstance(scenario, str) else scenario
    found.check()
    if isinstance(max_deviations, bool) or not isinstance(max_deviations, int):
        raise RequestError(f"max_deviations must be a whole number, not {max_deviations!r}")
    if not 0 <= max_deviations <= MOST_DEVIATIONS:
        raise RequestError(f"max_deviations must be from 0 to {MOST_DEVIATIONS}, not {max_deviations}")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= MOST_JOBS:
        raise RequestError(f"jobs must be from 1 to {MOST_JOBS}, not {jobs!r}")
    for fault, budget in found.all_budgets:
        if budget and fault in UNSEARCHED:
            raise RequestError(f"{fault} can't be searched, only hunted: leave it out of the budgets, or use hunt")
    bounds = Bounds(max_states, time_limit_s, max_memory_bytes)
    names = tuple(plants)
    rules = [find_named(name) for name in names]
    start_s = perf_counter()
    with ExitStack() as stack:
        for rule in rules:
            stack.enter_context(rule())
        if jobs > 1 or executor is not None:
            seen, grown_bytes = _in_slices(found, max_deviations, bounds, names, jobs, executor, progress)
        else:
            whole, grown_bytes = _search(space_of(found), max_deviations, bounds, progress)
            seen = put_together([whole], _budgets_of(found), max_deviations)
        searched = seen.searched
        if searched.found or searched.cycle is not None:
            return _counterexample(found, seen, perf_counter() - start_s)
    seconds = perf_counter() - start_s
    marks = tuple({**dict.fromkeys(MARKS, 0), **seen.marks}.items())
    missing = tuple([mark for mark in sometimes if not seen.marks.get(mark)])
    bytes_a_state = grown_bytes // max(searched.states, 1)
    return Proof(found, max_deviations, searched, seen.events, seconds, bytes_a_state, marks, missing)


def _budgets_of(scenario: Scenario) -> Left:
    return tuple([budget for _, budget in scenario.all_budgets])


class Bounds(NamedTuple):
    """Where a search ends though not everything was seen."""

    max_states: int
    time_limit_s: float | None
    max_memory_bytes: int | None


def _search(
    space: WorldSpace,
    max_deviations: int,
    bounds: Bounds,
    progress: Callable[[Progress], None] | None = None,
    last: Sequence[Left] | None = None,
) -> tuple[SliceSeen, int]:
    """(what was seen, how many bytes that took). `last`: the strata of the last level that are wanted, else all."""
    space.narrow(strata_of(space.budgets, max_deviations) if last is None else last)
    before_bytes = resident_bytes()
    searched = search(
        space,
        max_deviations,
        bounds.max_states,
        bounds.time_limit_s,
        perf_counter,
        progress,
        max_memory_bytes=bounds.max_memory_bytes,
        memory=resident_bytes,
        most_benign_steps=MOST_BENIGN_STEPS,
    )
    return SliceSeen(searched, dict(space.tallies), space.last), resident_bytes() - before_bytes


def _counterexample(scenario: Scenario, seen: Together, seconds: float) -> Counterexample:
    searched = seen.searched
    try:
        stage(scenario)
    except InvariantViolation as violation:
        # A search looks at what comes after; here a promise is broken before anybody can deviate.
        promise, message = violation.promise, str(violation)
        played = play(scenario, (), checks="off")._replace(promise=promise, message=message)
        return Counterexample(scenario, promise, message, (), played, searched, seen.events, seconds)
    space = space_of(scenario)
    found = searched.cycle or next(iter(searched.found.values()))
    deviations = deviations_of(scenario, space, found.path)
    played = play(scenario, deviations)
    sentence = next(iter(space.sentences.values()), WITHOUT_END)
    is_known = played.verdict is not None and any(result.excused for result in played.verdict.promises)
    if not played.promise and not is_known:
        raise InvariantViolation(
            f"the search found {sentence}, and the world did not repeat it: this is a bug of the search. {played.literal}",
            sentence.partition(":")[0],
        )
    promise, _, message = sentence.partition(": ")
    return Counterexample(scenario, promise, message, deviations, played, searched, seen.events, seconds)


# --- in slices --------------------------------------------------------------------------------------------------------


class ExploredSlice(NamedTuple):
    """What one worker is given: plain values only."""

    literal: str
    max_deviations: int
    last: tuple[Left, ...]
    bounds: Bounds
    plants: tuple[str, ...]


class SliceFailed(NamedTuple):
    """The work itself went wrong; nobody else would do better."""

    why: str


def _in_slices(
    scenario: Scenario,
    max_deviations: int,
    bounds: Bounds,
    plants: tuple[str, ...],
    jobs: int,
    executor: Executor | None,
    progress: Callable[[Progress], None] | None,
) -> tuple[Together, int]:
    """(all slices put together, how many bytes that took)."""
    literal, budgets = literal_of(scenario, ()), _budgets_of(scenario)
    shares = shares_of(strata_of(budgets, max_deviations), SLICES if executor is not None else SLICES_A_JOB * jobs)
    works = [ExploredSlice(literal, max_deviations, share, bounds, plants) for share in shares]

    def heard(done: Sequence[Any]) -> None:
        if progress is not None:
            good = [one[0].searched for one in done if not isinstance(one, SliceFailed)]
            states, transitions = sum([one.states for one in good]), sum([one.transitions for one in good])
            progress(Progress(states, transitions, max_deviations, len(works), len(done)))

    # Neighbours have much in common, and who did one of them remembers it: each process gets a stretch of them.
    stride = max(len(works) // jobs, 1)
    order = [number for start in range(stride) for number in range(start, len(works), stride)]
    fanned = fan_out(explore_slice, [works[number] for number in order], executor, jobs, heard)
    for place, number in enumerate(order):
        done = fanned.results.get(place)
        why = done.why if isinstance(done, SliceFailed) else fanned.lost.get(place, "")
        if why:
            raise RequestError(f"slice {number + 1} of {len(works)} of the search came to nothing: {why}")
    results = [fanned.results[number] for number in sorted(fanned.results)]
    if not results:
        return Together(Searched(0, 0, 0, (), -1, 0, None, {}, INTERRUPTED), 0, {}), 0
    together = put_together(
        [seen for seen, _ in results], budgets, max_deviations, "" if len(results) == len(works) else INTERRUPTED
    )
    return together, sum([size for _, size in results])


_kept: dict[str, WorldSpace] = {}
"""The space of the search that this process had a slice of last: what it remembers serves the next one."""
_one_at_a_time = Lock()


def explore_slice(work: ExploredSlice) -> tuple[SliceSeen, int] | SliceFailed:
    """What a worker does: (what it saw, how many bytes that took)."""
    # Rules are replaced for a whole process.
    with _one_at_a_time, ExitStack() as stack:
        try:
            for plant in work.plants:
                stack.enter_context(find_named(plant)())
            key = f"{work.plants} {work.literal}"
            if key not in _kept:
                _kept.clear()
                gc.unfreeze()
                _kept[key] = space_of(scenario_of(read_literal(work.literal)[0]))
            seen = _search(_kept[key], work.max_deviations, work.bounds, last=work.last)
            gc.freeze()  # what the space keeps is no garbage, and looking at it takes seconds
            return seen
        except Exception as error:
            return SliceFailed(f"{type(error).__name__}: {error}")


def resident_bytes() -> int:
    """Bytes of memory that this process has now; where that can't be known, the most it ever had; else 0."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def space_of(scenario: Scenario) -> WorldSpace:
    """What `search` walks through."""
    built = stage(scenario, checks="off", record=False)
    sends = tuple([delivery.number for delivery in built.deliveries])
    waits_for_all = scenario.enable_idempotence or scenario.acks == -1
    return WorldSpace(built.cluster._world, scenario.all_budgets, sends, waits_for_all, scenario.loses_metadata)


def deviations_of(scenario: Scenario, space: WorldSpace, path: tuple[int, ...]) -> tuple[Deviation, ...]:
    """The deviations of a path, by the names that the world gives to events: it is walked there once more."""
    built = stage(scenario, checks="off", record=False)
    world = built.cluster._world
    wanted = space.choices_of(path)
    world.answerer = AtQuestions(world, wanted)
    until_ms = world.now_ms + HORIZON_MS
    while len(world.deviations) < len(wanted) and world.step(until_ms):
        pass
    return tuple(world.deviations)
