"""What clients and brokers say to a broker, without version numbers.

Field names are Kafka's. -1 stands for "none" in numbers, as on the wire; offsets and timestamps in milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import ErrorCode
from eventlog.values.record import RecordBatch, TopicPartition, Unreadable

LATEST_TIMESTAMP = -1
EARLIEST_TIMESTAMP = -2
MAX_TIMESTAMP = -3

READ_UNCOMMITTED = 0
READ_COMMITTED = 1


class ProducePartition(NamedTuple):
    """One batch for one partition; `Unreadable` when the bytes that came are none.

    `first_record` (how many records this client gave the partition before this batch) and `attempt` (0 for the first
    try) are never on a wire and rule nothing: chance and plans call a try by them.
    """

    topic_partition: TopicPartition
    batch: RecordBatch | Unreadable
    first_record: int = -1
    attempt: int = 0


class ProduceRequest(NamedTuple):
    """`acks` -1 (all), 0 or 1. One batch for a partition."""

    acks: int
    timeout_ms: int
    partitions: tuple[ProducePartition, ...]
    transactional_id: str | None = None


class ProducePartitionReply(NamedTuple):
    """`base_offset` is the first writing's for a recognised duplicate, whose `log_append_time_ms` is then the remembered
    batch's max timestamp (its only visible mark). `leader_id`/`leader_epoch` come with NOT_LEADER_OR_FOLLOWER."""

    topic_partition: TopicPartition
    error: ErrorCode
    base_offset: int = -1
    log_append_time_ms: int = -1
    log_start_offset: int = -1
    leader_id: int = -1
    leader_epoch: int = -1
    error_message: str = ""
    record_errors: tuple[int, ...] = ()
    """Indexes of the records that the batch was refused for."""


class ProduceReply(NamedTuple):
    partitions: tuple[ProducePartitionReply, ...]


class FetchPartition(NamedTuple):
    topic_partition: TopicPartition
    fetch_offset: int
    current_leader_epoch: int = -1
    last_fetched_epoch: int = -1
    log_start_offset: int = -1
    max_bytes: int = 1_048_576


class FetchRequest(NamedTuple):
    """From a follower (`replica_id` >= 0, waits without a limit when `max_wait_ms` is -1) or a consumer (-1)."""

    replica_id: int
    broker_epoch: int
    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    isolation_level: int
    partitions: tuple[FetchPartition, ...]


class FetchPartitionReply(NamedTuple):
    """`diverging_epoch` >= 0: the fetcher's log parts from the leader's; its leader epochs up to that one end at
    `diverging_end_offset` on the leader, and there are no batches."""

    topic_partition: TopicPartition
    error: ErrorCode
    high_watermark: int = -1
    last_stable_offset: int = -1
    log_start_offset: int = -1
    batches: tuple[RecordBatch, ...] = ()
    diverging_epoch: int = -1
    diverging_end_offset: int = -1
    aborted: tuple[tuple[int, int], ...] | None = None
    leader_id: int = -1
    leader_epoch: int = -1


class FetchReply(NamedTuple):
    partitions: tuple[FetchPartitionReply, ...]


class ListOffsetsPartition(NamedTuple):
    """`timestamp_ms`: LATEST_TIMESTAMP, EARLIEST_TIMESTAMP, MAX_TIMESTAMP, or a time (the first record not older)."""

    topic_partition: TopicPartition
    timestamp_ms: int
    current_leader_epoch: int = -1


class ListOffsetsRequest(NamedTuple):
    replica_id: int
    isolation_level: int
    partitions: tuple[ListOffsetsPartition, ...]


class ListOffsetsPartitionReply(NamedTuple):
    topic_partition: TopicPartition
    error: ErrorCode
    timestamp_ms: int = -1
    offset: int = -1
    leader_epoch: int = -1


class ListOffsetsReply(NamedTuple):
    partitions: tuple[ListOffsetsPartitionReply, ...]


class OffsetForLeaderEpochPartition(NamedTuple):
    topic_partition: TopicPartition
    leader_epoch: int
    current_leader_epoch: int = -1


class OffsetForLeaderEpochRequest(NamedTuple):
    replica_id: int
    partitions: tuple[OffsetForLeaderEpochPartition, ...]


class OffsetForLeaderEpochPartitionReply(NamedTuple):
    topic_partition: TopicPartition
    error: ErrorCode
    leader_epoch: int = -1
    end_offset: int = -1


class OffsetForLeaderEpochReply(NamedTuple):
    partitions: tuple[OffsetForLeaderEpochPartitionReply, ...]


class DeleteRecordsRequest(NamedTuple):
    """Moves log starts up: (partition, offset) pairs; offset -1 means the high watermark."""

    partitions: tuple[tuple[TopicPartition, int], ...]


class DeleteRecordsReply(NamedTuple):
    """(partition, error, low watermark) each."""

    partitions: tuple[tuple[TopicPartition, ErrorCode, int], ...]


class DescribeProducersRequest(NamedTuple):
    partitions: tuple[TopicPartition, ...]


class ProducerDescription(NamedTuple):
    """One remembered producer of a partition, as the broker's producer state has it."""

    producer_id: int
    producer_epoch: int
    last_sequence: int
    last_timestamp_ms: int
    coordinator_epoch: int
    txn_start_offset: int


class DescribeProducersReply(NamedTuple):
    """(partition, error, producers by id) each."""

    partitions: tuple[tuple[TopicPartition, ErrorCode, tuple[ProducerDescription, ...]], ...]


class TxnMarker(NamedTuple):
    """Ends a producer's transaction in these partitions. `transaction_version` 2: `producer_epoch` is the raised one."""

    producer_id: int
    producer_epoch: int
    is_commit: bool
    coordinator_epoch: int
    topic_partitions: tuple[TopicPartition, ...]
    transaction_version: int = 0


class WriteTxnMarkersRequest(NamedTuple):
    """From a transaction coordinator; each marker is answered when it is replicated, as with acks=all."""

    markers: tuple[TxnMarker, ...]


class WriteTxnMarkersReply(NamedTuple):
    """(producer id, partition, error) each, in the order of the request."""

    partitions: tuple[tuple[int, TopicPartition, ErrorCode], ...]


class InitProducerIdRequest(NamedTuple):
    """`transactional_id` None: an idempotent producer, which always gets a new id with epoch 0."""

    transactional_id: str | None = None
    transaction_timeout_ms: int = 2_147_483_647
    producer_id: int = -1
    producer_epoch: int = -1


class InitProducerIdReply(NamedTuple):
    error: ErrorCode
    producer_id: int = -1
    producer_epoch: int = -1


class MetadataRequest(NamedTuple):
    """Which brokers live and who leads `topics` (None: all).

    `newer_than` names partitions whose leader the asker already tried in vain, with the leader epoch it knows: the
    answer waits until this broker knows a newer leader for one of them, or `max_wait_ms` is over. So nobody polls.
    """

    topics: tuple[str, ...] | None
    newer_than: tuple[tuple[TopicPartition, int], ...] = ()
    max_wait_ms: int = 0


class PartitionMetadata(NamedTuple):
    """`leader_id` -1: no leader at present."""

    topic_partition: TopicPartition
    leader_id: int
    leader_epoch: int
    replicas: tuple[int, ...]
    in_sync_replicas: tuple[int, ...]


class TopicMetadata(NamedTuple):
    topic: str
    topic_id: str
    error: ErrorCode
    partitions: tuple[PartitionMetadata, ...]


class MetadataReply(NamedTuple):
    """`brokers`: ids of those that are alive, rising."""

    brokers: tuple[int, ...]
    topics: tuple[TopicMetadata, ...]
