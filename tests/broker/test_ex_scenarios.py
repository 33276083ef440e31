"""Expiry (EX) in a cluster: every replica forgets by its own clock, so what is known depends on who is asked."""

from __future__ import annotations

import pytest
from broker_stage import T0, TP, A, B, Stage, batch, produce_request

from eventlog.values import Record, record_batch

EXPIRATION_MS, CHECK_MS = 1_000, 400


def known(stage: Stage, producer_id: int = A) -> list[tuple[int, int] | None]:
    """(epoch, last sequence) at each broker."""
    found = [broker.replicas[TP].log.producer_state.find_entry(producer_id) for broker in stage.world.brokers()]
    return [None if each is None else (each.producer_epoch, each.last_sequence) for each in found]


def forgotten_by_all_but_the_second(epoch: int = 0) -> Stage:
    """Broker 2 was restarted between two checks, so its own come later. An acknowledged batch; its answer is lost."""
    stage = Stage(
        producer_id_expiration_ms=EXPIRATION_MS,
        producer_id_expiration_check_interval_ms=CHECK_MS,
        broker_session_timeout_ms=3_000,
    )
    stage.produce(1, A, epoch, 0)
    stage.run(840 - stage.now)
    stage.world.shut_down(2, 120)
    stage.run(1_250 - stage.now)
    assert sorted(stage.partition.in_sync_replicas) == [1, 2, 3]
    assert known(stage) == [None, (epoch, 0), None]
    return stage


def test_ex_01_after_its_idle_time_any_sequence_is_taken_as_from_an_unknown_producer() -> None:
    stage = Stage()
    stage.produce(1, A, 5, 0)
    stage.run(86_400_000 + 600_000)
    assert known(stage) == [None] * 3
    assert stage.produce(1, A, 5, 1) == 1
    assert known(stage) == [(5, 1)] * 3


def test_ex_01_what_was_known_when_a_broker_started_expires_without_any_writing() -> None:
    stage = Stage(producer_id_expiration_ms=EXPIRATION_MS, producer_id_expiration_check_interval_ms=CHECK_MS)
    stage.produce(1, A, 0, 0)
    stage.world.shut_down(3, 20)
    stage.run(300)
    assert known(stage) == [(0, 0)] * 3
    stage.run(2_000)
    assert known(stage) == [None] * 3


@pytest.mark.parametrize(("late_ms", "is_known"), [(-1, True), (0, False)])
def test_ex_03_a_check_removes_what_is_exactly_as_old_as_the_limit(late_ms: int, is_known: bool) -> None:
    stage = Stage(1, producer_id_expiration_ms=EXPIRATION_MS, producer_id_expiration_check_interval_ms=10_000)
    written = record_batch((Record(None, b"v", T0 + stage.now + 9_000),), A, 0, 0)
    stage.ask(1, produce_request(written, acks=1))
    broker = stage.world.find_broker(1)
    assert broker is not None
    due_ms = broker.timers["expire"]
    now_ms = written.max_timestamp_ms + EXPIRATION_MS + late_ms
    broker._expire_producers(now_ms)
    assert (known(stage) != [None]) == is_known
    assert (broker.timers["expire"] != due_ms) == is_known, "the next check is set only while somebody is known"


def test_ex_06_a_broker_that_was_down_for_too_long_comes_back_knowing_nobody() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.world.shut_down(3)
    stage.run(80_000_000)
    stage.ask(1, produce_request(record_batch((Record(None, b"v", T0 + stage.now),), B, 0, 0)))
    stage.run(6_400_000)
    stage.world.restart(3)
    stage.run(2_000)
    assert known(stage)[2] is None
    assert known(stage, B) == [(0, 0)] * 3


def test_ex_07_records_dated_back_are_forgotten_at_the_next_check_and_their_retry_is_written_again() -> None:
    stage = Stage(producer_id_expiration_check_interval_ms=CHECK_MS)
    old = produce_request(record_batch((Record(None, b"v", 0),), A, 0, 0))
    assert stage.ask(1, old).partitions[0].base_offset == 0
    assert stage.ask(1, old).partitions[0].base_offset == 0
    stage.run(CHECK_MS)
    assert known(stage) == [None] * 3
    assert stage.ask(1, old).partitions[0].base_offset == 1


def test_ex_08_a_fence_that_the_leader_has_forgotten_holds_nobody_at_a_follower_either() -> None:
    stage = forgotten_by_all_but_the_second(epoch=9)
    assert stage.produce(1, A, 2, 0) == 1
    assert known(stage) == [(2, 0)] * 3, "a follower judges nothing"


def test_ex_08_a_fence_that_the_next_leader_still_knows_holds() -> None:
    stage = forgotten_by_all_but_the_second(epoch=9)
    stage.elect(2)
    stage.run(10)
    assert stage.produce(2, A, 2, 0, acks=1) == "47 at -1"


def test_ex_09_a_retry_where_it_is_forgotten_is_written_again() -> None:
    stage = forgotten_by_all_but_the_second()
    assert stage.produce(1, A, 0, 0) == 1
    assert stage.ends()[0] == (2, 2)


def test_ex_09_a_retry_at_a_leader_that_checks_later_is_recognised() -> None:
    stage = forgotten_by_all_but_the_second()
    stage.elect(2)
    stage.run(10)
    assert stage.produce(2, A, 0, 0, acks=1) == "dup@0"


def test_ex_04_a_marker_that_is_not_there_yet_keeps_its_producer_on_every_replica() -> None:
    stage = Stage(
        producer_id_expiration_ms=EXPIRATION_MS,
        producer_id_expiration_check_interval_ms=CHECK_MS,
        transaction_partition_verification_enable=False,
    )
    request = produce_request(batch(A, 5, 0)._replace(attributes=0x10))._replace(transactional_id="T")
    assert int(stage.ask(1, request).partitions[0].error) == 0
    stage.produce(1, B, 0, 0)
    stage.run(5_000)
    assert (known(stage), known(stage, B)) == ([(5, 0)] * 3, [None] * 3)
    logs = [stage.replica(each).log for each in (1, 2, 3)]
    assert [(log.last_stable_offset, log.high_watermark) for log in logs] == [(0, 2)] * 3
