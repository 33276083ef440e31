"""A follower is taken back at a high watermark that is out of date.

A follower joins the in-sync replicas when it has all that is committed, and its leader says how far that
is. But a leader that was just elected does not know yet: its high watermark is one fetch old. Broker 1
was away while record 1 was committed; the leader dies too, and the next one, with record 1 in its log,
takes broker 1 in without it. One more election, and record 1 is gone. Since KAFKA-7128 a follower must
also reach where its leader's epoch began.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=6,
    mistake="to join, a follower need not reach the start of the leader's epoch",
    breaks="H12",
    reference="KAFKA-7128",
    scenario=find_scenario("P3", budgets=(("crash", 2), ("election", 1))),
    shortest=(
        Deviation("writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),
        Deviation("writer produces events-0 @2 try 1", 1, "crash", "broker-2", 12000),
    ),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Leadership.find_expansion

    def find_expansion(leadership: Leadership, replica: int, image: Any) -> tuple[int, ...] | None:
        start_offset, leadership.epoch_start_offset = leadership.epoch_start_offset, 0
        found = original(leadership, replica, image)
        leadership.epoch_start_offset = start_offset
        return found

    return replaced(Leadership, "find_expansion", find_expansion)
