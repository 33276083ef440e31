"""A leader that writes with acks=all however few are in sync."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._append

    def append(broker: Broker, wanted: Any, *given: Any) -> Any:
        replica = broker.replicas.get(wanted.topic_partition)
        if replica is not None:
            replica.min_insync_replicas = 1
        return original(broker, wanted, *given)

    return replaced(Broker, "_append", append)
