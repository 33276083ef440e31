"""A producer is forgotten with its newest record.

What a broker knows of a producer was tied to the records: when retention deleted the newest of them, the
producer went with it. Who wrote seldom was unknown at its next record, which is answered with an error
or, by a client that begins anew, with a second copy of what it sent last. Kafka took several attempts
to part the age of a producer from the age of its records; since KIP-360 a producer outlives them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=22,
    mistake="a producer expires when the log's start passes its newest record",
    breaks="L3",
    reference="KAFKA-5793, KAFKA-7190, KIP-360, KAFKA-9144",
    scenario=find_scenario("one broker", budgets=(("log_start_moved", 1), ("reply_lost", 1))),
    shortest=(Deviation("writer produces events-0 @1 try 0", 1, "log_start_moved", "events-0", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog.advance_log_start

    def advance(log: PartitionLog, offset: int) -> None:
        original(log, offset)
        state = log.producer_state
        for producer_id, entry in state.entries():
            if entry.batches and entry.batches[-1].last_offset < offset:
                del state._entries[producer_id]

    return replaced(PartitionLog, "advance_log_start", advance)
