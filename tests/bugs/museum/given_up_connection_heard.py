"""A client that goes on hearing a connection it has given up: an answer to the
request before is taken for the next one's.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.link import Link

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def break_off(link: Link) -> list[Any]:
        unanswered = [kept for _, _, kept in link.in_flight]
        link.in_flight.clear()
        link.correlation_id = 0
        link.answered = link.opened = False
        return unanswered

    return replaced(Link, "break_off", break_off)
