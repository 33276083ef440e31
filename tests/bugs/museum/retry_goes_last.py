"""A producer that puts a failed batch behind all that wait."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.batches import Batch, PartitionQueue
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def put_back(queue: PartitionQueue, batch: Batch) -> None:
        queue.queue.append(batch)

    return replaced(PartitionQueue, "put_back", put_back)
