"""A service with pre-forked workers. Each worker publishes the events of the requests that it handles.

The mistake: the producer is made before the processes fork. Every worker then has a copy of it, with the same producer id
and the same next sequence number, and the broker takes one worker's event for a retry of another's: it acknowledges it,
and writes nothing.
"""

from __future__ import annotations

from eventlog import Cluster, Delivery, Producer
from eventlog.testing.forked import forked

TOPIC = "events"


class SharedProducer:
    """Buggy: a producer of the parent process, copied into each worker."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.parent = cluster.producer("parent")
        self.workers: list[Producer] = []

    def start_up(self) -> None:
        """The parent says that it is there; so its producer has an id before it forks."""
        self.parent.send(TOPIC, b"started").offset  # noqa: B018 (waits)

    def fork(self, count: int) -> None:
        for number in range(count):
            self.workers.append(self.producer_of(f"worker-{number}"))

    def producer_of(self, worker: str) -> Producer:
        return forked(self.parent, worker)

    def handle(self, worker: int, event: bytes) -> Delivery:
        """One request: it is answered when what became of its event is known."""
        delivery = self.workers[worker].send(TOPIC, event)
        self.workers[worker].flush()
        return delivery


class OwnProducers(SharedProducer):
    """Fixed: each worker makes its producer after the fork."""

    def producer_of(self, worker: str) -> Producer:
        return self.cluster.producer(worker)
