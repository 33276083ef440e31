"""What becomes of a batch, its partition and its producer for every answer there is: Java's table, row by row.

The batch is `b`; `a` before it is acknowledged, `c` after it is not sent before `b` has been answered.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_broker_stage import Play
from client_stage import NONE, PID, TP0, Stage

from eventlog.errors import ErrorCode
from eventlog.values import MAX_PRODUCER_EPOCH, MAX_SEQUENCE

MakeStage = Callable[..., Stage]
MakePlay = Callable[..., Play]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
UNKNOWN_PRODUCER = ErrorCode.UNKNOWN_PRODUCER_ID

SUCCEED = (0, 46)
RETRY = (2, 7, 14, 15, 16, 19, 20, 51, 75, 78, 80)
RETRY_WITH_METADATA = (3, 5, 6, 13, 56, 74, 83)
FATAL = (31, 35, 53, 90)
FAIL_AND_BUMP = (
    *(-1, 10, 17, 18, 21, 22, 25, 27, 29, 30, 32, 36, 37, 38, 41, 42, 43, 47, 48, 49, 50, 52, 55, 77, 84, 87, 95, 107),
    *(108, 120),
)
OF_THE_PARTITION = (45, 59)
"""What these two mean depends on the partition; see below."""
TABLE = SUCCEED + RETRY + RETRY_WITH_METADATA + FATAL + FAIL_AND_BUMP + OF_THE_PARTITION


def answered(stage: MakeStage, number: int, **settings: object) -> Stage:
    play = stage(request_timeout_ms=60_000, **settings)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.answers_metadata = False
    play.answer(ErrorCode(number))
    return play


def asked_for_metadata(play: Stage) -> bool:
    return any(each.connection.purpose == "metadata" for each in play.asked)


def test_the_table_has_a_row_for_every_error() -> None:
    assert sorted(TABLE) == sorted(each for each in TABLE if each in list(ErrorCode))
    # Said to clients outside alone: in process topics have names, and fetches no sessions.
    at_the_door = (ErrorCode.FETCH_SESSION_ID_NOT_FOUND, ErrorCode.UNKNOWN_TOPIC_ID)
    missing = [each for each in ErrorCode if each not in TABLE and each not in at_the_door]
    # Answers to other requests that came later behave as "anything else".
    assert all(not each.is_retriable for each in missing), missing
    assert len(TABLE) == len(dict.fromkeys(TABLE))


@pytest.mark.parametrize("number", SUCCEED)
def test_a_success(stage: MakeStage, number: int) -> None:
    play = answered(stage, number)
    assert play.ends()[1:] == [("b", "NONE", -1)]
    assert play.counts() == (0, 2, 1)


@pytest.mark.parametrize("number", RETRY + RETRY_WITH_METADATA)
def test_a_retry_carries_the_same_label_and_bumps_nothing(stage: MakeStage, number: int) -> None:
    play = answered(stage, number)
    assert play.counts() == (0, 2, 0)
    assert asked_for_metadata(play) is (number in RETRY_WITH_METADATA)
    play.pass_time(130)
    assert (play.values(), play.labels()) == (["b"], [(0, 1)])
    play.answer(NONE, 1)
    assert play.ends()[1:] == [("b", "NONE", 1)]
    assert play.engine.epoch_bumps == 0


@pytest.mark.parametrize("number", RETRY + RETRY_WITH_METADATA)
def test_a_retriable_error_with_attempts_used_up_fails_and_bumps_nothing(stage: MakeStage, number: int) -> None:
    play = answered(stage, number, retries=1)
    play.pass_time(130)
    play.answer(ErrorCode(number))
    assert play.ends()[1:] == [("b", ErrorCode(number).name, -1)]
    play.send("c")
    # A gap, if `b` is not in the log: 45 will tell.
    assert play.labels() == [(0, 2)]
    play.answer(OUT_OF_ORDER)
    assert play.engine.epoch_bumps == 0
    assert play.engine.partition_state(TP0).queued == (2,)


@pytest.mark.parametrize("number", FAIL_AND_BUMP)
def test_any_other_error_fails_the_record_and_begins_anew_in_the_next_epoch(stage: MakeStage, number: int) -> None:
    play = answered(stage, number)
    assert play.ends()[1:] == [("b", ErrorCode(number).name, -1)]
    play.send("c")
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 1)
    assert (play.counts(), play.engine.epoch_bumps) == ((1, 1, 0), 1)


@pytest.mark.parametrize("number", FATAL)
def test_a_fatal_error_refuses_every_later_send(stage: MakeStage, number: int) -> None:
    play = answered(stage, number)
    assert play.ends()[1:] == [("b", ErrorCode(number).name, -1)]
    play.send("c")
    assert [each.error for each in play.refusals] == [ErrorCode(number)]
    assert play.engine.epoch_bumps == 0


@pytest.mark.parametrize("number", FAIL_AND_BUMP + FATAL + OF_THE_PARTITION)
def test_for_a_plain_producer_every_such_error_ends_that_record_and_no_more(stage: MakeStage, number: int) -> None:
    play = answered(stage, number, enable_idempotence=False)
    assert play.ends()[1:] == [("b", ErrorCode(number).name, -1)]
    play.send("c")
    play.answer(NONE, 1)
    assert play.ends()[2:] == [("c", "NONE", 1)]


def test_46_is_a_failure_to_nobody_even_without_idempotence(stage: MakeStage) -> None:
    play = answered(stage, 46, enable_idempotence=False)
    assert play.ends()[1:] == [("b", "NONE", -1)]


def test_too_large_alone_fails_and_in_company_is_split_under_the_same_epoch(stage: MakeStage) -> None:
    play = answered(stage, 10)
    assert (play.ends()[1][1], play.engine.epoch_bumps) == ("MESSAGE_TOO_LARGE", 1)
    split = stage(linger_ms=5)
    split.send("a", "b", "c")
    split.pass_time(5)
    split.answer(ErrorCode.MESSAGE_TOO_LARGE)
    assert split.engine.partition_state(TP0).in_flight == (0, 2)
    assert (split.labels(), split.engine.epoch_bumps, len(split.results)) == ([(0, 0)], 0, 0)


# 45: whether the batch is the next expected one, was renumbered, stands behind an unresolved one, or farther.


def test_45_for_the_next_expected_bumps_and_retries(stage: MakeStage) -> None:
    play = answered(stage, 45)
    play.pass_time(130)
    assert (play.values(), play.labels()) == (["b"], [(1, 0)])


def test_45_for_a_later_one_only_retries(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b")
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.answer(OUT_OF_ORDER)
    assert (play.engine.epoch_bumps, play.engine.partition_state(TP0).queued) == (0, (0, 1))


def test_45_for_a_renumbered_batch_only_retries(stage: MakeStage) -> None:
    play = answered(stage, 45)
    play.pass_time(130)
    play.answer(OUT_OF_ORDER)
    assert play.engine.producer_epoch == 1
    play.pass_time(260)
    assert play.labels() == [(1, 0)]


@pytest.mark.parametrize(("place", "bumps"), [(0, 1), (1, 0)], ids=["directly behind", "farther"])
def test_45_behind_an_unresolved_sequence(stage: MakeStage, place: int, bumps: int) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000)
    play.send("a")
    play.pass_time(1_000)
    play.send("b", "c")
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(600)
    assert play.engine.partition_state(TP0).unresolved_sequence == 1
    play.answer(OUT_OF_ORDER, at=place)
    assert play.engine.epoch_bumps == bumps
    assert len(play.results) == 1


# 59: where the log begins now, and whether the batch was renumbered.


@pytest.mark.parametrize(("log_start", "bumps"), [(-1, 0), (1, 1), (0, 1)], ids=["unknown", "head cut", "head there"])
def test_59_by_the_log_start(stage: MakeStage, log_start: int, bumps: int) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.answer(UNKNOWN_PRODUCER, log_start=log_start)
    assert play.engine.epoch_bumps == bumps
    play.pass_time(130)
    assert (play.values(), play.labels()) == (["b"], [(bumps, 1 - bumps)])
    play.answer(UNKNOWN_PRODUCER, log_start=log_start)
    # The second time it was renumbered, or the start is unknown again: a plain retry.
    assert play.engine.epoch_bumps == bumps
    assert len(play.results) == 1


@pytest.mark.parametrize("number", [45, 59])
def test_45_and_59_with_attempts_used_up_fail_and_bump_all_the_same(stage: MakeStage, number: int) -> None:
    play = stage(retries=1)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.pass_time(130)
    play.answer(ErrorCode(number), log_start=0)
    assert play.ends()[1:] == [("b", ErrorCode(number).name, -1)]
    play.send("c")
    assert play.labels() == [(1, 0)]


def test_an_error_for_an_expired_batch_changes_nothing(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500)
    play.send("a")
    play.now += 1_500
    play.fire("delivery")
    play.answer(ErrorCode.INVALID_PRODUCER_EPOCH)
    assert (play.engine.epoch_bumps, len(play.results), play.refusals) == (0, 1, [])


# The delivery timeout: where the batch is when its time is over.


@pytest.mark.parametrize(
    ("where", "unresolved", "bumps"),
    [("never sent", -1, 0), ("first attempt out", -1, 0), ("queued again", -1, 1), ("second attempt out", -1, 1)],
)
def test_where_a_batch_is_when_its_time_is_over(stage: MakeStage, where: str, unresolved: int, bumps: int) -> None:
    play = stage(delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=100)
    play.answers_init = where != "never sent"
    play.send("a")
    if where in ("queued again", "second attempt out"):
        play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    if where == "second attempt out":
        play.pass_time(130)
        assert play.values() == ["a"]
    play.now += 1_500
    play.fire("delivery")
    assert play.ends() == [("a", "REQUEST_TIMED_OUT", -1)]
    assert play.results[0].may_be_written is (where in ("first attempt out", "second attempt out"))
    state = play.engine.partition_state(TP0)
    assert (state.unresolved_sequence, play.engine.epoch_bumps) == (unresolved, bumps)
    assert state.in_flight == ()


# The local bump: 32766 to 32767, 32767 to a new id, and what other partitions do meanwhile.


def test_the_last_epoch_but_one_is_raised_and_the_last_is_given_away(stage: MakeStage) -> None:
    play = stage(epoch=MAX_PRODUCER_EPOCH - 1)
    play.send("a")
    play.answer(ErrorCode.INVALID_PRODUCER_EPOCH)
    assert (play.engine.producer_id, play.engine.producer_epoch) == (PID, MAX_PRODUCER_EPOCH)
    play.answers_init = False
    play.send("b", "c")
    play.answer(OUT_OF_ORDER)
    play.pass_time(130)
    # No batch leaves without an id: `b` keeps its old label until the new one has come.
    assert play.engine.producer_id == -1
    assert play.values() == ["c"]
    assert play.engine.partition_state(TP0).queued == (0,)
    play.answer(OUT_OF_ORDER)
    play.answer_asked()
    play.pass_time(130)
    labels = [each.message.partitions[0].batch[2:5] for each in play.out]
    assert labels == [(PID + 1, 0, 0)]
    play.answer(NONE, 0)
    assert [each.message.partitions[0].batch[2:5] for each in play.out] == [(PID + 1, 0, 1)]
    assert play.engine.epoch_bumps == 2


# Sequences around the end of their circle, in every way they are handed out again.


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_retries_around_the_wrap_are_written_once(play: MakePlay, client: str) -> None:
    it = play(behaves_like=client, initial_sequence=MAX_SEQUENCE - 2)
    it.acknowledged("a")
    it.send("b", "c", "d", "e", "f")
    it.lose(3)
    it.break_connection()
    it.settle()
    assert it.log == [
        f"0/{MAX_SEQUENCE - 2} a",
        f"0/{MAX_SEQUENCE - 1} b",
        f"0/{MAX_SEQUENCE} c",
        "0/0 d",
        "0/1 e",
        "0/2 f",
    ]
    assert it.engine.epoch_bumps == 0


def test_a_split_across_the_wrap_keeps_its_sequences(play: MakePlay) -> None:
    it = play(initial_sequence=MAX_SEQUENCE, linger_ms=5)
    it.send("a", "b", "c")
    it.pass_time(5)
    it.refuse(ErrorCode.MESSAGE_TOO_LARGE)
    it.settle()
    assert it.log == [f"0/{MAX_SEQUENCE} a", "0/0 b", "0/1 c"]
    assert it.told() == {"a": "0", "b": "1", "c": "2"}


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_a_bump_from_behind_the_wrap_begins_at_0(play: MakePlay, client: str) -> None:
    it = play(behaves_like=client, initial_sequence=MAX_SEQUENCE - 1)
    it.acknowledged("a", "b")
    it.send("c", "d", "e")
    it.refuse(ErrorCode.INVALID_RECORD)
    it.serve(2)
    it.settle()
    assert it.log[2:] == ["1/0 d", "1/1 e"]
    assert it.told() == {"a": "0", "b": "1", "c": "INVALID_RECORD", "d": "2", "e": "3"}


def test_the_sixth_waits_until_one_of_five_is_answered(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b", "c", "d", "e", "f")
    assert len(play.out) == 5
    play.answer(NONE, 0)
    assert play.labels()[-1] == (0, 5)
