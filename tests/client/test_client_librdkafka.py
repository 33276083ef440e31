"""librdkafka's way after an error, step by step, where no recording speaks of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_broker_stage import Play
from client_stage import PID, Stage

from eventlog.errors import ErrorCode, RequestError
from eventlog.values import MAX_PRODUCER_EPOCH, ProducerSettings

MakeStage = Callable[..., Stage]
MakePlay = Callable[..., Play]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
UNKNOWN_PRODUCER = ErrorCode.UNKNOWN_PRODUCER_ID


def test_librdkafka_does_not_split(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", linger_ms=5)
    it.send("a", "b")
    it.pass_time(5)
    it.refuse(ErrorCode.MESSAGE_TOO_LARGE)
    assert it.told() == dict.fromkeys("ab", "MESSAGE_TOO_LARGE")


def test_librdkafka_raises_the_epoch_only_when_nothing_is_out_anywhere_and_sends_nothing_meanwhile(
    stage: MakeStage,
) -> None:
    play = stage(behaves_like="librdkafka", request_timeout_ms=60_000)
    play.leaders = {where: (1 + where.partition, 0) for where in play.leaders}
    play.send("a", "b")
    play.send("x", partition=1)
    play.answer(ErrorCode.INVALID_RECORD)
    play.answer(OUT_OF_ORDER)
    play.send("c")
    play.pass_time(500)
    assert (play.values(), play.engine.producer_epoch) == (["x"], 0)
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.pass_time(130)
    # The other partition goes over with what waits there for its retry.
    assert sorted(zip(play.values(), play.labels(), strict=True)) == [("b", (1, 0)), ("c", (1, 1)), ("x", (1, 0))]
    assert play.engine.epoch_bumps == 1


def test_librdkafka_with_an_exhausted_epoch_waits_for_a_new_id_with_everything(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", epoch=MAX_PRODUCER_EPOCH)
    it.send("a", "b")
    it.answers_init = False
    it.refuse(ErrorCode.INVALID_RECORD)
    it.refuse(OUT_OF_ORDER)
    it.pass_time(500)
    assert it.out == []
    it.answer_asked()
    it.settle()
    assert it.log == ["0/0 b"]
    assert it.engine.producer_id == PID + 1


def test_librdkafka_told_59_of_a_batch_that_was_sent_before_is_finished(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka")
    it.send("a")
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS)
    it.pass_time(130)
    it.refuse(UNKNOWN_PRODUCER)
    assert it.told() == {"a": "UNKNOWN_PRODUCER_ID"}
    assert it.fatal()


def test_librdkafka_does_not_charge_a_retry_for_45(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", retries=1)
    it.acknowledged("m")
    it.send("a", "b")
    for _ in range(2):
        it.refuse(ErrorCode.CORRUPT_MESSAGE)
        it.serve()
        it.pass_time(300)
    assert it.told() == {"m": "0", "a": "CORRUPT_MESSAGE"}
    # Its one retry is still to be had.
    it.refuse(ErrorCode.CORRUPT_MESSAGE)
    it.settle()
    assert it.told()["b"] == "1"
    assert it.log == ["0/0 m", "2/0 b"]


def test_librdkafka_finished_by_45_still_hears_what_is_out_and_then_closes(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", request_timeout_ms=1_000)
    it.acknowledged("a")
    it.send("b", "c", "d")
    it.serve(say=OUT_OF_ORDER)
    assert it.fatal()
    it.lose(1)
    assert it.told() == {"a": "0", "b": OUT_OF_ORDER.name}
    it.pass_time(1_000)
    assert it.told() == {"a": "0", "b": OUT_OF_ORDER.name, "c": "PRODUCER_FENCED", "d": "PRODUCER_FENCED"}
    assert all(each.may_be_written for each in it.results[-2:])
    assert it.engine.deadlines() == {}
    assert it.out == []


def test_librdkafka_sends_what_failed_together_together(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka")
    it.send("a", "b", "c", "d", "e")
    it.lose(5)
    it.break_connection()
    it.now = it.engine.deadlines()["retry"]
    it.fire("retry")
    if not it.out:
        # The first was for the connection.
        it.now = it.engine.deadlines()["retry"]
        it.fire("retry")
    assert it.values() == ["a", "b", "c", "d", "e"]


def test_librdkafka_gives_a_request_up_when_its_records_expire(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", delivery_timeout_ms=2_000, request_timeout_ms=1_500)
    it.send("a")
    it.pass_time(900)
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS)
    it.send("b")
    it.pass_time(1_100)
    assert it.told() == {"a": "REQUEST_TIMED_OUT"}
    assert len(it.closed) == 1
    it.settle()
    assert it.log == ["1/0 b"]


@pytest.mark.parametrize("client", ["java", "librdkafka"])
def test_a_batch_that_expires_in_the_queue_leaves_java_waiting_and_librdkafka_bumping(
    play: MakePlay, client: str
) -> None:
    it = play(
        behaves_like=client,
        delivery_timeout_ms=1_500,
        request_timeout_ms=1_500,
        retry_backoff_ms=1_000,
        retry_backoff_max_ms=1_000,
    )
    it.acknowledged("m")
    it.send("a")
    it.pass_time(1_000)
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS)
    it.send("b")
    it.pass_time(500)
    assert it.told() == {"m": "0", "a": "REQUEST_TIMED_OUT"}
    it.settle()
    assert it.log == ["0/0 m", "1/0 b"]
    assert it.engine.epoch_bumps == 1


def test_librdkafka_bumps_without_waiting_when_the_last_in_the_queue_expires(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000)
    it.send("a")
    it.pass_time(1_000)
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS)
    it.pass_time(500)
    assert (it.told(), it.engine.epoch_bumps) == ({"a": "REQUEST_TIMED_OUT"}, 1)


def test_there_are_two_kinds_of_client() -> None:
    assert ProducerSettings().behaves_like == "java"
    with pytest.raises(RequestError, match="behaves_like"):
        ProducerSettings(behaves_like="sarama")
