"""An epoch that is raised for one partition sends again what another one has (librdkafka).

Leadership of one partition is away for a moment: the first of two batches is refused for that, and the
second then for being out of order. No harm is done, but librdkafka raises its epoch, and with it all
partitions begin anew. A batch of another partition is written and its answer lost: under the old
epoch it would be a duplicate, under the new one it is written again. Java's client retries in the
old epoch, and raises it for the partition alone that needs it.
"""

from __future__ import annotations

from eventlog.museum.exhibit import Exhibit
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=26,
    mistake="batches of all partitions go over to the epoch that one of them needs",
    breaks="H2",
    reference="librdkafka 4953",
    scenario=find_scenario(
        "P2", partitions=2, batches=3, behaves_like="librdkafka", budgets=(("reply_lost", 1), ("election", 2))
    ),
    shortest=(
        Deviation("writer produces events-0 @1 try 0", 1, "election", "events-0>broker-2", 0),
        Deviation("writer produces events-1 @1 try 0", 1, "election", "events-0>broker-1", 0),
        Deviation("answer: writer produces events-1 @1 try 0", 1, "reply_lost", "broker-2>writer", 0),
    ),
    cure=(("behaves_like", "java"),),
)
