"""What the metadata log says, replayed: the same code for the controller and for every broker.

Only `replay` writes. A broker's image may be behind the controller's: that is lag, and a fault one can ask for.
It stands on the floor of messages because both rooms above need it and may not import each other.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.messages.controller_api import (
    FenceBrokerRecord,
    MetadataRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    ShuttingDownBrokerRecord,
    TopicRecord,
    UnfenceBrokerRecord,
)
from eventlog.messages.envelope import Frozen
from eventlog.values.record import TopicPartition


class BrokerRegistration(NamedTuple):
    """`broker_epoch` is higher with every registration. A fenced broker leads nothing and is in sync with nothing.

    One that is shutting down is never unfenced: only its next process is, by registering.
    """

    broker_id: int
    broker_epoch: int
    incarnation: int
    is_fenced: bool
    is_shutting_down: bool = False


class MetadataImage:
    """Brokers, topics and partitions after `end_offset` records of the metadata log."""

    __slots__ = ("brokers", "deleted", "end_offset", "next_producer_id", "partitions", "topics")

    def __init__(self) -> None:
        self.end_offset = 0
        self.brokers: dict[int, BrokerRegistration] = {}
        self.topics: dict[str, TopicRecord] = {}
        self.partitions: dict[TopicPartition, PartitionRecord] = {}
        # Topics that were deleted, and the leader epoch with which one of that name begins.
        self.deleted: dict[str, int] = {}
        self.next_producer_id = 0

    def replay(self, record: MetadataRecord) -> None:
        """Take in the next record of the log."""
        self.end_offset += 1
        if isinstance(record, PartitionRecord):
            self.partitions[record.topic_partition] = record
        elif isinstance(record, TopicRecord):
            self.topics[record.topic] = record
        elif isinstance(record, RemoveTopicRecord):
            self.deleted[record.topic] = record.next_leader_epoch
            del self.topics[record.topic]
            for partition in self.partitions_of(record.topic):
                del self.partitions[partition.topic_partition]
        elif isinstance(record, RegisterBrokerRecord):
            self.brokers[record.broker_id] = BrokerRegistration(*record, is_fenced=True)
        elif isinstance(record, FenceBrokerRecord | UnfenceBrokerRecord):
            known = self.brokers[record.broker_id]
            self.brokers[record.broker_id] = known._replace(is_fenced=isinstance(record, FenceBrokerRecord))
        elif isinstance(record, ShuttingDownBrokerRecord):
            self.brokers[record.broker_id] = self.brokers[record.broker_id]._replace(is_shutting_down=True)
        elif isinstance(record, ProducerIdsRecord):
            self.next_producer_id = record.next_producer_id

    def is_alive(self, broker_id: int) -> bool:
        """Registered and not fenced: it may lead and be in sync."""
        registration = self.brokers.get(broker_id)
        return registration is not None and not registration.is_fenced

    def alive(self) -> tuple[int, ...]:
        """The brokers that are alive, by number. O(brokers)."""
        return tuple([broker_id for broker_id in sorted(self.brokers) if self.is_alive(broker_id)])

    def broker_epoch(self, broker_id: int) -> int:
        """-1 when it never registered."""
        registration = self.brokers.get(broker_id)
        return -1 if registration is None else registration.broker_epoch

    def partitions_of(self, topic: str) -> list[PartitionRecord]:
        """The topic's partitions by number. O(all partitions)."""
        return [record for tp, record in self.partitions.items() if tp.topic == topic]

    def freeze(self) -> Frozen:
        return (
            self.end_offset,
            self.next_producer_id,
            tuple(self.brokers.items()),
            tuple(self.topics.items()),
            tuple(self.partitions.items()),
            tuple(self.deleted.items()),
        )

    @classmethod
    def thaw(cls, frozen: Frozen) -> MetadataImage:
        image = cls.__new__(cls)
        image.end_offset, image.next_producer_id, brokers, topics, partitions, deleted = frozen
        image.brokers = dict(brokers)
        image.topics = dict(topics)
        image.partitions = dict(partitions)
        image.deleted = dict(deleted)
        return image
