"""A follower that stores batches and remembers no producer: as a leader it knows nobody."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ProducerState

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.append_as_follower

    def append(log: PartitionLog, batches: Any) -> None:
        known, log.producer_state = log.producer_state, ProducerState()
        original(log, batches)
        log.producer_state = known

    return replaced(PartitionLog, "append_as_follower", append)
