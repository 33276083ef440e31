"""A leader that commits what it alone has, though more are required: when it dies with the end of its log, all follow it.

KIP-966 closed this in Kafka.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Leadership.advance_high_watermark

    def advance(leadership: Leadership, min_insync_replicas: int, *given: Any) -> bool:
        return original(leadership, 1, *given)

    return replaced(Leadership, "advance_high_watermark", advance)
