"""Sequence numbers: 31-bit counters that wrap from 2147483647 to 0.

A sequence counts *records* of one producer in one partition, and starts again at 0 with each producer epoch. -1 means
"none". Wrapping does not touch the epoch. Source: `DefaultRecordBatch.incrementSequence` / `decrementSequence`.
"""

from __future__ import annotations

from typing import Final

MAX_SEQUENCE: Final = 2147483647
NO_SEQUENCE: Final = -1
NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1
MAX_PRODUCER_EPOCH: Final = 32767


def increment(sequence: int, by: int) -> int:
    """`sequence` moved forward by `by` records, modulo 2**31."""
    return (sequence + by) & MAX_SEQUENCE


def decrement(sequence: int, by: int) -> int:
    """`sequence` moved back by `by` records, modulo 2**31."""
    return (sequence - by) & MAX_SEQUENCE


def is_next(last_sequence: int, base_sequence: int) -> bool:
    """True when a batch beginning at `base_sequence` directly follows one that ended at `last_sequence`.

    `last_sequence` -1 means that nothing was seen in this epoch yet: only 0 follows it.
    """
    return base_sequence == (last_sequence + 1 if last_sequence != MAX_SEQUENCE else 0)
