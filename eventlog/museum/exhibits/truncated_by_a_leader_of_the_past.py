"""A follower lets a leader of another epoch cut its log.

A follower asks its leader where their logs part. The answer takes a while, and meanwhile another broker
leads, whose log the follower has: record 1 included, which is soon committed. Then the old answer
arrives. A follower that doesn't look whom it follows now cuts record 1 away, and stays in sync. KIP-279
made such answers exact and forgot to tie them to an epoch; KIP-320 did. Here two elections in a row,
with three brokers, are enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=3,
    mistake="where logs part may be said by whoever was asked, in whichever epoch",
    breaks="H12",
    reference="KIP-279, KIP-320, KAFKA-6880",
    scenario=find_scenario("P3"),
    shortest=(
        Deviation("answer: broker-3 fetches events-0 @1 epoch 0", 1, "election", "events-0>broker-3", 0),
        Deviation("answer: broker-3 fetches events-0 @1 epoch 0", 2, "election", "events-0>broker-1", 0),
    ),
)


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the mistake is made. It needs connections that outlive an epoch, as Kafka's fetchers had."""
    resign, on_fetch_reply = Broker._resign, Broker._on_fetch_reply

    def keep_connection(broker: Broker, replica: Replica, out: list[Any]) -> None:
        if replica.following is not None:
            replica.following.connection = None
        resign(broker, replica, out)

    def take_from_anybody(broker: Broker, message: Any, envelope: Any, now_ms: int) -> list[Any]:
        out: list[Any] = []
        for reply in message.partitions:
            replica = broker.replicas[reply.topic_partition]
            following = replica.following
            if reply.diverging_epoch >= 0 and following is not None and following.connection != envelope.connection:
                broker._follow(replica, following, reply, now_ms, out)
        return out or on_fetch_reply(broker, message, envelope, now_ms)

    with (
        replaced(Broker, "_resign", keep_connection),
        replaced(Broker, "_on_fetch_reply", take_from_anybody),
    ):
        yield
