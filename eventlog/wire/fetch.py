"""Fetch: batches from partitions, as they came in, each with its place written over.

Session id 0 in every answer: there are no fetch sessions, so every request names all its partitions. A request that
waits for records is parked in the broker and woken by them.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from eventlog.codec import batch_pieces
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import FetchPartition, FetchPartitionReply, FetchReply, FetchRequest
from eventlog.values import TopicPartition
from eventlog.wire.call import Call
from eventlog.wire.primitives import Reader, Writer
from eventlog.wire.topics import is_unknown_id, read_topic, write_topic

BY_ID_FROM = 13
MAX_BYTES = 57_671_680
"""No answer is larger, but for its first batch: the broker's `fetch.max.bytes`."""
CONSUMER = -1


class Asked(NamedTuple):
    """A request, and the session that it means to go on with (0: none)."""

    request: FetchRequest
    session_id: int

    @property
    def partitions(self) -> tuple[FetchPartition, ...]:
        return self.request.partitions


class Answer(NamedTuple):
    error: int
    partitions: tuple[FetchPartitionReply, ...] = ()


def _topic_of(reply: FetchPartitionReply) -> str:
    return reply.topic_partition.topic


class Fetch:
    """v4 to v18."""

    def read(self, call: Call) -> Asked:
        body, version = call.body, call.version
        if version <= 14:
            body.int32()  # the replica: whoever comes through this door is a consumer
        max_wait_ms, min_bytes = body.int32(), body.int32()
        max_bytes = min(body.int32(), MAX_BYTES)
        isolation_level = body.int8()
        session_id = 0
        if version >= 7:
            session_id = body.int32()
            body.int32()
        partitions: list[FetchPartition] = []

        def read_one_topic() -> None:
            topic = read_topic(body, call.image, version >= BY_ID_FROM)
            body.array(lambda: partitions.append(self._read_partition(body, topic, version)))
            body.skip_tags()

        body.array(read_one_topic)
        if version >= 7:
            body.array(lambda: self._skip_forgotten(body, version))
        if version >= 11:
            body.string()  # the rack
        body.skip_tags()
        request = FetchRequest(
            CONSUMER, -1, max(0, max_wait_ms), min_bytes, max_bytes, isolation_level, tuple(partitions)
        )
        return Asked(request, session_id)

    @staticmethod
    def _read_partition(body: Reader, topic: str, version: int) -> FetchPartition:
        partition = body.int32()
        current_leader_epoch = body.int32() if version >= 9 else -1
        fetch_offset = body.int64()
        last_fetched_epoch = body.int32() if version >= 12 else -1
        log_start_offset = body.int64() if version >= 5 else -1
        max_bytes = body.int32()
        body.skip_tags()
        return FetchPartition(
            TopicPartition(topic, partition),
            fetch_offset,
            current_leader_epoch,
            last_fetched_epoch,
            log_start_offset,
            max_bytes,
        )

    @staticmethod
    def _skip_forgotten(body: Reader, version: int) -> None:
        if version >= BY_ID_FROM:
            body.uuid()
        else:
            body.string()
        body.array(body.int32)
        body.skip_tags()

    async def answer(self, call: Call) -> Answer:
        asked: Asked = call.asked
        if asked.session_id:
            return Answer(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
        is_by_id = call.version >= BY_ID_FROM
        unknown = [wanted for wanted in asked.partitions if is_by_id and is_unknown_id(wanted.topic_partition.topic)]
        if unknown:
            return Answer(
                ErrorCode.NONE,
                tuple([self._refusal(wanted, ErrorCode.UNKNOWN_TOPIC_ID) for wanted in unknown]),
            )
        if not asked.partitions:
            return Answer(ErrorCode.NONE)
        request = asked.request
        reply: FetchReply = await call.ask(request._replace(max_wait_ms=call.door.wait_ms(request.max_wait_ms)))
        return Answer(ErrorCode.NONE, reply.partitions)

    @staticmethod
    def _refusal(wanted: FetchPartition, error: int) -> FetchPartitionReply:
        return FetchPartitionReply(wanted.topic_partition, ErrorCode(error))

    def refuse(self, call: Call, error: int) -> Answer:
        asked: Asked = call.asked
        replies = tuple([self._refusal(wanted, error) for wanted in asked.partitions])
        return Answer(error if call.version >= 7 and not replies else ErrorCode.NONE, replies)

    def write(self, call: Call, reply: Answer, writer: Writer) -> None:
        version = call.version
        writer.int32(0)
        if version >= 7:
            writer.int16(reply.error)
            writer.int32(0)
        # Neighbours of one topic together, as Kafka: a topic whose partitions were asked for apart comes twice.
        grouped = [(topic, list(replies)) for topic, replies in groupby(reply.partitions, _topic_of)]
        writer.length(len(grouped))
        for topic, replies in grouped:
            write_topic(writer, call.image, topic, version >= BY_ID_FROM)
            writer.length(len(replies))
            for each in replies:
                self._write_partition(writer, each, version)
            writer.no_tags()
        leaders = [each.leader_id for each in reply.partitions if each.leader_id >= 0]
        if version >= 16 and leaders:
            writer.tags({0: call.door.write_endpoints(leaders)})
        else:
            writer.no_tags()

    @staticmethod
    def _write_partition(writer: Writer, reply: FetchPartitionReply, version: int) -> None:
        writer.int32(reply.topic_partition.partition)
        writer.int16(reply.error)
        writer.int64(reply.high_watermark)
        writer.int64(reply.last_stable_offset)
        if version >= 5:
            writer.int64(reply.log_start_offset)
        aborted = reply.aborted
        writer.length(-1 if aborted is None else len(aborted))
        for producer_id, first_offset in aborted or ():
            writer.int64(producer_id)
            writer.int64(first_offset)
            writer.no_tags()
        if version >= 11:
            writer.int32(-1)
        pieces = [piece for batch in reply.batches for piece in batch_pieces(batch)]
        writer.length(sum([len(piece) for piece in pieces]))
        for piece in pieces:
            writer.attach(piece)
        if version < 12:
            return
        tags: dict[int, Writer] = {}
        if reply.diverging_epoch >= 0:
            tags[0] = diverging = Writer(True)
            diverging.int32(reply.diverging_epoch)
            diverging.int64(reply.diverging_end_offset)
            diverging.no_tags()
        if reply.leader_id >= 0:
            tags[1] = leader = Writer(True)
            leader.int32(reply.leader_id)
            leader.int32(reply.leader_epoch)
            leader.no_tags()
        writer.tags(tags)


HANDLERS = {1: Fetch()}
