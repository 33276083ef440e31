"""Real bytes between real clients and a real broker: read here, and written here to the same bytes."""

from __future__ import annotations

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer
from recorded_replies import Image, reply_of
from wire_stage import (
    API_VERSIONS,
    FETCH,
    INIT_PRODUCER_ID,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    conversations,
    frames,
    response,
)

from eventlog.codec import open_batch
from eventlog.errors import ErrorCode
from eventlog.messages import Connection
from eventlog.values import TopicPartition, Unreadable
from eventlog.wire import metadata
from eventlog.wire.call import Call
from eventlog.wire.connection import ClientConnection
from eventlog.wire.envelopes import read_request
from eventlog.wire.handlers import handler_of
from eventlog.wire.primitives import Reader
from eventlog.wire.versions import APIS

WAY = Connection("clients", "broker-1", "wire", 1)
BY_HAND = (PRODUCE, FETCH, LIST_OFFSETS, METADATA, INIT_PRODUCER_ID)


def opened(frame: bytes, image: Image) -> Call:
    """A call over `image`, as the door would make it."""
    door = SimpleNamespace(image_of=lambda broker_id: image, cluster_id=None, endpoint=None)
    return Call(door, 1, WAY, bytearray(frame))  # type: ignore[arg-type]


def served(name: str) -> list[dict[str, Any]]:
    return [
        each for each in frames(name) if each["api_key"] in BY_HAND and each["version"] <= APIS[each["api_key"]].highest
    ]


@pytest.mark.parametrize("name", conversations())
def test_every_recorded_request_is_read_and_written_back_to_the_same_bytes(name: str) -> None:
    for each in frames(name):
        frame = bytes.fromhex(each["request"])
        kind = load_request_schema(each["api_key"], each["version"])
        head = 10 + max(0, int.from_bytes(frame[8:10], "big", signed=True)) + kind.__flexible__
        reader = Reader(frame, head, kind.__flexible__)
        entity = read_request(each["api_key"], each["version"], reader)
        body = BytesIO()
        entity_writer(kind)(body, entity)
        assert not reader.left_bytes
        assert body.getvalue() == frame[head:], each["n"]
        assert entity == entity_reader(kind)(frame, head)[0]


def fields_of(asked: Any, key: int) -> Any:
    """What our reader made of a request, in the shape of `expected`."""
    if key == PRODUCE:
        batches = [(str(each.topic_partition), each.batch) for each in asked.partitions]
        assert not any(isinstance(batch, Unreadable) for _, batch in batches)
        return (
            asked.transactional_id,
            asked.acks,
            asked.timeout_ms,
            [(where, batch.records) for where, batch in batches],
        )
    if key == FETCH:
        limits = (asked.request.max_wait_ms, asked.request.min_bytes, asked.request.isolation_level)
        return (*limits, [(str(each.topic_partition), each.fetch_offset, each.max_bytes) for each in asked.partitions])
    if key == LIST_OFFSETS:
        return [(str(each.topic_partition), each.timestamp_ms) for each in asked.partitions]
    if key == METADATA:
        return None if asked.topics is None else [name for name, _ in asked.topics]
    return (asked.transactional_id, asked.producer_id, asked.producer_epoch)


def expected(entity: Any, key: int, version: int, image: Image) -> Any:
    def name(topic: Any, attribute: str) -> str:
        return getattr(topic, attribute) if hasattr(topic, attribute) else image.topic_of(topic.topic_id)

    if key == PRODUCE:
        batches = [
            (f"{name(topic, 'name')}-{each.index}", open_batch(each.records).records)
            for topic in entity.topic_data
            for each in topic.partition_data
        ]
        return (entity.transactional_id, entity.acks, entity.timeout.total_seconds() * 1000, batches)
    if key == FETCH:
        wanted = [
            (f"{name(topic, 'topic')}-{each.partition}", each.fetch_offset, each.partition_max_bytes)
            for topic in entity.topics
            for each in topic.partitions
        ]
        return (entity.max_wait.total_seconds() * 1000, entity.min_bytes, entity.isolation_level, wanted)
    if key == LIST_OFFSETS:
        return [
            (f"{topic.name}-{each.partition_index}", each.timestamp)
            for topic in entity.topics
            for each in topic.partitions
        ]
    if key == METADATA:
        is_all = entity.topics is None or (version == 0 and not entity.topics)
        return None if is_all else [topic.name or "" for topic in entity.topics]
    return (entity.transactional_id, getattr(entity, "producer_id", -1), getattr(entity, "producer_epoch", -1))


@pytest.mark.parametrize("name", conversations())
def test_every_recorded_request_says_the_same_to_our_reader(name: str) -> None:
    for each in served(name):
        frame = bytes.fromhex(each["request"])
        key, version = each["api_key"], each["version"]
        kind = load_request_schema(key, version)
        head = 10 + max(0, int.from_bytes(frame[8:10], "big", signed=True)) + kind.__flexible__
        entity, _ = entity_reader(kind)(frame, head)
        image = Image()
        wanted = expected(entity, key, version, image)
        call = opened(frame, image)
        call.asked = handler_of(call.api).read(call)
        assert not call.body.left_bytes
        assert fields_of(call.asked, key) == wanted, each["n"]


def is_sessionless(entity: Any) -> bool:
    """We never open a fetch session; and name a leader only by a tagged field."""
    return getattr(entity, "session_id", 0) == 0


@pytest.mark.parametrize("name", conversations())
def test_every_recorded_answer_is_written_to_the_same_bytes(name: str) -> None:
    written = 0
    for each in served(name):
        key = each["api_key"]
        if each["response"] is None or key == METADATA:
            continue
        frame = bytes.fromhex(each["response"])
        _, entity = response(key, each["version"], frame)
        if not is_sessionless(entity):
            continue
        image = Image()
        call = opened(bytes.fromhex(each["request"]), image)
        try:
            reply = reply_of(entity, key, image)
        except ValueError:  # an error that only a transaction has
            continue
        ours = b"".join(ClientConnection.frame(call, handler_of(call.api), reply))[4:]
        assert ours == frame, each["n"]
        written += 1
    assert written


@pytest.mark.parametrize("name", conversations())
def test_every_recorded_metadata_is_written_with_the_same_fields(name: str) -> None:
    for each in served(name):
        if each["api_key"] != METADATA or each["response"] is None:
            continue
        frame = bytes.fromhex(each["response"])
        _, entity = response(METADATA, each["version"], frame)
        call = opened(bytes.fromhex(each["request"]), Image())
        endpoints = {broker.node_id: (broker.host, broker.port) for broker in entity.brokers}
        call.asked = handler_of(call.api).read(call)
        call.door.endpoint = endpoints.__getitem__  # type: ignore[method-assign]
        call.door.cluster_id = getattr(entity, "cluster_id", None)
        assert _written(call, entity) == frame, each["n"]


def _written(call: Call, entity: Any) -> bytes:
    from eventlog.messages.broker_api import MetadataReply, PartitionMetadata, TopicMetadata

    topics = tuple(
        [
            TopicMetadata(
                topic.name,
                topic.topic_id.hex if getattr(topic, "topic_id", None) is not None else "",
                ErrorCode(topic.error_code),
                tuple(
                    [
                        PartitionMetadata(
                            TopicPartition(topic.name, part.partition_index),
                            part.leader_id,
                            getattr(part, "leader_epoch", -1),
                            part.replica_nodes,
                            part.isr_nodes,
                        )
                        for part in topic.partitions
                    ]
                ),
            )
            for topic in entity.topics
        ]
    )
    call.image.alive = lambda: tuple([broker.node_id for broker in entity.brokers])  # type: ignore[method-assign]
    known = MetadataReply(call.image.alive(), topics)
    reply = metadata.Answer(getattr(entity, "error_code", 0), known)
    return b"".join(ClientConnection.frame(call, handler_of(call.api), reply))[4:]


def test_every_api_that_is_written_by_hand_was_recorded() -> None:
    seen = {each["api_key"] for name in conversations() for each in served(name)}
    assert seen == set(BY_HAND)
    assert load_response_schema(API_VERSIONS, 0)
