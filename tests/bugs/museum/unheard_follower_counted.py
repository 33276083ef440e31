"""A new leader that passes over in-sync followers which have not fetched from it yet when it raises the high watermark."""

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
        high_watermark = min([*[end_offset for end_offset in ends if end_offset >= 0], log.log_end_offset])
        if high_watermark <= log.high_watermark:
            return False
        log.set_high_watermark(high_watermark)
        return True

    return replaced(Leadership, "advance_high_watermark", advance)
