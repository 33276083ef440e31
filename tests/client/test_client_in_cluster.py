"""Both engines inside a real cluster: what a producer's retries leave in a log, and what a consumer reads of it."""

from __future__ import annotations

from typing import Any

import pytest

from eventlog import Cluster
from eventlog.clients import Consumer, Delivery, Producer
from eventlog.errors import ErrorCode, FatalError, RequestError, RetriableError, UnknownOutcomeError
from eventlog.messages import NO_CONNECTION, Disconnected, Envelope
from eventlog.messages.broker_api import ProducePartitionReply, ProduceReply
from eventlog.values import MAX_PRODUCER_EPOCH, MAX_SEQUENCE, USUAL_FAULTS, TopicPartition

HIGH = MAX_SEQUENCE - 2
M0_TO_M6 = ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]
REVERSED = ["m0", "m1", "m2", "m3", "m4", "m5", "m5", "m4", "m3", "m2", "m1", "m6"]


def log(cluster: Cluster, broker_id: int | None = None) -> list[str]:
    return [(each.record.value or b"").decode() for each in cluster.records("t", broker_id=broker_id)]


def began(**settings: Any) -> tuple[Cluster, Producer]:
    """A cluster with a topic and a producer whose m0 is acknowledged."""
    cluster = Cluster(brokers=3)
    cluster.create_topic("t")
    producer = cluster.producer("writer", **{"linger_ms": 0, **settings})
    producer.send("t", "m0").offset  # noqa: B018 (waits)
    return cluster, producer


def texts(consumer: Consumer, timeout_ms: int = 0) -> list[str]:
    return [(each.record.value or b"").decode() for each in consumer.poll(timeout_ms)]


# A lost answer, as recorded with a real client.


@pytest.mark.parametrize(
    ("idempotence", "expected"), [(False, REVERSED), (True, M0_TO_M6)], ids=["plain", "idempotent"]
)
@pytest.mark.parametrize("closed", [False, True], ids=["stalled", "closed"])
def test_after_a_lost_answer_a_plain_producer_repeats_in_reverse_and_an_idempotent_one_not_at_all(
    idempotence: bool, expected: list[str], closed: bool
) -> None:
    cluster, producer = began(idempotence=idempotence)
    cluster.lose_next_ack(producer)
    sent = [producer.send("t", value) for value in M0_TO_M6[1:]]
    if closed:
        leader = cluster.leader("t")
        cluster.wait_for(lambda: len(log(cluster, leader)) == 6)
        cluster._world.break_connection(producer._engine.links[leader].connection)
    producer.flush()
    assert log(cluster) == expected
    assert all(each.error is None for each in sent)
    assert (producer.retries, producer.epoch_bumps) == (5, 0)
    if idempotence:
        assert [each.offset for each in sent] == [1, 2, 3, 4, 5, 6]
    assert cluster.elapsed_ms < (10_000 if closed else 40_000)


@pytest.mark.parametrize(("client", "copies"), [("java", "m5 m4 m3 m2 m1"), ("librdkafka", "m1 m2 m3 m4 m5")])
def test_a_plain_producer_repeats_in_the_order_of_its_client(client: str, copies: str) -> None:
    cluster, producer = began(idempotence=False, behaves_like=client)
    cluster.lose_next_ack(producer)
    for value in M0_TO_M6[1:]:
        producer.send("t", value)
    producer.flush()
    assert log(cluster) == [*M0_TO_M6[:6], *copies.split(), "m6"]


def restarted(client: str, **settings: Any) -> tuple[Cluster, Producer, list[Delivery]]:
    """One broker; m0 is acknowledged, m1..m5 are appended and unanswered when it crashes; it starts again."""
    cluster = Cluster(brokers=1, **settings)
    cluster.create_topic("t")
    producer = cluster.producer("writer", linger_ms=0, behaves_like=client)
    producer.send("t", "m0").offset  # noqa: B018 (waits)
    cluster.lose_next_ack(producer)
    sent = [producer.send("t", value) for value in M0_TO_M6[1:]]
    cluster.wait_for(lambda: len(log(cluster, 1)) == 6)
    cluster.crash(1)
    cluster.restart(1)
    producer.flush()
    return cluster, producer, sent


def test_a_broker_that_forgot_four_of_five_lets_java_write_all_of_them_twice() -> None:
    cluster, producer, sent = restarted("java")
    assert log(cluster) == [*M0_TO_M6[:6], *M0_TO_M6[1:6], "m6"]
    assert [each.offset for each in sent] == [6, 7, 8, 9, 10, 11]
    assert producer.epoch_bumps == 1


def test_a_broker_that_forgot_four_of_five_finishes_a_librdkafka_producer() -> None:
    cluster, producer, sent = restarted("librdkafka")
    assert log(cluster) == M0_TO_M6[:6]
    assert isinstance(sent[0].error, UnknownOutcomeError)
    assert [each.offset for each in sent[1:5]] == [-1, -1, -1, 5]
    assert isinstance(sent[5].error, FatalError)
    with pytest.raises(FatalError, match="can't be used any more"):
        producer.send("t", "m7").offset  # noqa: B018 (raises)


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_a_broker_that_remembers_five_after_a_restart_costs_neither_anything(client: str) -> None:
    cluster, producer, sent = restarted(client, producer_snapshot_batches=5)
    assert log(cluster) == M0_TO_M6
    assert [each.offset for each in sent] == [1, 2, 3, 4, 5, 6]
    assert producer.epoch_bumps == 0


def test_with_one_in_flight_a_plain_producer_repeats_one() -> None:
    cluster, producer = began(idempotence=False, max_in_flight=1)
    cluster.lose_next_ack(producer)
    for value in ("m1", "m2"):
        producer.send("t", value)
    producer.flush()
    assert log(cluster) == ["m0", "m1", "m1", "m2"]


def test_sequences_that_wrap_behind_a_lost_answer_are_recognised() -> None:
    cluster, producer = began(initial_sequence=HIGH)
    cluster.lose_next_ack(producer)
    for value in M0_TO_M6[1:]:
        producer.send("t", value)
    producer.flush()
    assert log(cluster) == M0_TO_M6
    state = producer._engine.partition_state(TopicPartition("t", 0))
    assert (state.next_sequence, state.last_acked_sequence, producer.epoch_bumps) == (4, 3, 0)
    assert cluster.check().held


def test_sequences_that_wrap_behind_a_lost_request_are_sent_again_in_order() -> None:
    cluster, producer = began(initial_sequence=HIGH)
    cluster.lose_next_request(producer)
    for value in M0_TO_M6[1:]:
        producer.send("t", value)
    producer.flush()
    assert log(cluster) == M0_TO_M6
    assert producer.epoch_bumps == 0


def test_an_exhausted_epoch_gets_a_new_id_and_no_batch_leaves_without_one() -> None:
    cluster, producer = began()
    engine = producer._engine
    identity, queue = engine.identity, engine.queues()[0]
    identity._begin(identity.producer_id, MAX_PRODUCER_EPOCH)
    producer.send("t", "m1").offset  # noqa: B018 (waits)
    old_id = engine.producer_id
    assert queue.producer_epoch == MAX_PRODUCER_EPOCH
    # The broker's answer to m2 is made up: it has forgotten this producer.
    delivery = producer.send("t", "m2")
    link = next(iter(engine.links.values()))
    connection, correlation_id = link.connection, link.in_flight[0][0]
    part = ProducePartitionReply(queue.topic_partition, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    answer = Envelope(connection.server, "writer", connection, correlation_id, ProduceReply((part,)))
    engine.receive(answer, cluster.now_ms)
    assert engine.producer_id == -1
    assert queue.in_flight[0].producer_id == old_id
    cluster._world.break_connection(connection)
    engine.receive(Envelope(connection.server, "writer", connection, 0, Disconnected()), cluster.now_ms)
    identity.asker.give_up(engine.deadlines())
    producer.flush()
    assert delivery.error is None
    assert engine.producer_id > old_id
    assert engine.producer_epoch == 0
    leader = cluster._world.find_broker(cluster.leader("t"))
    assert leader is not None
    batches = list(leader.replicas[queue.topic_partition].log.read(0, 10, 2**62))
    assert all(batch.producer_id >= 0 for batch in batches)
    assert batches[-1][2:5] == (engine.producer_id, 0, 0)


# Ends that are no success.


def test_a_topic_that_never_comes_fails_its_records_by_name() -> None:
    cluster = Cluster(brokers=3)
    producer = cluster.producer(delivery_timeout_ms=40_000)
    delivery = producer.send("nowhere", "lost")
    with pytest.raises(RetriableError, match="nowhere was not found") as failed:
        delivery.offset  # noqa: B018 (raises)
    assert failed.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert cluster.elapsed_ms >= 40_000


def test_a_topic_that_comes_late_gets_what_waited_for_it() -> None:
    cluster = Cluster(brokers=3)
    producer = cluster.producer()
    delivery = producer.send("t", "early")
    cluster.advance(5_000)
    cluster.create_topic("t")
    assert delivery.offset == 0
    assert log(cluster) == ["early"]


def test_a_closed_producer_delivers_what_it_has_and_takes_no_more() -> None:
    _, producer = began(linger_ms=1_000)
    delivery = producer.send("t", "m1")
    producer.close()
    assert delivery.offset == 1
    with pytest.raises(FatalError, match="closed"):
        producer.send("t", "m2")
    assert producer._engine.deadlines() == {}
    assert not any(link.opened for link in producer._engine.links.values())


def test_a_record_too_large_is_refused_before_it_is_sent_or_by_the_broker() -> None:
    cluster, producer = began()
    with pytest.raises(RequestError) as refused:
        producer.send("t", b"x" * 1_048_577)
    assert refused.value.code is ErrorCode.MESSAGE_TOO_LARGE
    cluster.create_topic("small", max_message_bytes=500)
    delivery = producer.send("small", b"x" * 600)
    with pytest.raises(RequestError) as rejected:
        delivery.offset  # noqa: B018 (raises)
    assert rejected.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert producer.send("small", b"x" * 100).offset == 0


def test_a_batch_too_large_for_the_broker_arrives_in_pieces() -> None:
    cluster, producer = began(linger_ms=10)
    cluster.create_topic("small", max_message_bytes=1_000)
    sent = [producer.send("small", b"x" * 200) for _ in range(20)]
    producer.flush()
    assert [each.offset for each in sent] == list(range(20))
    assert producer.epoch_bumps == 0


def test_a_full_buffer_refuses_a_send_until_something_is_acknowledged() -> None:
    _, producer = began(batch_size=1_000, buffer_memory=3_000)
    sent = [producer.send("t", b"x" * 400) for _ in range(12)]
    refused = [each for each in sent if each.error is not None]
    assert 0 < len(refused) < 12
    assert all(isinstance(each.error, RetriableError) for each in refused)
    producer.flush()
    assert producer._engine.buffered_bytes == 0
    assert producer.send("t", "again").offset == 1 + len(sent) - len(refused)


def test_without_acks_a_record_has_its_end_when_it_is_sent_and_may_be_lost() -> None:
    cluster, producer = began(acks=0, idempotence=False)
    cluster.advance(1_000)
    cluster.lose_next_request(producer)
    assert producer.send("t", "lost").offset == -1
    cluster.advance(1_000)
    assert log(cluster) == ["m0"]


def test_with_one_ack_the_leader_alone_answers_and_its_crash_loses_the_record() -> None:
    cluster, producer = began(acks=1, idempotence=False)
    cluster.advance(1_000)
    leader = cluster.leader("t")
    cluster.isolate(leader)
    assert producer.send("t", "m1").offset == 1
    cluster.crash(leader)
    cluster.wait_for(lambda: cluster.leader("t") not in (-1, leader))
    assert log(cluster) == ["m0"]


def test_a_producer_without_a_broker_gives_up_at_its_delivery_timeout() -> None:
    cluster, producer = began(delivery_timeout_ms=40_000)
    for broker_id in (1, 2, 3):
        cluster.crash(broker_id)
    delivery = producer.send("t", "m1")
    with pytest.raises((RetriableError, UnknownOutcomeError)):
        delivery.offset  # noqa: B018 (raises)
    assert producer._engine.check_invariants() is None


# Reading.


def test_a_consumer_reads_across_a_failover_and_misses_nothing() -> None:
    cluster, producer = began()
    consumer = cluster.consumer(("t", 0))
    assert texts(consumer) == ["m0"]
    cluster.crash(cluster.leader("t"))
    for value in ("m1", "m2"):
        producer.send("t", value)
    producer.flush()
    read: list[str] = []
    while len(read) < 2:
        read += texts(consumer, 5_000)
    assert read == ["m1", "m2"]


def test_a_poll_that_waits_outlives_the_leader() -> None:
    cluster, producer = began()
    consumer = cluster.consumer(("t", 0))
    assert texts(consumer) == ["m0"]
    cluster.elect("t", 0, 2 if cluster.leader("t") == 1 else 1)
    producer.send("t", "m1")
    assert texts(consumer, 60_000) == ["m1"]


def test_a_consumer_reads_up_to_the_high_watermark_and_no_further() -> None:
    cluster, producer = began()
    leader = cluster.leader("t")
    for broker_id in (1, 2, 3):
        if broker_id != leader:
            cluster.cut(leader, broker_id)
    producer.send("t", "m1")
    cluster.advance(100)
    assert log(cluster, leader) == ["m0", "m1"]
    consumer = cluster.consumer(("t", 0))
    assert texts(consumer) == ["m0"]
    assert texts(consumer, 500) == []
    cluster.heal()
    assert texts(consumer, 60_000) == ["m1"]


def test_a_seek_reads_again_from_there() -> None:
    cluster, producer = began()
    for value in ("m1", "m2"):
        producer.send("t", value)
    producer.flush()
    consumer = cluster.consumer(("t", 0))
    assert texts(consumer) == ["m0", "m1", "m2"]
    consumer.seek("t", 0, 1)
    assert texts(consumer) == ["m1", "m2"]
    consumer.seek("t", 0, -1)
    assert texts(consumer) == []
    consumer.seek("t", 0, -2)
    assert texts(consumer) == ["m0", "m1", "m2"]


def test_without_a_policy_a_consumer_says_that_it_needs_a_seek() -> None:
    cluster, _ = began()
    consumer = cluster.consumer(("t", 0), auto_offset_reset="none")
    with pytest.raises(RequestError, match="seek") as lost:
        consumer.poll()
    assert lost.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


def test_idle_clients_cost_nothing() -> None:
    cluster, producer = began()
    consumer = cluster.consumer(("t", 0))
    assert texts(consumer) == ["m0"]
    assert texts(consumer, 50) == []
    cluster.advance(2_000)
    before = len(cluster.recorder.events)
    cluster.advance(86_400_000)
    names = [name for event in cluster.recorder.events[before:] for name in (event[2].source, event[2].destination)]
    assert not any(client.name in names for client in (producer, consumer))
    assert (producer._engine.deadlines(), consumer._engine.deadlines()) == ({}, {})


# Chaos.


@pytest.mark.parametrize(("client", "in_flight"), [("java", 1), ("java", 5), ("librdkafka", 5)])
@pytest.mark.parametrize("seed", range(6))
def test_under_every_fault_the_producers_promises_about_itself_hold_at_each_event(
    seed: int, client: str, in_flight: int
) -> None:
    cluster = Cluster(brokers=3, seed=seed, faults=USUAL_FAULTS)
    cluster.create_topic("t", partitions=2)
    settings: dict[str, Any] = {"linger_ms": 2, "delivery_timeout_ms": 60_000, "max_in_flight": in_flight}
    settings |= {"initial_sequence": HIGH if seed % 2 else 0, "behaves_like": client}
    producer = cluster.producer("writer", **settings)
    engine, world = producer._engine, cluster._world
    for number in range(60):
        producer.send("t", f"m{number}", partition=number % 2)
        engine.check_invariants()
        until_ms = world.now_ms + 400
        while world.step(until_ms):
            engine.check_invariants()
            frozen = engine.freeze(world.now_ms)
            assert type(engine).thaw(frozen, world.now_ms).freeze(world.now_ms) == frozen
    verdict = cluster.check()
    engine.check_invariants()
    assert verdict.held, str(verdict)
    assert producer.in_flight == 0
    world.inject(Envelope("user", "writer", NO_CONNECTION, 0, "?"))
    assert engine.buffered_bytes == 0
