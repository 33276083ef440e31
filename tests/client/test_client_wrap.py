"""Sequences around 2147483647, and a producer engine frozen, thawed and probed."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import pytest
from client_stage import NONE, START_MS, TP0, Stage

from eventlog.client import ProducerEngine
from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.messages import NO_CONNECTION, Envelope, Timer
from eventlog.messages.user_api import Send
from eventlog.values import MAX_SEQUENCE, ProducerSettings, Record

MakeStage = Callable[..., Stage]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_sequences_wrap_to_0(stage: MakeStage) -> None:
    play = stage(initial_sequence=MAX_SEQUENCE - 1)
    play.send("a", "b", "c", "d")
    assert [base for _, base in play.labels()] == [MAX_SEQUENCE - 1, MAX_SEQUENCE, 0, 1]
    for offset in range(4):
        play.answer(NONE, offset)
    assert play.counts() == (0, 2, 1)


def test_around_the_wrap_retries_keep_their_order_and_a_missing_batch_is_waited_for(stage: MakeStage) -> None:
    play = stage(initial_sequence=MAX_SEQUENCE - 1, request_timeout_ms=5_000)
    play.send("a", "b", "c")
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.answer(OUT_OF_ORDER)
    play.answer(OUT_OF_ORDER)
    assert play.engine.partition_state(TP0).queued == (MAX_SEQUENCE - 1, MAX_SEQUENCE, 0)
    assert play.engine.epoch_bumps == 0
    play.pass_time(300)
    for offset in range(3):
        play.answer(NONE, offset)
    assert [end[0] for end in play.ends()] == ["a", "b", "c"]
    assert play.counts() == (0, 1, 0)


def test_45_for_sequence_0_right_after_the_wrap_raises_the_epoch_and_begins_at_0(stage: MakeStage) -> None:
    play = stage(initial_sequence=MAX_SEQUENCE)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    assert play.labels() == [(0, 0)]
    play.answer(OUT_OF_ORDER)
    play.pass_time(130)
    assert play.labels() == [(1, 0)]


def test_an_unresolved_sequence_settles_over_the_wrap(stage: MakeStage) -> None:
    play = stage(
        initial_sequence=MAX_SEQUENCE, delivery_timeout_ms=1_500, request_timeout_ms=1_500, retry_backoff_ms=1_000
    )
    play.send("a")
    play.pass_time(1_000)
    play.send("b")
    play.answer(ErrorCode.REQUEST_TIMED_OUT)
    play.pass_time(600)
    assert play.engine.partition_state(TP0).unresolved_sequence == 0
    play.answer(NONE, 1)
    play.send("c")
    assert play.labels() == [(0, 1)]
    assert play.engine.epoch_bumps == 0


# The machine.


def test_equal_states_freeze_equally_at_different_times() -> None:
    def at(now_ms: int) -> object:
        play = Stage(linger_ms=5)
        play.now = now_ms
        for value in ("a", "b"):
            play.user(Send("orders", 0, Record(None, value.encode(), 0)))
        play.pass_time(5)
        return play.engine.freeze(play.now)

    assert at(START_MS) == at(START_MS + 987_654)


def test_a_frozen_engine_is_plain_and_survives_pickling() -> None:
    play = Stage()
    play.send("a", "b")
    frozen = play.engine.freeze(play.now)
    assert pickle.loads(pickle.dumps(frozen)) == frozen

    def plain(value: object) -> bool:
        if isinstance(value, tuple):
            return all(plain(each) for each in value)
        return value is None or isinstance(value, (int, str, bytes, ProducerSettings))

    assert plain(frozen)


def test_the_probe_finds_a_broken_promise() -> None:
    play = Stage()
    play.send("a", "b")
    play.engine.queues()[0].in_flight.reverse()
    with pytest.raises(InvariantViolation) as caught:
        play.engine.check_invariants()
    assert caught.value.promise == "C4"


def test_what_it_does_not_know_it_ignores() -> None:
    engine = ProducerEngine("writer", ProducerSettings(), (1,))
    assert engine.receive(Envelope("writer", "writer", NO_CONNECTION, 0, Timer("request broker-9")), 1) == []
    assert engine.receive(Envelope("writer", "writer", NO_CONNECTION, 0, "?"), 1) == []
