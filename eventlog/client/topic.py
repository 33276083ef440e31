"""A topic as a producer engine sees it: its partitions' queues, and which of them a record goes to."""

from __future__ import annotations

from collections import deque

from eventlog.client.batches import PartitionQueue
from eventlog.client.metadata import MetadataClient
from eventlog.client.partitioner import partition_for_key, sticky_partition
from eventlog.messages.user_api import Send
from eventlog.values import TopicPartition

KEY_CACHE_ENTRIES = 10_000


class TopicQueues:
    """The queues of one topic's partitions.

    `by_key` only remembers what the hash says. `waiting` holds sends, with their times, for which nobody could yet say
    how many partitions there are; `flush_waiting` that they need not linger afterwards.
    """

    __slots__ = (
        "by_key",
        "flush_waiting",
        "partitions",
        "sticky",
        "sticky_bytes",
        "sticky_choices",
        "topic",
        "waiting",
    )

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.partitions: list[PartitionQueue] = []
        self.by_key: dict[bytes, PartitionQueue] = {}
        self.sticky: PartitionQueue | None = None
        self.sticky_bytes = 0
        self.sticky_choices = 0
        self.waiting: deque[tuple[Send, int]] = deque()
        self.flush_waiting = False

    def grow(self, partition_count: int, initial_sequence: int) -> None:
        """Partitions may be added to a topic; keys are spread anew then, as Kafka's clients do."""
        if partition_count > len(self.partitions):
            self.by_key.clear()
            for partition in range(len(self.partitions), partition_count):
                self.partitions.append(PartitionQueue(TopicPartition(self.topic, partition), initial_sequence))

    def queue_for_key(self, key: bytes) -> PartitionQueue:
        queue = self.by_key.get(key)
        if queue is None:
            if len(self.by_key) >= KEY_CACHE_ENTRIES:
                self.by_key.clear()
            queue = self.by_key[key] = self.partitions[partition_for_key(key, len(self.partitions))]
        return queue

    def sticky_queue(self, seed: int, client: str, metadata: MetadataClient) -> PartitionQueue:
        """Where records without a key go at present; drawn among the partitions that have a leader, else among all."""
        queue = self.sticky
        if queue is None:
            led = [
                queue.topic_partition.partition
                for queue in self.partitions
                if metadata.leader_of(queue.topic_partition)[0] >= 0
            ]
            available = tuple(led or range(len(self.partitions)))
            partition = sticky_partition(seed, client, self.topic, self.sticky_choices, available)
            self.sticky_choices += 1
            self.sticky_bytes = 0
            queue = self.sticky = self.partitions[partition]
        return queue

    def stick_no_longer(self, queue: PartitionQueue, closed_bytes: int, limit_bytes: int) -> None:
        """A batch of this partition was closed: after `limit_bytes` records without a key go elsewhere (KIP-794)."""
        if queue is self.sticky:
            self.sticky_bytes += closed_bytes
            if self.sticky_bytes >= limit_bytes:
                self.sticky = None
