"""The producer engine outside the numbered scenarios: sends, memory, closing, plain mode, metadata, wrapping."""

from __future__ import annotations

from collections.abc import Callable

from client_stage import NONE, START_MS, TP0, TP1, Stage, reply

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import InitProducerIdReply, MetadataRequest
from eventlog.values import TopicPartition

MakeStage = Callable[..., Stage]
OUT_OF_ORDER = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


# Plain mode.


def test_a_plain_producer_that_times_out_sends_its_copies_in_reverse_order(stage: MakeStage) -> None:
    play = stage(enable_idempotence=False)
    play.send("m1", "m2", "m3", "m4", "m5", "m6")
    log = list(play.values())
    play.pass_time(1_000)
    play.pass_time(300)
    while play.out:
        log += play.values()[:1]
        play.answer(NONE, 0)
    assert log == ["m1", "m2", "m3", "m4", "m5", "m5", "m4", "m3", "m2", "m1", "m6"]


def test_an_idempotent_producer_in_the_same_place_keeps_the_order(stage: MakeStage) -> None:
    play = stage()
    play.send("m1", "m2", "m3", "m4", "m5", "m6")
    play.pass_time(1_000)
    play.pass_time(300)
    seen = []
    while play.out or play.engine.deadlines():
        seen += play.values()[:1]
        if play.out:
            play.answer(NONE, 0)
        play.pass_time(200)
    assert [value for value in seen if value] == ["m1", "m2", "m3", "m4", "m5", "m6"]


def test_a_plain_producer_has_no_id_and_no_sequences(stage: MakeStage) -> None:
    play = stage(enable_idempotence=False, acks=1)
    play.send("a")
    batch = play.out[0].message.partitions[0].batch
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == (-1, -1, -1)
    assert play.out[0].message.acks == 1
    assert "init" not in [each.connection.purpose for each in play.trace]
    play.answer(OUT_OF_ORDER)
    assert play.ends() == [("a", "OUT_OF_ORDER_SEQUENCE_NUMBER", -1)]
    assert play.engine.epoch_bumps == 0


def test_a_plain_producer_with_one_in_flight_keeps_its_order(stage: MakeStage) -> None:
    play = stage(enable_idempotence=False, max_in_flight_requests_per_connection=1)
    play.send("m1", "m2", "m3")
    seen = []
    for _ in range(2):
        seen += play.values()
        play.disconnect(play.out[0].connection)
        play.pass_time(300)
    while play.out:
        seen += play.values()
        play.answer(NONE, 0)
    assert seen == ["m1", "m1", "m1", "m2", "m3"]


def test_without_acks_records_are_resolved_when_they_are_sent(stage: MakeStage) -> None:
    play = stage(enable_idempotence=False, acks=0)
    play.send("a", "b", "c", "d", "e", "f", "g")
    assert play.values() == ["a", "b", "c", "d", "e", "f", "g"]
    assert play.ends() == [(value, "NONE", -1) for value in "abcdefg"]
    assert [each.correlation_id for each in play.out] == list(range(7))
    assert play.engine.deadlines() == {}
    play.disconnect(play.out[0].connection)
    play.send("h")
    play.pass_time(50)
    assert play.out[-1].connection.number == 1
    assert len(play.results) == 8


# Batches.


def test_a_full_batch_is_sent_at_once_and_an_open_one_after_linger(stage: MakeStage) -> None:
    play = stage(linger_ms=5, batch_size=61 + 3 * 25)
    play.send("aaaa", "bbbb", "cccc", "dddd")
    assert play.values() == ["aaaa", "bbbb", "cccc"]
    assert play.engine.deadlines()["linger"] == START_MS + 5
    play.pass_time(5)
    assert play.values() == ["aaaa", "bbbb", "cccc", "dddd"]
    assert "linger" not in play.engine.deadlines()


def test_flush_sends_what_lingers(stage: MakeStage) -> None:
    play = stage(linger_ms=500)
    play.answers_metadata = False
    play.send("a")
    play.send("b", partition=1)
    play.flush()
    assert play.out == []
    play.answer_asked()
    assert sorted(play.values()) == ["a", "b"]
    play.send("c")
    assert len(play.out) == 1


def test_an_open_batch_grows_while_five_requests_are_out(stage: MakeStage) -> None:
    play = stage()
    play.send("a", "b", "c", "d", "e", "f", "g", "h")
    assert play.labels() == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    play.answer(NONE, 0)
    assert play.labels()[-1] == (0, 5)
    assert play.values()[-3:] == ["f", "g", "h"]


def test_partitions_of_one_leader_share_a_request(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a")
    play.send("x", partition=1)
    play.pass_time(5)
    assert len(play.out) == 1
    assert [each.topic_partition for each in play.out[0].message.partitions] == [TP0, TP1]
    assert play.out[0].message.timeout_ms == 1_000


def test_first_record_and_attempt_name_each_sending(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    play.send("a", "b")
    play.pass_time(5)
    play.send("c")
    play.pass_time(5)
    assert [(each.message.partitions[0].first_record, each.message.partitions[0].attempt) for each in play.out] == [
        (0, 0),
        (2, 0),
    ]
    play.disconnect(play.out[0].connection)
    play.pass_time(130)
    part = play.out[0].message.partitions[0]
    assert (part.first_record, part.attempt, part.batch.base_sequence) == (0, 1, 0)


def test_a_retry_carries_the_very_same_batch(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    first = play.out[0].message.partitions[0].batch
    play.disconnect(play.out[0].connection)
    play.send("b")
    play.pass_time(130)
    assert play.out[0].message.partitions[0].batch == first


def test_a_record_over_max_request_size_is_refused(stage: MakeStage) -> None:
    play = stage(max_request_size=200)
    play.send("x" * 118, "x" * 119)
    assert [each.error for each in play.refusals] == [ErrorCode.MESSAGE_TOO_LARGE]
    assert len(play.out) == 1


def test_a_partition_that_the_topic_does_not_have_is_refused(stage: MakeStage) -> None:
    play = stage()
    play.send("a", partition=2)
    play.send("b", partition=5)
    assert [each.error for each in play.refusals] == [ErrorCode.INVALID_PARTITIONS] * 2
    assert "2 partitions" in play.refusals[0].message
    assert play.engine.buffered_bytes == 0


def test_a_full_buffer_refuses_until_something_is_acknowledged(stage: MakeStage) -> None:
    play = stage(buffer_memory=1_000, batch_size=400, max_in_flight_requests_per_connection=1)
    play.send("a" * 318, "b" * 318, "c" * 318)
    assert [each.record.value for each in play.refusals] == [b"c" * 318]
    assert "buffer_memory=1000" in play.refusals[0].message
    assert play.refusals[0].error.is_retriable
    play.answer(NONE, 0)
    play.send("c" * 318)
    assert len(play.refusals) == 1
    while play.out:
        play.answer(NONE, 0)
    assert play.engine.buffered_bytes == 0


def test_memory_counts_sends_that_wait_for_metadata(stage: MakeStage) -> None:
    play = stage(buffer_memory=300, batch_size=300)
    play.answers_metadata = False
    play.send("a" * 100, "b" * 100, "c")
    assert len(play.refusals) == 1
    play.answer_asked()
    assert play.values() == ["a" * 100, "c"]


def test_after_close_sends_are_refused_and_pending_ones_go_on(stage: MakeStage) -> None:
    play = stage(linger_ms=500)
    play.send("a")
    play.close()
    play.send("b")
    assert [each.record.value for each in play.refusals] == [b"b"]
    assert play.values() == ["a"]
    assert play.closed == []
    play.answer(NONE, 0)
    assert play.ends() == [("a", "NONE", 0)]
    assert sorted(connection.purpose for connection in play.closed) == ["init", "metadata", "produce"]
    assert play.engine.deadlines() == {}


def test_an_idle_engine_has_no_timer(stage: MakeStage) -> None:
    play = stage(linger_ms=5)
    assert play.engine.deadlines() == {}
    play.send("a", "b")
    play.pass_time(5)
    play.answer(NONE, 0)
    assert play.engine.deadlines() == {}


# Partitions by key, and sticky.


def test_a_key_goes_to_the_same_partition_as_with_kafkas_clients(stage: MakeStage) -> None:
    play = stage(partitions=6)
    for key in (b"21", b"foobar", b"abc", b"21"):
        play.send("v", partition=-1, key=key)
    used = [part.topic_partition.partition for each in play.out for part in each.message.partitions]
    expected = [((each & 0xFFFFFFFF) & 0x7FFFFFFF) % 6 for each in (-973932308, -790332482, 479470107, -973932308)]
    assert used == expected


def test_records_without_a_key_stay_with_a_partition_until_a_batch_is_full(stage: MakeStage) -> None:
    play = stage(partitions=8, linger_ms=5, batch_size=61 + 2 * 22)
    for number in range(12):
        play.send(str(number % 10), partition=-1)
    play.pass_time(5)
    used = [
        part.topic_partition.partition
        for each in play.trace
        if each.connection.purpose == "produce"
        for part in each.message.partitions
        if part.attempt == 0
    ]
    while play.out:
        for each in play.out[-1].message.partitions:
            if each.attempt == 0 and each.topic_partition.partition not in used:
                used.append(each.topic_partition.partition)
        play.answer(NONE, 0)
    assert len(play.ends()) == 12
    assert all(len(each.records) == 2 for each in play.results)
    assert len(dict.fromkeys(used)) > 2


def test_the_sticky_choice_depends_on_the_seed_alone() -> None:
    def choices(seed: int) -> list[int]:
        play = Stage(partitions=50, batch_size=0, seed=seed)
        for _ in range(5):
            play.send("v", partition=-1)
        return [part.topic_partition.partition for each in play.out for part in each.message.partitions]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)


# Metadata and connections.


def test_a_leader_named_in_an_error_is_used_at_once(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(ErrorCode.NOT_LEADER_OR_FOLLOWER, leader=(2, 1))
    assert [each.destination for each in play.out] == ["broker-2"]
    assert len([each for each in play.trace if isinstance(each.message, MetadataRequest)]) == 1


def test_without_a_hint_the_broker_is_asked_for_a_newer_leader_and_may_wait(stage: MakeStage) -> None:
    play = stage()
    play.send("a")
    play.answer(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    question = play.asked[0].message
    # Half of request_timeout_ms, which is 1000 here: held back any longer, an answer would come too late.
    assert question == MetadataRequest(("orders",), ((TP0, 0),), 500)
    play.leaders[TP0] = (2, 1)
    play.answer_asked()
    # A changed leader needs no back-off.
    assert [each.destination for each in play.out] == ["broker-2"]
    assert play.engine.metadata.tried == {}


def test_a_refused_connection_charges_nothing_and_asks_for_a_newer_leader(stage: MakeStage) -> None:
    play = stage(retries=1)
    for _ in range(3):
        if not play.out:
            play.send("a", "b")
        play.disconnect(play.out[0].connection, refused=True)
        assert play.counts()[1] == 0
        assert play.asked[0].message.newer_than == ((TP0, 0),)
        asked = play.asked[0].destination
        play.answer_asked()
        # Nothing newer: the next broker's turn, and meanwhile the old leader is tried again.
        play.pass_time(60)
        assert play.labels() == [(0, 0), (0, 1)]
        assert play.engine.metadata.asker.broker_id != int(asked[-1])
        play.engine.deadlines().pop("metadata", None)
    play.answer(NONE, 0)
    play.answer(NONE, 1)
    assert [error for _, error, _ in play.ends()] == ["NONE", "NONE"]


def test_a_refused_retry_keeps_its_sequence(stage: MakeStage) -> None:
    play = stage(delivery_timeout_ms=5_000)
    play.send("a")
    play.disconnect(play.out[0].connection)
    play.pass_time(130)
    play.disconnect(play.out[0].connection, refused=True)
    assert play.engine.partition_state(TP0).queued == (0,)
    play.pass_time(5_000)
    assert play.results[0].may_be_written
    play.send("b")
    assert play.engine.epoch_bumps == 1


def test_no_leader_parks_a_question_and_costs_nothing_else(stage: MakeStage) -> None:
    play = stage()
    play.leaders[TP0] = (-1, 3)
    play.send("a")
    assert play.out == []
    assert play.asked[0].message == MetadataRequest(("orders",), ((TP0, 3),), 500)
    assert sorted(play.engine.deadlines()) == ["delivery", "request metadata"]
    play.leaders[TP0] = (2, 4)
    play.answer_asked()
    assert [each.destination for each in play.out] == ["broker-2"]


def test_metadata_goes_round_the_brokers_until_one_answers(stage: MakeStage) -> None:
    play = stage()
    play.answers_metadata = False
    play.answers_init = False
    play.send("a")
    asked = []
    for _ in range(3):
        question = next(each for each in play.asked if each.connection.purpose == "metadata")
        asked.append(question.destination)
        play.disconnect(question.connection, refused=True)
        play.pass_time(500)
    assert asked == ["broker-1", "broker-2", "broker-1"]
    question = next(each for each in play.asked if each.connection.purpose == "metadata")
    play.fire("request metadata")
    assert question.connection in play.closed


def test_a_producer_id_is_asked_for_again_when_the_broker_is_loading(stage: MakeStage) -> None:
    play = stage()
    play.answers_init = False
    play.send("a")
    for _ in range(2):
        question = play.asked.pop()
        play.receive(reply(question, InitProducerIdReply(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)))
        assert play.out == []
        play.pass_time(300)
    play.disconnect(play.asked[0].connection)
    play.pass_time(500)
    play.fire("request init")
    play.pass_time(1_300)
    play.answer_asked()
    assert play.labels() == [(0, 0)]


def test_a_plain_look_up_does_not_wait_behind_a_parked_one(stage: MakeStage) -> None:
    play = stage()
    play.leaders[TP0] = (-1, 3)
    play.leaders[TopicPartition("other", 0)] = (1, 0)
    play.send("a")
    parked = play.asked[0]
    play.send("b", topic="other")
    assert play.closed == [parked.connection]
    assert play.values() == ["b"]


def test_a_topic_that_is_created_meanwhile_is_found(stage: MakeStage) -> None:
    play = stage()
    play.send("a", topic="late", partition=-1)
    play.pass_time(1_000)
    play.leaders[TopicPartition("late", 0)] = (1, 0)
    play.pass_time(1_300)
    assert play.values() == ["a"]
