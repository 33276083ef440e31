"""A broker that keeps the batches of the old producer epoch when a new one begins: their sequences mean something else now.

A relative of KAFKA-13794, where batches of two epochs were told apart by their sequence alone.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry, ProducerState
from eventlog.values import RecordBatch

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = ProducerState._entry_for

    def entry_for(state: ProducerState, batch: RecordBatch, entry: ProducerEntry | None) -> ProducerEntry:
        before = [] if entry is None else entry.batches
        found = original(state, batch, entry)
        found.batches = before
        return found

    return replaced(ProducerState, "_entry_for", entry_for)
