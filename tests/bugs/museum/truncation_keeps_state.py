"""A truncation that cuts the log and leaves the memory: batches are called duplicates that are no longer there."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.truncate_to

    def truncate(log: PartitionLog, offset: int, now_ms: int = 0) -> None:
        known = log.producer_state.freeze()
        original(log, offset, now_ms)
        log.producer_state = type(log.producer_state).thaw(known)

    return replaced(PartitionLog, "truncate_to", truncate)
