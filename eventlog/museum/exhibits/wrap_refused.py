"""After sequence 2147483647 a broker expects nothing.

Sequences are 31 bits wide, so 0 follows 2147483647. A broker that adds one gets a negative number, waits
for it, and refuses the 0 that comes. No fault is needed, only time: two thousand million records of
one producer into one partition. Kafka, kafkajs, franz-go and Redpanda each had a form of it. Here a
producer begins shortly before the end, and the benign run shows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.log import producer_state
from eventlog.log.producer_state import ProducerState
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.values import RecordBatch

EXHIBIT = Exhibit(
    number=27,
    mistake="the sequence after the last is not 0",
    breaks="H14",
    reference="KAFKA-7692, KAFKA-7693, kafkajs 1790, franz-go 216, Redpanda 4854",
    scenario=find_scenario("one broker", initial_sequence=2147483646),
    shortest=(),
)


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the mistake is made."""
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
