"""Plays the recorded scripts over a socket: the same steps, each in the version that the recording used.

The door, the client and the test take turns in one thread, so the script's own clock can be the world's.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, NamedTuple

from lying_batches import vector_batch_bytes
from recorded_replies import Image, reply_of
from recorded_stage import NEAR_T0_MS, TOPIC, UNKNOWN_TOPIC_ID, Stage
from wire_stage import API_VERSIONS, FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, PRODUCE, request, response

from eventlog import Cluster
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import (
    DeleteRecordsReply,
    DeleteRecordsRequest,
    DescribeProducersReply,
    DescribeProducersRequest,
    FetchRequest,
    InitProducerIdRequest,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartitionReply,
    OffsetForLeaderEpochReply,
    OffsetForLeaderEpochRequest,
    ProducerDescription,
    WriteTxnMarkersReply,
    WriteTxnMarkersRequest,
)
from eventlog.sim.world import START_MS
from eventlog.values import TopicPartition
from eventlog.wire.door import Door
from eventlog.wire.topics import uuid_of

NO_SUCH_ID = b"\x07" * 16


class Produced(NamedTuple):
    """A produce request with its bytes as they are."""

    version: int
    acks: int
    timeout_ms: int
    transactional_id: str | None
    batches: tuple[tuple[TopicPartition, bytes], ...]


class WireStage(Stage):
    """A listening cluster of one broker with the script's topic. `close` it."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.through_bytes = True
        self.ids: dict[str, int] = {}
        settings = {name: int(value) for name, value in script.get("broker", {}).items()}
        if any("transactional_id" in step and step["op"] == "produce" for step in script["steps"]):
            settings["transaction_partition_verification_enable"] = False
        self.cluster = Cluster(brokers=1, record=False, checks="off", **settings)
        configs = script["topic"]["configs"]
        by_clock = any(step["op"] in ("write_txn_markers", "restart") for step in script["steps"])
        is_far = "broker" in script or by_clock or configs.get("message.timestamp.type") == "LogAppendTime"
        overrides = {name: int(value) if value.isdigit() else value for name, value in configs.items()}
        self.cluster.create_topic(TOPIC, script["topic"]["partitions"], 1, **overrides)
        self.world = self.cluster._world
        self.loop = asyncio.new_event_loop()
        begins_at_ms = START_MS + (2 * NEAR_T0_MS if is_far else 20)
        options: dict[str, Any] = {"clock": "manual", "begins_at_ms": begins_at_ms, "record": False}
        self.door = Door(self.cluster, creates_topics=False, **options)
        self.run(self.door.open())
        self.step: dict[str, Any] = {}
        self.correlation_id = 0
        self.connect()

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def connect(self) -> None:
        host, port = self.door.endpoint(1)
        self.reader, self.writer = self.run(asyncio.open_connection(host, port, limit=1 << 26))

    def disconnect(self) -> None:
        self.run(self.end())

    async def end(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def close(self) -> None:
        self.disconnect()
        self.run(self.door.close())
        self.loop.close()

    def play(self, step: dict[str, Any]) -> Any:
        self.step = step
        self.door.cluster = self.cluster
        return super().play(step)

    def on_restart(self, step: dict[str, Any]) -> None:
        self.disconnect()
        self.connection = self.door._new_way(1)
        super().on_restart(step)
        self.door.bring_up_to_date()
        self.connect()

    def produce_request(self, step: dict[str, Any]) -> Any:
        batches = []
        for entry in step["partitions"]:
            made = [vector_batch_bytes(each, self.ids, self.world.now_ms) for each in entry["batches"]]
            batches.append((self.place(step, entry), b"".join(made)))
        fields = (step["version"], step["acks"], step.get("timeout_ms", 15_000), step.get("transactional_id"))
        return Produced(*fields, tuple(batches))

    # --- asking ---------------------------------------------------------------------------------------------------

    def ask(self, *messages: Any) -> list[Any]:
        written = [self.written(message) for message in messages]
        probe = request(API_VERSIONS, 0, 0)
        return list(self.run(self.exchange(messages, written, probe)))

    async def exchange(self, messages: Any, written: list[tuple[int, int, bytes]], probe: bytes) -> list[Any]:
        for _, _, frame in [*written, (0, 0, probe)]:
            self.writer.write(len(frame).to_bytes(4, "big") + frame)
        answers: list[Any] = [{"no_answer": True}] * len(messages)
        while True:
            try:
                length = int.from_bytes(await self.reader.readexactly(4), "big")
                frame = await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                await self.end()
                host, port = self.door.endpoint(1)
                self.reader, self.writer = await asyncio.open_connection(host, port, limit=1 << 26)
                return [{"closed": True} if each == {"no_answer": True} else each for each in answers]
            number = int.from_bytes(frame[:4], "big")
            if number == 0:
                return answers
            index = next(at for at, (_, _, sent) in enumerate(written) if sent[4:8] == frame[:4])
            key, version, _ = written[index]
            answers[index] = self.read(key, version, response(key, version, frame)[1])

    def written(self, message: Any) -> tuple[int, int, bytes]:
        self.correlation_id += 1
        key, version, fields = self.fields_of(message)
        return key, version, request(key, version, self.correlation_id, **fields)

    def id_of_topic(self, topic: str) -> bytes:
        known = self.world.controller.image.topics.get(topic)
        return NO_SUCH_ID if known is None else uuid_of(known.topic_id)

    def named(self, rows: list[tuple[TopicPartition, dict[str, Any]]], name: str, inner: str) -> list[dict[str, Any]]:
        topics: dict[str, list[dict[str, Any]]] = {}
        for (topic, _), row in rows:
            topics.setdefault(topic, []).append(row)
        return [{name: topic, "topic_id": self.id_of_topic(topic), inner: found} for topic, found in topics.items()]

    def fields_of(self, message: Any) -> tuple[int, int, dict[str, Any]]:
        version = self.step.get("version", 0)
        if isinstance(message, Produced):
            rows = [(where, {"index": where.partition, "records": data}) for where, data in message.batches]
            fields = {"transactional_id": message.transactional_id, "acks": message.acks, "timeout": message.timeout_ms}
            return PRODUCE, message.version, {**fields, "topic_data": self.named(rows, "name", "partition_data")}
        if isinstance(message, FetchRequest):
            rows = [
                (
                    each.topic_partition,
                    {
                        "partition": each.topic_partition.partition,
                        "fetch_offset": each.fetch_offset,
                        "current_leader_epoch": each.current_leader_epoch,
                        "partition_max_bytes": each.max_bytes,
                    },
                )
                for each in message.partitions
            ]
            fields = {"replica_id": -1, "max_wait": 0, "min_bytes": 0, "max_bytes": message.max_bytes}
            fields |= {"isolation_level": message.isolation_level, "session_epoch": -1}
            return FETCH, version, {**fields, "topics": self.named(rows, "topic", "partitions")}
        if isinstance(message, InitProducerIdRequest):
            fields = {"transactional_id": message.transactional_id, "producer_id": message.producer_id}
            fields |= {"transaction_timeout": message.transaction_timeout_ms, "producer_epoch": message.producer_epoch}
            return INIT_PRODUCER_ID, version, fields
        if isinstance(message, ListOffsetsRequest):
            rows = [
                (
                    each.topic_partition,
                    {
                        "partition_index": each.topic_partition.partition,
                        "timestamp": each.timestamp_ms,
                        "current_leader_epoch": each.current_leader_epoch,
                    },
                )
                for each in message.partitions
            ]
            fields = {"replica_id": -1, "isolation_level": message.isolation_level}
            return LIST_OFFSETS, version, {**fields, "topics": self.named(rows, "name", "partitions")}
        return self.rarer(message, version)

    def rarer(self, message: Any, version: int) -> tuple[int, int, dict[str, Any]]:
        if isinstance(message, OffsetForLeaderEpochRequest):
            rows = [
                (
                    each.topic_partition,
                    {
                        "partition": each.topic_partition.partition,
                        "leader_epoch": each.leader_epoch,
                        "current_leader_epoch": each.current_leader_epoch,
                    },
                )
                for each in message.partitions
            ]
            return 23, version, {"replica_id": -1, "topics": self.named(rows, "topic", "partitions")}
        if isinstance(message, DeleteRecordsRequest):
            rows = [(where, {"partition_index": where.partition, "offset": at}) for where, at in message.partitions]
            return 21, version, {"topics": self.named(rows, "name", "partitions"), "timeout": 1000}
        if isinstance(message, DescribeProducersRequest):
            topics: dict[str, list[int]] = {}
            for topic, partition in message.partitions:
                topics.setdefault(topic, []).append(partition)
            return 61, 0, {"topics": [{"name": name, "partition_indexes": each} for name, each in topics.items()]}
        assert isinstance(message, WriteTxnMarkersRequest)
        markers = [
            {
                "producer_id": each.producer_id,
                "producer_epoch": each.producer_epoch,
                "transaction_result": each.is_commit,
                "coordinator_epoch": each.coordinator_epoch,
                "transaction_version": each.transaction_version,
                "topics": [{"name": TOPIC, "partition_indexes": [where.partition for where in each.topic_partitions]}],
            }
            for each in message.markers
        ]
        return 27, max(1, version), {"markers": markers}

    def read(self, key: int, version: int, entity: Any) -> Any:
        """The answer as the stage shows it."""
        if key in (PRODUCE, FETCH, LIST_OFFSETS, INIT_PRODUCER_ID):
            image = Image()
            reply = reply_of(entity, key, image)
            if hasattr(reply, "partitions"):
                reply = reply._replace(partitions=tuple([self.renamed(each, version) for each in reply.partitions]))
            return reply
        rows = [(topic, each) for topic in getattr(entity, "topics", ()) for each in topic.partitions]
        if key == 23:
            return OffsetForLeaderEpochReply(
                tuple(
                    [
                        OffsetForLeaderEpochPartitionReply(
                            TopicPartition(topic.topic, each.partition),
                            ErrorCode(each.error_code),
                            each.leader_epoch,
                            each.end_offset,
                        )
                        for topic, each in rows
                    ]
                )
            )
        if key == 21:
            return DeleteRecordsReply(
                tuple(
                    [
                        (
                            TopicPartition(topic.name, each.partition_index),
                            ErrorCode(each.error_code),
                            each.low_watermark,
                        )
                        for topic, each in rows
                    ]
                )
            )
        if key == 61:
            return DescribeProducersReply(
                tuple(
                    [
                        (
                            TopicPartition(topic.name, each.partition_index),
                            ErrorCode(each.error_code),
                            tuple(
                                [
                                    ProducerDescription(
                                        one.producer_id,
                                        one.producer_epoch,
                                        one.last_sequence,
                                        one.last_timestamp,
                                        one.coordinator_epoch,
                                        one.current_txn_start_offset,
                                    )
                                    for one in each.active_producers
                                ]
                            ),
                        )
                        for topic, each in rows
                    ]
                )
            )
        assert key == 27
        return WriteTxnMarkersReply(
            tuple(
                [
                    (marker.producer_id, TopicPartition(topic.name, each.partition_index), ErrorCode(each.error_code))
                    for marker in entity.markers
                    for topic in marker.topics
                    for each in topic.partitions
                ]
            )
        )

    def renamed(self, reply: Any, version: int) -> Any:
        """A topic that came as an id gets its name again; an unknown id was asked for an unknown name."""
        topic, partition = reply.topic_partition
        for name in self.world.controller.image.topics:
            if self.id_of_topic(name).hex() == topic:
                return reply._replace(topic_partition=TopicPartition(name, partition))
        if topic == NO_SUCH_ID.hex():
            assert reply.error == UNKNOWN_TOPIC_ID
            asked = [each for each in self.step["partitions"] if each.get("topic", TOPIC) != TOPIC]
            name = asked[0]["topic"] if asked else self.step["topic"]
            where = TopicPartition(name, partition)
            return reply._replace(topic_partition=where, error=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        return reply
