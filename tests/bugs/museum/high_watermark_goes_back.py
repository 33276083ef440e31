"""A leader that sets the high watermark to what its in-sync replicas have at the moment, also when that is less."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def advance(leadership: Leadership, min_insync_replicas: int, image: Any, lag_max_ms: int, now_ms: int) -> bool:
        log, remotes = leadership.log, leadership.remotes
        if len(leadership.in_sync_replicas) < min_insync_replicas:
            return False
        ends = [remotes[member].log_end_offset for member in leadership.maximal_in_sync_replicas() if member in remotes]
        high_watermark = max(min([*ends, log.log_end_offset]), log.log_start_offset)
        log.set_high_watermark(high_watermark)
        return True

    return replaced(Leadership, "advance_high_watermark", advance)
