"""FindCoordinator, OffsetCommit, OffsetFetch: for consumers that assign themselves.

Offsets are records of the topic `__consumer_offsets`, replicated like any other: the group's name chooses the partition,
whose leader is the coordinator. Who asks for them reads that leader's log up to the high watermark; what was read is kept
beside the door and read on from there, and read anew under another leader. Each says of which topic it is, by id: what was
committed for a topic that is no more is gone with it, also when there is another of its name.

Members are not kept: a commit must come from a consumer without a generation. A transactional id has no coordinator here.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from eventlog.broker.replica import Replica
from eventlog.codec import decode_records
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER
from eventlog.messages.broker_api import ProducePartition, ProduceRequest
from eventlog.messages.controller_api import NO_LEADER, CreateTopicRequest
from eventlog.values import Record, TopicPartition, record_batch
from eventlog.wire.admin import ByKio, Values, grouped
from eventlog.wire.call import Call
from eventlog.wire.primitives import NO_UUID, Reader, Writer
from eventlog.wire.topics import bytes_of, find_topic, id_of_topic, is_unknown_id, topic_of

OFFSETS_TOPIC: Final = "__consumer_offsets"
PARTITIONS: Final = 4
"""Kafka has 50 (`offsets.topic.num.partitions`), which costs and tells nothing more here."""
COMMIT_TIMEOUT_MS: Final = 5_000
GROUP: Final = 0
BY_ID_FROM: Final = 10
NO_OFFSET: Final = -1
_KEY_VERSION: Final = 1
_VALUE_VERSION: Final = 4


class Committed(NamedTuple):
    """`offset` is where to read on; `topic_id` as its 16 bytes."""

    offset: int
    leader_epoch: int
    metadata: str
    topic_id: bytes = NO_UUID


class Shard:
    """One partition of the offsets, read as far as `end_offset` under one leader."""

    __slots__ = ("committed", "end_offset", "leader_epoch")

    def __init__(self, leader_epoch: int) -> None:
        self.leader_epoch = leader_epoch
        self.end_offset = 0
        self.committed: dict[str, dict[TopicPartition, Committed]] = {}

    def read_on(self, replica: Replica) -> None:
        """Take in what was committed since. O(new batches)."""
        log = replica.log
        for batch in log.read(max(self.end_offset, log.log_start_offset), log.high_watermark, 2**62):
            for record in decode_records(batch):
                if record.key is not None and record.value is not None:
                    group, where = _read_key(record.key)
                    self.committed.setdefault(group, {})[where] = _read_value(record.value)
        self.end_offset = max(self.end_offset, log.high_watermark)


def shard_of(group: str) -> TopicPartition:
    """By Java's hash of the group's name."""
    hashed = 0
    encoded = group.encode("utf-16-be")
    for at in range(0, len(encoded), 2):
        hashed = (31 * hashed + int.from_bytes(encoded[at : at + 2], "big")) & 0xFFFFFFFF
    return TopicPartition(OFFSETS_TOPIC, (hashed & 0x7FFFFFFF) % PARTITIONS)


def _key(group: str, where: TopicPartition) -> bytes:
    writer = Writer()
    writer.int16(_KEY_VERSION)
    writer.string(group)
    writer.string(where.topic)
    writer.int32(where.partition)
    return b"".join(writer.parts())


def _read_key(key: bytes) -> tuple[str, TopicPartition]:
    reader = Reader(key, 2)
    return (reader.string(), TopicPartition(reader.string(), reader.int32()))


def _value(committed: Committed, now_ms: int) -> bytes:
    writer = Writer(True)
    writer.int16(_VALUE_VERSION)
    writer.int64(committed.offset)
    writer.int32(committed.leader_epoch)
    writer.string(committed.metadata)
    writer.int64(now_ms)
    topic_id = Writer(True)
    topic_id.raw(committed.topic_id)
    writer.tags({0: topic_id})
    return b"".join(writer.parts())


def _read_value(value: bytes) -> Committed:
    reader = Reader(value, 2, is_flexible=True)
    offset, leader_epoch, metadata = reader.int64(), reader.int32(), reader.string()
    reader.int64()
    return Committed(offset, leader_epoch, metadata, value[-len(NO_UUID) :])


def _find_replica(call: Call, group: str) -> Replica | None:
    """The group's partition, if the broker that was asked leads it."""
    broker = call.door.world.find_broker(call.broker_id)
    replica = None if broker is None else broker.replicas.get(shard_of(group))
    return replica if replica is not None and replica.leadership is not None else None


class FindCoordinator(ByKio):
    """v0 to v6. Groups have one: the topic of their offsets is made for the first."""

    async def answer(self, call: Call) -> Values:
        if call.version >= 4:
            return {"coordinators": [await self._find(call, key) for key in call.asked.coordinator_keys]}
        return await self._find(call, call.asked.key)

    async def _find(self, call: Call, key: str) -> Values:
        if getattr(call.asked, "key_type", GROUP) != GROUP:
            message = "transactions are not served here"
            return self._nobody(key, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, message)
        if OFFSETS_TOPIC not in call.image.topics:
            compacted = (("cleanup_policy", "compact"),)
            await call.ask(CreateTopicRequest(OFFSETS_TOPIC, PARTITIONS, -1, compacted), server=CONTROLLER)
        known = call.image.partitions.get(shard_of(key))
        if known is None or known.leader_id == NO_LEADER:
            return self._nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, "the offsets of the group have no leader")
        host, port = call.door.endpoint(known.leader_id)
        return {"key": key, "node_id": known.leader_id, "host": host, "port": port}

    @staticmethod
    def _nobody(key: str, error: int, message: str) -> Values:
        return {"key": key, "node_id": -1, "host": "", "port": -1, "error_code": error, "error_message": message}

    def refuse(self, call: Call, error: int) -> Values:
        if call.version >= 4:
            return {"coordinators": [self._nobody(key, error, "") for key in call.asked.coordinator_keys]}
        return self._nobody(call.asked.key, error, "")


class OffsetCommit(ByKio):
    """v2 to v10. One batch of records; answered when it is replicated."""

    async def answer(self, call: Call) -> Values:
        asked = call.asked
        if not asked.group_id:
            return self.refuse(call, ErrorCode.INVALID_GROUP_ID)
        if asked.generation_id_or_member_epoch >= 0 or asked.member_id:
            return self.refuse(call, ErrorCode.UNKNOWN_MEMBER_ID)
        if _find_replica(call, asked.group_id) is None:
            return self.refuse(call, ErrorCode.NOT_COORDINATOR)
        now_ms = call.door.world.now_ms
        rows = []
        records = []
        for where, topic_id, each in self._wanted(call):
            error = ErrorCode.NONE if where in call.image.partitions else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            rows.append(
                (where, topic_id, each.partition_index, ErrorCode.UNKNOWN_TOPIC_ID if not where.topic else error)
            )
            if where in call.image.partitions:
                leader_epoch = getattr(each, "committed_leader_epoch", -1)
                of_topic = id_of_topic(call.image, where.topic)
                committed = Committed(each.committed_offset, leader_epoch, each.committed_metadata or "", of_topic)
                records.append(Record(_key(asked.group_id, where), _value(committed, now_ms), now_ms))
        failed = ErrorCode.NONE
        if records:
            batch = record_batch(tuple(records))
            place = ProducePartition(shard_of(asked.group_id), batch)
            reply = await call.ask(ProduceRequest(-1, COMMIT_TIMEOUT_MS, (place,)))
            failed = reply.partitions[0].error
            if failed is ErrorCode.NOT_LEADER_OR_FOLLOWER:
                failed = ErrorCode.NOT_COORDINATOR
        return {"topics": self._topics([(*row[:3], row[3] or failed) for row in rows])}

    @staticmethod
    def _wanted(call: Call) -> list[tuple[TopicPartition, bytes, Any]]:
        wanted = []
        for topic in call.asked.topics:
            topic_id = NO_UUID
            if call.version >= BY_ID_FROM:
                topic_id = bytes_of(topic.topic_id)
                name = find_topic(call.image, topic_id) or ""
            else:
                name = topic.name
            wanted += [(TopicPartition(name, each.partition_index), topic_id, each) for each in topic.partitions]
        return wanted

    @staticmethod
    def _topics(rows: list[tuple[TopicPartition, bytes, int, int]]) -> list[Values]:
        topics: dict[tuple[str, bytes], list[Values]] = {}
        for where, topic_id, index, error in rows:
            topics.setdefault((where.topic, topic_id), []).append({"partition_index": index, "error_code": error})
        return [{"name": name, "topic_id": topic_id, "partitions": found} for (name, topic_id), found in topics.items()]

    def refuse(self, call: Call, error: int) -> Values:
        return {
            "topics": self._topics(
                [(where, topic_id, each.partition_index, error) for where, topic_id, each in self._wanted(call)]
            )
        }


class OffsetFetch(ByKio):
    """v1 to v10. Of a group that never was: -1 and no error."""

    async def answer(self, call: Call) -> Values:
        asked = call.asked
        if call.version >= 8:
            return {"groups": [self._of_group(call, group.group_id, group.topics) for group in asked.groups]}
        return self._of_group(call, asked.group_id, asked.topics)

    def _of_group(self, call: Call, group: str, topics: Any) -> Values:
        replica = _find_replica(call, group)
        if replica is None:
            return self._refused(call, group, topics, ErrorCode.NOT_COORDINATOR)
        assert replica.leadership is not None
        leader_epoch = replica.leadership.leader_epoch
        shards = call.door.shards
        shard = shards.get(replica.topic_partition)
        if shard is None or shard.leader_epoch != leader_epoch:
            shard = shards[replica.topic_partition] = Shard(leader_epoch)
        shard.read_on(replica)
        committed = {
            where: known
            for where, known in shard.committed.get(group, {}).items()
            if known.topic_id == id_of_topic(call.image, where.topic)
        }
        wanted = list(committed) if topics is None else self._wanted(call, topics)
        nothing = Committed(NO_OFFSET, -1, "")
        rows = [
            (where, self._row(where, nothing, ErrorCode.UNKNOWN_TOPIC_ID))
            if call.version >= BY_ID_FROM and is_unknown_id(where.topic)
            else (where, self._row(where, committed.get(where, nothing)))
            for where in wanted
        ]
        return {"group_id": group, "topics": self._named(call, rows)}

    @staticmethod
    def _row(where: TopicPartition, known: Committed, error: int = ErrorCode.NONE) -> Values:
        return {
            "partition_index": where.partition,
            "committed_offset": known.offset,
            "committed_leader_epoch": known.leader_epoch,
            "metadata": known.metadata,
            "error_code": error,
        }

    @staticmethod
    def _wanted(call: Call, topics: Any) -> list[TopicPartition]:
        wanted = []
        for topic in topics:
            name = topic.name if call.version < BY_ID_FROM else topic_of(call.image, bytes_of(topic.topic_id))
            wanted += [TopicPartition(name, each) for each in topic.partition_indexes]
        return wanted

    @staticmethod
    def _named(call: Call, rows: list[tuple[TopicPartition, Values]]) -> list[Values]:
        topics = grouped(rows)
        if call.version >= BY_ID_FROM:
            for topic in topics:
                topic["topic_id"] = id_of_topic(call.image, topic["name"])
        return topics

    def _refused(self, call: Call, group: str, topics: Any, error: int) -> Values:
        rows = [
            (where, self._row(where, Committed(NO_OFFSET, -1, ""), error))
            for where in self._wanted(call, topics or ())
            if call.version < 2
        ]
        return {"group_id": group, "topics": self._named(call, rows), "error_code": error}

    def refuse(self, call: Call, error: int) -> Values:
        asked = call.asked
        if call.version >= 8:
            return {"groups": [self._refused(call, group.group_id, group.topics, error) for group in asked.groups]}
        return self._refused(call, asked.group_id, asked.topics, error)


HANDLERS = {8: OffsetCommit(), 9: OffsetFetch(), 10: FindCoordinator()}
