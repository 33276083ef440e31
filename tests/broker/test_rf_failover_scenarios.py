"""Failovers (RF): what is lost, what is kept, who recognises a retry, and what a client is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from broker_stage import TP, A, B, Stage, batch, produce_request

from eventlog.broker import Broker
from eventlog.messages import Envelope
from eventlog.messages.broker_api import DeleteRecordsRequest
from eventlog.messages.controller_api import AlterPartitionReply

LAG_MS = 1_000


def patient(*numbers: int) -> object:
    """A produce request that waits for long."""
    return produce_request(batch(*numbers), timeout_ms=30_000)


def values(stage: Stage, broker_id: int) -> list[tuple[int, int, int]]:
    """(producer, epoch, base sequence) of every batch there."""
    log = stage.replica(broker_id).log
    return [(each.producer_id, each.producer_epoch, each.base_sequence) for each in log.read(0, 99, 2**20)]


def fail_over(stage: Stage, leader_id: int = 2) -> None:
    """Broker 1 dies and another leads."""
    stage.world.crash(1)
    stage.run(12_000)
    assert stage.partition.leader_id == leader_id


def wait_until_followers_have(stage: Stage, end_offset: int) -> None:
    while stage.replica(3).log.log_end_offset < end_offset:
        stage.run(1)


# --- in sync and too few ------------------------------------------------------------------------------------------


def test_rf_09_a_wish_that_could_not_be_told_is_told_later() -> None:
    stage = Stage(2, replica_lag_time_max_ms=LAG_MS)
    stage.stop_replication(2)
    stage.world.cut("broker-1", "controller")
    stage.produce(1, A, 0, 0, 10, acks=1)
    stage.run(3_000)
    leadership = stage.replica(1).leadership
    assert leadership is not None
    assert (leadership.in_sync_replicas, leadership.maximal_in_sync_replicas()) == ((1, 2), (1, 2))
    assert (stage.partition.in_sync_replicas, stage.ends()[0]) == ((1, 2), (10, 0))
    stage.world.heal("broker-1", "controller")
    stage.run(LAG_MS)
    assert (stage.partition.in_sync_replicas, stage.partition.partition_epoch) == ((1,), 1)
    assert (leadership.in_sync_replicas, stage.ends()[0]) == ((1,), (10, 10))


def with_one_in_sync() -> Stage:
    stage = Stage(2, min_insync_replicas=2, replica_lag_time_max_ms=LAG_MS)
    stage.stop_replication(2)
    stage.produce(1, B, 0, 0, acks=1)
    stage.run(3_000)
    assert stage.partition.in_sync_replicas == (1,)
    return stage


def test_rf_13_with_too_few_in_sync_acks_all_writes_nothing_and_acks_1_writes() -> None:
    stage = with_one_in_sync()
    assert stage.produce(1, A, 0, 0) == "19 at -1"
    assert stage.ends()[0] == (1, 0)
    assert stage.produce(1, A, 0, 0, acks=1) == 1
    assert stage.ends()[0] == (2, 0)


def test_rf_31_who_waits_while_too_few_are_left_is_told_7_and_the_record_stays() -> None:
    stage = Stage(2, min_insync_replicas=2, replica_lag_time_max_ms=LAG_MS)
    stage.stop_replication(2)
    waiting = stage.start_produce(1, A, 0, 0, timeout_ms=9_000)
    stage.run(8_900)
    assert (stage.partition.in_sync_replicas, stage.outcome(waiting), stage.ends()[0]) == ((1,), None, (1, 0))
    stage.run(200)
    assert (stage.outcome(waiting), stage.ends()[0]) == ("7 at 0", (1, 0))
    stage.let_replicate(2)
    stage.run(3_000)
    assert stage.produce(1, A, 0, 0) == "dup@0"


# --- retries after a failover -------------------------------------------------------------------------------------


def test_rf_23_a_replicated_batch_whose_answer_was_lost_is_recognised_and_waits_for_the_new_high_watermark() -> None:
    stage = Stage()
    lost = stage.send(1, patient(A, 0, 0))
    wait_until_followers_have(stage, 1)
    assert stage.ends() == [(1, 0)] * 3
    stage.stop_replication(3, leader=2)
    fail_over(stage)
    assert stage.answered(lost) == "closed"
    retry = stage.start_produce(2, A, 0, 0, timeout_ms=20_000)
    stage.run(100)
    assert stage.outcome(retry) is None
    stage.let_replicate(3, leader=2)
    stage.run(2_000)
    assert (stage.outcome(retry), stage.ends()) == ("dup@0", [(1, 1), (1, 1)])


def test_rf_25_of_pipelined_batches_those_that_were_replicated_are_recognised() -> None:
    stage = Stage()
    for sequence in (0, 1):
        stage.send(1, patient(A, 0, sequence))
        wait_until_followers_have(stage, sequence + 1)
    stage.stop_replication(2, 3)
    stage.start_produce(1, A, 0, 2)
    assert [end for end, _ in stage.ends()] == [3, 2, 2]
    fail_over(stage)
    assert [stage.produce(2, A, 0, sequence) for sequence in (0, 1, 2)] == ["dup@0", "dup@1", 2]
    assert values(stage, 2) == [(A, 0, 0), (A, 0, 1), (A, 0, 2)]


def test_rf_34_a_new_leader_that_was_restarted_knows_one_batch_and_the_rest_is_written_twice() -> None:
    """A known hole: a Java client answers the refusal by raising its epoch, and tells nobody."""
    stage = Stage()
    for sequence in range(5):
        stage.produce(1, A, 0, sequence)
    stage.world.shut_down(2, 100)
    stage.run(5_000)
    assert sorted(stage.partition.in_sync_replicas) == [1, 2, 3]
    fail_over(stage)
    assert [stage.produce(2, A, 0, sequence) for sequence in range(5)] == ["45 at -1"] * 4 + ["dup@4"]
    assert [stage.produce(2, A, 1, sequence) for sequence in range(5)] == [5, 6, 7, 8, 9]
    assert values(stage, 3) == [(A, epoch, sequence) for epoch in (0, 1) for sequence in range(5)]


# --- unclean elections --------------------------------------------------------------------------------------------


def unclean(known: int) -> Stage:
    """Three records are acknowledged; broker 3 has `known` of them, isn't in sync, and leads after 1 and 2 died."""
    stage = Stage(topic={"unclean_leader_election_enable": True}, replica_lag_time_max_ms=LAG_MS)
    stage.world.invariants = None
    for sequence in range(known):
        stage.produce(1, A, 0, sequence)
    stage.run(1_000)
    stage.stop_replication(3)
    stage.stop_replication(3, leader=2)
    for sequence in range(known, 3):
        stage.produce(1, A, 0, sequence, acks=1)
    stage.run(3_000)
    assert stage.partition.in_sync_replicas == (1, 2)
    assert stage.ends() == [(3, 3), (3, 3), (known, known)]
    stage.world.crash(2)
    fail_over(stage, leader_id=3)
    assert stage.partition.in_sync_replicas == (3,)
    return stage


def test_rf_26_an_unclean_election_loses_acknowledged_records_and_refuses_what_follows_them() -> None:
    stage = unclean(1)
    assert stage.produce(3, A, 0, 3) == "45 at -1"
    assert stage.produce(3, A, 1, 0) == 1
    stage.let_replicate(3)
    stage.let_replicate(3, leader=2)
    for broker_id in (1, 2):
        stage.world.restart(broker_id)
    stage.run(5_000)
    assert [values(stage, each) for each in (1, 2, 3)] == [[(A, 0, 0), (A, 1, 0)]] * 3
    assert stage.replica(1).log.leader_epochs.entries == stage.replica(3).log.leader_epochs.entries


def test_rf_27_an_unclean_leader_that_knows_nothing_takes_any_sequence() -> None:
    stage = unclean(0)
    assert stage.produce(3, A, 0, 3) == 0
    assert values(stage, 3) == [(A, 0, 3)]


# --- a leader that does not know that it is none ------------------------------------------------------------------


def test_rf_28_a_zombie_acknowledges_nothing_with_acks_all_and_its_suffix_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.world.isolate("broker-1")
    stage.run(12_000)
    assert stage.partition.leader_id == 2
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=30_000)
    assert stage.produce(1, B, 0, 0, acks=1) == 2
    refused: list[tuple[int, int, int]] = []
    take_answer = Broker._on_alter_partition_reply

    def watch(broker: Broker, reply: AlterPartitionReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        refused.append((broker.broker_id, int(reply.error), reply.requested_partition_epoch))
        return take_answer(broker, reply, envelope, now_ms)

    monkeypatch.setattr(Broker, "_on_alter_partition_reply", watch)

    stage.run(30_010)
    assert (stage.outcome(waiting), stage.ends()[0]) == ("7 at 1", (3, 1))
    stage.run(10_000)
    assert stage.replica(1).leadership is not None, "it has not heard"
    assert stage.ends()[0] == (3, 1)
    stage.world.rejoin("broker-1")
    stage.run(5_000)
    assert refused[0] == (1, 74, 0), "it had wished to be alone"
    assert [each[:2] for each in refused[1:]] == [(2, 0)], "broker 2 takes it in again"
    assert stage.ends() == [(1, 1)] * 3
    assert stage.produce(2, A, 0, 1) == 1
    assert stage.produce(2, A, 0, 1) == "dup@1"
    stage.run(1_000)
    assert [values(stage, each) for each in (1, 2, 3)] == [[(A, 0, 0), (A, 0, 1)]] * 3
    assert stage.replica(1).log.producer_state.find_entry(B) is None, "its state went back with the log"


# --- what a client sees around a failover ---------------------------------------------------------------------------


def dies_before_it_appends(stage: Stage) -> object:
    sent = stage.send(1, patient(A, 0, 1))
    fail_over(stage)
    return stage.answered(sent)


def is_down_already(stage: Stage) -> object:
    stage.world.crash(1)
    stage.run(10)
    sent = stage.start_produce(1, A, 0, 1)
    fail_over(stage)
    return stage.answered(sent)


def dies_before_followers_fetch(stage: Stage) -> object:
    stage.stop_replication(2, 3)
    sent = stage.start_produce(1, A, 0, 1)
    fail_over(stage)
    return stage.answered(sent)


def dies_before_it_answers(stage: Stage) -> object:
    sent = stage.send(1, patient(A, 0, 1))
    wait_until_followers_have(stage, 2)
    stage.world.crash(1)
    fail_over(stage)
    return stage.answered(sent)


def is_demoted_while_one_follower_has_it(stage: Stage) -> object:
    stage.stop_replication(3)
    sent = stage.start_produce(1, A, 0, 1, timeout_ms=10_000)
    stage.elect(2)
    stage.run(3_000)
    return stage.outcome(sent)


def is_demoted_while_nobody_has_it(stage: Stage) -> object:
    stage.stop_replication(2, 3)
    sent = stage.start_produce(1, A, 0, 1, timeout_ms=10_000)
    stage.elect(2)
    stage.run(3_000)
    return stage.outcome(sent)


def waits_in_vain(stage: Stage) -> object:
    stage.stop_replication(3)
    sent = stage.start_produce(1, A, 0, 1, timeout_ms=500)
    stage.run(1_000)
    answer = stage.outcome(sent)
    stage.elect(2)
    stage.run(3_000)
    return answer


def is_cut_off_with_its_client_and_acks_1(stage: Stage) -> object:
    stage.world.isolate("broker-1")
    stage.run(12_000)
    sent = stage.start_produce(1, A, 0, 1, acks=1)
    stage.world.rejoin("broker-1")
    stage.run(3_000)
    return stage.outcome(sent)


def is_cut_off_with_its_client_and_hears_of_it(stage: Stage) -> object:
    stage.world.isolate("broker-1")
    stage.run(12_000)
    sent = stage.start_produce(1, A, 0, 1, timeout_ms=30_000)
    stage.world.rejoin("broker-1")
    stage.run(3_000)
    return stage.outcome(sent)


def answers_and_dies(stage: Stage) -> object:
    answer = stage.produce(1, A, 0, 1)
    fail_over(stage)
    return answer


@pytest.mark.parametrize(
    ("happens", "told", "retried"),
    [
        (dies_before_it_appends, "closed", 1),
        (is_down_already, "closed", 1),
        (dies_before_followers_fetch, "closed", 1),
        (dies_before_it_answers, "closed", "dup@1"),
        (is_demoted_while_one_follower_has_it, "6 at 1", "dup@1"),
        (is_demoted_while_nobody_has_it, "6 at 1", 1),
        (waits_in_vain, "7 at 1", "dup@1"),
        (is_cut_off_with_its_client_and_acks_1, 1, 1),
        (is_cut_off_with_its_client_and_hears_of_it, "6 at 1", 1),
        (answers_and_dies, 1, "dup@1"),
    ],
)
def test_what_a_client_is_told_around_a_failover_and_whether_the_record_is_there_afterwards(
    happens: Callable[[Stage], object], told: object, retried: object
) -> None:
    """`retried`: what the next leader answers to the same batch; a duplicate if it has it, its offset if it hadn't."""
    stage = Stage(broker_session_timeout_ms=3_000)
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    assert happens(stage) == told
    assert stage.partition.leader_id == 2
    assert stage.produce(2, A, 0, 1, acks=1) == retried
    stage.world.heal_all()
    stage.world.restart(1)
    stage.run(5_000)
    assert stage.ends() == [(2, 2)] * 3
    assert [values(stage, each) for each in (1, 2, 3)] == [[(A, 0, 0), (A, 0, 1)]] * 3
    states = [stage.replica(each).log.producer_state.find_entry(A) for each in (1, 2, 3)]
    assert all(each is not None and each.last_sequence == 1 for each in states)


def test_a_disk_that_lost_its_tail_does_not_join_before_it_has_fetched_it_again() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0, 3)
    stage.run(2_000)
    stage.world.crash(3, losing_tail=True)
    stage.run(12_000)
    stage.stop_replication(3)
    stage.world.restart(3)
    stage.run(2_000)
    assert stage.world.controller.image.is_alive(3)
    assert (stage.partition.in_sync_replicas, stage.ends()[2][0]) == ((1, 2), 0)
    stage.let_replicate(3)
    stage.run(2_000)
    assert (stage.partition.in_sync_replicas, stage.ends()[2][0]) == ((1, 2, 3), 3)


def test_a_follower_begins_inside_a_batch_where_its_leader_begins() -> None:
    stage = Stage(replica_lag_time_max_ms=LAG_MS)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(3)
    stage.produce(1, A, 0, 1, 3, acks=1)
    stage.produce(1, A, 0, 4, 3, acks=1)
    stage.run(3_000)
    stage.ask(1, DeleteRecordsRequest(((TP, 5),)))
    stage.let_replicate(3)
    stage.run(5_000)
    log = stage.replica(3).log
    assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (5, 7, 7)
    assert [each.base_offset for each in log.read(5, 7, 2**20)] == [4]
    assert sorted(stage.partition.in_sync_replicas) == [1, 2, 3]
