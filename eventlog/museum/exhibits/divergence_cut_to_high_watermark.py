"""A leader that knows no newer epoch sends followers back to the high watermark.

KIP-101 lets a follower ask where its last epoch ends. A leader without a newer epoch in its log used to
answer "unknown", and the follower fell back to the old way, its own high watermark. Broker 1 leads,
broker 2 leads and writes nothing that stays, broker 1 leads again: the answer is no answer, and a
committed record is cut from a replica that counts as in sync. KIP-279 made the leader answer with the
nearest epoch that it knows. A crash of the leader at the wrong moment is enough here.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker import broker
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=2,
    mistake="told where the logs part, a follower cuts to its own high watermark all the same",
    breaks="H7",
    reference="KIP-279, KAFKA-6361",
    scenario=find_scenario("P2"),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""

    def find_truncation(log: Any, leader_epoch: int, leader_end_offset: int) -> int:
        return int(log.high_watermark)

    return replaced(broker, "find_truncation", find_truncation)
