"""A broker that forgets no producer, ever: its memory grows without an end."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producers import Producers
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(Producers, "expire", lambda state, now_ms, producer_id_expiration_ms: ())
