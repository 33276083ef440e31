"""A search in slices, by what is left of its budgets, and all of it put together.

Every deviation spends one, and a benign step none. So a *stratum*, all states with the same budgets left, belongs to one
level; it is entered from the strata with one more left, and nothing that happens in it leads to another but deviations.
What a slice sees of its strata is therefore all there is to see, and slices that share a stratum see the same.

L1. What is counted is counted by stratum: each state in its own, each step in the one that it leads to. A stratum counts
    once, whoever saw it, and however often.
L2. A slice goes through its own strata of the last level and through all that lead there, in the order of the whole
    search. What breaks first in the whole search breaks first in one of the slices.

Not here: who does a slice (`fanning`), and what is in it (`exploring`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from eventlog.sim.search import BROKEN, ENDLESS, Searched

Left = tuple[int, ...]
"""What is left of each budget."""


class Tally:
    """What was counted in one stratum. `steps`: those that lead to it, from another or from itself; `marks`: in how many
    of these steps each was seen."""

    __slots__ = ("events", "finals", "marks", "states", "steps")

    def __init__(self) -> None:
        self.states = 0
        self.steps = 0
        self.events = 0
        self.finals = 0
        self.marks: dict[str, int] = {}


def strata_of(budgets: Left, level: int) -> list[Left]:
    """All strata of a level, in order: `level` is what was spent. Where there is not so much to spend: the last."""
    level = min(level, sum(budgets))

    def left(at: int, to_spend: int) -> Iterator[Left]:
        if at == len(budgets):
            if not to_spend:
                yield ()
            return
        for spent in range(min(budgets[at], to_spend) + 1):
            for rest in left(at + 1, to_spend - spent):
                yield (budgets[at] - spent, *rest)

    return list(left(0, level))


def leads_to(one: Left, others: Sequence[Left]) -> bool:
    """Is there a way from this stratum to one of the others, or is it one of them?"""
    return any(all(has >= needs for has, needs in zip(one, other, strict=True)) for other in others)


class SliceSeen(NamedTuple):
    """What a slice saw. `last`: its strata of the last level."""

    searched: Searched
    tallies: dict[Left, Tally]
    last: tuple[Left, ...]


class Together(NamedTuple):
    """What slices saw together. `marks`: in how many steps each was seen."""

    searched: Searched
    events: int
    marks: dict[str, int]


def put_together(slices: Sequence[SliceSeen], budgets: Left, max_deviations: int, stopped_by: str = "") -> Together:
    """The slices of one search as the search that they are. `stopped_by`: why some are missing."""
    tallies: dict[Left, Tally] = {}
    for part in slices:
        for left, tally in part.tallies.items():
            if left not in tallies or tally.states > tallies[left].states:
                tallies[left] = tally
    searched = [part.searched for part in slices]
    found = [(promise, one) for each in searched for promise, one in each.found.items()]
    rounds = [(ENDLESS, each.cycle) for each in searched if each.cycle is not None]
    # What ended a slice comes before what was merely met on the way.
    endless = [(ENDLESS, each.cycle) for each in searched if each.cycle is not None and each.stopped_by == ENDLESS]
    promise, first = min(
        [*found, *endless] or rounds, default=("", None), key=lambda one: (one[1].level, place_of(one[1].path))
    )
    stopped_by = next((each.stopped_by for each in searched if each.stopped_by), stopped_by)
    if found or endless:
        stopped_by = ENDLESS if promise == ENDLESS else BROKEN
    levels = [0] * (max_deviations + 1)
    for left, tally in tallies.items():
        levels[sum(budgets) - sum(left)] += tally.states
    while len(levels) > 1 and not levels[-1]:
        levels.pop()
    marks: dict[str, int] = {}
    for tally in tallies.values():
        for mark, times in tally.marks.items():
            marks[mark] = marks.get(mark, 0) + times
    together = Searched(
        states=sum(levels),
        transitions=sum([tally.steps for tally in tallies.values()]),
        depth=max([one.depth for one in searched]),
        levels=tuple(levels),
        complete=_complete(slices, budgets, max_deviations),
        finals=sum([tally.finals for tally in tallies.values()]),
        cycle=first._replace(times=1) if first is not None and promise == ENDLESS else None,
        found={promise: first} if first is not None and promise != ENDLESS else {},
        stopped_by=stopped_by,
    )
    return Together(together, sum([tally.events for tally in tallies.values()]), dict(sorted(marks.items())))


def place_of(path: Sequence[int]) -> tuple[int, ...]:
    """When a search comes to the end of a way, among those of its level: benign steps and deviation in turn."""
    place = [0]
    for which in path:
        if which:
            place += (which, 0)
        else:
            place[-1] += 1
    return tuple(place)


def _complete(slices: Sequence[SliceSeen], budgets: Left, max_deviations: int) -> int:
    """The last level of which every stratum was seen as a whole."""
    for level in range(max_deviations + 1):
        for left in strata_of(budgets, level):
            if not any(part.searched.complete >= level and leads_to(left, part.last) for part in slices):
                return level - 1
    return max_deviations


def shares_of(strata: Sequence[Left], count: int) -> list[tuple[Left, ...]]:
    """The strata of the last level in so many shares at most: neighbours, which have much in common. Budgets named last
    tell them apart first: by custom those are what strikes brokers, of whose states there are most."""
    strata = sorted(strata, key=lambda left: left[::-1])
    count = min(count, len(strata))
    ends = [len(strata) * number // count for number in range(count + 1)]
    return [tuple(strata[start:end]) for start, end in pairwise(ends)]
