"""A new follower that cuts its log to its own high watermark, which lags behind what is committed (KIP-101)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    original = Broker._resign

    def resign(broker: Broker, replica: Replica, out: list[Any]) -> None:
        original(broker, replica, out)
        if replica.partition.leader_id not in (broker.broker_id, -1):
            replica.log.truncate_to(replica.log.high_watermark)

    with replaced(Broker, "_resign", resign):
        yield
