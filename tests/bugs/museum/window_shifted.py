"""A broker that looks for a retry among the older batches and not at the newest one: the window is shifted by one."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry
from eventlog.museum.exhibit import replaced
from eventlog.values import RecordBatch


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def find_duplicate(entry: ProducerEntry, batch: RecordBatch) -> RecordBatch | None:
        for known in entry.batches[:-1]:
            if (known.base_sequence, known.last_offset_delta) == (batch.base_sequence, batch.last_offset_delta):
                return known
        return None

    return replaced(ProducerEntry, "find_duplicate", find_duplicate)
