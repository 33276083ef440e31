"""A follower that cuts where its leader's epoch ends, without asking whether it has that epoch itself.

After two quick elections one answer is not enough (KIP-279).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def find_truncation(log: Any, leader_epoch: int, leader_end_offset: int) -> int:
        return int(min(log.high_watermark if leader_end_offset < 0 else leader_end_offset, log.log_end_offset))

    return replaced(broker, "find_truncation", find_truncation)
