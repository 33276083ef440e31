"""A producer that numbers a batch anew when it tries again: to a broker it is another batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.client.batches import Batch, PartitionQueue

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    original = PartitionQueue.put_back

    def put_back(queue: PartitionQueue, batch: Batch) -> None:
        queue.leave(batch)
        queue.assign(batch)
        original(queue, batch)

    with replaced(PartitionQueue, "put_back", put_back):
        yield
