"""A follower that takes over its leader's high watermark, though its own log ends before it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = broker.take

    def take(log: Any, reply: Any) -> bool:
        is_taken = original(log, reply)
        log.set_high_watermark(max(log.high_watermark, reply.high_watermark))
        return is_taken

    return replaced(broker, "take", take)
