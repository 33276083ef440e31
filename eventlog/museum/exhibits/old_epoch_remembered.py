"""Batches of two epochs are told apart by their sequence alone.

A sequence means something only together with its epoch: when a producer raises it, counting begins with
0 again. Java's client once kept batches in flight in an order that looked at sequences only, and after
a new epoch it took the wrong one for done. Here it is the broker that keeps the batches of the old
epoch when a new one begins: sequence 1 of then and sequence 1 of now are one to it, and a new record
is answered as a duplicate of another.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry, ProducerState
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation
from eventlog.values import RecordBatch

EXHIBIT = Exhibit(
    number=24,
    mistake="batches of an older epoch stay in the window of the new one",
    breaks="P1",
    reference="KAFKA-13794",
    scenario=find_scenario("one broker", producer_snapshot_batches=1),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = ProducerState._entry_for

    def entry_for(state: ProducerState, batch: RecordBatch, entry: ProducerEntry | None) -> ProducerEntry:
        before = [] if entry is None else entry.batches
        found = original(state, batch, entry)
        found.batches = before
        return found

    return replaced(ProducerState, "_entry_for", entry_for)
