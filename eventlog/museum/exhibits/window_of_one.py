"""A broker remembers one batch of a producer that has several on their way.

Kafka's broker remembered the newest batch of each producer, which is enough for a client that waits for
each answer. With two in flight the first answer is lost, and the first batch comes again when the
broker only knows the second. It can't tell a duplicate from a batch that is too old, and refuses what
it has written. Nothing is doubled; the writer just never gets its answer. Since 1.0 five batches are
remembered, and a client may have five in flight: the two numbers belong together.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log import producer_state
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=14,
    mistake="one batch of each producer is remembered, not five",
    breaks="H14",
    reference="KAFKA-5494",
    scenario=find_scenario("one broker"),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "reply_lost", "broker-1>writer", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    return replaced(producer_state, "REMEMBERED_BATCHES", 1)
