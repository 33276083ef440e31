"""A broker that remembers one batch of each producer, while five are in flight.

Kafka's was so until five were remembered (KAFKA-5494).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.log import producer_state

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    with replaced(producer_state, "REMEMBERED_BATCHES", 1):
        yield
