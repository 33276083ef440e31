"""A client that takes the next answer for that of its oldest request, whatever number it has: a repeated answer
acknowledges what nobody has written.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.link import Link
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def take_reply(link: Link, correlation_id: int) -> Any:
        link.answered = True
        return link.in_flight.popleft()[2] if link.in_flight else None

    return replaced(Link, "take_reply", take_reply)
