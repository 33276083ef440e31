"""A leader that hears of another leader and goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.messages.controller_api import PartitionRecord
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._apply

    def apply(broker: Broker, partition: PartitionRecord, now_ms: int, out: list[Any]) -> None:
        replica = broker.replicas.get(partition.topic_partition)
        if replica is None or replica.leadership is None or partition.leader_id == broker.broker_id:
            original(broker, partition, now_ms, out)

    return replaced(Broker, "_apply", apply)
