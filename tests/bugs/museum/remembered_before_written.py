"""A broker that notes a batch for its producer before it is certain that it will be written: refused for want of in-sync
replicas, its retry is a duplicate.

A relative of KAFKA-12153, where offsets were updated before the state that belongs to them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.errors import ErrorCode
from eventlog.museum.exhibit import replaced
from eventlog.values.record import placed


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._append

    def append(broker: Broker, wanted: Any, *given: Any) -> Any:
        reply = original(broker, wanted, *given)
        if reply.error is ErrorCode.NOT_ENOUGH_REPLICAS:
            replica = broker.replicas[wanted.topic_partition]
            batch = placed(wanted.batch, replica.log.log_end_offset, replica.partition.leader_epoch)
            replica.log.producer_state.remember(batch)
        return reply

    return replaced(Broker, "_append", append)
