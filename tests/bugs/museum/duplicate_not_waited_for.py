"""A leader that acknowledges a duplicate at once: its first copy may not be committed yet."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._append

    def append(broker: Broker, wanted: Any, acks: int, now_ms: int, required: dict[Any, int], *given: Any) -> Any:
        reply = original(broker, wanted, acks, now_ms, required, *given)
        if reply.log_append_time_ms >= 0:
            required.pop(wanted.topic_partition, None)
        return reply

    return replaced(Broker, "_append", append)
