"""What events changed, remembered by what they looked at.

An event asks a few machines and connections what they are, one after the other; who finds the same again needs not live
through it. So what is remembered of an event is a tree: at each branch the name of what is looked at, and by what it was,
the next branch.
"""

from __future__ import annotations

from typing import Any

from eventlog.messages import Connection
from eventlog.sim.cells import Cell
from eventlog.sim.glance import Outcomes
from eventlog.sim.wires import Wire


class Moved:
    """What one event changed, with all that arrived in the same step. `sent`: what is under way since, (how far ahead,
    whether it comes first, item)."""

    __slots__ = ("broken", "cells", "is_seen", "marks", "outcomes", "sent", "wires")

    def __init__(
        self,
        cells: tuple[tuple[str, Cell | None], ...],
        wires: tuple[tuple[Connection, Wire | None], ...],
        sent: tuple[tuple[int, bool, Any], ...],
        outcomes: Outcomes,
        marks: tuple[str, ...],
        broken: str,
        is_seen: bool,
    ) -> None:
        self.cells = cells
        self.wires = wires
        self.sent = sent
        self.outcomes = outcomes
        self.marks = marks
        self.broken = broken
        # Something changed that promises are about.
        self.is_seen = is_seen


def grown(known: Any, path: list[tuple[Any, Any]], depth: int, moved: Moved) -> Any:
    """What is remembered of an event, with one path more: (looked at, what it was, what follows), and where it was
    several things, (looked at, what follows by what it was). At the ends there is what changed."""
    if depth == len(path):
        return moved
    looked_at, was = path[depth]
    if known is None:
        return (looked_at, was, grown(None, path, depth + 1, moved))
    if len(known) == 3:
        _, other, follows = known
        if other is was:
            return (looked_at, was, grown(follows, path, depth + 1, moved))
        known = (looked_at, {other: follows})
    known[1][was] = grown(known[1].get(was), path, depth + 1, moved)
    return known
