"""A broker takes a repeated batch for one that is out of order.

An answer is lost and the producer sends the batch again. The broker has it already, and instead of
saying so it refuses: the sequence isn't the next one. A modern client believes that its state is
broken, raises its epoch, numbers the batch from 0 and sends it once more; the broker knows nobody of
that epoch and writes a second copy. Both sides did something reasonable. Redpanda 21.10 had the
broker's half, found by Jepsen.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.producer_state import ProducerEntry
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=13,
    mistake="no batch is recognised as a duplicate",
    breaks="H14",
    reference="Redpanda 3039 and 3038 (Jepsen, 21.10.1)",
    scenario=find_scenario("one broker"),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "reply_lost", "broker-1>writer", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    return replaced(ProducerEntry, "find_duplicate", lambda entry, batch: None)
