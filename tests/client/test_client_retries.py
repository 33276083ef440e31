"""CR: sequences, retries, in-flight. The ids are those of the conformance scenarios; one record per batch unless said."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_stage import NONE, PID, TP0, TP1, Stage, reply

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import InitProducerIdReply

MakeStage = Callable[..., Stage]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
UNKNOWN_PRODUCER = ErrorCode.UNKNOWN_PRODUCER_ID
NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_cr_01_a_sequence_is_assigned_on_drain(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a")
    play.send("b")
    assert play.counts()[1] == 0
    assert play.out == []
    play.pass_time(5)
    assert play.labels() == [(0, 0)]
    assert play.counts()[1] == 2


def test_cr_03_retries_in_order(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b", "c")
    assert play.labels() == [(0, 0), (0, 1), (0, 2)]
    play.answer(ErrorCode.LEADER_NOT_AVAILABLE)
    play.answer(OUT_OF_ORDER)
    play.answer(OUT_OF_ORDER)
    play.send("d")
    assert play.out == []
    seen = []
    while play.out or play.engine.deadlines():
        play.pass_time(200)
        seen.append(play.labels())
        play.answer(NONE, len(play.results))
    assert seen == [[(0, 0)], [(0, 1)], [(0, 2), (0, 3)], [(0, 3)]]
    assert play.ends() == [("a", "NONE", 0), ("b", "NONE", 1), ("c", "NONE", 2), ("d", "NONE", 3)]
    assert (play.engine.producer_epoch, play.engine.retries, play.engine.epoch_bumps) == (0, 3, 0)


def test_cr_04_when_the_first_fails_for_good_the_second_is_sent_again_in_a_new_epoch(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b")
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    play.answer(OUT_OF_ORDER)
    play.pass_time(200)
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 0)
    assert play.ends() == [("a", "MESSAGE_TOO_LARGE", -1), ("b", "NONE", 0)]
    assert not play.results[0].may_be_written
    assert play.counts() == (1, 1, 0)


def test_cr_05_answers_out_of_order_put_the_batches_back_in_order(stage: MakeStage) -> None:
    play = stage(retry_backoff_ms=1_000, request_timeout_ms=60_000)
    play.move_leader_unseen("a", "b")
    play.answer(OUT_OF_ORDER, at=1)
    assert play.engine.partition_state(TP0).queued == (1,)
    play.answer(NOT_LEADER)
    # The new leader is known, so `a` needs no back-off; `b` waits for it.
    assert (play.values(), play.engine.partition_state(TP0).queued) == (["a"], (1,))
    play.flush()
    assert play.values() == ["a"]
    play.answer(NONE, 0)
    assert play.counts() == (0, 2, 0)
    play.pass_time(1_300)
    assert play.values()[-1] == "b"
    while play.out:
        play.answer(NONE, 1)
    assert play.counts() == (0, 2, 1)
    assert [end for end in play.ends() if end[0] in "ab"] == [("a", "NONE", 0), ("b", "NONE", 1)]
    assert play.engine.epoch_bumps == 0


def test_cr_06_a_success_behind_a_failure_keeps_the_last_acknowledged_sequence(stage: MakeStage) -> None:
    play = stage(retry_backoff_ms=1_000, request_timeout_ms=60_000)
    play.move_leader_unseen("a", "b")
    play.answer(NONE, 1, at=1)
    assert play.counts() == (0, 2, 1)
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    assert play.counts() == (0, 2, 1)
    assert (play.values(), play.labels()) == (["a"], [(0, 0)])
    play.answer(NONE, 0)
    assert play.counts() == (0, 2, 1)
    assert play.ends() == [("b", "NONE", 1), ("a", "NONE", 0)]


def test_cr_07_45_for_the_next_expected_batch_raises_the_epoch(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    assert play.labels() == [(0, 1)]
    play.answer(OUT_OF_ORDER)
    assert play.counts() == (1, 1, -1)
    play.pass_time(130)
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 1)
    assert play.counts() == (1, 1, 0)
    assert play.engine.epoch_bumps == 1


def test_cr_08_another_partition_switches_with_its_next_batch(stage: MakeStage) -> None:
    play = stage()
    play.send("x", partition=1)
    play.answer(NONE, 0)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.answer(OUT_OF_ORDER)
    assert play.engine.producer_epoch == 1
    assert play.counts(TP1) == (0, 1, 0)
    play.send("y", partition=1)
    assert play.labels() == [(1, 0)]
    assert play.counts(TP1) == (1, 1, -1)
    play.answer(NONE, 1)
    assert play.counts(TP1) == (1, 1, 0)


def test_cr_09_another_partition_finishes_its_batch_in_the_old_epoch(stage: MakeStage) -> None:
    play = stage()
    play.leaders[TP1] = (2, 0)
    play.send("x", partition=1)
    play.answer(NONE, 0)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.send("y", partition=1)
    play.answer(OUT_OF_ORDER)
    assert play.labels() == [(0, 1)]
    play.answer(NOT_LEADER)
    play.send("z", partition=1)
    play.pass_time(130)
    assert dict(zip(play.values(), play.labels(), strict=True)) == {"b": (1, 0), "y": (0, 1)}
    play.answer(NONE, 1, at=play.values().index("y"))
    assert dict(zip(play.values(), play.labels(), strict=True)) == {"b": (1, 0), "z": (1, 0)}


def test_cr_10_attempts_used_up_in_another_partition_bump_nothing(stage: MakeStage) -> None:
    play = stage(retries=1)
    play.leaders[TP1] = (2, 0)
    play.send("x", partition=1)
    play.answer(NONE, 0)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.send("y", partition=1)
    play.answer(OUT_OF_ORDER)
    play.answer(NOT_LEADER)
    play.pass_time(130)
    play.answer(NOT_LEADER, at=play.values().index("y"))
    assert play.ends()[-1] == ("y", "NOT_LEADER_OR_FOLLOWER", -1)
    assert play.counts(TP1) == (0, 2, 0)
    assert play.engine.producer_epoch == 1
    play.send("z", partition=1)
    assert play.labels()[play.values().index("z")] == (1, 0)
    play.answer(NONE, 2, at=play.values().index("z"))
    assert play.ends()[-1] == ("z", "NONE", 2)
    assert play.engine.producer_epoch == 1


def test_cr_11_duplicate_sequence_number_is_a_success_at_an_unknown_offset(stage: MakeStage) -> None:
    play = stage(retry_backoff_ms=1_000, request_timeout_ms=60_000)
    play.move_leader_unseen("a", "b")
    play.answer(NONE, 1_000, at=1)
    play.answer(ErrorCode.DUPLICATE_SEQUENCE_NUMBER)
    assert play.ends() == [("b", "NONE", 1_000), ("a", "NONE", -1)]
    state = play.engine.partition_state(TP0)
    assert (state.last_acked_sequence, state.last_acked_offset, state.in_flight) == (1, 1_000, ())


def test_cr_12_a_new_producer_id_does_not_relabel_a_batch_that_waits_for_its_retry(stage: MakeStage) -> None:
    play = stage(epoch=32_767)
    play.leaders[TP1] = (2, 0)
    play.send("a")
    play.disconnect(play.out[0].connection)
    play.send("x", partition=1)
    play.answer(OUT_OF_ORDER)
    assert (play.engine.producer_id, play.engine.producer_epoch) == (PID + 1, 0)
    assert play.results == []
    play.pass_time(130)
    part = next(each.message.partitions[0] for each in play.out if each.destination == "broker-1")
    assert (part.batch.producer_id, part.batch.producer_epoch, part.batch.base_sequence) == (PID, 32_767, 0)
    assert play.counts() == (32_767, 1, -1)


def test_cr_13_batches_of_the_old_epoch_are_retried_as_often_as_necessary(stage: MakeStage) -> None:
    play = stage(linger_ms=5, request_timeout_ms=60_000)
    play.send("a")
    play.send("x", partition=1)
    play.pass_time(5)
    assert len(play.out) == 1
    play.answer_each({TP0: (OUT_OF_ORDER, -1), TP1: (NOT_LEADER, -1)})
    assert play.engine.producer_epoch == 1
    for _ in range(4):
        play.pass_time(1_300)
        assert dict(zip(play.values(), play.labels(), strict=True))["x"] == (0, 0)
        play.answer_all({TP1: NOT_LEADER})
    play.pass_time(1_300)
    assert (play.values(), play.labels()) == (["x"], [(0, 0)])
    play.answer(NONE, 10)
    assert play.ends()[-1] == ("x", "NONE", 10)
    assert play.counts(TP1)[1] == 1


@pytest.mark.parametrize("closing", [False, True])
def test_cr_14_and_cr_15_an_exhausted_epoch_waits_for_a_new_id_and_queued_batches_still_drain(
    stage: MakeStage, closing: bool
) -> None:
    play = stage(epoch=32_767, linger_ms=5)
    play.send("a")
    play.send("x", partition=1)
    play.pass_time(5)
    if closing:
        play.close()
    play.answers_init = False
    play.answer_each({TP0: (OUT_OF_ORDER, -1), TP1: (NOT_LEADER, -1)})
    play.pass_time(500)
    # Nothing may leave with id -1.
    assert play.out == []
    assert len(play.asked) >= 1
    play.answer_asked([each.connection.purpose for each in play.asked].index("init"))
    play.pass_time(500)
    labels = {
        part.topic_partition: (part.batch.producer_id, part.batch.producer_epoch, part.batch.base_sequence)
        for each in play.out
        for part in each.message.partitions
    }
    assert labels == {TP0: (PID + 1, 0, 0), TP1: (PID, 32_767, 0)}
    while play.out:
        play.answer(NONE, 10)
    assert [error for _, error, _ in play.ends()] == ["NONE", "NONE"]
    assert play.counts(TP1) == (32_767, 1, 0)
    if closing:
        assert play.engine.deadlines() == {}
        assert "produce" in [connection.purpose for connection in play.closed]


def test_cr_17_the_head_of_the_log_is_cut(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a")
    play.pass_time(5)
    play.answer(NONE, 1_000, log_start=10)
    play.send("b", "c")
    play.pass_time(5)
    assert play.counts() == (0, 3, 0)
    play.answer(UNKNOWN_PRODUCER, log_start=1_010)
    assert play.counts() == (1, 2, -1)
    play.pass_time(130)
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 1_011)
    assert play.ends()[-1] == ("c", "NONE", 1_012)
    assert play.counts() == (1, 2, 1)
    assert play.engine.partition_state(TP0).last_acked_offset == 1_012


def test_cr_18_59_without_a_log_start_offset_is_a_plain_retry(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 1_000)
    play.send("b")
    play.answer(UNKNOWN_PRODUCER, log_start=-1)
    assert play.counts() == (0, 2, 0)
    play.pass_time(130)
    assert play.labels() == [(0, 1)]
    play.answer(NONE, 1_011)
    assert play.counts() == (0, 2, 1)
    assert play.engine.partition_state(TP0).last_acked_offset == 1_011


def test_cr_19_59_for_a_batch_that_was_renumbered_only_puts_it_back(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 1_000)
    play.send("b", "c")
    play.answer(UNKNOWN_PRODUCER, log_start=1_010)
    assert play.counts() == (1, 2, -1)
    play.answer(UNKNOWN_PRODUCER, log_start=1_010)
    assert play.engine.producer_epoch == 1
    play.pass_time(130)
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 1_011)
    assert play.labels() == [(1, 1)]
    play.answer(NONE, 1_012)
    assert play.counts() == (1, 2, 1)
    assert play.engine.epoch_bumps == 1


def test_cr_20_59_though_nothing_was_cut_raises_the_epoch(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 1_000)
    play.send("b")
    play.answer(UNKNOWN_PRODUCER, log_start=10)
    play.pass_time(130)
    assert play.labels() == [(1, 0)]


def test_cr_21_a_bump_rewrites_everything_in_flight(stage: MakeStage) -> None:
    play = stage(epoch=1)
    play.send("a", "b", "c", "d", "e")
    play.answer(NONE, 500)
    play.answer(UNKNOWN_PRODUCER, log_start=500)
    state = play.engine.partition_state(TP0)
    assert (state.producer_epoch, state.in_flight, state.next_sequence) == (2, (0, 1, 2, 3), 4)


def test_cr_22_a_healthy_partition_finishes_in_the_old_epoch(stage: MakeStage) -> None:
    play = stage(epoch=1)
    play.send("a")
    play.answer(NONE, 0)
    play.send("x", partition=1)
    play.answer(NONE, 0)
    play.send("b")
    play.send("y", partition=1)
    play.answer(UNKNOWN_PRODUCER, log_start=500)
    assert play.engine.producer_epoch == 2
    assert play.engine.partition_state(TP0).in_flight == (0,)
    assert play.counts(TP1) == (1, 2, 0)
    play.send("z", partition=1)
    assert play.values() == ["y"]
    play.answer(NONE, 1)
    assert play.values() == ["z"]
    assert play.labels() == [(2, 0)]


@pytest.mark.parametrize(
    "error",
    [
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ErrorCode.PRODUCER_FENCED,
    ],
)
def test_cr_23_a_fatal_error_ends_everything_pending_and_every_later_send(stage: MakeStage, error: ErrorCode) -> None:
    play = stage(max_in_flight_requests_per_connection=2)
    play.send("a", "b", "c")
    play.send("lost", topic="no such topic")
    play.answer(error)
    assert [(value, code) for value, code, _ in play.ends()] == [
        (value, error.name) for value in ("a", "b", "c", "lost")
    ]
    assert [each.may_be_written for each in play.results] == [False, True, False, False]
    play.send("d")
    assert [each.error for each in play.refusals] == [error]
    assert play.engine.deadlines() == {}
    assert play.engine.buffered_bytes == 0


def test_cr_23_no_producer_id_for_good_is_fatal_too(stage: MakeStage) -> None:
    play = stage()
    play.answers_init = False
    play.send("a")
    asked = play.asked.pop(0)
    play.receive(reply(asked, InitProducerIdReply(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)))
    assert play.ends() == [("a", "CLUSTER_AUTHORIZATION_FAILED", -1)]
    assert play.engine.deadlines() == {}


def test_cr_24_retries_are_limited(stage: MakeStage) -> None:
    play = stage(retries=1)
    play.send("a")
    play.disconnect(play.out[0].connection)
    play.pass_time(130)
    play.answer(NONE, 0)
    play.send("b")
    play.disconnect(play.out[0].connection)
    play.pass_time(130)
    play.disconnect(play.out[0].connection)
    assert play.ends() == [("a", "NONE", 0), ("b", "NETWORK_EXCEPTION", -1)]
    assert play.results[1].may_be_written
    assert play.results[1].attempts == 2
    assert play.engine.epoch_bumps == 0


def test_cr_25_with_one_in_flight_the_second_waits_though_the_leader_has_changed(stage: MakeStage) -> None:
    play = stage(max_in_flight_requests_per_connection=1)
    play.leaders[TP1] = (2, 0)
    play.send("a")
    play.leaders[TP0] = (2, 1)
    play.send("x", partition=1)
    play.answer(ErrorCode.LEADER_NOT_AVAILABLE, at=1)
    play.send("b")
    assert play.values() == ["a"]
    play.answer(NONE, 0)
    assert (play.values(), play.out[0].destination) == (["b"], "broker-2")


def test_cr_26_a_split_keeps_its_part_of_the_sequences(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a" * 3_000, "b" * 3_000)
    play.pass_time(5)
    assert play.counts() == (0, 2, -1)
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    assert play.labels() == [(0, 0)]
    play.answer(NONE, 0)
    assert play.labels() == [(0, 1)]
    play.answer(NONE, 1)
    assert [(value[0], error, offset) for value, error, offset in play.ends()] == [("a", "NONE", 0), ("b", "NONE", 1)]
    assert play.counts() == (0, 2, 1)
    assert play.engine.epoch_bumps == 0


def test_a_batch_that_batch_size_would_leave_whole_is_cut_in_the_middle(stage: MakeStage) -> None:
    play = stage(linger_ms=5, batch_size=1_000)
    play.send("a" * 250, "b" * 250, "c" * 250)
    play.pass_time(5)
    assert play.values() == ["a" * 250, "b" * 250, "c" * 250]
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    # All three fit one batch, so sending that again would change nothing.
    assert play.engine.partition_state(TP0).in_flight == (0, 2)


def test_cr_28_a_request_timeout_hits_the_whole_connection(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.pass_time(600)
    play.send("b")
    first = play.out[0].connection
    play.pass_time(400)
    assert play.closed == [first]
    assert play.engine.partition_state(TP0).queued == (0, 1)
    play.pass_time(130)
    assert (play.labels(), play.out[0].connection) == ([(0, 0)], first._replace(number=1))
    assert play.out[0].correlation_id == 0
    play.answer(NONE, 0)
    play.pass_time(130)
    assert play.labels() == [(0, 1)]
    play.answer(NONE, 1)
    assert play.ends() == [("a", "NONE", 0), ("b", "NONE", 1)]
    assert [each.may_be_written for each in play.results] == [True, True]
