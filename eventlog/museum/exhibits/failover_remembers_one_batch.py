"""Kafka's own hole over a failover: the new leader was restarted a while ago.

The same hole, and nobody restarts while the producer waits. A follower restarts in all order while two
batches are on their way, and reads them back from its log with the memory of its snapshot: the newest.
Then it is elected. The answers of the old leader are lost with the connection, both batches come
again, and the new leader knows the second only. Duplicates, and success is reported. When snapshots
keep all five batches, it is gone.
"""

from __future__ import annotations

from eventlog.museum.exhibit import Exhibit
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    mistake="a snapshot keeps the newest batch of a producer, where memory keeps five",
    breaks="H2",
    reference="Kafka 4.3.1, default settings",
    scenario=find_scenario(
        "P3", producer_snapshot_batches=1, budgets=(("reply_lost", 1), ("crash", 1), ("election", 1))
    ),
    shortest=(
        Deviation("answer: writer produces events-0 @1 try 0", 1, "reply_lost", "broker-1>writer", 0),
        Deviation("answer: broker-2 fetches events-0 @3 epoch 0", 1, "crash", "broker-2", 12000),
        Deviation("answer: broker-2 fetches events-0 @3 epoch 0", 2, "election", "events-0>broker-2", 0),
    ),
    cure=(("producer_snapshot_batches", 5),),
)
