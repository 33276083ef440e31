"""Kafka's second hole: an unknown producer may begin anywhere (Java's client).

A broker takes any first sequence of a producer that it doesn't know. The first batch is refused, because
leadership is elsewhere for a moment; the second, behind it on the same connection, arrives when it is
back and is accepted as a beginning. The first can never be written any more: out of order. If the
second's answer is lost too, the Java client raises its epoch and writes both: one of them twice. When
an unknown producer must begin with 0, it is gone.
"""

from __future__ import annotations

from eventlog.museum.exhibit import Exhibit
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    mistake="an unknown producer may begin with any sequence",
    breaks="H2",
    reference="Kafka 4.3.1 with its Java client",
    scenario=find_scenario("P2", is_warm=False),
    shortest=(
        Deviation("answer: broker-2 fetches events-0 @0 epoch 0", 1, "election", "events-0>broker-2", 0),
        Deviation("writer produces events-0 @1 try 0", 1, "election", "events-0>broker-1", 0),
        Deviation("answer: writer produces events-0 @0 try 0", 1, "reply_lost", "broker-1>writer", 0),
    ),
    cure=(("unknown_producer_first_sequence", "zero"),),
)
