"""A producer that raises its epoch and goes on counting where it was: an epoch begins with 0."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.batches import PartitionQueue
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def start(queue: PartitionQueue, producer_id: int, producer_epoch: int) -> None:
        queue.producer_id, queue.producer_epoch = producer_id, producer_epoch
        for batch in queue.in_flight:
            batch.label(producer_id, producer_epoch, batch.base_sequence)
            batch.reopened = True

    return replaced(PartitionQueue, "start_at_beginning", start)
