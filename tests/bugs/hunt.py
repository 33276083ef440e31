"""The hunt: small runs under many faults, judged at every step and looked at from all sides at their end.

It knows nothing of the bugs: `hunted_runs` says what is run, `signs` what is looked at, and both are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import NamedTuple

from eventlog import InvariantViolation

from .hunted_runs import kinds_of, run
from .signs import Sign, find_sign

SEEDS = range(20)


class Notice(NamedTuple):
    """What gave a bug away: the promise or the sign, on which seed, after how many seconds, and in what words."""

    by: str
    seed: int
    seconds: float
    words: str


def look(seed: int, kind: str) -> Sign | None:
    """What is wrong with one run, or None. A crash of the code itself is a sign like any other."""
    try:
        return find_sign(run(seed, kind), seed)
    except InvariantViolation as violation:
        return (violation.promise, str(violation))
    except Exception as error:
        return (type(error).__name__, str(error))


def notices() -> Iterator[Notice]:
    """At most one for each seed, in their order."""
    start = perf_counter()
    for seed in SEEDS:
        for kind in kinds_of(seed):
            sign = look(seed, kind)
            if sign is not None:
                yield Notice(sign[0], seed, perf_counter() - start, f"{kind}: {sign[1]}")
                break


def hunt() -> Notice | None:
    """The first sign of anything wrong, or None when every seed is clean."""
    return next(notices(), None)
