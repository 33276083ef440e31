"""A new follower that cuts its log to its own high watermark, which lags behind what is committed.

Kafka's way until KIP-101 (KAFKA-1211).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._resign

    def resign(broker: Broker, replica: Replica, out: list[Any]) -> None:
        original(broker, replica, out)
        if replica.partition.leader_id not in (broker.broker_id, -1):
            replica.log.truncate_to(replica.log.high_watermark)

    return replaced(Broker, "_resign", resign)
