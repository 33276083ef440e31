"""A broker that takes every record of a partition for news, also what it knows already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.messages.controller_api import PartitionRecord

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._apply

    def apply(broker: Broker, partition: PartitionRecord, now_ms: int, out: list[Any]) -> None:
        replica = broker.replicas.get(partition.topic_partition)
        if replica is not None and partition.partition_epoch <= replica.partition.partition_epoch:
            replica.partition = replica.partition._replace(partition_epoch=partition.partition_epoch - 1)
        original(broker, partition, now_ms, out)

    return replaced(Broker, "_apply", apply)
