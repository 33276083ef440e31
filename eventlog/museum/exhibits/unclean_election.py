"""A replica that is not in sync becomes leader.

Broker 1 crashes and comes back; meanwhile the others have gone on without it, with acknowledgements.
Before it has caught up, its leader dies too. A controller that takes the first living replica elects
broker 1, and everybody cuts his log to match: what was acknowledged in between is gone. Kafka calls
it unclean election and lets one ask for it; some versions did by default. Only a replica that is in
sync may lead, and when there is none, nobody does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.controller import election
from eventlog.messages.controller_api import PartitionRecord
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=9,
    mistake="the first living replica leads, in sync or not",
    breaks="H7",
    reference="Kafka's unclean.leader.election.enable",
    scenario=find_scenario("P3", budgets=(("crash", 2), ("election", 1))),
    shortest=(
        Deviation("writer produces events-0 @1 try 0", 1, "crash", "broker-1", 12000),
        Deviation("writer produces events-0 @2 try 1", 1, "crash", "broker-2", 12000),
    ),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""

    def next_leader(partition: PartitionRecord, alive: tuple[int, ...]) -> int:
        living = [broker_id for broker_id in partition.replicas if broker_id in alive]
        return living[0] if living else -1

    return replaced(election, "_next_leader", next_leader)
