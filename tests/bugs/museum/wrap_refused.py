"""A broker for which nothing follows sequence 2147483647: after two thousand million records the producer is stuck.

Seen as negative or refused sequences in Kafka (KAFKA-7692, KAFKA-7693) and Redpanda (issue 4854).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.log import producer_state
from eventlog.log.producer_state import ProducerState
from eventlog.values import RecordBatch

from ..patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    original = ProducerState.remember

    def remember(state: ProducerState, batch: RecordBatch) -> None:
        original(state, batch)
        entry = state.find_entry(batch.producer_id)
        if entry is not None and entry.next_sequence == 0:
            entry.next_sequence = producer_state.NOT_PLAIN

    with (
        replaced(ProducerState, "remember", remember),
        replaced(producer_state, "is_next", lambda last_sequence, base_sequence: base_sequence == last_sequence + 1),
    ):
        yield
