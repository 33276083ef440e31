"""A controller that elects another leader under the same leader epoch."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.controller import election
from eventlog.messages.controller_api import PartitionRecord
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def elect(partition: PartitionRecord, leader_id: int) -> PartitionRecord:
        return partition._replace(leader_id=leader_id, partition_epoch=partition.partition_epoch + 1)

    return replaced(election, "elect", elect)
