"""A truncation that takes the newest snapshot there is, though it knows more than the log that is left."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.log.segments import NO_LIMIT
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog._load_snapshot

    def load(log: PartitionLog, start_offset: int, end_offset: int, now_ms: int) -> int:
        return min(original(log, start_offset, NO_LIMIT, now_ms), end_offset)

    return replaced(PartitionLog, "_load_snapshot", load)
