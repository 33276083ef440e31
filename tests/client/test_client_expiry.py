"""DT: the delivery timeout and the epoch bump. delivery_timeout_ms is 1500 unless said."""

from __future__ import annotations

from collections.abc import Callable

from client_stage import NONE, PID, TP0, TP1, Stage

from eventlog.errors import ErrorCode

MakeStage = Callable[..., Stage]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_dt_01_a_batch_that_was_never_sent_leaves_no_trace(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500)
    play.send("a")
    play.answers_metadata = False
    play.disconnect(play.out[0].connection, refused=True)
    play.pass_time(1_500)
    assert play.ends() == [("a", "REQUEST_TIMED_OUT", -1)]
    assert not play.results[0].may_be_written
    state = play.engine.partition_state(TP0)
    assert (state.next_sequence, state.unresolved_sequence, play.engine.epoch_bumps) == (0, -1, 0)


def test_dt_04_an_expired_batch_is_not_split(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_400, linger_ms=100)
    play.send("a", "b")
    play.pass_time(100)
    play.pass_time(1_399)
    assert len(play.out) == 1
    play.now += 1
    play.fire("delivery")
    assert [error for _, error, _ in play.ends()] == ["REQUEST_TIMED_OUT"] * 2
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    assert (play.out, len(play.results)) == ([], 1)
    assert play.engine.partition_state(TP0).in_flight == ()


def test_dt_05_with_one_in_flight_the_second_waits_for_the_answer_of_the_expired(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, max_in_flight_requests_per_connection=1)
    play.send("a")
    play.pass_time(1_000)
    play.send("b")
    play.now += 500
    play.fire("delivery")
    assert play.ends() == [("a", "REQUEST_TIMED_OUT", -1)]
    assert play.values() == ["a"]
    play.answer(NONE, 0)
    assert play.values() == ["b"]
    assert len(play.results) == 1


def test_dt_06_a_later_success_resolves_the_gap_without_a_bump(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000)
    play.send("a")
    play.pass_time(1_000)
    play.send("b")
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(600)
    assert play.ends() == [("a", "REQUEST_TIMED_OUT", -1)]
    assert play.results[0].may_be_written
    assert play.engine.partition_state(TP0).unresolved_sequence == 1
    play.send("c")
    assert play.values() == ["b"]
    play.answer(NONE, 1)
    assert play.engine.partition_state(TP0).unresolved_sequence == -1
    assert play.labels() == [(0, 2)]
    assert play.engine.epoch_bumps == 0


def test_dt_07_a_later_45_directly_behind_the_gap_raises_the_epoch(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000)
    play.send("a")
    play.pass_time(1_000)
    play.send("b")
    play.answer(NOT_LEADER)
    play.pass_time(600)
    assert play.engine.partition_state(TP0).unresolved_sequence == 1
    play.send("c")
    play.answer(OUT_OF_ORDER)
    state = play.engine.partition_state(TP0)
    assert (state.producer_epoch, state.next_sequence, state.in_flight, state.unresolved_sequence) == (1, 1, (0,), -1)
    # `c` waits behind the retry: it is sent after `b` has left, with the sequence after b's.
    assert play.values() == []
    assert state.queued == (0, -1)


def test_a_45_farther_behind_the_gap_waits(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000)
    play.send("a")
    play.pass_time(1_000)
    play.send("b", "c")
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(600)
    assert play.engine.partition_state(TP0).in_flight == (1, 2)
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.answer(OUT_OF_ORDER)
    assert play.engine.epoch_bumps == 0
    assert play.engine.partition_state(TP0).queued == (1, 2)


def test_dt_13_the_failure_of_the_last_in_flight_raises_the_epoch(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000, epoch=1)
    play.send("a")
    play.pass_time(500)
    play.send("b")
    play.pass_time(500)
    play.send("c")
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(500)
    assert play.engine.partition_state(TP0).unresolved_sequence == 1
    play.answer(NONE, 1)
    assert play.engine.partition_state(TP0).unresolved_sequence == 1
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(1_000)
    assert [error for _, error, _ in play.ends()] == ["REQUEST_TIMED_OUT", "NONE", "REQUEST_TIMED_OUT"]
    state = play.engine.partition_state(TP0)
    assert (state.producer_epoch, state.next_sequence, state.unresolved_sequence) == (2, 0, -1)


def test_dt_15_the_old_id_stays_while_a_batch_is_out(stage: MakeStage) -> None:
    play = stage(epoch=32_767)
    play.leaders[TP1] = (2, 0)
    play.send("a", "b")
    play.send("x", partition=1)
    play.answer(OUT_OF_ORDER, at=2)
    assert play.engine.producer_id == PID + 1
    play.answer(NONE, 0)
    state = play.engine.partition_state(TP0)
    assert (state.next_sequence, state.producer_id, state.producer_epoch) == (2, PID, 32_767)
    play.send("c")
    assert "c" not in play.values()
    play.answer(NONE, 1)
    state = play.engine.partition_state(TP0)
    assert (state.producer_id, state.producer_epoch, state.last_acked_sequence) == (PID + 1, 0, -1)
    assert play.values()[-1] == "c"


def test_dt_17_what_the_application_sends_again_is_a_new_record(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, retry_backoff_ms=600)
    play.send("a")
    play.pass_time(1_499)
    play.now += 1
    play.fire("delivery")
    assert play.results[0].may_be_written
    play.send("a")
    play.pass_time(1_000)
    labels = [
        (part.batch.producer_epoch, part.batch.base_sequence, part.first_record)
        for each in play.trace
        if each.connection.purpose == "produce" and hasattr(each.message, "partitions")
        for part in each.message.partitions
    ]
    assert labels[0] == (0, 0, 0)
    assert labels[-1] == (1, 0, 1)


def test_dt_18_an_answer_at_the_very_timeout_is_not_retried(stage: MakeStage) -> None:
    for age_ms, ended in ((1_499, False), (1_500, True)):
        play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500)
        play.send("a")
        play.now += age_ms
        play.answer(NOT_LEADER)
        assert bool(play.results) is ended
    assert play.ends() == [("a", "NOT_LEADER_OR_FOLLOWER", -1)]


def test_a_late_success_of_an_expired_batch_is_counted_but_not_told(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500)
    play.send("a")
    play.now += 1_500
    play.fire("delivery")
    assert play.counts() == (0, 1, -1)
    play.answer(NONE, 0)
    assert play.counts() == (0, 1, 0)
    assert len(play.results) == 1
    play.send("b")
    assert play.labels() == [(0, 1)]


def test_records_for_a_topic_that_is_never_found_fail_with_a_message_that_says_so(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=3_000)
    play.send("a", "b", topic="nowhere", partition=-1)
    play.pass_time(3_000)
    assert play.ends() == [
        ("a", "UNKNOWN_TOPIC_OR_PARTITION", -1),
        ("b", "UNKNOWN_TOPIC_OR_PARTITION", -1),
    ]
    assert "nowhere was not found" in play.results[0].message
    assert play.engine.deadlines() in ({}, {"metadata": play.engine.deadlines().get("metadata")})
    play.pass_time(5_000)
    assert play.engine.deadlines() == {}
    assert play.engine.buffered_bytes == 0
    assert TP1 not in play.engine.metadata.tried
