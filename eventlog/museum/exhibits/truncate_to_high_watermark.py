"""A new follower cuts its log to its own high watermark.

A follower's high watermark is a rumour: its leader's, one fetch old. Kafka's followers cut to it
whenever they followed somebody anew, so as to drop what might not be committed. But what lay between
the rumour and the truth was committed and acknowledged. Broker 3 has a record and doesn't yet know
that it counts; broker 2 leads; broker 3 cuts the record away while it still stands in the in-sync
replicas. The next election can lose it for good. Leader epochs tell where logs part (KIP-101).
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=1,
    mistake="a follower cuts to its own high watermark, not to where the logs part",
    breaks="H7",
    reference="KIP-101, KAFKA-1211",
    scenario=find_scenario("P3"),
    shortest=(Deviation("answer: broker-3 fetches events-0 @1 epoch 0", 1, "election", "events-0>broker-2", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Broker._resign

    def resign(broker: Broker, replica: Replica, out: list[Any]) -> None:
        original(broker, replica, out)
        if replica.partition.leader_id not in (broker.broker_id, -1):
            replica.log.truncate_to(replica.log.high_watermark)

    return replaced(Broker, "_resign", resign)
