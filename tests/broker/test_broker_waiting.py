"""The waiting room: acks=all waits for the high watermark, and how it ends when that doesn't come."""

from __future__ import annotations

import pytest
from broker_stage import TP, A, B, Stage, batch, fetch_request, produce_request

from eventlog.messages.broker_api import MetadataRequest, ProducePartition, ProduceRequest
from eventlog.values import TopicPartition


def test_bd_29_a_duplicate_with_acks_all_waits_like_the_first() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    first = stage.start_produce(1, A, 0, 0, timeout_ms=10_000)
    again = stage.start_produce(1, A, 0, 0, timeout_ms=10_000)
    assert stage.ends()[0] == (1, 0)
    assert (stage.outcome(first), stage.outcome(again)) == (None, None)
    assert stage.produce(1, A, 0, 0, acks=1) == "dup@0"
    stage.let_replicate(2, 3)
    stage.run(2_000)
    assert (stage.outcome(first), stage.outcome(again)) == (0, "dup@0")
    assert stage.answered_at(first) == stage.answered_at(again)
    assert stage.replica(1).log.log_end_offset == 1


def test_bd_29_both_time_out_with_the_base_offset_when_nobody_fetches() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    first = stage.start_produce(1, A, 0, 0, timeout_ms=100)
    again = stage.start_produce(1, A, 0, 0, timeout_ms=100)
    stage.run(90)
    assert (stage.outcome(first), stage.outcome(again)) == (None, None)
    stage.run(50)
    assert (stage.outcome(first), stage.outcome(again)) == ("7 at 0", "7 at 0")
    assert stage.answered_at(again) - stage.answered_at(first) == 5


def test_timeout_then_retry_as_a_real_broker_did_it() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.stop_replication(2, 3)
    for _ in range(2):
        waiting = stage.start_produce(1, A, 0, 1, timeout_ms=2_000)
        stage.run(2_000)
        assert stage.outcome(waiting) == "7 at 1"
    assert stage.produce(1, A, 0, 1, acks=1) == "dup@1"
    assert stage.produce(1, A, 0, 0) == "dup@0", "committed: nothing to wait for"
    assert stage.produce(1, A, 0, 2, acks=1) == 2
    assert stage.list_offsets(1) == (0, 1, 0)
    found = stage.fetch(1, 0)
    assert (found.high_watermark, len(found.batches)) == (1, 1)
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=20_000)
    stage.run(1_500)
    assert stage.outcome(waiting) is None
    stage.let_replicate(2, 3)
    stage.run(2_000)
    assert stage.outcome(waiting) == "dup@1"


def test_one_slow_follower_in_sync_is_enough_to_wait_for() -> None:
    stage = Stage()
    stage.stop_replication(3)
    waiting = stage.start_produce(1, A, 0, 0)
    stage.run(1_000)
    assert stage.outcome(waiting) is None
    stage.let_replicate(3)
    stage.run(20)
    assert stage.outcome(waiting) == 0


def test_demotion_answers_6_with_the_base_offset_and_the_batch_may_be_gone() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.produce(1, A, 0, 1)
    stage.stop_replication(2, 3)
    waiting = stage.start_produce(1, A, 0, 2, timeout_ms=10_000)
    stage.elect(2)
    stage.run(10)
    assert stage.outcome(waiting) == "6 at 2"
    other = stage.send(2, produce_request(batch(B, 0, 0), acks=1))
    stage.run(5)
    assert stage.outcome(other) == 2
    assert stage.produce(2, A, 0, 2, acks=1) == 3
    stage.let_replicate(2, 3)
    stage.run(5_000)
    assert stage.ends() == [(4, 4)] * 3


def test_after_demotion_a_batch_that_was_replicated_is_a_duplicate_so_6_proves_nothing() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.stop_replication(3)
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=10_000)
    stage.elect(2)
    stage.run(10)
    assert stage.outcome(waiting) == "6 at 1"
    assert stage.produce(2, A, 0, 1, acks=1) == "dup@1"


def test_falling_below_the_minimum_while_waiting_ends_with_7_and_never_20() -> None:
    stage = Stage(min_insync_replicas=2, replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(2, 3)
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=9_000)
    stage.run(4_000)
    assert stage.partition.in_sync_replicas == (1,)
    assert stage.outcome(waiting) is None
    assert stage.produce(1, A, 0, 1) == "19 at -1"
    stage.run(5_000)
    assert stage.outcome(waiting) == "7 at 1"
    assert stage.produce(1, A, 0, 1, acks=1) == "dup@1"
    stage.let_replicate(2, 3)
    stage.run(3_000)
    assert stage.produce(1, A, 0, 1) == "dup@1"
    assert stage.produce(1, A, 0, 2) == 2


def test_a_request_for_two_partitions_waits_for_both_and_tells_each_end() -> None:
    stage = Stage(2)
    stage.create("u", factor=1)
    lone = TopicPartition("u", 0)
    assert stage.world.controller.image.partitions[lone].leader_id == 1
    stage.stop_replication(2)
    request = ProduceRequest(-1, 500, (ProducePartition(TP, batch(A, 0, 0)), ProducePartition(lone, batch(A, 0, 0))))
    waiting = stage.send(1, request)
    stage.run(400)
    assert stage.answered(waiting) is None
    stage.run(200)
    replies = stage.answered(waiting).partitions
    assert [(each.topic_partition, int(each.error), each.base_offset) for each in replies] == [(TP, 7, 0), (lone, 0, 0)]


def test_whoever_waits_is_forgotten_when_it_gives_its_connection_up() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    waiting = stage.start_produce(1, A, 0, 0)
    fetching = stage.send(1, fetch_request(0, wait_ms=60_000))
    stage.run(5)
    broker = stage.world.find_broker(1)
    assert broker is not None
    assert len(broker.waiting.produces) == 1
    assert fetching in broker.waiting.fetches
    for each in (waiting, fetching):
        stage.give_up(each)
    stage.run(5)
    assert broker.waiting.produces == []
    assert fetching not in broker.waiting.fetches


def test_a_consumers_fetch_waits_until_records_are_committed() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    fetching = stage.send(1, fetch_request(0, wait_ms=10_000))
    stage.start_produce(1, A, 0, 0, acks=1)
    stage.run(500)
    assert stage.answered(fetching) is None, "in the log, but not below the high watermark"
    stage.let_replicate(2, 3)
    stage.run(1_500)
    (reply,) = stage.answered(fetching).partitions
    assert [each.base_offset for each in reply.batches] == [0]


@pytest.mark.parametrize("wait_ms", [1, 500])
def test_a_fetch_that_waited_in_vain_is_answered_empty_at_its_time(wait_ms: int) -> None:
    stage = Stage()
    start = stage.now
    fetching = stage.send(1, fetch_request(0, wait_ms=wait_ms))
    stage.run(wait_ms + 10)
    (reply,) = stage.answered(fetching).partitions
    assert (int(reply.error), reply.batches) == (0, ())
    assert stage.answered_at(fetching) == start + wait_ms + 2


def test_a_fetch_waits_for_as_many_bytes_as_it_asks_for() -> None:
    stage = Stage(1)
    size = batch(A, 0, 0).size_bytes
    fetching = stage.send(1, fetch_request(0, wait_ms=10_000, min_bytes=2 * size))
    stage.produce(1, A, 0, 0)
    assert stage.answered(fetching) is None
    stage.produce(1, A, 0, 1)
    (reply,) = stage.answered(fetching).partitions
    assert len(reply.batches) == 2


def test_a_metadata_request_waits_for_a_newer_leader_than_the_one_it_knows() -> None:
    stage = Stage()
    at_once = stage.ask(3, MetadataRequest(("t",), ((TP, -1),), 5_000))
    assert at_once.topics[0].partitions[0].leader_id == 1
    waiting = stage.send(3, MetadataRequest(("t",), ((TP, 0),), 5_000))
    stage.run(1_000)
    assert stage.answered(waiting) is None
    stage.elect(2)
    stage.run(10)
    (known,) = stage.answered(waiting).topics[0].partitions
    assert (known.leader_id, known.leader_epoch) == (2, 1)
    in_vain = stage.send(3, MetadataRequest(("t",), ((TP, 1),), 300))
    stage.run(310)
    assert stage.answered(in_vain).topics[0].partitions[0].leader_epoch == 1
