"""A leader that commits what most of its in-sync replicas have: any of them may be elected, so all must have it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def advance(leadership: Leadership, min_insync_replicas: int, image: Any, lag_max_ms: int, now_ms: int) -> bool:
        log, remotes = leadership.log, leadership.remotes
        if len(leadership.in_sync_replicas) < min_insync_replicas:
            return False
        ends = [remotes[member].log_end_offset for member in leadership.maximal_in_sync_replicas() if member in remotes]
        high_watermark = sorted([*ends, log.log_end_offset], reverse=True)[(len(ends) + 1) // 2]
        if high_watermark <= log.high_watermark:
            return False
        log.set_high_watermark(high_watermark)
        return True

    return replaced(Leadership, "advance_high_watermark", advance)
