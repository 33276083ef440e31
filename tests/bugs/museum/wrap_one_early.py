"""A client that wraps one number too early: 0 follows 2147483646.

Seen in kafkajs (issue 1790) and franz-go (issue 216).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client import batches
from eventlog.museum.exhibit import replaced
from eventlog.values import MAX_SEQUENCE


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(batches, "increment", lambda sequence, by: (sequence + by) % MAX_SEQUENCE)
