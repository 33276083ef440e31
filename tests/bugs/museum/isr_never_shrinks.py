"""A leader that waits for a follower for ever: one that fetches nothing stops everybody."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(Leadership, "find_shrinking", lambda leadership, lag_max_ms, now_ms: None)
