"""A follower that judges what its leader has accepted: a producer it does not know must begin with 0, or it stops.

Kafka's followers did so until 1.0 (KAFKA-6003).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = broker.take

    def take(log: Any, reply: Any) -> bool:
        for batch in reply.batches:
            if (
                batch.producer_id >= 0
                and batch.base_sequence
                and log.producer_state.find_entry(batch.producer_id) is None
            ):
                return False
        return original(log, reply)

    return replaced(broker, "take", take)
