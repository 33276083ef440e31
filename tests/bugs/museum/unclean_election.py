"""A controller that lets the first living replica lead, whether it is in sync or not.

What `unclean.leader.election.enable` allows, unasked.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.controller import election
from eventlog.messages.controller_api import PartitionRecord

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def next_leader(partition: PartitionRecord, alive: tuple[int, ...]) -> int:
        living = [broker_id for broker_id in partition.replicas if broker_id in alive]
        return living[0] if living else -1

    return replaced(election, "_next_leader", next_leader)
