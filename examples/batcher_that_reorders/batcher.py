"""A service that collects events and publishes them in batches; the events of one key must stay in order.

The mistake: the service retries by itself, and puts what failed back at the end of its queue, behind younger events.
"""

from __future__ import annotations

from eventlog import Cluster

TOPIC = "events"
Event = tuple[bytes, bytes]


class ReorderingBatcher:
    """Buggy: its own retries, so the client's are switched off."""

    def __init__(self, cluster: Cluster, size: int) -> None:
        self.producer = cluster.producer("batcher", enable_idempotence=False, retries=0)
        self.size = size
        self.queue: list[Event] = []

    def add(self, key: bytes, value: bytes) -> None:
        self.queue.append((key, value))

    def run(self) -> None:
        """Publish batch after batch, until nothing is left."""
        while self.queue:
            batch, self.queue = self.queue[: self.size], self.queue[self.size :]
            self.publish(batch)

    def publish(self, batch: list[Event]) -> None:
        sends = [(event, self.producer.send(TOPIC, event[1], key=event[0])) for event in batch]
        self.producer.flush()
        self.queue += [event for event, delivery in sends if delivery.error is not None]


class Batcher(ReorderingBatcher):
    """Fixed: an idempotent producer retries in place, keeps the order, and writes nothing twice. What it gives up on is
    an error that somebody must hear of."""

    def __init__(self, cluster: Cluster, size: int) -> None:
        super().__init__(cluster, size)
        self.producer = cluster.producer("idempotent batcher")

    def publish(self, batch: list[Event]) -> None:
        deliveries = [self.producer.send(TOPIC, value, key=key) for key, value in batch]
        self.producer.flush()
        for delivery in deliveries:
            delivery.offset  # noqa: B018 (raises when it failed)
