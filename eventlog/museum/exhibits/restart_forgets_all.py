"""A snapshot that was closed and never forced to the disk.

Closing a file does not put it onto the disk. Kafka wrote its snapshots of producers and closed them; a
crash soon after left an empty file under a good name. A broker that trusts it starts over a full log
with an empty memory. The log is complete, replication is in order, and the next retry of a batch that
stands in that very log is written a second time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=21,
    mistake="after a restart the producers are unknown, though the log has their batches",
    breaks="H10",
    reference="KAFKA-9892",
    scenario=find_scenario("P2"),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog.__init__

    def begin(log: PartitionLog, *given: Any) -> None:
        original(log, *given)
        log.producer_state.forget_all(log.log_end_offset)

    return replaced(PartitionLog, "__init__", begin)
