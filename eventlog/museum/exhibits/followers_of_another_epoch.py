"""A leader counts what its followers fetched in another epoch.

A leader raises the high watermark when all in-sync replicas have fetched a record: what it knows is the
offset of their last fetch. If a fetch of an older epoch counts, it counts a log that may have been cut
since, or another one. A new leader that takes its followers to be where they were believes that they
have what it has, commits at once, and acknowledges a record that one of them never got. The rules of
KIP-320 make it wait for a fetch in its own epoch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.leader import Leadership
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=7,
    mistake="a new leader takes its followers to have all that it has itself",
    breaks="H12",
    reference="KIP-320",
    scenario=find_scenario("P3"),
    shortest=(Deviation("answer: broker-3 fetches events-0 @1 epoch 0", 1, "election", "events-0>broker-2", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Leadership.__init__

    def begin(leadership: Leadership, broker_id: int, log: Any, partition: Any, now_ms: int) -> None:
        original(leadership, broker_id, log, partition, now_ms)
        for replica, remote in leadership.remotes.items():
            if replica in partition.in_sync_replicas:
                remote.log_end_offset = log.log_end_offset

    return replaced(Leadership, "__init__", begin)
