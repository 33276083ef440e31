"""A log is cut, and what is known of its producers is not.

A follower cuts the end of its log because another leader never had it. What it remembers of producers
came from that end, and stays. Now memory and log tell two stories: a batch is called a duplicate, and
answered with an offset, that isn't in the log any more. If this broker leads, a retry is acknowledged
and its records are nowhere. The memory has to be built again from what is left, each time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=18,
    mistake="truncation leaves the memory of producers as it was",
    breaks="H10",
    reference="KAFKA-12153 is a relative",
    scenario=find_scenario("P2"),
    shortest=(Deviation("writer produces events-0 @2 try 0", 1, "crash", "broker-1", 12000),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog.truncate_to

    def truncate(log: PartitionLog, offset: int, now_ms: int = 0) -> None:
        known = log.producer_state.freeze()
        original(log, offset, now_ms)
        log.producer_state = type(log.producer_state).thaw(known)

    return replaced(PartitionLog, "truncate_to", truncate)
