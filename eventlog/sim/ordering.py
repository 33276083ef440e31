"""In which order runs with more and more deviations are made, for what can't be frozen: every run begins anew.

*By number*: the benign run, then each single deviation, then pairs. Of those with equally many, the ones come first that are
unlike those before: another kind of fault, another part of the run.

*Guided*, from the pairs on turn and turn about with that, where it is known what a run showed (its *marks*): longer plans
are begun before all the shorter ones are done. Plans are sorted by the kinds of their faults in their order, and each sort
has its turn, so that a kind with many opportunities doesn't crowd out one with few. Within a sort the run is continued that
showed the rarest marks and was continued the least; by a fault on the same machine first, and soon after its last one.

Why: faults that break something together mostly strike one machine, or one moment; and a run in which something unusual
happened (an epoch was raised, a log was cut) is nearer to a third fault that matters than one in which nothing did.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple, TypeVar

from eventlog.sim.faults import Deviation

Plan = tuple[Deviation, ...]
Result = TypeVar("Result")

MOST_PARENTS: Final = 20_000
"""The continuations of so many runs are kept."""
DEEPEST_GUIDED: Final = 4
ONE: Final = 1_000_000
_MACHINE: Final = re.compile(r"broker-\d+")


def by_deviations(
    run: Callable[[Plan], Result],
    offers_of: Callable[[Result], Sequence[Deviation]],
    max_deviations: int,
    allows: Callable[[Plan], bool] = lambda plan: True,
    most_parents: int = MOST_PARENTS,
    marks_of: Callable[[Result], Iterable[Hashable]] | None = None,
) -> Iterator[tuple[Plan, Result]]:
    """Every plan of at most `max_deviations` that `allows` lets pass, and what its run gave; each once.

    `run` plays a plan; `offers_of` says what else could have happened in it after its last deviation (see
    `choices.Watching`). With `marks_of`, what a run showed, every second run is a guided one.
    """
    result = run(())
    yield (), result
    offered: dict[Plan, Sequence[Deviation]] = {(): tuple(offers_of(result))}
    guide = None if marks_of is None else Guide(allows, min(max_deviations, DEEPEST_GUIDED))
    if guide is not None and marks_of is not None:
        guide.add((), offered[()], marks_of(result))
    by_number = _by_number(offered, max_deviations, allows)
    is_guided = False
    while True:
        plan = guide.find_next(offered) if guide is not None and is_guided else None
        plan = plan or next(by_number, None)
        if plan is None:
            return
        result = run(plan)
        yield plan, result
        is_kept = len(plan) < max_deviations and len(offered) < most_parents
        offered[plan] = tuple(offers_of(result)) if is_kept else ()
        if guide is not None and marks_of is not None:
            guide.add(plan, offered[plan], marks_of(result))
            is_guided = not is_guided and len(plan) > 1  # each single deviation comes first


def _by_number(
    offered: dict[Plan, Sequence[Deviation]], max_deviations: int, allows: Callable[[Plan], bool]
) -> Iterator[Plan]:
    """Plans that are not in `offered` yet; whoever takes one puts it there."""
    parents: list[Plan] = [()]
    for _ in range(max_deviations):
        following = []
        for plan in in_turn([_continued(parent, offered[parent]) for parent in parents]):
            if allows(plan):
                if plan not in offered:
                    yield plan
                following.append(plan)
        parents = following


class _Parent(NamedTuple):
    """A run, as one that may be continued by one kind of fault. `left`: by which ones, the last first."""

    plan: Plan
    marks: tuple[Hashable, ...]
    left: list[Deviation]
    offered: int


class Guide:
    """Which run to continue next, and how. `seen`: how many runs showed each mark."""

    __slots__ = ("_number", "_turns", "allows", "level", "levels", "max_deviations", "seen")

    def __init__(self, allows: Callable[[Plan], bool], max_deviations: int) -> None:
        self.allows = allows
        self.max_deviations = max_deviations
        self.seen: Counter[Hashable] = Counter()
        # For each number of deviations: by the kinds of faults, whom to continue, the most promising first.
        self.levels: list[dict[tuple[str, ...], list[tuple[int, int, _Parent]]]] = [{} for _ in range(max_deviations)]
        self._turns: list[deque[tuple[str, ...]]] = [deque() for _ in range(max_deviations)]
        self.level = 0
        self._number = 0

    def add(self, plan: Plan, offers: Sequence[Deviation], marks: Iterable[Hashable]) -> None:
        """`plan` was run, showed `marks`, and could have gone on by any of `offers`, in the order of its events."""
        shown = tuple(marks)
        self.seen.update(shown)
        if len(plan) >= self.max_deviations:
            return
        kinds: dict[str, list[Deviation]] = {}
        for offer in offers:
            kinds.setdefault(offer.fault, []).append(offer)
        machines = _MACHINE.findall(plan[-1].target) if plan else []
        for fault, of in kinds.items():
            if not self.allows((*plan, of[0])):
                continue
            of.reverse()
            of.sort(key=lambda offer: any(machine in machines for machine in _MACHINE.findall(offer.target)))
            key = (*[deviation.fault for deviation in plan], fault)
            level = self.levels[len(plan)]
            if key not in level:
                level[key] = []
                self._turns[len(plan)].append(key)
            self._push(level[key], _Parent(plan, shown, of, len(of)))

    def find_next(self, tried: dict[Plan, Sequence[Deviation]]) -> Plan | None:
        """A plan that is not among the `tried` ones; None while nobody can be continued."""
        for _ in range(1, self.max_deviations):
            self.level = self.level % (self.max_deviations - 1) + 1
            turns = self._turns[self.level]
            while turns:
                key = turns.popleft()
                plan = self._find(self.levels[self.level][key], tried)
                if plan is not None:
                    turns.append(key)
                    return plan
                del self.levels[self.level][key]
        return None

    def _find(self, parents: list[tuple[int, int, _Parent]], tried: dict[Plan, Sequence[Deviation]]) -> Plan | None:
        while parents:
            *_, parent = heappop(parents)
            if parents and -self._worth(parent) > parents[0][0]:
                self._push(parents, parent)  # its marks are not so rare any more
                continue
            plan = (*parent.plan, parent.left.pop())
            if parent.left:
                self._push(parents, parent)
            if plan not in tried:
                return plan
        return None

    def _push(self, parents: list[tuple[int, int, _Parent]], parent: _Parent) -> None:
        self._number += 1
        heappush(parents, (-self._worth(parent), self._number, parent))

    def _worth(self, parent: _Parent) -> int:
        rarity = sum([ONE // self.seen[mark] for mark in parent.marks])
        return (rarity + ONE // 50) // (1 + parent.offered - len(parent.left))


# --- orders -----------------------------------------------------------------------------------------------------------


def _continued(parent: Plan, offers: Sequence[Deviation]) -> Iterator[Plan]:
    """`parent` and one of `offers` more: kind by kind, of each kind both ends first, then the middles."""
    kinds: dict[str, list[Deviation]] = {}
    for deviation in offers:
        kinds.setdefault(deviation.fault, []).append(deviation)
    for deviation in in_turn([iter([of[place] for place in scattered(len(of))]) for of in kinds.values()]):
        yield (*parent, deviation)


def in_turn(rows: Sequence[Iterator[Result]]) -> Iterator[Result]:
    """The first of each, the second of each ..."""
    left = list(rows)
    while left:
        going_on = []
        for row in left:
            for item in row:
                yield item
                going_on.append(row)
                break
        left = going_on


def scattered(count: int) -> list[int]:
    """0 to count - 1: both ends, then the middle, then the middles of the halves ..."""
    places = dict.fromkeys([0, count - 1][:count])
    step = count
    while step > 1:
        step = (step + 1) // 2
        places.update(dict.fromkeys(range(step, count, step)))
    places.update(dict.fromkeys(range(count)))
    return list(places)
