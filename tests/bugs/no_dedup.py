"""A broker that knows no duplicates: a repeated batch is out of order to it, so the client raises its epoch and writes
it again.

Seen in the wild in brokers that check sequences and forget that a retry is no mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.log.producer_state import ProducerEntry

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    with replaced(ProducerEntry, "find_duplicate", lambda entry, batch: None):
        yield
