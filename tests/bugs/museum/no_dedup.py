"""A broker that knows no duplicates: a repeated batch is out of order to it, so the client raises its epoch and writes
it again.

Seen in Redpanda 21.10 (its issues 3038 and 3039, found by Jepsen).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(ProducerEntry, "find_duplicate", lambda entry, batch: None)
