"""A follower judges what its leader has accepted.

A follower lost what it knew of a producer, or never had it. Its leader sends a batch with sequence 5, and
the follower refuses: whom it does not know must begin with 0. It stops fetching that partition, drops
out of the in-sync replicas, and the leader has nobody left who could commit. Kafka's followers did so
until 1.0. A batch is judged once, by the leader; a follower stores and remembers it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker, follower
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario

EXHIBIT = Exhibit(
    number=17,
    mistake="a follower refuses a producer that it does not know and that does not begin with 0",
    breaks="H13",
    reference="KAFKA-6003",
    scenario=find_scenario("P2", initial_sequence=5, is_warm=False),
    shortest=(),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = follower.take

    def take(log: Any, reply: Any) -> bool:
        for batch in reply.batches:
            if (
                batch.producer_id >= 0
                and batch.base_sequence
                and log.producer_state.find_entry(batch.producer_id) is None
            ):
                return False
        return original(log, reply)

    return replaced(broker, "take", take)
