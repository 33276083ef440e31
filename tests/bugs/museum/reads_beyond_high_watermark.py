"""A leader that gives readers all it has: dirty reads."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def readable_end(broker: Broker, replica: Replica, request: Any) -> int:
        return replica.log.log_end_offset

    return replaced(Broker, "_readable_end", readable_end)
