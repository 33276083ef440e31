"""A broker that remembers what it has refused: the next retry is a duplicate of something that is not there."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import replaced
from eventlog.values.record import placed


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.append_as_leader

    def append(log: PartitionLog, batch: Any, leader_epoch: int, *given: Any, **named: Any) -> Any:
        result = original(log, batch, leader_epoch, *given, **named)
        if result.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
            log.producer_state.remember(placed(batch, log.log_end_offset, leader_epoch))
        return result

    return replaced(PartitionLog, "append_as_leader", append)
