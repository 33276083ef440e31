"""A new leader takes all that it has for committed.

To be elected in Raft's sense and to be replicated in Kafka's sense are two things. A new leader may have
records that no other replica got in time; they are committed only when its followers have fetched them
from it. Redpanda let readers see up to the end of its log as soon as it was elected: they read what a
further election took back. The high watermark of a new leader is the old one until its followers have
fetched.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=30,
    mistake="on election the high watermark jumps to the log's end",
    breaks="H12",
    reference="Redpanda 5090",
    scenario=find_scenario("P3"),
    shortest=(Deviation("answer: broker-3 fetches events-0 @1 epoch 0", 1, "election", "events-0>broker-2", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Leadership.__init__

    def begin(leadership: Leadership, broker_id: int, log: Any, *given: Any) -> None:
        original(leadership, broker_id, log, *given)
        log.set_high_watermark(log.log_end_offset)

    return replaced(Leadership, "__init__", begin)
