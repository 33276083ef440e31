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
P2. The same scenario and bounds give the same states and the same counterexample, in every process.

Not here: consumers, transactions, several partitions; runs longer than the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter

from eventlog.errors import InvariantViolation, RequestError
from eventlog.scenarios import HORIZON_MS, Played, Scenario, find_scenario, play, stage
from eventlog.sim.explore import WorldSpace
from eventlog.sim.explored_world import AtQuestions
from eventlog.sim.faults import Deviation
from eventlog.sim.search import BROKEN, Progress, Searched, search

MOST_DEVIATIONS = 64
MARKS = ("duplicate recognised", "truncation", "broker fenced", "restart")
"""What a proof says of itself even where it never happened."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Nothing is broken within the bounds. `complete`: up to so many deviations everything was seen, -1 for nothing;
    `marks`: (what happened, at how many steps); `missing`: what had to happen sometimes and never did."""

    scenario: Scenario
    max_deviations: int
    searched: Searched
    events: int
    seconds: float
    marks: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]

    @property
    def complete(self) -> int:
        return self.searched.complete

    @property
    def held(self) -> bool:
        """All that was asked for was seen, every benign run rests, and nothing that had to happen is missing."""
        return self.complete == self.max_deviations and not self.searched.cycles and not self.missing

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
            f"  time        {self.seconds:.1f} s, {seen.transitions / max(self.seconds, 1e-9):,.0f} transitions/s",
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
    budgets = ", ".join([f"{budget} {fault}" for fault, budget in scenario.budgets if budget])
    return (
        f"{scenario.brokers} brokers, {scenario.batches} batches, a {'warm' if scenario.is_warm else 'cold'} producer; "
        f"{budgets or 'no faults'}; {'coarse' if scenario.is_coarse else 'fine'} steps; a restarted broker remembers "
        f"{scenario.producer_snapshot_batches}"
    )


def explore(
    scenario: Scenario | str,
    max_deviations: int = 4,
    max_states: int = 5_000_000,
    time_limit_s: float | None = None,
    sometimes: Iterable[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Proof | Counterexample:
    """All runs of `scenario` with at most `max_deviations`, in their order. `sometimes`: marks (see `Proof.marks`) that
    must have been seen, else the proof doesn't hold.

    An interrupt, `max_states` or `time_limit_s` give what is proven until then. Raises RequestError for what can't be.
    """
    found = find_scenario(scenario) if isinstance(scenario, str) else scenario
    found.check()
    if isinstance(max_deviations, bool) or not isinstance(max_deviations, int):
        raise RequestError(f"max_deviations must be a whole number, not {max_deviations!r}")
    if not 0 <= max_deviations <= MOST_DEVIATIONS:
        raise RequestError(f"max_deviations must be from 0 to {MOST_DEVIATIONS}, not {max_deviations}")
    start_s = perf_counter()
    space = space_of(found)
    seen = search(space, max_deviations, max_states, time_limit_s, perf_counter, progress)
    seconds = perf_counter() - start_s
    if seen.stopped_by != BROKEN:
        known = space.world.marks
        marks = tuple({**dict.fromkeys(MARKS, 0), **dict(sorted(known.items()))}.items())
        missing = tuple([mark for mark in sometimes if not known.get(mark)])
        return Proof(found, max_deviations, seen, space.events, seconds, marks, missing)
    deviations = deviations_of(found, space, seen.path)
    played = play(found, deviations)
    sentence = next(iter(space.sentences.values()))
    is_known = played.verdict is not None and any(result.excused for result in played.verdict.promises)
    if not played.promise and not is_known:
        raise InvariantViolation(
            f"the search found {sentence}, and the world did not repeat it: this is a bug of the search. {played.literal}",
            seen.broken,
        )
    return Counterexample(
        found, seen.broken, sentence.partition(": ")[2], deviations, played, seen, space.events, seconds
    )


def space_of(scenario: Scenario) -> WorldSpace:
    """What `search` walks through."""
    built = stage(scenario, checks="off", record=False)
    sends = tuple([delivery.number for delivery in built.deliveries])
    waits_for_all = scenario.enable_idempotence or scenario.acks == -1
    return WorldSpace(built.cluster._world, scenario.budgets, sends, waits_for_all, scenario.loses_metadata)


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
