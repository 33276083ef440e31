"""A search in slices: what each saw, state by state, and all of it put together.

A slice goes the way of the whole search up to one level, and from there on with its share of what that level begins with.
Whatever is reached by m deviations is reached by m in the slice that has its way's beginning, and nowhere by fewer; so
the slices together see what the whole search sees, each state at its own level in at least one of them.

L1. What is counted from slices is what one search counts: states, transitions, events, marks, states at rest. Only the
    longest way gone and the number of endless rounds are those of the slice that has most of them.
L2. A state is known by its digest, 64 bits of its content: the same in every process, on every machine. Two states out of
    ten million share one with a probability of 3 in a million.

Not here: who does a slice (`fanning`), and what is in it (`exploring`).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple, Protocol

from eventlog.sim.search import Found, Searched

BROKEN_HERE: Final = 0xFFFF
"""Stands for the number of transitions of a state in which a promise is broken."""


class MarkedSpace(Protocol):
    """A space that says what happened on the way to the successors it gave last."""

    events: int
    noted: int
    mark_names: list[str]

    def begin(self) -> Sequence[Any]: ...

    def successors(self, state: Any, may_deviate: bool) -> Sequence[Any]: ...

    def broken(self, state: Any) -> str: ...

    def digest(self, state: Any) -> int:
        """64 bits of its content."""
        ...


class Ledger:
    """A space that writes down, in the order of visits, what `search` asks it."""

    __slots__ = ("digests", "events", "is_digested", "marks", "space", "transitions")

    def __init__(self, space: MarkedSpace, is_digested: bool) -> None:
        self.space = space
        self.is_digested = is_digested
        self.digests = array("Q")
        self.transitions = array("H")
        self.events = array("L")
        self.marks = array("L")

    def begin(self) -> Sequence[Any]:
        return self.space.begin()

    def broken(self, state: Any) -> str:
        promise = self.space.broken(state)
        if self.is_digested:
            self.digests.append(self.space.digest(state))
        self.transitions.append(BROKEN_HERE if promise else 0)
        self.events.append(0)
        self.marks.append(0)
        return promise

    def successors(self, state: Any, may_deviate: bool) -> Sequence[Any]:
        space = self.space
        before = space.events
        successors = space.successors(state, may_deviate)
        self.transitions[-1] = len(successors) - successors.count(None)
        self.events[-1] = space.events - before
        self.marks[-1] = space.noted
        return successors

    def seen(self, searched: Searched) -> SliceSeen:
        """All that was written down, as plain values."""
        arrays = (self.digests, self.transitions, self.events, self.marks)
        return SliceSeen(searched, tuple(self.space.mark_names), *[kept.tobytes() for kept in arrays])

    def counts(self) -> dict[str, int]:
        """In how many states' steps each mark was seen."""
        return _counts(Counter(self.marks), self.space.mark_names)


class SliceSeen(NamedTuple):
    """What a slice saw. The bytes are arrays with an entry for each visit, in the order of visits."""

    searched: Searched
    mark_names: tuple[str, ...]
    digests: bytes
    transitions: bytes
    events: bytes
    marks: bytes

    def visits(self) -> Iterable[tuple[int, int, int, int, int]]:
        """(level, digest, transitions, events, marks) of each state."""
        arrays = [array("Q"), array("H"), array("L"), array("L")]
        for kept, data in zip(arrays, (self.digests, self.transitions, self.events, self.marks), strict=True):
            kept.frombytes(data)
        levels = [level for level, count in enumerate(self.searched.levels) for _ in range(count)]
        return zip(levels, *arrays, strict=True)


class Together(NamedTuple):
    """What slices saw together. `marks`: in how many states' steps each was seen."""

    searched: Searched
    events: int
    marks: dict[str, int]


def put_together(slices: Sequence[SliceSeen], stopped_by: str = "") -> Together:
    """The slices of one search, in their order, as the search that they are. `stopped_by`: why some are missing."""
    names = list(dict.fromkeys([name for part in slices for name in part.mark_names]))
    known: dict[int, tuple[int, int, int, int]] = {}
    for part in slices:
        bits = [1 << names.index(name) for name in part.mark_names]
        renamed: dict[int, int] = {}
        for level, digest, transitions, events, marks in part.visits():
            before = known.get(digest)
            if before is None or level < before[0]:
                if marks not in renamed:
                    renamed[marks] = sum([bit for place, bit in enumerate(bits) if marks >> place & 1])
                known[digest] = (level, transitions, events, renamed[marks])
    levels = Counter([level for level, _, _, _ in known.values()])
    searched = [part.searched for part in slices]
    first = min(
        [
            (found.level, index, promise, found)
            for index, one in enumerate(searched)
            for promise, found in one.found.items()
        ],
        default=None,
        key=lambda entry: entry[:2],
    )
    found: dict[str, Found] = {} if first is None else {first[2]: first[3]}
    return Together(
        replace(
            searched[0],
            states=len(known),
            transitions=sum([count for _, count, _, _ in known.values() if count != BROKEN_HERE]),
            depth=max([one.depth for one in searched]),
            levels=tuple([levels[level] for level in range(max(levels) + 1)]),
            complete=min([one.complete for one in searched]),
            finals=sum([count == 0 for _, count, _, _ in known.values()]),
            cycle=max(
                [one.cycle for one in searched if one.cycle is not None], default=None, key=lambda one: one.times
            ),
            found=found,
            stopped_by=next((one.stopped_by for one in searched if one.stopped_by), stopped_by),
        ),
        sum([events for _, _, events, _ in known.values()]),
        _counts(Counter([marks for _, _, _, marks in known.values()]), names),
    )


def _counts(by_mask: Counter[int], names: Sequence[str]) -> dict[str, int]:
    counts = {
        name: sum([count for mask, count in by_mask.items() if mask >> place & 1]) for place, name in enumerate(names)
    }
    return {name: counts[name] for name in sorted(counts)}
