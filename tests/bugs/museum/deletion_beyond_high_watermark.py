"""A deletion of records that goes to the log's end: what is not committed yet is passed over for good."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.advance_log_start

    def advance(log: PartitionLog, offset: int) -> None:
        original(log, log.log_end_offset)

    return replaced(PartitionLog, "advance_log_start", advance)
