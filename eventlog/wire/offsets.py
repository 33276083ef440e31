"""ListOffsets and OffsetForLeaderEpoch: where a partition begins, ends, reaches a time, or parts from another log."""

from __future__ import annotations

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    MAX_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochPartitionReply,
    OffsetForLeaderEpochReply,
    OffsetForLeaderEpochRequest,
)
from eventlog.values import TopicPartition
from eventlog.wire.call import Call
from eventlog.wire.primitives import Reader, Writer

CONSUMER = -1
EARLIEST_LOCAL = -4
"""Tiered storage's word for the first offset on the broker itself: here that is the first of all."""
ONLY_TIERED = (-5, -6)
SINCE = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, -5: 9, -6: 11}
"""A special timestamp is known from this version on."""


class ListOffsets:
    """v1 to v11. What asks for tiered storage is told -1: there is none."""

    def read(self, call: Call) -> ListOffsetsRequest:
        body, version = call.body, call.version
        body.int32()
        isolation_level = body.int8() if version >= 2 else 0
        partitions: list[ListOffsetsPartition] = []

        def read_one_topic() -> None:
            topic = body.string()
            body.array(lambda: partitions.append(self._read_partition(body, topic, version)))
            body.skip_tags()

        body.array(read_one_topic)
        if version >= 10:
            body.int32()
        body.skip_tags()
        return ListOffsetsRequest(CONSUMER, isolation_level, tuple(partitions))

    @staticmethod
    def _read_partition(body: Reader, topic: str, version: int) -> ListOffsetsPartition:
        partition = body.int32()
        current_leader_epoch = body.int32() if version >= 4 else -1
        timestamp_ms = body.int64()
        body.skip_tags()
        return ListOffsetsPartition(TopicPartition(topic, partition), timestamp_ms, current_leader_epoch)

    async def answer(self, call: Call) -> ListOffsetsReply:
        request: ListOffsetsRequest = call.asked
        asked = []
        replies: list[ListOffsetsPartitionReply] = []
        for wanted in request.partitions:
            where, timestamp_ms, _ = wanted
            if timestamp_ms < EARLIEST_TIMESTAMP and SINCE.get(timestamp_ms, 99) > call.version:
                replies.append(ListOffsetsPartitionReply(where, ErrorCode.UNSUPPORTED_VERSION))
            elif timestamp_ms in ONLY_TIERED:
                replies.append(ListOffsetsPartitionReply(where, ErrorCode.NONE))
            elif timestamp_ms == EARLIEST_LOCAL:
                asked.append(wanted._replace(timestamp_ms=EARLIEST_TIMESTAMP))
            else:
                asked.append(wanted)
        if asked:
            replies += (await call.ask(request._replace(partitions=tuple(asked)))).partitions
        return ListOffsetsReply(tuple(replies))

    def refuse(self, call: Call, error: int) -> ListOffsetsReply:
        request: ListOffsetsRequest = call.asked
        return ListOffsetsReply(
            tuple(
                [ListOffsetsPartitionReply(wanted.topic_partition, ErrorCode(error)) for wanted in request.partitions]
            )
        )

    def write(self, call: Call, reply: ListOffsetsReply, writer: Writer) -> None:
        version = call.version
        if version >= 2:
            writer.int32(0)
        by_topic: dict[str, list[ListOffsetsPartitionReply]] = {}
        for each in reply.partitions:
            by_topic.setdefault(each.topic_partition.topic, []).append(each)
        writer.length(len(by_topic))
        for topic, replies in by_topic.items():
            writer.string(topic)
            writer.length(len(replies))
            for each in replies:
                writer.int32(each.topic_partition.partition)
                writer.int16(each.error)
                writer.int64(each.timestamp_ms)
                writer.int64(each.offset)
                if version >= 4:
                    writer.int32(each.leader_epoch)
                writer.no_tags()
            writer.no_tags()
        writer.no_tags()


class OffsetForLeaderEpoch:
    """v2 to v4."""

    def read(self, call: Call) -> OffsetForLeaderEpochRequest:
        body, version = call.body, call.version
        if version >= 3:
            body.int32()
        partitions: list[OffsetForLeaderEpochPartition] = []

        def read_one_partition(topic: str) -> None:
            partition, current_leader_epoch, leader_epoch = body.int32(), body.int32(), body.int32()
            body.skip_tags()
            wanted = TopicPartition(topic, partition)
            partitions.append(OffsetForLeaderEpochPartition(wanted, leader_epoch, current_leader_epoch))

        def read_one_topic() -> None:
            topic = body.string()
            body.array(lambda: read_one_partition(topic))
            body.skip_tags()

        body.array(read_one_topic)
        body.skip_tags()
        return OffsetForLeaderEpochRequest(CONSUMER, tuple(partitions))

    async def answer(self, call: Call) -> OffsetForLeaderEpochReply:
        reply: OffsetForLeaderEpochReply = await call.ask(call.asked)
        return reply

    def refuse(self, call: Call, error: int) -> OffsetForLeaderEpochReply:
        request: OffsetForLeaderEpochRequest = call.asked
        return OffsetForLeaderEpochReply(
            tuple(
                [
                    OffsetForLeaderEpochPartitionReply(wanted.topic_partition, ErrorCode(error))
                    for wanted in request.partitions
                ]
            )
        )

    def write(self, call: Call, reply: OffsetForLeaderEpochReply, writer: Writer) -> None:
        writer.int32(0)
        by_topic: dict[str, list[OffsetForLeaderEpochPartitionReply]] = {}
        for each in reply.partitions:
            by_topic.setdefault(each.topic_partition.topic, []).append(each)
        writer.length(len(by_topic))
        for topic, replies in by_topic.items():
            writer.string(topic)
            writer.length(len(replies))
            for each in replies:
                writer.int16(each.error)
                writer.int32(each.topic_partition.partition)
                writer.int32(each.leader_epoch)
                writer.int64(each.end_offset)
                writer.no_tags()
            writer.no_tags()
        writer.no_tags()


HANDLERS = {2: ListOffsets(), 23: OffsetForLeaderEpoch()}
