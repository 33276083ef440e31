"""A producer that, when one partition needs a new epoch, sends the unacknowledged batches of all others anew under it,
though they may be written.

Seen in librdkafka (issue 4953).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.sender import Sender

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Sender._advance

    def advance(sender: Sender, now_ms: int, out: list[Any]) -> None:
        if sender.identity.rewrite:
            for topic in sender._topics.values():
                for queue in topic.partitions:
                    if queue.in_flight:
                        sender.identity.request_bump(queue)
        original(sender, now_ms, out)

    return replaced(Sender, "_advance", advance)
