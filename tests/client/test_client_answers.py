"""What late, foreign and repeated answers do to a producer engine."""

from __future__ import annotations

from collections.abc import Callable

from client_stage import NONE, PID, TP0, Stage, reply

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import ProducePartitionReply, ProduceReply
from eventlog.messages.user_api import SendsResolved

MakeStage = Callable[..., Stage]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
UNKNOWN_PRODUCER = ErrorCode.UNKNOWN_PRODUCER_ID
NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_a_request_timer_that_is_fired_early_is_obeyed(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b")
    play.fire("request broker-1")
    assert len(play.closed) == 1
    assert play.engine.partition_state(TP0).queued == (0, 1)


def test_a_late_answer_on_a_connection_that_was_given_up_is_ignored(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    late = play.out[0]
    play.fire("request broker-1")
    play.receive(reply(late, ProduceReply((ProducePartitionReply(TP0, NONE, 0),))))
    assert play.results == []
    play.pass_time(130)
    assert play.labels() == [(0, 0)]


def test_an_answer_to_another_request_closes_the_connection(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b")
    play.answer(NONE, 1, at=1)
    assert play.results == []
    assert len(play.closed) == 1
    play.pass_time(130)
    assert play.labels() == [(0, 0)]


def test_answers_that_prove_absence_prove_nothing_after_an_unknown_attempt(stage: MakeStage) -> None:
    play = stage(retries=1)
    play.send("a")
    play.disconnect(play.out[0].connection)
    play.pass_time(130)
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.send("b")
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.pass_time(130)
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.send("c")
    play.answer(ErrorCode.INVALID_RECORD)
    assert [each.may_be_written for each in play.results] == [True, False, False]


def test_47_fails_the_batch_and_raises_the_epoch(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(ErrorCode.INVALID_PRODUCER_EPOCH)
    play.send("b")
    assert play.ends() == [("a", "INVALID_PRODUCER_EPOCH", -1)]
    assert play.labels() == [(1, 0)]


def test_successes_of_rewritten_batches_lead_to_a_second_bump(stage: MakeStage) -> None:
    """As a real client does: 45 for the first of three that were all appended; the others are booked as rewritten."""
    play = stage()
    play.send("a", "b", "c")
    play.answer(OUT_OF_ORDER)
    assert play.engine.partition_state(TP0).in_flight == (0, 1, 2)
    play.answer(NONE, 1)
    play.answer(NONE, 2)
    assert play.counts() == (1, 3, 2)
    play.pass_time(130)
    assert play.labels() == [(1, 0)]
    play.answer(NONE, 3)
    play.send("d")
    assert play.labels() == [(1, 3)]
    play.answer(OUT_OF_ORDER)
    play.pass_time(130)
    assert play.labels() == [(2, 0)]
    assert play.engine.epoch_bumps == 2


def test_every_batch_is_resolved_once_with_its_label(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(NONE, 5)
    assert play.results == [
        SendsResolved(TP0, play.results[0].records, 5, NONE, True, "", 1, PID, 0, 0),
    ]
