"""What brokers and administrators say to the controller, and the records of the metadata log.

The controller's log is the only truth about topics, leaders and in-sync replicas. Brokers replay it by offset; being
late with it is ordinary lag.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import ErrorCode
from eventlog.values.record import TopicPartition

NO_LEADER = -1


class RegisterBrokerRecord(NamedTuple):
    """A broker process began; it is fenced until it has caught up with the metadata log."""

    broker_id: int
    broker_epoch: int
    incarnation: int


class FenceBrokerRecord(NamedTuple):
    broker_id: int
    broker_epoch: int


class UnfenceBrokerRecord(NamedTuple):
    broker_id: int
    broker_epoch: int


class ShuttingDownBrokerRecord(NamedTuple):
    """A broker process is coming to its orderly end: once fenced, it stays so until the next one registers."""

    broker_id: int
    broker_epoch: int


class TopicRecord(NamedTuple):
    """`settings`: the topic's overrides as (name, value) pairs."""

    topic: str
    topic_id: str
    settings: tuple[tuple[str, int | str | bool], ...]


class RemoveTopicRecord(NamedTuple):
    """The topic is gone, with all its partitions. One of the same name, made later, is another one.

    `next_leader_epoch` is above all that its partitions had: where the later one begins. So a broker that has not heard
    yet of either refuses by its leader epoch what is meant for the other.
    """

    topic: str
    next_leader_epoch: int


class PartitionRecord(NamedTuple):
    """The whole registration of a partition; a change writes it anew.

    `leader_epoch` rises with every change of leader, `partition_epoch` with every change at all.
    `eligible_leader_replicas` are not in sync, yet they hold all that is committed: they left when too few were in sync
    for anything more to be committed. `last_known_leader` is kept while nobody leads and nobody is in sync.
    """

    topic_partition: TopicPartition
    replicas: tuple[int, ...]
    in_sync_replicas: tuple[int, ...]
    leader_id: int
    leader_epoch: int
    partition_epoch: int
    eligible_leader_replicas: tuple[int, ...] = ()
    last_known_leader: int = NO_LEADER


class ProducerIdsRecord(NamedTuple):
    """Ids below `next_producer_id` are handed out."""

    broker_id: int
    broker_epoch: int
    next_producer_id: int


MetadataRecord = (
    RegisterBrokerRecord
    | FenceBrokerRecord
    | UnfenceBrokerRecord
    | ShuttingDownBrokerRecord
    | TopicRecord
    | RemoveTopicRecord
    | PartitionRecord
    | ProducerIdsRecord
)


class RegisterBrokerRequest(NamedTuple):
    """`incarnation` differs for every process of this broker.

    `previous_broker_epoch` is what its last process wrote down at its orderly end; -1: it left no such note.
    """

    broker_id: int
    incarnation: int
    previous_broker_epoch: int = -1


class RegisterBrokerReply(NamedTuple):
    error: ErrorCode
    broker_epoch: int = -1


class ControlledShutdownRequest(NamedTuple):
    """A broker process wants to end in order: give what it leads to others."""

    broker_id: int
    broker_epoch: int


class ControlledShutdownReply(NamedTuple):
    """`should_shut_down`: nothing waits for this process any more."""

    error: ErrorCode
    should_shut_down: bool = False


class FetchMetadataRequest(NamedTuple):
    """Waits until the metadata log holds something at `offset`; says with it that all before is replayed."""

    broker_id: int
    broker_epoch: int
    offset: int


class FetchMetadataReply(NamedTuple):
    base_offset: int
    records: tuple[MetadataRecord, ...]


class AlterPartitionRequest(NamedTuple):
    """A leader asks for another in-sync replica list: (broker id, broker epoch) pairs."""

    broker_id: int
    broker_epoch: int
    topic_partition: TopicPartition
    leader_epoch: int
    partition_epoch: int
    new_in_sync_replicas: tuple[tuple[int, int], ...]


class AlterPartitionReply(NamedTuple):
    """Names the request it answers by `requested_partition_epoch`: a late refusal must not clear a newer request."""

    topic_partition: TopicPartition
    requested_partition_epoch: int
    error: ErrorCode
    leader_id: int = -1
    leader_epoch: int = -1
    in_sync_replicas: tuple[int, ...] = ()
    partition_epoch: int = -1


class AllocateProducerIdsRequest(NamedTuple):
    broker_id: int
    broker_epoch: int


class AllocateProducerIdsReply(NamedTuple):
    error: ErrorCode
    producer_id_start: int = -1
    producer_id_count: int = 0


class CreateTopicRequest(NamedTuple):
    """`replication_factor` -1: all brokers, at most three."""

    topic: str
    partitions: int
    replication_factor: int
    settings: tuple[tuple[str, int | str | bool], ...] = ()


class CreateTopicReply(NamedTuple):
    topic: str
    error: ErrorCode
    error_message: str = ""


class CreatePartitionsRequest(NamedTuple):
    """`partitions` is how many the topic shall have in all."""

    topic: str
    partitions: int


class CreatePartitionsReply(NamedTuple):
    topic: str
    error: ErrorCode
    error_message: str = ""


class DeleteTopicRequest(NamedTuple):
    topic: str


class DeleteTopicReply(NamedTuple):
    topic: str
    error: ErrorCode
    error_message: str = ""


class AlterTopicRequest(NamedTuple):
    """Set some of a topic's overrides; None takes one away, and the broker's value holds again."""

    topic: str
    settings: tuple[tuple[str, int | str | bool | None], ...]


class AlterTopicReply(NamedTuple):
    topic: str
    error: ErrorCode
    error_message: str = ""


class ElectLeadersRequest(NamedTuple):
    """Make the first of the assignment lead; or, when `is_unclean` and nobody leads, whoever is alive."""

    topic_partition: TopicPartition
    is_unclean: bool


class ElectLeadersReply(NamedTuple):
    topic_partition: TopicPartition
    error: ErrorCode


class ElectLeaderRequest(NamedTuple):
    """Make `leader_id` lead, which must be alive and in sync."""

    topic_partition: TopicPartition
    leader_id: int


class ElectLeaderReply(NamedTuple):
    topic_partition: TopicPartition
    error: ErrorCode


class HeartbeatsStopped(NamedTuple):
    """The controller hears nothing from this broker any more; its session runs out in `broker_session_timeout_ms`.

    Heartbeats are not sent one by one: an idle cluster would do nothing else. The connection stands for them, and the
    network says when a broker falls silent (it died, stands still, or is cut off) and when it is heard again.
    """

    broker_id: int


class HeartbeatsResumed(NamedTuple):
    broker_id: int
