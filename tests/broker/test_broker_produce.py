"""The order of the checks on a produce request, and what the answers carry."""

from __future__ import annotations

import pytest
from broker_stage import T0, TP, A, B, Stage, batch, produce_request

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import (
    DeleteRecordsRequest,
    DescribeProducersRequest,
    ProducePartition,
    ProducePartitionReply,
    ProduceRequest,
)
from eventlog.values import Record, TopicPartition

NOWHERE = TopicPartition("nowhere", 0)


def ask_one(stage: Stage, broker_id: int, request: ProduceRequest) -> ProducePartitionReply:
    (reply,) = stage.ask(broker_id, request).partitions
    return reply


def with_one_in_sync() -> Stage:
    """Replica 1 leads alone; two must be in sync."""
    stage = Stage(min_insync_replicas=2, replica_lag_time_max_ms=1_000)
    assert stage.produce(1, A, 0, 0) == 0
    stage.stop_replication(2, 3)
    assert stage.produce(1, A, 0, 1, acks=1) == 1
    stage.run(2_000)
    assert stage.partition.in_sync_replicas == (1,)
    return stage


@pytest.mark.parametrize("acks", [2, -2, 32767])
@pytest.mark.parametrize("to", [TP, NOWHERE])
@pytest.mark.parametrize("broker_id", [1, 2])
def test_impossible_acks_are_told_first(acks: int, to: TopicPartition, broker_id: int) -> None:
    reply = ask_one(Stage(), broker_id, produce_request(batch(A, 0, 0), acks, to=to))
    assert (int(reply.error), reply.base_offset, reply.log_start_offset) == (21, -1, -1)


def test_an_unknown_partition_is_told_before_leadership() -> None:
    stage = Stage()
    for to in (NOWHERE, TopicPartition("t", 7), TopicPartition("t", -1)):
        reply = ask_one(stage, 2, produce_request(batch(A, 0, 0), to=to))
        assert (int(reply.error), reply.base_offset, reply.log_start_offset) == (3, -1, -1)


@pytest.mark.parametrize("acks", [-1, 1])
def test_a_follower_answers_6_with_the_leaders_name_even_for_a_batch_it_knows(acks: int) -> None:
    stage = Stage()
    assert stage.produce(1, A, 0, 0) == 0
    for sequence in (0, 1, 9):
        reply = ask_one(stage, 2, produce_request(batch(A, 0, sequence), acks))
        assert (int(reply.error), reply.base_offset, reply.log_start_offset) == (6, -1, -1)
        assert (reply.leader_id, reply.leader_epoch) == (1, 0)


def test_too_few_in_sync_is_told_before_the_log_is_asked_and_so_for_a_duplicate_too() -> None:
    stage = with_one_in_sync()
    for sequence in (1, 2, 7):
        reply = ask_one(stage, 1, produce_request(batch(A, 0, sequence)))
        assert (int(reply.error), reply.base_offset, reply.log_start_offset) == (19, -1, -1)
    assert stage.replica(1).log.log_end_offset == 2
    assert stage.produce(1, A, 0, 1, acks=1) == "dup@1"
    assert stage.produce(1, A, 0, 2, acks=1) == 2
    assert stage.replica(1).log.high_watermark == 1


def test_errors_of_the_log_carry_its_start_and_earlier_ones_do_not() -> None:
    stage = Stage(1, topic={"max_message_bytes": 500})
    stage.produce(1, A, 1, 0, 3)
    stage.ask(1, DeleteRecordsRequest(((TP, 2),)))
    transactional = batch(A, 1, 3)._replace(attributes=0x10)
    far_off = batch(A, 1, 3)._replace(max_timestamp_ms=2**50, records=(Record(None, b"v", 2**50),))
    expected = [
        (produce_request(batch(A, 1, 9)), 45, 2),
        (produce_request(batch(A, 0, 3)), 47, 2),
        (produce_request(batch(A, 1, -1)), 87, 2),
        (produce_request(far_off), 32, 2),
        (produce_request(batch(A, 1, 3, 200)), 10, -1),
        (produce_request(batch(A, 1, 3), acks=9), 21, -1),
        (produce_request(batch(A, 1, 3), to=NOWHERE), 3, -1),
        (produce_request(transactional), 53, -1),
    ]
    for request, error, log_start_offset in expected:
        reply = ask_one(stage, 1, request)
        assert (int(reply.error), reply.base_offset, reply.log_start_offset) == (error, -1, log_start_offset)
    reply = ask_one(stage, 1, produce_request(batch(A, 1, 3)))
    assert (reply.error, reply.base_offset, reply.log_start_offset) == (ErrorCode.NONE, 3, 2)
    reply = ask_one(stage, 1, produce_request(batch(A, 1, 0, 3)))
    assert (reply.base_offset, reply.log_start_offset, reply.log_append_time_ms) == (0, 2, T0)


def test_acks_0_is_answered_by_silence_or_by_a_closed_connection() -> None:
    stage = Stage()
    good = stage.send(1, produce_request(batch(A, 0, 0), acks=0))
    stage.run(100)
    assert stage.answered(good) is None
    assert stage.replica(1).log.log_end_offset == 1
    for refused in (
        produce_request(batch(A, 0, 5), acks=0),
        produce_request(batch(A, 0, 1), acks=0, to=NOWHERE),
        produce_request(batch(A, 0, 1)._replace(attributes=0x10), acks=0),
    ):
        assert stage.ask(1, refused) == "closed"
    assert stage.ask(2, produce_request(batch(A, 0, 1), acks=0)) == "closed"
    assert stage.replica(1).log.log_end_offset == 1


def test_a_transactional_batch_without_a_transactional_id_refuses_the_whole_request() -> None:
    stage = Stage(1)
    stage.create("u")
    other = TopicPartition("u", 0)
    request = ProduceRequest(
        -1,
        1_000,
        (ProducePartition(TP, batch(A, 0, 0)), ProducePartition(other, batch(-1, -1, -1)._replace(attributes=0x10))),
    )
    assert [(int(each.error), each.log_start_offset) for each in stage.ask(1, request).partitions] == [(53, -1)] * 2
    assert stage.replica(1).log.log_end_offset == 0


def test_partitions_of_one_request_are_judged_each_for_itself() -> None:
    stage = Stage(1)
    stage.create("u", partitions=3)
    parts = [TopicPartition("u", each) for each in range(3)]
    for to in parts:
        stage.ask(1, produce_request(batch(A, 0, 0), to=to))
    request = ProduceRequest(
        -1,
        1_000,
        (
            ProducePartition(parts[0], batch(A, 0, 1)),
            ProducePartition(parts[1], batch(A, 0, 5)),
            ProducePartition(parts[2], batch(A, 0, 0)),
            ProducePartition(NOWHERE, batch(A, 0, 0)),
        ),
    )
    replies = stage.ask(1, request).partitions
    assert [(int(each.error), each.base_offset) for each in replies] == [(0, 1), (45, -1), (0, 0), (3, -1)]


def test_followers_know_every_producer_as_the_leader_does() -> None:
    stage = Stage()
    for sequence in range(7):
        stage.produce(1, A, 0, sequence)
    stage.produce(1, B, 32767, 2**31 - 1, 2)
    stage.run(1_000)
    replies = [stage.ask(each, DescribeProducersRequest((TP,))).partitions for each in (1, 2, 3)]
    assert replies[0] == replies[1] == replies[2]
    ((_, error, producers),) = replies[0]
    assert error is ErrorCode.NONE
    assert [each[:6] for each in producers] == [(A, 0, 6, T0, -1, -1), (B, 32767, 0, T0, -1, -1)]


def test_a_retry_after_failover_is_not_appended() -> None:
    stage = Stage()
    for sequence in range(7):
        stage.produce(1, A, 0, sequence)
    stage.world.crash(1)
    stage.run(12_000)
    assert (stage.partition.leader_id, stage.partition.leader_epoch) == (2, 1)
    for sequence in (2, 3, 4, 5, 6):
        assert stage.produce(2, A, 0, sequence) == f"dup@{sequence}"
    for sequence in (1, 0, 8):
        assert stage.produce(2, A, 0, sequence) == "45 at -1"
    assert stage.produce(2, A, 0, 7) == 7
    assert stage.produce(2, A, 0, 2) == "45 at -1"
    assert stage.produce(2, A, 0, 3) == "dup@3"
    stage.world.restart(1)
    stage.run(5_000)
    assert stage.partition.in_sync_replicas == (2, 3, 1)
    assert stage.ends() == [(8, 8)] * 3
    assert [each.leader_epoch for each in stage.replica(1).log.read(0, 8, 2**30)] == [0] * 7 + [1]


def test_a_lost_suffix_is_cut_and_its_batches_are_appended_afresh() -> None:
    stage = Stage()
    for sequence in range(3):
        stage.produce(1, A, 0, sequence)
    stage.run(1_000)
    stage.stop_replication(2, 3)
    assert [stage.produce(1, A, 0, sequence, acks=1) for sequence in (3, 4)] == [3, 4]
    stage.world.crash(1)
    stage.run(12_000)
    assert stage.produce(2, A, 0, 5) == "45 at -1"
    assert stage.produce(2, A, 0, 4) == "45 at -1"
    assert stage.produce(2, B, 0, 0) == 3
    assert [stage.produce(2, A, 0, sequence) for sequence in (3, 4, 5)] == [4, 5, 6]
    stage.let_replicate(2, 3)
    stage.world.restart(1)
    stage.run(5_000)
    log = stage.replica(1).log
    assert [each.leader_epoch for each in log.read(0, 9, 2**30)] == [0, 0, 0, 1, 1, 1, 1]
    assert log.producer_state.freeze() == stage.replica(2).log.producer_state.freeze()


def test_a_producer_whose_every_batch_was_lost_may_begin_with_a_gap() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    assert [stage.produce(1, A, 0, sequence, acks=1) for sequence in (0, 1)] == [0, 1]
    stage.world.crash(1)
    stage.run(12_000)
    assert stage.produce(2, A, 0, 2) == 0
    assert stage.produce(2, A, 0, 0) == "45 at -1"
    assert stage.produce(2, A, 0, 3) == 1
