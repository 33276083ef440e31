"""A broker that remembers one batch of each producer, while five are in flight.

Kafka's was so until five were remembered (KAFKA-5494).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log import producer_state

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(producer_state, "REMEMBERED_BATCHES", 1)
