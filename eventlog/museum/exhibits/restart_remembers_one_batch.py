"""Kafka's own hole: a restarted broker remembers one batch of each producer.

Kafka keeps five batches of each producer in memory, and the newest only in its snapshots. Two batches are
written, the broker restarts before their answers arrive, and both come again. The first is older than
all that is remembered: out of order. The Java client raises its epoch and writes both a second time;
every acknowledgement is a success, and the application hears nothing. Seen with Kafka 4.3.1 in the
default settings. When snapshots keep all five batches, it is gone.
"""

from __future__ import annotations

from eventlog.museum.exhibit import Exhibit
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    mistake="a snapshot keeps the newest batch of a producer, where memory keeps five",
    breaks="H2",
    reference="Kafka 4.3.1, default settings",
    scenario=find_scenario("one broker", producer_snapshot_batches=1),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),),
    cure=(("producer_snapshot_batches", 5),),
)
