"""Floor 7: seeded walks through a scenario, and the portfolio that finds what is wrong with it.

```python
from eventlog.hunting import hunt
print(hunt("P3", seconds=10).report())
```

Of ten runs six come in order of their deviations, three are swarm walks, one is a uniform walk (see `sim/swarm`): each way
finds what the others are slow to find. Every second one in order goes ahead of it, led by what runs showed (see
`sim/ordering`). What is found is named first (a run *is* its deviations), then repeated by these names, then shrunk: fewer
deviations, then a smaller scenario, then simpler deviations.

W1. The same scenario, seed and number of runs give the same runs, and the same find. Time only ends a hunt.
W2. What is told was seen twice: as found, and as repeated from its deviations.

Not here: proofs (`exploring`); many scenarios and seeds on many machines (`campaigns`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, NamedTuple

from eventlog.errors import InvariantViolation, RequestError
from eventlog.messages import Envelope
from eventlog.messages.broker_api import FetchReply, ProduceReply, ProduceRequest
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import Played, Scenario, find_scenario
from eventlog.shrinking import failure_of, shrink_played
from eventlog.sim.choices import Replay, Seeded, Watching
from eventlog.sim.faults import Deviation
from eventlog.sim.ordering import by_deviations
from eventlog.sim.shrink import Plan, Shrunk
from eventlog.sim.swarm import Profile, swarm_profile, uniform_profile
from eventlog.values import chance

PORTFOLIO: Final = "dsddsdudsd"
"""Whose turn it is, by the run's number: d in order of deviations, s a swarm walk, u a uniform one."""
MOST_DEVIATIONS: Final = 6
TRANSITIONS_A_RUN: Final = 150
"""So many transitions of an explorer take as long as one run."""
MOST_STATES: Final = 400_000
MOST_EVENTS: Final = 3_000
"""A run with more is taken to have no end; what comes to an end has a few hundred."""
PROGRESS_EVERY: Final = 50
OFTEN: Final = 6


class Progress(NamedTuple):
    """How far a hunt is."""

    runs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Hunted:
    """What a hunt found. `failure`: the promise broken, "" when none was; `found`: the first run that failed, as its
    deviations repeat it, None when the scenario broke before it began; `by`: who found it, in words; `shrunk`: its
    deviations made fewer; `told`: the smallest failing run, maybe of a smaller scenario. `counts`: how many runs each
    kind of search had."""

    scenario: Scenario
    seed: int
    failure: str
    message: str
    found: Played | None
    by: str
    shrunk: Shrunk | None
    told: Played | None
    runs: int
    seconds: float
    shrinking_seconds: float
    counts: tuple[tuple[str, int], ...]

    @property
    def literal(self) -> str:
        """The smallest failing run, as `eventlog replay` takes it; "" when nothing was found."""
        return "" if self.told is None else self.told.literal

    def report(self) -> str:
        """The find as a story, for people."""
        kinds = ", ".join([f"{count} {kind}" for kind, count in self.counts])
        if self.failure and (self.told is None or self.shrunk is None or self.found is None):
            return f"{self.failure} in {self.scenario.name}, before anything could go wrong\n{self.message}"
        if self.told is None or self.shrunk is None or self.found is None:
            return f"nothing was found in {self.scenario.name} by {self.runs} runs ({kinds}) in {self.seconds:.1f} s"
        before, after = len(self.found.deviations), len(self.told.deviations)
        return "\n".join(
            [
                f"{self.failure} in {self.scenario.name}, found by run {self.runs} after {self.seconds:.1f} s",
                f"  by      {self.by}",
                f"  runs    {kinds}; {self.shrunk.runs} more to shrink {before} deviations to {after}",
                *[f"  {number}. {_told(deviation)}" for number, deviation in enumerate(self.told.deviations, 1)],
                self.told.stage.cluster.story(start=self.told.stage.first_event),
                self.literal,
            ]
        )


def _told(deviation: Deviation) -> str:
    which = "" if deviation.occurrence == 1 else f" (for the {deviation.occurrence}. time)"
    return f"at '{deviation.event}'{which}: {deviation.fault} {deviation.target}"


def hunt(
    scenario: Scenario | str,
    seconds: float | None = None,
    runs: int | None = None,
    seed: int = 0,
    excused: bool = False,
    explore: Callable[..., Any] | None = None,
    portfolio: str = PORTFOLIO,
    shrinks: bool = True,
    progress: Callable[[Progress], None] | None = None,
    clock: Callable[[], float] = perf_counter,
) -> Hunted:
    """Look for a run that breaks a promise, for `seconds` or `runs` (1,000 when neither is given).

    `excused`: what the table of promises excuses counts as well. `explore` (see `exploring`): does the runs in order of
    deviations from frozen states, much faster than running each anew. Raises RequestError for what can't be.
    """
    found = find_scenario(scenario) if isinstance(scenario, str) else scenario
    found.check()
    if not portfolio or portfolio.strip("dsu"):
        raise RequestError(f"a portfolio is made of d, s and u, not {portfolio!r}")
    for name, value in (("seconds", seconds), ("runs", runs)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise RequestError(f"{name} must be 0 or more, not {value!r}")
    most_runs = runs if runs is not None or seconds is not None else 1_000
    try:
        prepared = _Hunt(found, seed, excused, explore, clock)
    except InvariantViolation as violation:
        promise, message = violation.promise, str(violation)
        return Hunted(found, seed, promise, message, None, "its staging", None, None, 0, 0.0, 0.0, ())
    return prepared.hunt(portfolio, most_runs, seconds, shrinks, progress)


class _Hunt:
    __slots__ = (
        "budgets",
        "clock",
        "counts",
        "debt",
        "excused",
        "explore",
        "level",
        "opportunities",
        "ordered",
        "rehearsal",
        "scenario",
        "seed",
        "start_s",
        "until_s",
    )

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        excused: bool,
        explore: Callable[..., Any] | None,
        clock: Callable[[], float],
    ) -> None:
        self.clock = clock
        self.start_s = clock()
        self.until_s: float | None = None
        self.scenario = scenario
        self.seed = seed
        self.excused = excused
        self.rehearsal = Rehearsal(scenario, most_events=MOST_EVENTS)
        self.budgets = dict(scenario.budgets)
        self.counts: Counter[str] = Counter()
        # How many opportunities each fault has in the benign run; {} until that has been.
        self.opportunities: dict[str, int] = {}
        self.ordered: Iterator[tuple[Plan, Played]] | None = None
        self.explore = explore
        self.level = 0
        self.debt = 0

    def hunt(
        self,
        portfolio: str,
        most_runs: int | None,
        seconds: float | None,
        shrinks: bool,
        progress: Callable[[Progress], None] | None,
    ) -> Hunted:
        self.until_s = None if seconds is None else self.start_s + seconds
        number = 0
        played, by = self._benign(), "the benign run"
        failure = failure_of(played, self.excused)
        while not failure and (most_runs is None or number < most_runs):
            if self.until_s is not None and self.clock() >= self.until_s:
                break
            turn = portfolio[number % len(portfolio)]
            number += 1
            said = self._in_order() if turn == "d" else self._walk(number, turn)
            if said is not None:
                played, by = said
                failure = failure_of(played, self.excused)
            if progress is not None and number % PROGRESS_EVERY == 0:
                progress(Progress(number, self.clock() - self.start_s))
        found_s = self.clock()
        again, shrunk, told = None, None, None
        if failure:
            again = self._again(played, failure)
            if shrinks:
                shrunk, told = shrink_played(self.rehearsal, again, self.excused)
            else:
                shrunk, told = Shrunk(again.deviations, True, 0, (), False), again
        return Hunted(
            self.scenario,
            self.seed,
            failure,
            played.message,
            again,
            by if failure else "",
            shrunk,
            told,
            number,
            found_s - self.start_s,
            self.clock() - found_s,
            tuple(self.counts.items()),
        )

    def _again(self, played: Played, failure: str) -> Played:
        """The run, as its deviations repeat it."""
        again = self.rehearsal.play(played.deviations)
        if failure_of(again, self.excused) != failure:
            raise InvariantViolation(
                f"a run that broke {failure} did not do so when its deviations were repeated: the same deviations must "
                f"give the same run. {played.literal}",
                "W2",
            )
        return again

    # --- the three ways -------------------------------------------------------------------------------------------

    def _benign(self) -> Played:
        watching = Watching(Replay(()), tuple(self.budgets))
        played = self.rehearsal.play(watching)
        self.counts["benign"] += 1
        at = dict.fromkeys([(offer.fault, offer.event, offer.occurrence) for offer in watching.offers])
        self.opportunities = dict(Counter([fault for fault, _, _ in at]))
        return played

    def _walk(self, number: int, turn: str) -> tuple[Played, str]:
        seed = chance(self.seed, f"run {number}")
        draw_profile = swarm_profile if turn == "s" else uniform_profile
        profile: Profile = draw_profile(seed, self.budgets, self.opportunities)
        self.counts[profile.kind] += 1
        return self.rehearsal.play(Seeded(profile.seed, profile.plan)), str(profile)

    def _in_order(self) -> tuple[Played, str] | None:
        """The next run in order of deviations; None when this turn is passed."""
        if self.explore is not None:
            return self._explored(self.explore)
        if self.ordered is None:
            self.ordered = self._by_deviations()
            next(self.ordered)
        for plan, played in self.ordered:
            self.counts["in order"] += 1
            return played, f"runs in order of deviations, at {len(plan)}"
        return None

    def _by_deviations(self) -> Iterator[tuple[Plan, Played]]:
        seen: dict[Plan, list[Deviation]] = {}

        def run(plan: Plan) -> Played:
            watching = Watching(Replay(plan), tuple(self.budgets))
            played = self.rehearsal.play(watching)
            seen.clear()
            seen[plan] = watching.offers
            return played

        def allows(plan: Plan) -> bool:
            used = Counter([deviation.fault for deviation in plan])
            return all(count <= self.budgets[fault] for fault, count in used.items())

        return by_deviations(run, lambda played: next(iter(seen.values())), MOST_DEVIATIONS, allows, marks_of=marks_of)

    def _explored(self, explore: Callable[..., Any]) -> tuple[Played, str] | None:
        """One more level of deviations at once; then as many turns are passed as that was worth."""
        if self.debt > 0 or self.level >= MOST_DEVIATIONS:
            self.debt -= 1
            return None
        self.level += 1
        left_s = None if self.until_s is None else max(self.until_s - self.clock(), 0.0)
        result = explore(self.scenario, self.level, max_states=MOST_STATES, time_limit_s=left_s)
        self.debt = result.searched.transitions // TRANSITIONS_A_RUN
        self.counts["explored"] += 1 + self.debt
        deviations = getattr(result, "deviations", None)
        if deviations is None:
            return None
        self.level = MOST_DEVIATIONS  # it would find the same again
        return self.rehearsal.play(deviations), f"every run within {self.level} deviations"


def marks_of(played: Played) -> list[tuple[Any, ...]]:
    """By what a run is unlike others: what was said in it, with which outcome, and how often (up to `OFTEN`)."""
    heard: Counter[tuple[Any, ...]] = Counter()
    for _, _, what in played.stage.cluster.recorder.events[played.stage.first_event :]:
        if what.__class__ is not Envelope:
            continue
        message = what.message
        kind = message.__class__
        if kind is ProduceReply:
            heard.update([(kind, reply.error, reply.log_append_time_ms >= 0) for reply in message.partitions])
        elif kind is ProduceRequest:
            heard.update([(kind, wanted.attempt, wanted.batch.producer_epoch) for wanted in message.partitions])
        elif kind is FetchReply:
            heard.update([(kind, reply.error, reply.diverging_epoch >= 0) for reply in message.partitions])
        else:
            heard[(kind,)] += 1
    return [(*what, min(times, OFTEN)) for what, times in heard.items()]
