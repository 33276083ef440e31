"""A broker that forgets a producer when its newest record is deleted.

Kafka did, and every producer that wrote seldom was unknown at its next record (KAFKA-7190).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.advance_log_start

    def advance(log: PartitionLog, offset: int) -> None:
        original(log, offset)
        state = log.producer_state
        for producer_id, entry in state.entries():
            if entry.batches and entry.batches[-1].last_offset < offset:
                del state._entries[producer_id]

    return replaced(PartitionLog, "advance_log_start", advance)
