"""Produce: batches for partitions, opaque as they came.

The bytes of each batch are copied once, out of the frame; from there to the log and to every reader they are shared.
"""

from __future__ import annotations

import crc32c  # noqa: F401 (loaded with the room: the first producer doesn't wait for it)

from eventlog.codec import open_batch
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import ProducePartition, ProducePartitionReply, ProduceReply, ProduceRequest
from eventlog.values import TopicPartition
from eventlog.wire.call import Call
from eventlog.wire.primitives import Reader, Writer
from eventlog.wire.topics import is_unknown_id, read_topic, write_topic

BY_ID_FROM = 13
ZSTD_FROM = 7


class Produce:
    """v3 to v13."""

    def read(self, call: Call) -> ProduceRequest:
        body = call.body
        transactional_id = body.nullable_string()
        acks = body.int16()
        timeout_ms = body.int32()
        partitions: list[ProducePartition] = []

        def read_one_topic() -> None:
            topic = read_topic(body, call.image, call.version >= BY_ID_FROM)
            body.array(lambda: partitions.append(self._read_partition(body, topic, call.version)))
            body.skip_tags()

        body.array(read_one_topic)
        body.skip_tags()
        return ProduceRequest(acks, timeout_ms, tuple(partitions), transactional_id)

    @staticmethod
    def _read_partition(body: Reader, topic: str, version: int) -> ProducePartition:
        partition = body.int32()
        records = body.nullable_bytes()
        body.skip_tags()
        batch = open_batch(b"" if records is None else bytes(records), allows_zstd=version >= ZSTD_FROM)
        return ProducePartition(TopicPartition(topic, partition), batch)

    async def answer(self, call: Call) -> ProduceReply | None:
        request: ProduceRequest = call.asked
        if request.acks == 0:
            if request.partitions:
                call.door.tell(call.way, request)
            return None
        is_by_id = call.version >= BY_ID_FROM
        unknown = [wanted for wanted in request.partitions if is_by_id and is_unknown_id(wanted.topic_partition.topic)]
        known = [wanted for wanted in request.partitions if wanted not in unknown] if unknown else request.partitions
        replies: list[ProducePartitionReply] = []
        if known:
            replies += (await call.ask(request._replace(partitions=tuple(known)))).partitions
        for wanted in unknown:
            replies.append(ProducePartitionReply(wanted.topic_partition, ErrorCode.UNKNOWN_TOPIC_ID))
        return ProduceReply(tuple(replies))

    def refuse(self, call: Call, error: int) -> ProduceReply:
        request: ProduceRequest = call.asked
        return ProduceReply(
            tuple([ProducePartitionReply(wanted.topic_partition, ErrorCode(error)) for wanted in request.partitions])
        )

    def write(self, call: Call, reply: ProduceReply, writer: Writer) -> None:
        version = call.version
        by_topic: dict[str, list[ProducePartitionReply]] = {}
        for each in reply.partitions:
            by_topic.setdefault(each.topic_partition.topic, []).append(each)
        writer.length(len(by_topic))
        for topic, replies in by_topic.items():
            write_topic(writer, call.image, topic, version >= BY_ID_FROM)
            writer.length(len(replies))
            for each in replies:
                self._write_partition(writer, each, version)
            writer.no_tags()
        writer.int32(0)
        leaders = [each.leader_id for each in reply.partitions if each.leader_id >= 0]
        if version >= 10 and leaders:
            writer.tags({0: call.door.write_endpoints(leaders)})
        else:
            writer.no_tags()

    @staticmethod
    def _write_partition(writer: Writer, reply: ProducePartitionReply, version: int) -> None:
        writer.int32(reply.topic_partition.partition)
        writer.int16(reply.error)
        writer.int64(reply.base_offset)
        writer.int64(reply.log_append_time_ms)
        if version >= 5:
            writer.int64(reply.log_start_offset)
        if version >= 8:
            writer.length(len(reply.record_errors))
            for index in reply.record_errors:
                writer.int32(index)
                writer.nullable_string(reply.error_message or None)
                writer.no_tags()
            writer.nullable_string(reply.error_message or None)
        if version >= 10 and reply.leader_id >= 0:
            leader = Writer(True)
            leader.int32(reply.leader_id)
            leader.int32(reply.leader_epoch)
            leader.no_tags()
            writer.tags({0: leader})
        else:
            writer.no_tags()


HANDLERS = {0: Produce()}
