"""What administrators and consumers that assign themselves ask, by real clients and by raw bytes in every version."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from wire_clients import READ_S, Confluent
from wire_stage import FETCH, PRODUCE, RawClient, fetched, produced, request, response

from eventlog.codec import encode_batch
from eventlog.values import Record, record_batch
from eventlog.wire.fixtures import EventlogKafka
from eventlog.wire.groups import shard_of
from eventlog.wire.topics import uuid_of

BATCH = encode_batch(record_batch(tuple([Record(None, b"%d" % number, 1_700_000_000_000) for number in range(5)])))


@pytest.fixture
def kafka(eventlog_kafka: EventlogKafka) -> EventlogKafka:
    eventlog_kafka.cluster.create_topic("orders", 2)
    return eventlog_kafka


@pytest.fixture
def client(kafka: EventlogKafka) -> Iterator[RawClient]:
    host, port = kafka.door.endpoint(kafka.cluster.leader("orders"))
    with RawClient(f"{host}:{port}") as client:
        yield client


@pytest.mark.parametrize("version", range(2, 8))
def test_topics_are_made_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    def wanted(name: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "num_partitions": 3, "replication_factor": 2, **more}

    topics = [
        wanted("new", configs=[{"name": "retention.ms", "value": "1000"}]),
        wanted("orders"),
        wanted("bad", configs=[{"name": "no.such", "value": "1"}]),
        wanted("no name"),
        wanted("by-hand", assignments=[{"partition_index": 0, "broker_ids": [1]}]),
    ]
    answer = client.ask(19, version, topics=topics, timeout=1000)
    assert [topic.error_code for topic in answer.topics] == [0, 36, 40, 17, 42]
    assert len(kafka.cluster._world.controller.image.partitions_of("new")) == 3
    if version >= 5:
        made = answer.topics[0]
        assert (made.num_partitions, made.replication_factor) == (3, 2)
        assert {config.name: (config.value, config.config_source) for config in made.configs}["retention.ms"] == (
            "1000",
            1,
        )


@pytest.mark.parametrize(
    ("version", "empty", "null"),
    [(4, bytes(8), bytes(4) + b"\xff" * 4), (7, b"\x01\x01\x00", b"\x01\x00\x00")],
    ids=["old", "compact"],
)
def test_null_where_none_may_be_ends_the_connection_and_nothing_else(
    kafka: EventlogKafka, client: RawClient, version: int, empty: bytes, null: bytes
) -> None:
    wanted = {"name": "new", "num_partitions": 0x0707, "replication_factor": 0x0707}
    frame = request(19, version, 1, topics=[wanted], timeout=0x0707)
    assert frame.count(empty) == 1
    client.send(frame.replace(empty, null))
    assert client.is_ended()
    assert kafka.door.failure is None


def test_a_null_among_names_ends_the_connection_and_nothing_else(kafka: EventlogKafka, client: RawClient) -> None:
    frame = request(20, 3, 1, topic_names=["no such"], timeout=1000)
    client.send(frame.replace(b"\x00\x07no such", b"\xff\xff"))
    assert client.is_ended()
    assert kafka.door.failure is None


def test_a_topic_that_is_only_asked_about_is_not_made(kafka: EventlogKafka, client: RawClient) -> None:
    asked = [{"name": name, "num_partitions": 1, "replication_factor": 1} for name in ("new", "orders")]
    answer = client.ask(19, 7, topics=asked, timeout=1000, validate_only=True)
    assert [topic.error_code for topic in answer.topics] == [0, 36]
    assert "new" not in kafka.cluster._world.controller.image.topics


@pytest.mark.parametrize("counts", [(6_000, 4_001), (2**31 - 1,)])
@pytest.mark.parametrize("validate_only", [False, True])
def test_a_request_for_too_many_partitions_makes_none(
    kafka: EventlogKafka, client: RawClient, counts: tuple[int, ...], validate_only: bool
) -> None:
    topics = [{"name": f"new-{count}", "num_partitions": count, "replication_factor": 1} for count in counts]
    answer = client.ask(19, 7, topics=topics, timeout=1000, validate_only=validate_only)
    assert [topic.error_code for topic in answer.topics] == [44] * len(counts)
    more = [{"name": "orders", "count": min(2**31 - 1, sum(counts) + 2)}]
    answer = client.ask(37, 3, topics=more, timeout=1000, validate_only=validate_only)
    assert [result.error_code for result in answer.results] == [44]
    assert list(kafka.cluster._world.controller.image.topics) == ["orders"]


@pytest.mark.parametrize("version", range(4))
def test_partitions_are_added_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    topics = [{"name": "orders", "count": 5}, {"name": "orders", "count": 1}, {"name": "none", "count": 2}]
    answer = client.ask(37, version, topics=topics, timeout=1000)
    assert [result.error_code for result in answer.results] == [0, 37, 3]
    assert len(kafka.cluster._world.controller.image.partitions_of("orders")) == 5


@pytest.mark.parametrize("version", range(3))
def test_records_are_deleted_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    client.ask(PRODUCE, 9, **produced("orders", BATCH))
    partitions = [{"partition_index": 0, "offset": 3}, {"partition_index": 9, "offset": 0}]
    answer = client.ask(21, version, topics=[{"name": "orders", "partitions": partitions}], timeout=1000)
    told = [(each.partition_index, each.low_watermark, each.error_code) for each in answer.topics[0].partitions]
    assert told == [(0, 3, 0), (9, -1, 3)]
    assert kafka.values("orders", 0) == [b"3", b"4"]


@pytest.mark.parametrize("version", range(1, 7))
def test_topics_are_deleted_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    client.ask(PRODUCE, 9, **produced("orders", BATCH))
    known = uuid_of(kafka.cluster._world.controller.image.topics["orders"].topic_id)
    asked: dict[str, Any] = {"topic_names": ["orders", "none"]}
    if version >= 6:
        asked = {"topics": [{"name": "orders"}, {"name": "none"}, {"topic_id": b"\x07" * 16}]}
    answer = client.ask(20, version, timeout=1000, **asked)
    assert [(each.name, each.error_code) for each in answer.responses] == [
        ("orders", 0),
        ("none", 3),
        (None, 100),
    ][: 3 if version >= 6 else 2]
    if version >= 6:
        assert answer.responses[0].topic_id.bytes == known
    (topic,) = client.ask(3, 9, topics=[{"name": "orders"}], allow_auto_topic_creation=False).topics
    assert topic.error_code == 3


def test_a_topic_is_deleted_by_its_id(kafka: EventlogKafka, client: RawClient) -> None:
    known = uuid_of(kafka.cluster._world.controller.image.topics["orders"].topic_id)
    (gone,) = client.ask(20, 6, timeout=1000, topics=[{"name": None, "topic_id": known}]).responses
    assert (gone.name, gone.error_code) == ("orders", 0)


@pytest.mark.parametrize("names_both", [True, False])
def test_a_topic_to_delete_is_named_by_its_name_or_its_id(
    kafka: EventlogKafka, client: RawClient, names_both: bool
) -> None:
    odd = {"name": "orders", "topic_id": orders_id(kafka)} if names_both else {"name": None}
    answer = client.ask(20, 6, timeout=1000, topics=[{"name": "orders"}, odd])
    assert [each.error_code for each in answer.responses] == [42, 42]
    assert "orders" in kafka.cluster._world.controller.image.topics


def test_a_topic_made_anew_is_empty_and_another_one(kafka: EventlogKafka, client: RawClient) -> None:
    for value in (b"a", b"b"):
        assert Confluent.write(kafka.bootstrap, "orders", [value], True) == [0]
        assert kafka.values("orders") == [value]
        before = kafka.cluster._world.controller.image.topics["orders"].topic_id
        client.ask(20, 5, timeout=1000, topic_names=["orders"])
        kafka.cluster.create_topic("orders", 2)
        assert kafka.cluster._world.controller.image.topics["orders"].topic_id != before
        assert kafka.values("orders") == []


def test_whoever_waits_for_a_topic_that_is_deleted_is_told(kafka: EventlogKafka, client: RawClient) -> None:
    client.send(request(FETCH, 12, 9, **fetched("orders", 0, max_wait_ms=60_000)))
    kafka.cluster.delete_topic("orders")
    _, answer = response(FETCH, 12, client.receive())
    assert answer.responses[0].partitions[0].error_code == 3


def test_a_batch_that_waits_for_followers_is_refused_when_its_topic_is_deleted(
    kafka: EventlogKafka, client: RawClient
) -> None:
    for follower in (1, 2, 3):
        if follower != kafka.cluster.leader("orders"):
            kafka.cluster.isolate(follower)
    client.send(request(PRODUCE, 9, 1, **produced("orders", BATCH)))
    kafka.cluster.wait_for(lambda: any(broker.waiting.produces for broker in kafka.cluster._world.brokers()))
    kafka.cluster.delete_topic("orders")
    _, answer = response(PRODUCE, 9, client.receive())
    assert answer.responses[0].partition_responses[0].error_code == 3


def test_a_follower_that_has_not_heard_of_the_new_topic_does_not_pass_for_one_of_its_own(
    kafka: EventlogKafka, client: RawClient
) -> None:
    client.ask(PRODUCE, 9, **produced("orders", BATCH))
    leader = kafka.cluster.leader("orders")
    late = next(each for each in (1, 2, 3) if each != leader)
    kafka.cluster.wait_for(lambda: len(kafka.cluster.records("orders", 0, late)) == 5)
    kafka.cluster.cut(late, "controller")
    kafka.cluster.delete_topic("orders")
    kafka.cluster.create_topic("orders", 2)
    assert kafka.cluster.leader("orders") == leader
    answer = client.ask(PRODUCE, 9, **{**produced("orders", BATCH), "timeout": 300})
    assert answer.responses[0].partition_responses[0].error_code == 7
    (topic,) = client.ask(3, 9, topics=[{"name": "orders"}]).topics
    assert topic.partitions[0].leader_epoch == 1


def test_what_was_deleted_while_a_broker_was_down_is_gone_when_it_leads_again(
    kafka: EventlogKafka, client: RawClient
) -> None:
    client.ask(PRODUCE, 9, **produced("orders", BATCH))
    leader = kafka.cluster.leader("orders")
    kafka.cluster.crash(leader)
    kafka.faults.notice(leader)
    kafka.cluster.delete_topic("orders")
    kafka.cluster.restart(leader)
    image = kafka.cluster._world.controller.image
    kafka.cluster.wait_for(lambda: image.is_alive(leader))
    kafka.cluster.create_topic("orders", 2)
    assert kafka.cluster.leader("orders") == leader
    assert kafka.values("orders") == []


def test_a_broker_that_was_down_does_not_keep_what_was_deleted(kafka: EventlogKafka, client: RawClient) -> None:
    client.ask(PRODUCE, 9, **produced("orders", BATCH))
    follower = next(each for each in (1, 2, 3) if each != kafka.cluster.leader("orders"))
    kafka.cluster.wait_for(lambda: len(kafka.cluster.records("orders", 0)) == 5)
    kafka.cluster.crash(follower)
    kafka.faults.notice(follower)
    kafka.cluster.delete_topic("orders")
    kafka.cluster.create_topic("orders", 2, 2)
    kafka.cluster.create_partitions("orders", 4)
    kafka.cluster.restart(follower)
    kafka.cluster.elect("orders", 3, kafka.cluster.in_sync_replicas("orders", 3)[-1])
    assert kafka.values("orders") == []
    assert kafka.cluster.check().held


@pytest.mark.parametrize("version", range(3))
def test_the_cluster_is_described_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    answer = client.ask(60, version, endpoint_type=1)
    assert {(each.broker_id, each.port) for each in answer.brokers} == {
        (broker_id, kafka.door.endpoint(broker_id)[1]) for broker_id in (1, 2, 3)
    }


def test_producers_and_partitions_are_described(kafka: EventlogKafka, client: RawClient) -> None:
    sent = encode_batch(record_batch((Record(None, b"a", 1_700_000_000_000),), 7, 2, 0))
    client.ask(PRODUCE, 9, **produced("orders", sent))
    asked = [{"name": "orders", "partition_indexes": [0, 9]}]
    known, unknown = client.ask(61, 0, topics=asked).topics[0].partitions
    (producer,) = known.active_producers
    assert (producer.producer_id, producer.producer_epoch, producer.last_sequence) == (7, 2, 0)
    assert unknown.error_code == 3
    topic, missing = client.ask(75, 0, topics=[{"name": "orders"}, {"name": "none"}]).topics
    assert [each.leader_id for each in topic.partitions] == [kafka.cluster.leader("orders", each) for each in (0, 1)]
    assert missing.error_code == 3


@pytest.mark.parametrize("version", range(3))
def test_leaders_are_elected_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    preferred = kafka.cluster.leader("orders")
    other = next(each for each in (1, 2, 3) if each != preferred)
    kafka.faults.move_leader("orders", 0, other)
    asked = [{"topic": "orders", "partitions": [0, 1, 9]}]
    (topic,) = client.ask(43, version, topic_partitions=asked, timeout=1000).replica_election_results
    assert [each.error_code for each in topic.partition_result] == [0, 84, 3]
    assert kafka.cluster.leader("orders") == preferred


@pytest.mark.parametrize("version", range(1, 3))
def test_markers_of_a_coordinator_are_written(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    marker = {"producer_id": 5, "producer_epoch": 0, "transaction_result": True, "coordinator_epoch": 1}
    marker["topics"] = [{"name": "orders", "partition_indexes": [0, 9]}]
    (answer,) = client.ask(27, version, markers=[marker]).markers
    assert [each.error_code for each in answer.topics[0].partitions] == [0, 3]


def configs(client: RawClient, version: int, kind: int = 2, name: str = "orders", keys: Any = None) -> Any:
    asked = {"resource_type": kind, "resource_name": name, "configuration_keys": keys}
    return client.ask(32, version, resources=[asked]).results[0]


@pytest.mark.parametrize("version", range(1, 5))
def test_settings_are_described_by_every_version(client: RawClient, version: int) -> None:
    of_topic = {config.name: config.value for config in configs(client, version).configs}
    assert (of_topic["min.insync.replicas"], of_topic["cleanup.policy"]) == ("1", "delete")
    assert [each.name for each in configs(client, version, keys=["retention.ms"]).configs] == ["retention.ms"]
    of_broker = {config.name: config.read_only for config in configs(client, version, 4, "1").configs}
    assert of_broker["log.retention.ms"] is True
    assert [configs(client, version, kind, "none").error_code for kind in (2, 4, 8)] == [3, 42, 42]


@pytest.mark.parametrize("version", range(3))
def test_settings_that_are_not_given_are_taken_away_by_the_old_alteration(client: RawClient, version: int) -> None:
    for given, left in (({"retention.ms": "5"}, {"retention.ms"}), ({"segment.ms": "7"}, {"segment.ms"})):
        changes = [{"name": name, "value": value} for name, value in given.items()]
        asked = {"resource_type": 2, "resource_name": "orders", "configs": changes}
        assert client.ask(33, version, resources=[asked]).responses[0].error_code == 0
        assert {each.name for each in configs(client, 4).configs if each.config_source == 1} == left


@pytest.mark.parametrize("version", range(2))
def test_settings_are_changed_one_by_one(client: RawClient, version: int) -> None:
    def alter(name: str, operation: int, value: str | None, **more: Any) -> int:
        change = {"name": name, "config_operation": operation, "value": value}
        asked = {"resource_type": 2, "resource_name": "orders", "configs": [change]}
        return int(client.ask(44, version, resources=[asked], **more).responses[0].error_code)

    def overridden() -> dict[str, str]:
        return {each.name: each.value for each in configs(client, 4).configs if each.config_source == 1}

    assert alter("retention.ms", 0, "9") == 0
    assert alter("segment.ms", 0, "5", validate_only=True) == 0
    assert overridden() == {"retention.ms": "9"}
    assert [alter("retention.ms", 0, "x"), alter("no.such", 0, "1"), alter("retention.ms", 2, "1")] == [40, 40, 40]
    assert alter("retention.ms", 1, None) == 0
    assert overridden() == {}


@pytest.mark.parametrize("version", range(7))
def test_a_group_has_a_coordinator_and_a_transaction_has_none(client: RawClient, version: int) -> None:
    def find(kind: int) -> Any:
        answer = client.ask(10, version, key="g", key_type=kind, coordinator_keys=["g"])
        return answer.coordinators[0] if version >= 4 else answer

    assert (find(0).error_code, find(0).node_id in (1, 2, 3)) == (0, True)
    if version:
        assert (find(1).error_code, find(1).node_id) == (53, -1)


def coordinator(kafka: EventlogKafka, client: RawClient, group: str) -> RawClient:
    client.ask(10, 3, key=group)
    host, port = kafka.door.endpoint(kafka.cluster.leader("__consumer_offsets", shard_of(group).partition))
    return RawClient(f"{host}:{port}")


def commit(client: RawClient, version: int, group: str, offset: int, topic_id: bytes, **more: Any) -> int:
    row = {"partition_index": 0, "committed_offset": offset, "committed_metadata": "m", "committed_leader_epoch": 0}
    topics = [{"name": "orders", "topic_id": topic_id, "partitions": [row]}]
    fields = {"group_id": group, "generation_id_or_member_epoch": -1, "topics": topics, **more}
    return int(client.ask(8, version, **fields).topics[0].partitions[0].error_code)


def fetch(client: RawClient, version: int, group: str, topic_id: bytes) -> tuple[int, int]:
    topics = [{"name": "orders", "topic_id": topic_id, "partition_indexes": [0]}]
    answer = client.ask(9, version, group_id=group, topics=topics, groups=[{"group_id": group, "topics": topics}])
    answer = answer.groups[0] if version >= 8 else answer
    if getattr(answer, "error_code", 0):
        return (answer.error_code, -1)
    (row,) = answer.topics[0].partitions
    return (row.error_code, row.committed_offset)


def orders_id(kafka: EventlogKafka) -> bytes:
    return uuid_of(kafka.cluster._world.controller.image.topics["orders"].topic_id)


@pytest.mark.parametrize("version", range(2, 11))
def test_offsets_are_kept_by_every_version(kafka: EventlogKafka, client: RawClient, version: int) -> None:
    topic_id = orders_id(kafka)
    with coordinator(kafka, client, "g") as keeper:
        assert fetch(keeper, version, "g", topic_id) == (0, -1)
        assert commit(keeper, version, "g", 41, topic_id) == 0
        assert commit(keeper, version, "g", 42, topic_id) == 0
        assert fetch(keeper, version, "g", topic_id) == (0, 42)
        assert commit(keeper, version, "g", 43, topic_id, member_id="somebody") == 25
        assert commit(keeper, version, "", 43, topic_id) == 24
        if version >= 10:  # an id that nobody has, and none at all
            for unknown in (b"\x07" * 16, bytes(16)):
                assert commit(keeper, version, "g", 44, unknown) == 100
                assert fetch(keeper, version, "g", unknown) == (100, -1)


def test_a_name_that_no_topic_can_have_is_unknown(kafka: EventlogKafka, client: RawClient) -> None:
    with coordinator(kafka, client, "g") as keeper:
        topics = [{"name": "id:no", "partition_indexes": [0]}]
        (topic,) = keeper.ask(9, 8, groups=[{"group_id": "g", "topics": topics}]).groups[0].topics
    assert (topic.name, topic.partitions[0].error_code, topic.partitions[0].committed_offset) == ("id:no", 0, -1)
    answer = client.ask(PRODUCE, 9, **produced("id:no", BATCH)).responses[0]
    assert (answer.name, answer.partition_responses[0].error_code) == ("id:no", 3)
    answer = client.ask(FETCH, 12, **fetched("id:no", 0)).responses[0]
    assert (answer.topic, answer.partitions[0].error_code) == ("id:no", 3)


def test_offsets_outlive_their_coordinator(kafka: EventlogKafka, client: RawClient) -> None:
    topic_id = orders_id(kafka)
    with coordinator(kafka, client, "g") as keeper:
        assert commit(keeper, 8, "g", 42, topic_id) == 0
    shard = shard_of("g")
    old = kafka.cluster.leader(*shard)
    kafka.faults.crash(old)
    kafka.faults.notice(old)
    host, port = kafka.door.endpoint(kafka.cluster.leader(*shard))
    with RawClient(f"{host}:{port}") as next_one:
        assert fetch(next_one, 8, "g", topic_id) == (0, 42)


def all_of(client: RawClient, group: str) -> list[str]:
    return [topic.name for topic in client.ask(9, 5, group_id=group, topics=None).topics]


def test_offsets_are_gone_with_their_topic_and_do_not_come_back_with_its_name(
    kafka: EventlogKafka, client: RawClient
) -> None:
    with coordinator(kafka, client, "g") as keeper:
        assert commit(keeper, 8, "g", 42, orders_id(kafka)) == 0
        assert all_of(keeper, "g") == ["orders"]
        kafka.cluster.delete_topic("orders")
        assert (all_of(keeper, "g"), fetch(keeper, 8, "g", b"")) == ([], (0, -1))
        kafka.cluster.create_topic("orders")
        assert (all_of(keeper, "g"), fetch(keeper, 8, "g", b"")) == ([], (0, -1))
        assert commit(keeper, 8, "g", 7, b"") == 0
        assert (all_of(keeper, "g"), fetch(keeper, 8, "g", b"")) == (["orders"], (0, 7))


def test_who_asks_another_than_the_coordinator_is_told_so(kafka: EventlogKafka, client: RawClient) -> None:
    topic_id = orders_id(kafka)
    coordinator(kafka, client, "g").socket.close()
    other = next(each for each in (1, 2, 3) if each != kafka.cluster.leader(*shard_of("g")))
    host, port = kafka.door.endpoint(other)
    with RawClient(f"{host}:{port}") as stranger:
        assert commit(stranger, 8, "g", 1, topic_id) == 16
        assert [fetch(stranger, version, "g", topic_id)[0] for version in (1, 5, 8)] == [16, 16, 16]


def test_confluent_administers_and_keeps_offsets(kafka: EventlogKafka) -> None:
    from confluent_kafka import Consumer, TopicPartition
    from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (made,) = admin.create_topics([NewTopic("new", 2, 3)]).values()
    assert made.result(READ_S) is None
    (widened,) = admin.create_partitions([NewPartitions("new", 4)]).values()
    assert widened.result(READ_S) is None
    (described,) = admin.describe_configs([ConfigResource("topic", "new")]).values()
    assert described.result(READ_S)["cleanup.policy"].value == "delete"
    assert len(admin.describe_cluster().result(READ_S).nodes) == 3
    Confluent.write(kafka.bootstrap, "new", [b"a", b"b"], True)
    settings = {"bootstrap.servers": kafka.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    for expected in (b"a", b"b"):
        consumer = Consumer(settings)
        consumer.assign([TopicPartition("new", 0)])
        message = consumer.poll(READ_S)
        assert message.value() == expected
        consumer.commit(message, asynchronous=False)
        consumer.close()


def test_kafka_python_administers_and_keeps_offsets(kafka: EventlogKafka) -> None:
    from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
    from kafka.admin import NewTopic

    servers = kafka.bootstrap.split(",")
    admin = KafkaAdminClient(bootstrap_servers=servers)
    admin.create_topics([NewTopic("new", 1, 3)])
    assert "new" in admin.list_topics()
    admin.close()
    Confluent.write(kafka.bootstrap, "new", [b"a", b"b"], True)
    for expected in (b"a", b"b"):
        consumer = KafkaConsumer(
            bootstrap_servers=servers, group_id="g", auto_offset_reset="earliest", enable_auto_commit=False
        )
        consumer.assign([TopicPartition("new", 0)])
        got = consumer.poll(READ_S * 1000, max_records=1)
        assert [message.value for messages in got.values() for message in messages] == [expected]
        consumer.commit()
        consumer.close()


def test_aiokafka_administers_and_keeps_offsets(kafka: EventlogKafka) -> None:
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic

    async def read_one() -> bytes:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap, group_id="g", auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition("new", 0)])
            message = await asyncio.wait_for(consumer.getone(), READ_S)
            await consumer.commit()
            return bytes(message.value)
        finally:
            await consumer.stop()

    async def run() -> list[bytes]:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic("new", 1, 3)])
        await admin.close()
        await asyncio.to_thread(Confluent.write, kafka.bootstrap, "new", [b"a", b"b"], True)
        return [await read_one(), await read_one()]

    assert asyncio.run(run()) == [b"a", b"b"]


def test_a_consumer_that_joins_a_group_is_refused_and_does_not_hang(kafka: EventlogKafka) -> None:
    from kafka import KafkaConsumer
    from kafka.errors import KafkaError

    consumer = KafkaConsumer("orders", bootstrap_servers=kafka.bootstrap.split(","), group_id="g")
    with pytest.raises((KafkaError, ValueError)):
        consumer.poll(5_000)
    consumer.close()
