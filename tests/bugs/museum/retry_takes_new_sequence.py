"""A producer that numbers a batch anew when it tries again: to a broker it is another batch."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.batches import Batch, PartitionQueue
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionQueue.put_back

    def put_back(queue: PartitionQueue, batch: Batch) -> None:
        queue.leave(batch)
        queue.assign(batch)
        original(queue, batch)

    return replaced(PartitionQueue, "put_back", put_back)
