"""A snapshot of the producers says it is of another offset.

What a broker knows of producers is written down now and then, under the offset up to which it holds.
When segments were recovered, Kafka once filed a snapshot under another one. After a restart the broker
loads it and reads the log from that offset on, so one batch is remembered twice, or one is missing.
From there on it refuses the producer's next batch, or takes a retry for news.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=20,
    mistake="a snapshot is filed one offset too low",
    breaks="L3",
    reference="KAFKA-5249, KAFKA-10832",
    scenario=find_scenario("one broker"),
    shortest=(Deviation("writer produces events-0 @2 try 0", 1, "crash", "broker-1", 12000),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog._write_snapshot

    def write(log: PartitionLog, offset: int) -> None:
        original(log, offset - 1)

    return replaced(PartitionLog, "_write_snapshot", write)
