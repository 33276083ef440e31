"""A truncation that forgets every producer, though all but the last batches of them are still there."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.truncate_to

    def truncate(log: PartitionLog, offset: int, now_ms: int = 0) -> None:
        end_offset = log.log_end_offset
        original(log, offset, now_ms)
        if log.log_end_offset < end_offset:
            log.producer_state.forget_all(log.log_end_offset)

    return replaced(PartitionLog, "truncate_to", truncate)
