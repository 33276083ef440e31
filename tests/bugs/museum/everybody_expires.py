"""A clock that lets every producer expire at the first look, busy or not.

Kafka forgot producers that were alive, too, when their age went by the wrong time (KAFKA-5793, KAFKA-7190).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producers import Producers
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Producers.expire

    def expire(state: Producers, now_ms: int, producer_id_expiration_ms: int) -> tuple[int, ...]:
        return original(state, now_ms, 0)

    return replaced(Producers, "expire", expire)
