"""One client, raw bytes, every version: the answers say what they should, read by an independent codec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from wire_stage import (
    API_VERSIONS,
    FETCH,
    INIT_PRODUCER_ID,
    LIST_OFFSETS,
    METADATA,
    PRODUCE,
    RawClient,
    fetched,
    produced,
    request,
    response,
)

from eventlog import Cluster
from eventlog.codec import encode_batch, read_batches
from eventlog.values import Record, record_batch
from eventlog.wire import listen
from eventlog.wire.door import Door
from eventlog.wire.topics import uuid_of

NOW_MS = 1_700_000_000_000


def batch(*values: bytes) -> bytes:
    return encode_batch(record_batch(tuple([Record(None, value, NOW_MS) for value in values])))


@pytest.fixture
def door() -> Iterator[Door]:
    with Cluster(brokers=3) as cluster:
        cluster.create_topic("orders")
        with listen(cluster) as door:
            yield door


@pytest.fixture
def leader(door: Door) -> Iterator[RawClient]:
    """A connection to the leader of orders-0."""
    host, port = door.endpoint(door.cluster.leader("orders"))
    with RawClient(f"{host}:{port}") as client:
        yield client


def topic_id(door: Door) -> bytes:
    return uuid_of(door.cluster._world.controller.image.topics["orders"].topic_id)


@pytest.mark.parametrize("version", range(5))
def test_the_versions_that_are_listed_are_those_that_are_served(leader: RawClient, version: int) -> None:
    answer = leader.ask(API_VERSIONS, version, client_software_name="raw", client_software_version="1")
    listed = {each.api_key: (each.min_version, each.max_version) for each in answer.api_keys}
    assert answer.error_code == 0
    assert (listed[PRODUCE], listed[FETCH], listed[METADATA]) == ((0, 13), (4, 18), (0, 13))
    assert not any(group_or_transaction in listed for group_or_transaction in (12, 13, 14, 24, 25, 26, 28, 68))


def test_a_version_of_api_versions_that_is_too_new_is_told_the_range_in_the_oldest_layout(leader: RawClient) -> None:
    leader.send(bytes.fromhex("0012 0063 00000007 0003") + b"new" + b"\x00\x04abc\x041.0\x00")
    assert leader.receive() == bytes.fromhex("00000007 0023 00000001 0012 0000 0004")
    assert leader.ask(API_VERSIONS, 0).error_code == 0


@pytest.mark.parametrize(
    ("key", "version"), [(FETCH, 3), (METADATA, 20), (200, 0), (12, 4), (PRODUCE, 2), (PRODUCE, 14)]
)
def test_an_unknown_api_or_version_ends_the_connection(leader: RawClient, key: int, version: int) -> None:
    leader.send(key.to_bytes(2, "big") + version.to_bytes(2, "big") + bytes(4) + b"\xff\xff" + bytes(40))
    assert leader.is_ended()


@pytest.mark.parametrize("version", range(14))
def test_metadata_tells_brokers_leaders_and_replicas(door: Door, leader: RawClient, version: int) -> None:
    answer = leader.ask(METADATA, version, topics=[{"name": "orders"}])
    assert {broker.node_id: (broker.host, broker.port) for broker in answer.brokers} == {
        broker_id: door.endpoint(broker_id) for broker_id in (1, 2, 3)
    }
    (topic,) = answer.topics
    (partition,) = topic.partitions
    assert (topic.error_code, topic.name, partition.partition_index) == (0, "orders", 0)
    assert partition.leader_id == door.cluster.leader("orders")
    assert sorted(partition.replica_nodes) == sorted(partition.isr_nodes) == [1, 2, 3]


@pytest.mark.parametrize("version", range(14))
def test_metadata_of_no_topic_and_of_all_topics_are_told_apart(leader: RawClient, version: int) -> None:
    everything = leader.ask(METADATA, version, topics=[] if version == 0 else None)
    assert [topic.name for topic in everything.topics] == ["orders"]
    if version:
        assert leader.ask(METADATA, version, topics=[]).topics == ()


def test_a_topic_that_is_named_is_made_and_described_at_once(leader: RawClient) -> None:
    (topic,) = leader.ask(METADATA, 9, topics=[{"name": "new"}], allow_auto_topic_creation=True).topics
    assert (topic.error_code, len(topic.partitions)) == (0, 1)
    (topic,) = leader.ask(METADATA, 9, topics=[{"name": "other"}], allow_auto_topic_creation=False).topics
    assert topic.error_code == 3
    (topic,) = leader.ask(METADATA, 9, topics=[{"name": "not a name"}], allow_auto_topic_creation=True).topics
    assert topic.error_code == 17


def test_metadata_by_topic_id_finds_the_topic_and_says_when_there_is_none(door: Door, leader: RawClient) -> None:
    asked = [{"topic_id": topic_id(door)}, {"topic_id": b"\x07" * 16}]
    known, unknown = leader.ask(METADATA, 12, topics=asked).topics
    assert (known.name, known.error_code) == ("orders", 0)
    assert (unknown.name, unknown.error_code) == (None, 100)


@pytest.mark.parametrize("version", range(3, 14))
def test_a_batch_is_written_by_every_version(door: Door, leader: RawClient, version: int) -> None:
    named = {"topic_id": topic_id(door)} if version >= 13 else {}
    for base_offset in (0, 2):
        answer = leader.ask(PRODUCE, version, **produced("orders", batch(b"a", b"b"), **named))
        ((partition,),) = [topic.partition_responses for topic in answer.responses]
        assert (partition.error_code, partition.base_offset) == (0, base_offset)
    assert [record.record.value for record in door.cluster.records("orders")] == [b"a", b"b"] * 2


def test_a_produce_to_an_unknown_topic_id_is_refused_and_the_rest_is_written(door: Door, leader: RawClient) -> None:
    fields = produced("", batch(b"a"), topic_id=topic_id(door))
    fields["topic_data"] += produced("", batch(b"a"), topic_id=b"\x07" * 16)["topic_data"]
    answer = leader.ask(PRODUCE, 13, **fields)
    assert {topic.topic_id.bytes: topic.partition_responses[0].error_code for topic in answer.responses} == {
        topic_id(door): 0,
        b"\x07" * 16: 100,
    }


def test_a_produce_that_wants_no_answer_gets_none(door: Door, leader: RawClient) -> None:
    for _ in range(3):
        leader.send(request(PRODUCE, 9, 1, **produced("orders", batch(b"x"), acks=0)))
    assert leader.ask(API_VERSIONS, 0).error_code == 0
    assert len(door.cluster.records("orders")) == 3


@pytest.mark.parametrize("version", range(4, 19))
def test_what_was_written_is_read_by_every_version_byte_for_byte(door: Door, leader: RawClient, version: int) -> None:
    for _ in range(2):
        leader.ask(PRODUCE, 9, **produced("orders", batch(b"a", b"b")))
    named: dict[str, Any] = {"topic_id": topic_id(door)} if version >= 13 else {}
    answer = leader.ask(FETCH, version, **fetched("orders", 0, **named))
    ((partition,),) = [topic.partitions for topic in answer.responses]
    assert (partition.error_code, partition.high_watermark) == (0, 4)
    batches, size_bytes = read_batches(partition.records)
    assert size_bytes == len(partition.records)
    assert [each.base_offset for each in batches] == [0, 2]
    assert {each.leader_epoch for each in batches} == {0}
    sent = batch(b"a", b"b")
    assert partition.records[:8] == bytes(8)
    assert partition.records[16 : len(sent)] == sent[16:]


def test_a_fetch_waits_for_records_and_is_woken_by_them(door: Door, leader: RawClient) -> None:
    host, port = door.endpoint(door.cluster.leader("orders"))
    leader.send(request(FETCH, 12, 5, **fetched("orders", 0, max_wait_ms=60_000)))
    with RawClient(f"{host}:{port}") as other:
        other.ask(PRODUCE, 9, **produced("orders", batch(b"late")))
    _, answer = response(FETCH, 12, leader.receive())
    assert answer.responses[0].partitions[0].high_watermark == 1


def test_a_fetch_finds_nothing_and_says_so_after_its_wait(leader: RawClient) -> None:
    answer = leader.ask(FETCH, 12, **fetched("orders", 0, max_wait_ms=20))
    assert answer.responses[0].partitions[0].records == b""


@pytest.mark.parametrize(
    ("asked", "error"),
    [({"offset": 5}, 1), ({"offset": 0, "partition": 3}, 3), ({"offset": 0, "current_leader_epoch": 9}, 75)],
)
def test_a_fetch_is_told_what_is_wrong_with_it(leader: RawClient, asked: dict[str, int], error: int) -> None:
    answer = leader.ask(FETCH, 12, **fetched("orders", asked.pop("offset"), **asked))
    assert answer.responses[0].partitions[0].error_code == error


@pytest.mark.parametrize("version", range(1, 12))
def test_offsets_are_listed_by_every_version(leader: RawClient, version: int) -> None:
    leader.ask(PRODUCE, 9, **produced("orders", batch(b"a", b"b", b"c")))
    for timestamp, offset in ((-1, 3), (-2, 0), (NOW_MS, 0)):
        asked = [
            {"name": "orders", "partitions": [{"partition_index": 0, "timestamp": timestamp, "max_num_offsets": 1}]}
        ]
        answer = leader.ask(LIST_OFFSETS, version, replica_id=-1, topics=asked)
        assert answer.topics[0].partitions[0].error_code == 0
        assert answer.topics[0].partitions[0].offset == offset


@pytest.mark.parametrize("version", range(2, 5))
def test_where_a_leader_epoch_ends_is_told_by_every_version(leader: RawClient, version: int) -> None:
    leader.ask(PRODUCE, 9, **produced("orders", batch(b"a")))
    asked = [{"topic": "orders", "partitions": [{"partition": 0, "leader_epoch": 0, "current_leader_epoch": -1}]}]
    answer = leader.ask(23, version, replica_id=-1, topics=asked)
    assert (answer.topics[0].partitions[0].leader_epoch, answer.topics[0].partitions[0].end_offset) == (0, 1)


@pytest.mark.parametrize("version", range(6))
def test_every_producer_gets_an_id_of_its_own_at_the_first_asking(leader: RawClient, version: int) -> None:
    answers = [
        leader.ask(INIT_PRODUCER_ID, version, transaction_timeout=60_000, producer_id=-1, producer_epoch=-1)
        for _ in range(3)
    ]
    assert [(answer.error_code, answer.producer_epoch) for answer in answers] == [(0, 0)] * 3
    assert len({answer.producer_id for answer in answers}) == 3


@pytest.mark.parametrize("version", range(6))
def test_a_transactional_producer_is_refused_for_good(leader: RawClient, version: int) -> None:
    answer = leader.ask(INIT_PRODUCER_ID, version, transactional_id="tx", transaction_timeout=60_000)
    assert answer.error_code == 53
