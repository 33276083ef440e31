"""A follower stores batches and remembers no producer.

The leader keeps the memory of producers, the follower only the log; it seems enough, as the leader judges.
Then the leader dies. The follower leads, with every batch and no memory, and the retry of a batch that
stands in its log is written again. All who replicate a log without replicating what was derived from
it meet this one. A follower remembers what it appends, so failover needs no code of its own.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ProducerState
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario

EXHIBIT = Exhibit(
    number=16,
    mistake="a follower's append leaves the memory of producers as it was",
    breaks="H10",
    reference="the failover test of KIP-98",
    scenario=find_scenario("P2", is_warm=False, unknown_producer_first_sequence="zero"),
    shortest=(),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog.append_as_follower

    def append(log: PartitionLog, batches: Any) -> None:
        known, log.producer_state = log.producer_state, ProducerState()
        original(log, batches)
        log.producer_state = known

    return replaced(PartitionLog, "append_as_follower", append)
