"""A producer that puts a failed batch in front of all that wait, so that several come back in reverse order.

What a plain producer does (and may); with sequences nothing gets through any more.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.batches import Batch, PartitionQueue
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def put_back(queue: PartitionQueue, batch: Batch) -> None:
        queue.queue.appendleft(batch)

    return replaced(PartitionQueue, "put_back", put_back)
