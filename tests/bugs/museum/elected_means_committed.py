"""A new leader that takes all it has for committed, because it was elected: readers see what may still be cut.

Seen in Redpanda, where a leader in Raft's sense was taken for one in Kafka's (issue 5090).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._lead

    def lead(broker: Broker, replica: Replica, now_ms: int, out: list[Any]) -> None:
        replica.log.set_high_watermark(replica.log.log_end_offset)
        original(broker, replica, now_ms, out)

    return replaced(Broker, "_lead", lead)
