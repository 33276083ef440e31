"""A follower that is told where the logs part, and cuts to its own high watermark all the same.

What was left of the old way in KIP-101, where a leader without a newer epoch answered "unknown" (KIP-279, KAFKA-6361).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def find_truncation(log: Any, leader_epoch: int, leader_end_offset: int) -> int:
        return int(log.high_watermark)

    return replaced(broker, "find_truncation", find_truncation)
