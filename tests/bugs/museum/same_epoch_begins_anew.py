"""A broker that compares producer epochs with >= where > is meant: sequence 0 of the same epoch is a new beginning to it."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry, ProducerState
from eventlog.museum.exhibit import replaced
from eventlog.values import RecordBatch


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = ProducerState._judge_sequence

    def judge(state: ProducerState, batch: RecordBatch, entry: ProducerEntry | None) -> object:
        begins = entry is not None and batch.producer_epoch >= entry.producer_epoch and batch.base_sequence == 0
        return None if begins else original(state, batch, entry)

    return replaced(ProducerState, "_judge_sequence", judge)
