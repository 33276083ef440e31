"""Taking turns, taking the smallest time, and what a row of the table looks like."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table. `reached` None: for information, nothing is promised."""

    what: str
    measured: str
    ratio: str = ""
    must: str = ""
    reached: bool | None = None


class NotMeasuredError(Exception):
    """The row can't be measured here; the text says what is missing."""


def take_turns(sides: tuple[Callable[[], float], ...], turns: int) -> list[float]:
    """The smallest result of each side. A side prepares, measures its seconds itself, and cleans up by returning."""
    best = [float("inf")] * len(sides)
    for _ in range(turns):
        for index, side in enumerate(sides):
            gc.collect()
            gc.freeze()
            try:
                best[index] = min(best[index], side())
            finally:
                gc.unfreeze()
    return best


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def rate(count: int, seconds: float) -> str:
    """How many a second, in thousands."""
    return f"{count / seconds / 1000:,.0f} k/s"
