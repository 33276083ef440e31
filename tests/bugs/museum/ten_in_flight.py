"""A producer with ten requests in flight, where a broker recognises the retries of five.

Kafka's limit is five for this reason (KAFKA-5494); other clients learned it later.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.sender import Sender
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Sender._drain

    def drain(sender: Sender, now_ms: int, out: list[Any]) -> None:
        settings = sender.settings
        object.__setattr__(settings, "max_in_flight_requests_per_connection", 10)
        original(sender, now_ms, out)

    return replaced(Sender, "_drain", drain)
