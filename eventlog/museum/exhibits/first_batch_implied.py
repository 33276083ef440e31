"""Kafka's second hole: a loss that is reported as success (librdkafka).

The same opening, and librdkafka's way out of it. The first batch is refused for want of a leader and the
second accepted as a beginning. When the second succeeds, librdkafka concludes that the first, which
came before it, must be in the log as well, and reports it as delivered. It is nowhere. No answer has
to be lost for that; two elections are enough. When an unknown producer must begin with 0, it is gone.
"""

from __future__ import annotations

from eventlog.museum.exhibit import Exhibit
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    mistake="an unknown producer may begin with any sequence",
    breaks="H4",
    reference="Kafka 4.3.1 with librdkafka",
    scenario=find_scenario("P2", is_warm=False, behaves_like="librdkafka"),
    shortest=(
        Deviation("answer: broker-2 fetches events-0 @0 epoch 0", 1, "election", "events-0>broker-2", 0),
        Deviation("writer produces events-0 @1 try 0", 1, "election", "events-0>broker-1", 0),
    ),
    cure=(("unknown_producer_first_sequence", "zero"),),
)
