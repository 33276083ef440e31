"""Questions that a broker answers from its logs, at once and without changing anything (DeleteRecords aside)."""

from __future__ import annotations

from collections.abc import Mapping

from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    MAX_TIMESTAMP,
    READ_COMMITTED,
    DeleteRecordsReply,
    DeleteRecordsRequest,
    DescribeProducersReply,
    DescribeProducersRequest,
    ListOffsetsPartition,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochPartitionReply,
    OffsetForLeaderEpochReply,
    OffsetForLeaderEpochRequest,
    ProducerDescription,
)
from eventlog.values import TopicPartition

Replicas = Mapping[TopicPartition, Replica]


def list_offsets(replicas: Replicas, request: ListOffsetsRequest) -> ListOffsetsReply:
    """Where a partition begins, ends, or reaches a time."""
    return ListOffsetsReply(tuple([_list_one(replicas, request, asked) for asked in request.partitions]))


def _list_one(
    replicas: Replicas, request: ListOffsetsRequest, asked: ListOffsetsPartition
) -> ListOffsetsPartitionReply:
    topic_partition = asked.topic_partition
    replica = replicas.get(topic_partition)
    if replica is None:
        return ListOffsetsPartitionReply(topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    error = replica.check_leader_epoch(asked.current_leader_epoch)
    leadership = replica.leadership
    if error is ErrorCode.NONE and leadership is None:
        error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    if error is not ErrorCode.NONE or leadership is None:
        return ListOffsetsPartitionReply(topic_partition, error)
    log = replica.log
    # A new leader's own high watermark may be behind: end offsets must not seem to go backwards.
    is_behind = request.replica_id < 0 and log.high_watermark < leadership.epoch_start_offset
    if request.replica_id >= 0:
        end_offset = log.log_end_offset
    else:
        end_offset = log.last_stable_offset if request.isolation_level == READ_COMMITTED else log.high_watermark
    if asked.timestamp_ms == LATEST_TIMESTAMP:
        if is_behind:
            return ListOffsetsPartitionReply(topic_partition, ErrorCode.OFFSET_NOT_AVAILABLE)
        return ListOffsetsPartitionReply(topic_partition, ErrorCode.NONE, -1, end_offset, leadership.leader_epoch)
    if asked.timestamp_ms == EARLIEST_TIMESTAMP:
        start_offset = log.log_start_offset
        return ListOffsetsPartitionReply(
            topic_partition, ErrorCode.NONE, -1, start_offset, log.leader_epoch_at(start_offset)
        )
    if asked.timestamp_ms == MAX_TIMESTAMP:
        found = log.max_timestamp(end_offset)
    else:
        found = log.find_offset_by_timestamp(asked.timestamp_ms, end_offset)
    if found is None:
        error = ErrorCode.OFFSET_NOT_AVAILABLE if is_behind else ErrorCode.NONE
        return ListOffsetsPartitionReply(topic_partition, error)
    offset, timestamp_ms, leader_epoch = found
    return ListOffsetsPartitionReply(topic_partition, ErrorCode.NONE, timestamp_ms, offset, leader_epoch)


def offset_for_leader_epoch(replicas: Replicas, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochReply:
    """Where a leader epoch ends in the leader's log."""
    return OffsetForLeaderEpochReply(tuple([_epoch_end(replicas, asked) for asked in request.partitions]))


def _epoch_end(replicas: Replicas, asked: OffsetForLeaderEpochPartition) -> OffsetForLeaderEpochPartitionReply:
    replica = replicas.get(asked.topic_partition)
    if replica is None:
        return OffsetForLeaderEpochPartitionReply(asked.topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    error = replica.check_leader_epoch(asked.current_leader_epoch)
    if error is ErrorCode.NONE and replica.leadership is None:
        error = ErrorCode.NOT_LEADER_OR_FOLLOWER
    if error is not ErrorCode.NONE:
        return OffsetForLeaderEpochPartitionReply(asked.topic_partition, error)
    leader_epoch, end_offset = replica.log.end_offset_for(asked.leader_epoch)
    return OffsetForLeaderEpochPartitionReply(asked.topic_partition, ErrorCode.NONE, leader_epoch, end_offset)


def describe_producers(replicas: Replicas, request: DescribeProducersRequest) -> DescribeProducersReply:
    """The producer state itself. Followers answer too."""
    partitions: list[tuple[TopicPartition, ErrorCode, tuple[ProducerDescription, ...]]] = []
    for topic_partition in request.partitions:
        replica = replicas.get(topic_partition)
        if replica is None:
            partitions.append((topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ()))
            continue
        producers = tuple(
            [
                ProducerDescription(
                    producer_id,
                    entry.producer_epoch,
                    entry.last_sequence,
                    entry.last_timestamp_ms,
                    entry.coordinator_epoch,
                    entry.txn_first_offset,
                )
                for producer_id, entry in replica.log.producer_state.entries()
            ]
        )
        partitions.append((topic_partition, ErrorCode.NONE, producers))
    return DescribeProducersReply(tuple(partitions))


def delete_records(replicas: Replicas, request: DeleteRecordsRequest) -> DeleteRecordsReply:
    """Move log starts up, at most to the high watermark."""
    partitions = []
    for topic_partition, offset in request.partitions:
        replica = replicas.get(topic_partition)
        if replica is None:
            partitions.append((topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1))
        elif replica.leadership is None:
            partitions.append((topic_partition, ErrorCode.NOT_LEADER_OR_FOLLOWER, -1))
        else:
            log = replica.log
            wanted = log.high_watermark if offset == -1 else offset
            if not 0 <= wanted <= log.high_watermark:
                partitions.append((topic_partition, ErrorCode.OFFSET_OUT_OF_RANGE, -1))
                continue
            if wanted > log.log_start_offset:
                log.advance_log_start(wanted)
            partitions.append((topic_partition, ErrorCode.NONE, log.log_start_offset))
    return DeleteRecordsReply(tuple(partitions))
