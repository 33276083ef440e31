"""Small print of the producer engine: ages, back-offs, pieces of a split, and whom to believe about leaders."""

from __future__ import annotations

from collections.abc import Callable

from client_stage import NONE, START_MS, TP0, Stage

from eventlog.client.link import backoff_ms
from eventlog.errors import ErrorCode
from eventlog.values import TopicPartition

MakeStage = Callable[..., Stage]


def test_an_offset_beside_duplicate_sequence_number_is_not_believed(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(ErrorCode.DUPLICATE_SEQUENCE_NUMBER, 17)
    assert play.ends() == [("a", "NONE", -1)]
    assert play.engine.partition_state(TP0).last_acked_offset == -1


def test_the_age_of_a_record_counts_from_its_send_though_it_waited_for_metadata(stage: MakeStage) -> None:
    play = stage(linger_ms=300, delivery_timeout_ms=2_000)
    play.send("known")
    play.pass_time(300)
    play.answer(NONE, 0)
    play.send("older", topic="late")
    play.pass_time(60)
    play.send("younger")
    # The first look-up found nothing; the next one is due after its back-off, and finds the topic without a leader.
    play.leaders[TopicPartition("late", 0)] = (-1, 0)
    play.leaders[TP0] = (-1, 1)
    play.pass_time(90)
    assert play.engine.partition_state(TopicPartition("late", 0)).queued == (-1,)
    assert play.engine.deadlines()["linger"] == START_MS + 600
    assert play.engine.deadlines()["delivery"] == START_MS + 300 + 2_000


def test_a_batch_of_five_that_is_too_large_is_cut_into_three_and_two(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a", "b", "c", "d", "e")
    play.pass_time(5)
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    assert play.engine.partition_state(TP0).in_flight == (0, 3)


def test_the_pieces_of_a_split_go_on_counting_the_sendings(stage: MakeStage) -> None:
    play = stage(linger_ms=5, retries=1)
    play.send("a", "b")
    play.pass_time(5)
    play.answer(ErrorCode.MESSAGE_TOO_LARGE)
    part = play.out[0].message.partitions[0]
    assert (part.first_record, part.attempt) == (0, 1)
    play.answer(NONE, 0)
    part = play.out[0].message.partitions[0]
    assert (part.first_record, part.attempt) == (1, 1)
    # The limit does not count the batch they came from: each may be put back once.
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    play.pass_time(130)
    play.answer(NONE, 1)
    assert [(each.error, each.attempts) for each in play.results] == [(NONE, 2), (NONE, 3)]


def test_metadata_of_a_broker_that_lags_does_not_bring_an_old_leader_back(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(ErrorCode.NOT_LEADER_OR_FOLLOWER, leader=(2, 5))
    assert [each.destination for each in play.out] == ["broker-2"]
    # Broker 1, asked because of a broken connection, still says: broker 1, leader epoch 0.
    play.disconnect(play.out[0].connection)
    play.pass_time(300)
    assert [each.destination for each in play.out] == ["broker-2"]


def test_a_metadata_answer_ends_the_doubling_of_its_back_off(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=100_000)
    play.answers_metadata = False
    play.answers_init = False
    waits = []
    play.send("a", topic="orders")

    def fail() -> None:
        question = next(each for each in play.asked if each.connection.purpose == "metadata")
        play.disconnect(question.connection)
        waits.append(play.engine.deadlines()["metadata"] - play.now)
        play.pass_time(waits[-1])

    for _ in range(3):
        fail()
    play.answer_asked([each.connection.purpose for each in play.asked].index("metadata"))
    play.send("b", topic="others")
    fail()
    assert 80 <= waits[0] <= 120
    assert 320 <= waits[2] <= 480
    assert 80 <= waits[3] <= 120


def test_back_offs_double_up_to_their_limit_with_a_jitter_drawn_by_name() -> None:
    waits = [backoff_ms(100, 1_000, failures, 7, "same") for failures in range(1, 8)]
    for wait, middle in zip(waits, (100, 200, 400, 800, 1_000, 1_000, 1_000), strict=True):
        assert middle * 8 // 10 <= wait <= min(middle * 12 // 10, 1_000)
    several = [backoff_ms(100, 1_000, 1, 7, f"name {each}") for each in range(200)]
    assert min(several) < 85
    assert max(several) > 115
    assert several == [backoff_ms(100, 1_000, 1, 7, f"name {each}") for each in range(200)]
    assert backoff_ms(0, 0, 5, 7, "none") == 0


def test_a_connection_that_answered_before_is_not_taken_for_refused(stage: MakeStage) -> None:
    play = stage(retries=1)
    play.send("a")
    play.answer(NONE, 0)
    play.send("b")
    play.disconnect(play.out[0].connection, refused=True)
    # Somebody did listen, so `b` may be in the log: it keeps its sequence, and the attempt counts.
    assert play.counts() == (0, 2, 0)
    play.pass_time(130)
    play.answer(ErrorCode.NOT_ENOUGH_REPLICAS)
    assert play.results[-1].may_be_written


def test_each_batch_lingers_for_its_own_time(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a")
    play.pass_time(3)
    play.send("x", partition=1)
    play.pass_time(2)
    assert play.values() == ["a"]
    play.pass_time(3)
    assert play.values() == ["a", "x"]
