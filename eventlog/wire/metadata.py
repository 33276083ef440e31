"""Metadata: who lives, where he listens, and who leads what. Names a new topic, and it is made."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER
from eventlog.messages.broker_api import MetadataReply, MetadataRequest, TopicMetadata
from eventlog.messages.controller_api import NO_LEADER, CreateTopicRequest
from eventlog.wire.call import Call
from eventlog.wire.primitives import NO_UUID, Writer
from eventlog.wire.topics import INTERNAL, find_topic, is_legal_name, uuid_of

NOT_ASKED_FOR = -(2**31)
"""In place of authorized operations."""
ALL_CLUSTER_OPERATIONS = 0x1FA0
ALL_TOPIC_OPERATIONS = 0x0DF8
"""Nobody is forbidden anything here."""


class Asked(NamedTuple):
    """`topics` None: all. Each is (name, id); the one that is asked by has the other empty."""

    topics: tuple[tuple[str, bytes], ...] | None
    may_create: bool
    cluster_operations: int = NOT_ASKED_FOR
    topic_operations: int = NOT_ASKED_FOR


class Answer(NamedTuple):
    """`names` and `ids`: of topics that were asked for by an id that nobody has."""

    error: int
    known: MetadataReply
    unknown_ids: tuple[bytes, ...] = ()


class Metadata:
    """v0 to v13."""

    def read(self, call: Call) -> Asked:
        body, version = call.body, call.version

        def read_one() -> tuple[str, bytes]:
            uuid = body.uuid() if version >= 10 else NO_UUID
            name = body.nullable_string()
            body.skip_tags()
            return (name or "", uuid)

        topics = body.nullable_array(read_one)
        if version == 0 and not topics:
            topics = None
        may_create = body.boolean() if version >= 4 else True
        cluster_operations = topic_operations = NOT_ASKED_FOR
        if 8 <= version <= 10 and body.boolean():
            cluster_operations = ALL_CLUSTER_OPERATIONS
        if version >= 8 and body.boolean():
            topic_operations = ALL_TOPIC_OPERATIONS
        body.skip_tags()
        return Asked(None if topics is None else tuple(topics), may_create, cluster_operations, topic_operations)

    async def answer(self, call: Call) -> Answer:
        asked: Asked = call.asked
        if asked.topics is None:
            return Answer(ErrorCode.NONE, await call.ask(MetadataRequest(None)))
        names: dict[str, None] = {}
        unknown_ids = []
        for name, uuid in asked.topics:
            found = name or find_topic(call.image, uuid)
            if found is None:
                unknown_ids.append(uuid)
            else:
                names[found] = None
        for name in names:
            if name not in call.image.topics and asked.may_create and call.door.creates_topics and is_legal_name(name):
                settings = CreateTopicRequest(name, call.door.default_partitions, -1)
                await call.ask(settings, server=CONTROLLER)
        known = await call.ask(MetadataRequest(tuple(names)))
        return Answer(ErrorCode.NONE, known, tuple(unknown_ids))

    def refuse(self, call: Call, error: int) -> Answer:
        asked: Asked = call.asked
        topics = tuple([TopicMetadata(name, "", ErrorCode(error), ()) for name, _ in asked.topics or ()])
        return Answer(error, MetadataReply(call.image.alive(), topics))

    def write(self, call: Call, reply: Answer, writer: Writer) -> None:
        version, known = call.version, reply.known
        if version >= 3:
            writer.int32(0)
        writer.length(len(known.brokers))
        for broker_id in known.brokers:
            host, port = call.door.endpoint(broker_id)
            writer.int32(broker_id)
            writer.string(host)
            writer.int32(port)
            if version >= 1:
                writer.nullable_string(None)
            writer.no_tags()
        if version >= 2:
            writer.nullable_string(call.door.cluster_id)
        if version >= 1:
            writer.int32(known.brokers[0] if known.brokers else -1)
        writer.length(len(known.topics) + len(reply.unknown_ids))
        for topic in known.topics:
            self._write_topic(call, writer, topic)
        for uuid in reply.unknown_ids:
            writer.int16(ErrorCode.UNKNOWN_TOPIC_ID)
            writer.nullable_string(None if version >= 12 else "")
            writer.raw(uuid)
            self._end_topic(writer, version)
        if 8 <= version <= 10:
            writer.int32(call.asked.cluster_operations)
        if version >= 13:
            writer.int16(reply.error)
        writer.no_tags()

    def _write_topic(self, call: Call, writer: Writer, topic: TopicMetadata) -> None:
        version = call.version
        error = topic.error
        if error is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION and not is_legal_name(topic.topic):
            error = ErrorCode.INVALID_TOPIC
        writer.int16(error)
        writer.nullable_string(topic.topic)
        if version >= 10:
            writer.raw(uuid_of(topic.topic_id))
        if not topic.partitions:
            self._end_topic(writer, version, topic.topic in INTERNAL)
            return
        if version >= 1:
            writer.boolean(topic.topic in INTERNAL)
        alive = call.image.alive()
        writer.length(len(topic.partitions))
        for each in topic.partitions:
            has_leader = each.leader_id != NO_LEADER
            writer.int16(ErrorCode.NONE if has_leader else ErrorCode.LEADER_NOT_AVAILABLE)
            writer.int32(each.topic_partition.partition)
            writer.int32(each.leader_id)
            if version >= 7:
                writer.int32(each.leader_epoch)
            writer.int32s(each.replicas)
            writer.int32s(each.in_sync_replicas)
            if version >= 5:
                writer.int32s(tuple([replica for replica in each.replicas if replica not in alive]))
            writer.no_tags()
        if version >= 8:
            writer.int32(call.asked.topic_operations)
        writer.no_tags()

    @staticmethod
    def _end_topic(writer: Writer, version: int, is_internal: bool = False) -> None:
        """The rest of a topic without partitions."""
        if version >= 1:
            writer.boolean(is_internal)
        writer.length(0)
        if version >= 8:
            writer.int32(NOT_ASKED_FOR)
        writer.no_tags()


HANDLERS = {3: Metadata()}
