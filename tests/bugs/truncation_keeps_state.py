"""A truncation that cuts the log and leaves the memory: batches are called duplicates that are no longer there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.log.partition_log import PartitionLog

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.truncate_to

    def truncate(log: PartitionLog, offset: int) -> None:
        known = log.producer_state.freeze()
        original(log, offset)
        log.producer_state = type(log.producer_state).thaw(known)

    with replaced(PartitionLog, "truncate_to", truncate):
        yield
