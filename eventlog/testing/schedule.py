"""Which runs of a test come in which order: most by the number of faults in them, some by luck.

A user's code can't be frozen, so it is run again from the start (`sim.ordering`). Crash points are asked for like
every other event; no world knows of them, so they are watched, and drawn, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, NamedTuple

from eventlog.hunting import PORTFOLIO
from eventlog.messages import Frozen
from eventlog.sim.choices import Answerer, Options, Replay, Seeded, Watching
from eventlog.sim.faults import Deviation, FaultPlan, FaultRate
from eventlog.sim.ordering import by_deviations
from eventlog.sim.swarm import Profile, swarm_profile, uniform_profile
from eventlog.testing.chaos_run import CRASH_POINT, PROCESS, Ran
from eventlog.testing.fault_groups import CLIENT_CRASH
from eventlog.testing.planned import MILD_TO_SEVERE
from eventlog.values import chance

BUDGET: Final = 2
"""Of each kind of fault at most so many in a walk."""
Play = Callable[[Answerer], Ran]


class WatchingAll(Watching):
    """`Watching`, crash points among the rest."""

    __slots__ = ()

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        if not event.startswith(CRASH_POINT):
            return super().answer(event, occurrence, faults, options)
        chosen = self.inner.answer(event, occurrence, faults, options)
        if chosen is not None:
            self.offers = []
        elif CLIENT_CRASH in self.faults:
            self.offers.append(Deviation(event, occurrence, CLIENT_CRASH, PROCESS, 0))
        return chosen


class Walk:
    """A run by luck, crash points among the rest."""

    __slots__ = ("crash_rate", "crashes_left", "seed", "seeded")

    def __init__(self, profile: Profile) -> None:
        rates = dict(profile.plan.rates)
        self.crash_rate = rates.pop(CLIENT_CRASH, FaultRate(0, 0))
        self.crashes_left = self.crash_rate.budget
        self.seed = profile.seed
        self.seeded = Seeded(profile.seed, FaultPlan(tuple(rates.items())))

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        if not event.startswith(CRASH_POINT):
            return self.seeded.answer(event, occurrence, faults, options)
        luck = chance(self.seed, f"{event} #{occurrence}") % 1_000_000
        if not self.crashes_left or luck >= self.crash_rate.per_million:
            return None
        self.crashes_left -= 1
        return Deviation(event, occurrence, CLIENT_CRASH, PROCESS, 0)

    def freeze(self) -> Frozen:
        return ("Walk", self.seeded.freeze(), self.crashes_left)


class Watched(NamedTuple):
    """A run, and what else could have happened in it after its last fault."""

    ran: Ran
    offers: Sequence[Deviation]


def runs_of(play: Play, kinds: tuple[str, ...], seed: int, max_deviations: int) -> Iterator[Ran]:
    """The benign run, then by ten runs: six in order of faults, three swarm walks, one with all kinds at once. Ends when
    every run with so many faults was made."""

    def run(plan: tuple[Deviation, ...]) -> Watched:
        watching = WatchingAll(Replay(plan), kinds)
        ran = play(watching)
        return Watched(ran, sorted(watching.offers, key=_crashes_first_then_mild_to_severe))

    in_order = by_deviations(run, lambda watched: watched.offers, max_deviations)
    _, benign = next(in_order)
    yield benign.ran
    at = dict.fromkeys([(offer.fault, offer.event, offer.occurrence) for offer in benign.offers])
    opportunities = Counter([fault for fault, _, _ in at])
    budgets = dict.fromkeys(kinds, BUDGET)
    for number in count():
        turn = PORTFOLIO[number % len(PORTFOLIO)]
        if turn == "d":
            following = next(in_order, None)
            if following is None:
                return
            yield following[1].ran
        else:
            draw_profile = swarm_profile if turn == "s" else uniform_profile
            yield play(Walk(draw_profile(chance(seed, f"run {number}"), budgets, opportunities)))


def _crashes_first_then_mild_to_severe(offer: Deviation) -> int:
    return -1 if offer.fault == CLIENT_CRASH else MILD_TO_SEVERE.index(offer.fault)
