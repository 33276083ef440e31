"""The consumer engine before played brokers: positions, resets, errors, seeks, polls. R1 to R4 are the chapter's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from client_reader_stage import NONE, ReaderStage, batch_of
from client_stage import TP0, TP1, reply

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, FetchReply, MetadataRequest
from eventlog.values import TopicPartition

MakeStage = Callable[..., ReaderStage]
NOT_LEADER = ErrorCode.NOT_LEADER_OR_FOLLOWER


# Positions.


def test_a_poll_looks_up_the_beginning_fetches_and_brings_the_records(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b"), batch_of(2, "c"))
    play.poll()
    assert play.wanted() == [("broker-1", "list_offsets", EARLIEST_TIMESTAMP)]
    play.serve()
    assert play.wanted() == [("broker-1", "fetch", 0)]
    play.serve()
    assert play.read() == [(0, "a"), (1, "b"), (2, "c")]
    assert play.engine.position(TP0) == 3


def test_a_poll_brings_no_more_than_it_asked_for_and_the_next_needs_no_fetch(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b", "c"))
    play.poll(max_records=2)
    play.serve_all()
    assert (play.read(), play.engine.position(TP0)) == ([(0, "a"), (1, "b")], 2)
    play.poll()
    assert play.out == []
    assert play.read()[2:] == [(2, "c")]


def test_partitions_take_turns(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b", "c"), assigned=(TP0, TP1))
    play.logs[TP1].append(batch_of(0, "x", "y"))
    for _ in range(3):
        play.poll(max_records=2)
        play.serve_all()
    assert [value for _, value in play.read()] == ["a", "b", "x", "y", "c"]


def test_records_before_the_position_are_passed_over(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b", "c"))
    play.seek(1)
    play.poll()
    play.serve_all()
    assert play.read() == [(1, "b"), (2, "c")]


def test_holes_between_batches_and_empty_batches_cost_nothing(reader_stage: MakeStage) -> None:
    emptied = batch_of(10, "gone", "gone")._replace(record_count=0, records=())
    play = reader_stage(batch_of(5, "a"), emptied, batch_of(20, "b"))
    play.seek(0)
    play.poll()
    play.serve_all()
    assert (play.read(), play.engine.position(TP0)) == ([(5, "a"), (20, "b")], 21)


def test_control_batches_are_passed_over_and_alone_they_do_not_end_a_poll(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "commit", is_control=True))
    play.seek(0)
    play.poll()
    play.serve()
    assert play.polls == []
    assert play.wanted() == [("broker-1", "fetch", 1)]
    play.logs[TP0].append(batch_of(1, "a"))
    play.serve()
    assert play.read() == [(1, "a")]


def test_read_committed_passes_over_aborted_batches_until_their_marker(reader_stage: MakeStage) -> None:
    def of(base_offset: int, value: str, producer_id: int, **flags: bool) -> Any:
        return batch_of(base_offset, value, producer_id=producer_id, producer_epoch=0, is_transactional=True, **flags)

    batches = (
        of(0, "aborted", 5),
        of(1, "committed", 6),
        batch_of(2, "plain, same id", producer_id=5, producer_epoch=0, base_sequence=3),
        of(3, "abort", 5, is_control=True),
        of(4, "afterwards", 5),
    )
    play = reader_stage(isolation_level="read_committed")
    play.seek(0)
    play.poll()
    play.answer(NONE, *batches, aborted=((5, 0),))
    assert [value for _, value in play.read()] == ["committed", "plain, same id", "afterwards"]
    everything = reader_stage()
    everything.seek(0)
    everything.poll()
    everything.answer(NONE, *batches, aborted=((5, 0),))
    assert [offset for offset, _ in everything.read()] == [0, 1, 2, 4]


def test_packed_records_that_are_none_are_an_error_that_names_the_batch(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"), batch_of(1, "b")._replace(records=b"packed"))
    play.seek(0)
    for _ in range(2):
        play.poll()
        play.serve_all()
    assert (play.read(), play.errors()) == ([(0, "a")], ["INVALID_RECORD"])
    assert "offset 1" in play.polls[-1].message


# Resets.


def test_latest_begins_behind_what_is_there(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "old"), auto_offset_reset="latest")
    play.poll()
    assert play.wanted() == [("broker-1", "list_offsets", LATEST_TIMESTAMP)]
    play.serve()
    play.logs[TP0].append(batch_of(1, "new"))
    play.serve()
    assert play.read() == [(1, "new")]


def test_without_a_reset_policy_a_poll_says_that_it_has_no_position(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"), auto_offset_reset="none")
    play.poll()
    assert play.out == []
    assert play.errors() == ["OFFSET_OUT_OF_RANGE"]
    assert "seek first" in play.polls[0].message
    play.seek(EARLIEST_TIMESTAMP)
    play.poll()
    play.serve_all()
    assert play.read() == [(0, "a")]


@pytest.mark.parametrize(("policy", "goes_on"), [("earliest", [(10, "a"), (11, "b")]), ("latest", [])])
def test_a_position_out_of_range_is_reset_by_the_policy(
    reader_stage: MakeStage, policy: str, goes_on: list[tuple[int, str]]
) -> None:
    play = reader_stage(batch_of(10, "a", "b"), auto_offset_reset=policy)
    play.starts[TP0] = 10
    for lost in (3, 40):
        play.polls.clear()
        play.seek(lost)
        play.poll()
        play.serve()
        play.serve()
        play.serve()
        assert play.read() == goes_on
        assert play.engine.position(TP0) == 12
        play.pass_time(1_000)


def test_a_position_out_of_range_without_a_policy_is_told_and_kept(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(10, "a"), auto_offset_reset="none")
    play.starts[TP0] = 10
    play.seek(3)
    play.poll()
    play.serve()
    assert play.errors() == ["OFFSET_OUT_OF_RANGE"]
    assert "offset 3" in play.polls[0].message
    assert play.engine.position(TP0) == 3


# Leaders that changed, are behind, or are gone.


def test_a_leader_named_in_an_error_is_asked_at_once(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    play.answer(NOT_LEADER, leader_id=2, leader_epoch=1)
    assert play.wanted() == [("broker-2", "fetch", 0)]
    assert play.out[0].message.partitions[0].current_leader_epoch == 1
    play.serve()
    assert (play.read(), play.asked) == ([(0, "a")], [])


@pytest.mark.parametrize("error", [NOT_LEADER, ErrorCode.FENCED_LEADER_EPOCH])
def test_a_newer_leader_is_asked_for_with_a_question_that_may_wait(reader_stage: MakeStage, error: ErrorCode) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll(10_000)
    play.answer(error)
    assert play.asked[0].message == MetadataRequest(("orders",), ((TP0, 0),), 1_000)
    assert play.out == []
    play.leaders[TP0] = (2, 1)
    play.answer_asked()
    assert play.wanted() == [("broker-2", "fetch", 0)]
    play.serve()
    assert play.read() == [(0, "a")]


def test_a_broker_that_is_behind_is_asked_again_after_a_back_off(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll(10_000)
    play.answers_metadata = False
    play.answer(ErrorCode.UNKNOWN_LEADER_EPOCH)
    assert (play.out, play.asked) == ([], [])
    play.pass_time(130)
    play.serve()
    assert play.read() == [(0, "a")]


def test_end_offsets_that_are_not_known_yet_are_asked_for_again(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"), auto_offset_reset="latest")
    play.poll(10_000)
    play.answer(ErrorCode.OFFSET_NOT_AVAILABLE)
    assert play.out == []
    play.pass_time(130)
    assert play.wanted() == [("broker-1", "list_offsets", LATEST_TIMESTAMP)]
    play.serve()
    assert play.wanted() == [("broker-1", "fetch", 1)]


def test_an_error_that_cannot_pass_is_told_and_the_next_poll_tries_again(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    play.answer(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    assert play.errors() == ["TOPIC_AUTHORIZATION_FAILED"]
    play.poll()
    play.pass_time(130)
    play.serve()
    assert play.read() == [(0, "a")]


def test_what_was_asked_on_a_broken_connection_is_asked_again_on_the_next(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    first = play.out[0].connection
    play.disconnect(first)
    assert play.out == []
    play.pass_time(130)
    assert play.out[0].connection == first._replace(number=1)
    play.serve()
    assert play.read() == [(0, "a")]


def test_a_refused_connection_waits_for_metadata_and_is_tried_again(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll(10_000)
    play.disconnect(play.out[0].connection, refused=True)
    play.pass_time(500)
    assert play.out == []
    play.answer_asked()
    play.pass_time(60)
    assert play.wanted() == [("broker-1", "fetch", 0)]


def test_an_answer_that_is_late_costs_the_connection_and_no_record(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"), request_timeout_ms=2_000)
    play.seek(0)
    play.poll(10_000)
    late = play.out[0]
    play.pass_time(2_000)
    assert play.closed == [late.connection]
    play.receive(reply(late, play.served(late)))
    assert play.read() == []
    play.pass_time(130)
    play.serve()
    assert play.read() == [(0, "a")]


def test_an_answer_to_another_request_closes_the_connection(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    request = play.out[0]
    play.receive(reply(request, play.served(request))._replace(correlation_id=7))
    assert (play.read(), play.closed) == ([], [request.connection])


def test_a_partition_that_an_answer_leaves_out_is_asked_for_again(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    play.receive(reply(play.out.pop(), FetchReply(())))
    assert play.out == []
    play.pass_time(130)
    play.serve()
    assert play.read() == [(0, "a")]


def test_a_partition_that_its_topic_does_not_have_yet_is_waited_for_without_polling(reader_stage: MakeStage) -> None:
    new = TopicPartition("orders", 2)
    play = reader_stage(assigned=(new,))
    play.poll(10_000)
    assert play.asked[0].message.newer_than == ((new, -1),)
    before = play.events
    play.pass_time(900)
    assert play.events - before <= 1
    play.logs[new], play.starts[new], play.leaders[new] = [batch_of(0, "a")], 0, (2, 0)
    play.answer_asked()
    play.serve_all()
    assert play.read() == [(0, "a")]


# Seeks and assignments.


@pytest.mark.parametrize("offset", [0, 2])
def test_a_seek_during_a_fetch_brings_nothing_of_before(reader_stage: MakeStage, offset: int) -> None:
    play = reader_stage(batch_of(0, "a", "b", "c"))
    play.seek(0)
    play.poll()
    play.seek(offset)
    play.answer(NONE, batch_of(0, "from before"))
    assert play.read() == []
    assert play.wanted() == [("broker-1", "fetch", offset)]
    play.serve()
    assert play.read() == [(0, "a"), (1, "b"), (2, "c")][offset:]


def test_a_seek_drops_what_is_buffered(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b", "c"))
    play.poll(max_records=1)
    play.serve_all()
    play.seek(0)
    play.poll()
    play.serve_all()
    assert play.read() == [(0, "a"), (0, "a"), (1, "b"), (2, "c")]


def test_a_seek_is_not_answered_by_the_leader_before(reader_stage: MakeStage) -> None:
    """The same offset is asked of two leaders, once before the seek and once after it."""
    play = reader_stage(batch_of(0, "of the new leader"))
    play.seek(0)
    play.poll()
    play.engine.metadata.learn(TP0, 2, 1)
    play.seek(0)
    assert play.wanted() == [("broker-1", "fetch", 0), ("broker-2", "fetch", 0)]
    play.answer(NONE, batch_of(0, "of the old leader"))
    assert play.read() == []
    play.serve()
    assert play.read() == [(0, "of the new leader")]


def test_a_seek_to_the_end_during_a_look_up_of_the_beginning_goes_to_the_end(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.poll()
    play.seek(LATEST_TIMESTAMP)
    play.serve()
    assert play.wanted() == [("broker-1", "list_offsets", LATEST_TIMESTAMP)]
    play.serve()
    assert play.engine.position(TP0) == 1


def test_assigning_again_keeps_positions_and_forgets_the_rest(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a", "b"), assigned=(TP0, TP1))
    play.poll(max_records=1)
    play.serve_all()
    play.assign(TP0)
    assert play.engine.assignment() == (TP0,)
    assert play.engine.position(TP0) == 1
    with pytest.raises(KeyError):
        play.engine.position(TP1)


def test_an_answer_for_a_partition_that_was_given_away_is_dropped(reader_stage: MakeStage) -> None:
    play = reader_stage(batch_of(0, "a"))
    play.seek(0)
    play.poll()
    play.assign(TP1)
    play.serve()
    play.assign(TP0)
    play.pass_time(1_000)
    assert play.read() == []
    assert play.engine.position(TP0) == -1
