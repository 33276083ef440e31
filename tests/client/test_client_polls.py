"""The consumer engine: polls, rest, closing and freezing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_reader_stage import ReaderStage, batch_of
from client_stage import START_MS, TP0, TP1, reply

from eventlog.client import ConsumerEngine
from eventlog.errors import ErrorCode
from eventlog.messages.user_api import Assign, Poll
from eventlog.values import ConsumerSettings, TopicPartition

MakeStage = Callable[..., ReaderStage]
NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_poll_that_finds_nothing_ends_at_its_timeout_and_the_late_fetch_serves_the_next(
    reader_stage: MakeStage,
) -> None:
    play = reader_stage()
    play.seek(0)
    play.poll(200)
    play.pass_time(199)
    assert play.polls == []
    play.pass_time(1)
    assert [each.records for each in play.polls] == [()]
    play.logs[TP0].append(batch_of(0, "a"))
    play.serve()
    assert len(play.polls) == 1
    play.poll()
    assert (play.read(), play.out) == ([(0, "a")], [])


def test_a_poll_without_waiting_asks_and_is_answered_at_once(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll(0)
    assert (play.polls[0].records, play.out) == ((), [])
    # The leader is known by now.
    play.poll(0)
    assert (play.read(), len(play.polls), len(play.out)) == ([], 2, 1)
    assert sorted(play.engine.deadlines()) == ["request broker-1"]
    play.serve()
    play.poll(0)
    assert play.read() == [(0, "a")]


def test_a_second_poll_ends_the_first(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.poll()
    play.poll()
    assert [each.records for each in play.polls] == [()]
    play.serve_all()
    assert len(play.polls) == 2


@pytest.mark.parametrize("timeout_ms", [0, 300])
def test_nobody_polls_so_nothing_is_asked_and_nothing_is_timed(reader_stage: MakeStage, timeout_ms: int) -> None:
    play = reader_stage()
    play.seek(0)
    play.poll(timeout_ms)
    play.poll(timeout_ms)
    play.pass_time(timeout_ms)
    play.disconnect(play.out[0].connection)
    play.poll(0)
    # What failed backs off, but nobody is there to wait for its end.
    assert play.engine.deadlines() == {}
    assert (play.engine.metadata.needed, play.engine.metadata.tried) == ({}, {})
    before = play.events
    play.pass_time(86_400_000)
    assert (play.out, play.asked, play.engine.deadlines()) == ([], [], {})
    assert play.events - before <= 1


def test_a_topic_that_never_comes_ends_the_poll_and_rests(reader_stage: MakeStage) -> None:
    play = reader_stage(assigned=(TopicPartition("nowhere", 0),))
    play.poll(5_000)
    play.pass_time(5_000)
    assert [each.records for each in play.polls] == [()]
    assert play.events < 40
    play.pass_time(2_000)
    assert play.engine.deadlines() == {}


def test_closing_answers_the_poll_closes_connections_and_rests(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.poll()
    late = play.out[0]
    play.close()
    assert [each.records for each in play.polls] == [()]
    assert [each.purpose for each in play.closed] == ["metadata", "list_offsets"]
    assert play.engine.deadlines() == {}
    play.receive(reply(late, play.served(late)))
    play.close()
    play.poll()
    assert (play.errors(), play.out, len(play.closed)) == (["INVALID_REQUEST"], [], 2)


def test_equal_states_freeze_equally_at_different_times() -> None:
    frozen = []
    for later_ms in (0, 12_345):
        play = ReaderStage()
        play.now += later_ms
        play.logs[TP0].append(batch_of(0, "a", "b"))
        play.poll(max_records=1)
        play.serve_all()
        play.poll()
        play.poll(700)
        play.disconnect(play.out[0].connection)
        frozen.append(play.engine.freeze(play.now))
    assert frozen[0] == frozen[1]
    hash(frozen[0])


def test_what_it_does_not_know_it_ignores() -> None:
    play = ReaderStage()
    before = play.engine.freeze(play.now)
    play.user("?")
    play.seek(3, TP1)
    play.fire("no such timer")
    assert (play.engine.freeze(play.now), play.out) == (before, [])
    engine = ConsumerEngine("reader", ConsumerSettings(), (1,))
    play.engine = engine
    play.user(Assign((("orders", 0),)))  # type: ignore[arg-type]
    play.user(Poll(10, 1))
    assert play.now == START_MS
    assert engine.assignment() == (TP0,)
