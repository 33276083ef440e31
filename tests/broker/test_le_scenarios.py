"""Leader epochs and truncation (LE): the list, the leader's answer, the follower's cut."""

from __future__ import annotations

import pytest
from broker_stage import TP, A, B, Stage
from lone_stage import Lone, plain

from eventlog.broker.follower import find_truncation
from eventlog.errors import ErrorCode
from eventlog.log.leader_epochs import LeaderEpochs
from eventlog.log.partition_log import PartitionLog
from eventlog.messages.broker_api import (
    DeleteRecordsRequest,
    FetchPartitionReply,
    FetchRequest,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochRequest,
)
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, placed

Pairs = tuple[tuple[int, int], ...]

# --- the list -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "asked", "log_end_offset", "answer"),
    [
        pytest.param(((5, 11), (6, 12), (7, 13)), 4, 0, (4, 11), id="LE-01"),
        pytest.param(((0, 10), (2, 13), (4, 17)), 1, 20, (0, 13), id="LE-03-1"),
        pytest.param(((0, 10), (2, 13), (4, 17)), 2, 20, (2, 17), id="LE-03-2"),
        pytest.param(((0, 10), (2, 13), (4, 17)), 3, 20, (2, 17), id="LE-03-3"),
        pytest.param(((2, 100),), 3, 100, (-1, -1), id="LE-05"),
    ],
)
def test_le_01_le_03_le_05_where_an_epoch_ends(
    known: Pairs, asked: int, log_end_offset: int, answer: tuple[int, int]
) -> None:
    assert LeaderEpochs(known).end_offset_for(asked, log_end_offset) == answer


def test_le_02_an_epoch_assigned_again_further_down_takes_what_it_contradicts_with_it() -> None:
    epochs = LeaderEpochs(((5, 11), (6, 12), (7, 13)))
    epochs.assign(7, 12)
    assert epochs.freeze() == ((5, 11), (7, 12))
    assert [epochs.end_offset_for(asked, 20) for asked in (5, 6)] == [(5, 12)] * 2


def test_le_04_the_newest_epoch_ends_where_the_log_does() -> None:
    epochs = LeaderEpochs(((0, 0),))
    assert epochs.end_offset_for(0, 3) == (0, 3)
    epochs.assign(1, 3)
    epochs.assign(2, 6)
    assert [epochs.end_offset_for(asked, 9) for asked in (2, 1, 0)] == [(2, 9), (1, 6), (0, 3)]


def test_le_07_an_epoch_that_goes_back_drops_the_newer_ones() -> None:
    epochs = LeaderEpochs()
    for assigned in ((1, 5), (2, 6), (1, 7)):
        epochs.assign(*assigned)
    assert epochs.freeze() == ((1, 7),)
    assert epochs.end_offset_for(1, 8) == (1, 8)
    assert epochs.end_offset_for(2, 8) == (-1, -1)


@pytest.mark.parametrize(("second", "after"), [((3, 5), ((3, 5),)), ((3, 6), ((3, 6),)), ((3, 7), ((2, 6), (3, 7)))])
def test_le_08_an_offset_that_does_not_rise_drops_the_older_ones(second: tuple[int, int], after: Pairs) -> None:
    epochs = LeaderEpochs()
    epochs.assign(2, 6)
    epochs.assign(*second)
    assert epochs.freeze() == after


@pytest.mark.parametrize(("end", "after"), [(8, ((2, 6),)), (9, ((2, 6), (3, 8)))])
def test_le_10_a_cut_from_the_end(end: int, after: Pairs) -> None:
    epochs = LeaderEpochs(((2, 6), (3, 8), (4, 11)))
    epochs.truncate_from_end(end)
    assert epochs.freeze() == after


@pytest.mark.parametrize(
    ("known", "start", "after"),
    [
        (((2, 6), (3, 8), (4, 11)), 9, ((3, 9), (4, 11))),
        (((2, 6), (3, 8), (4, 11)), 15, ((4, 15),)),
        (((0, 0), (1, 7), (2, 10)), 5, ((0, 5), (1, 7), (2, 10))),
    ],
)
def test_le_11_a_cut_from_the_start(known: Pairs, start: int, after: Pairs) -> None:
    epochs = LeaderEpochs(known)
    epochs.truncate_from_start(start)
    assert epochs.freeze() == after


def log_of(*epochs: tuple[int, int], high_watermark: int = 0) -> PartitionLog:
    """(leader epoch, records) each, a record to a batch."""
    log = PartitionLog(TP, MemoryLogStore(), LogSettings())
    for leader_epoch, count in epochs:
        for _ in range(count):
            log.append_as_follower((placed(plain(0), log.log_end_offset, leader_epoch),))
    log.set_high_watermark(high_watermark)
    return log


def test_le_13_a_cut_of_the_log_cuts_the_list() -> None:
    log = log_of((0, 10), (1, 6), (2, 4))
    for end, left in ((20, 3), (11, 2), (10, 1), (0, 0)):
        log.truncate_to(end)
        assert (log.log_end_offset, len(log.leader_epochs.entries)) == (end, left)


# --- becoming leader or follower ----------------------------------------------------------------------------------


def epoch_end(lone: Lone, leader_epoch: int) -> tuple[int, int]:
    (answer,) = lone.ask(OffsetForLeaderEpochRequest(-1, (OffsetForLeaderEpochPartition(TP, leader_epoch),)))
    (reply,) = answer.partitions
    return reply.leader_epoch, reply.end_offset


def test_le_15_a_new_leader_notes_its_epoch_before_it_appends() -> None:
    lone = Lone()
    lone.role(2, 5)
    lone.fill((0, 2), (5, 2))
    lone.role(1, 8)
    assert epoch_end(lone, 8) == (8, 4)
    assert lone.log.store.read_checkpoint("leader_epochs", ()) == ((0, 0), (5, 2), (8, 4))


@pytest.mark.parametrize("partition_epoch", [4, 5])
@pytest.mark.parametrize("leader_id", [1, 2, 3, -1])
def test_le_17_metadata_of_an_older_partition_epoch_changes_nothing(leader_id: int, partition_epoch: int) -> None:
    for leads in (1, 2):
        lone = Lone()
        lone.role(leads, 3, partition_epoch=5)
        before = (lone.replica.partition, lone.replica.leadership, lone.replica.following)
        assert lone.role(leader_id, 9, 1, partition_epoch=partition_epoch) == []
        assert (lone.replica.partition, lone.replica.leadership, lone.replica.following) == before


# --- the leader's answer ------------------------------------------------------------------------------------------


def leader_of_six_epochs() -> Lone:
    lone = Lone()
    lone.role(2, 9)
    lone.fill((0, 2), (3, 6), (4, 5), (7, 1), (9, 3))
    lone.role(1, 10)
    return lone


@pytest.mark.parametrize(
    ("last_epoch", "offset", "answer"),
    [
        (2, 5, (0, 2)),
        (0, 4, (0, 2)),
        (6, 6, (4, 13)),
        (5, 9, (4, 13)),
        (10, 18, (10, 17)),
        (0, 2, 2),
        (7, 14, 14),
        (9, 17, None),
        (10, 17, None),
        (11, 5, "OFFSET_OUT_OF_RANGE"),
    ],
)
def test_le_18_le_20_where_logs_part_is_told_without_records_and_not_counted_as_progress(
    last_epoch: int, offset: int, answer: object
) -> None:
    lone = leader_of_six_epochs()
    lone.fetch(2, 1, epoch=10)
    lone.fetch(3, 1, epoch=10)
    assert lone.marks == (0, 1, 17)
    lone.now_ms += 50
    remote = lone.leadership.remotes[2]
    before = remote.freeze(0)
    found = lone.fetch(2, offset, epoch=10, last_epoch=last_epoch)
    is_progress = answer is None or isinstance(answer, int)
    assert (remote.log_end_offset, lone.log.high_watermark) == ((offset if is_progress else 1), 1)
    assert (remote.freeze(0) != before) == is_progress
    assert found.error is (ErrorCode.OFFSET_OUT_OF_RANGE if isinstance(answer, str) else ErrorCode.NONE)
    parting = (found.diverging_epoch, found.diverging_end_offset)
    assert parting == (answer if isinstance(answer, tuple) else (-1, -1))
    assert [each.base_offset for each in found.batches[:1]] == ([answer] if isinstance(answer, int) else [])


@pytest.mark.parametrize(("last_epoch", "offset", "diverging"), [(2, 8, (2, 5)), (0, 5, (-1, -1)), (3, 5, (-1, -1))])
def test_le_19_the_same_with_a_log_that_starts_later(last_epoch: int, offset: int, diverging: tuple[int, int]) -> None:
    lone = leader_of_six_epochs()
    lone.fetch(2, 17, epoch=10)
    lone.fetch(3, 17, epoch=10)
    assert lone.ask(DeleteRecordsRequest(((TP, 5),)))[0].partitions == ((TP, ErrorCode.NONE, 5),)
    found = lone.fetch(2, offset, epoch=10, last_epoch=last_epoch)
    assert (found.error, found.diverging_epoch, found.diverging_end_offset) == (ErrorCode.NONE, *diverging)
    assert [each.base_offset for each in found.batches[:1]] == ([] if diverging[0] >= 0 else [5])


def test_a_fetch_below_the_log_start_is_no_progress() -> None:
    lone = leader_of_six_epochs()
    lone.fetch(2, 17, epoch=10)
    lone.fetch(3, 17, epoch=10)
    lone.ask(DeleteRecordsRequest(((TP, 5),)))
    assert lone.fetch(2, 4, epoch=10).error is ErrorCode.OFFSET_OUT_OF_RANGE
    assert lone.leadership.remotes[2].log_end_offset == 17


# --- the follower's cut -------------------------------------------------------------------------------------------


def test_le_22_one_diverging_record_is_cut_in_one_round() -> None:
    lone = Lone()
    lone.role(2, 5)
    lone.fill((0, 1), (2, 1), (4, 1))
    lone.role(2, 6)
    (again,) = lone.answer_fetch(
        lone.fetching, FetchPartitionReply(TP, ErrorCode.NONE, 9, diverging_epoch=2, diverging_end_offset=2)
    )
    assert (again.partitions[0].fetch_offset, again.partitions[0].last_fetched_epoch) == (2, 2)
    assert lone.marks == (0, 0, 2), "nothing else of such an answer counts"
    coming = placed(plain(1), 2, 5)
    (again,) = lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode.NONE, 2, 2, 0, (coming,)))
    assert (again.partitions[0].fetch_offset, again.partitions[0].last_fetched_epoch) == (3, 5)
    assert lone.marks == (0, 2, 3)
    assert [each.leader_epoch for each in lone.log.read(0, 3, 2**20)] == [0, 2, 5]


def test_le_24_without_any_epoch_the_log_is_cut_to_the_high_watermark() -> None:
    lone = Lone()
    lone.role(2, 3)
    lone.fill((0, 3))
    lone.log.set_high_watermark(2)
    lone.log.leader_epochs.truncate_from_end(0)
    *_, request = lone.role(3, 4)
    assert isinstance(request, FetchRequest)
    assert (request.partitions[0].fetch_offset, request.partitions[0].last_fetched_epoch) == (2, -1)
    assert lone.marks == (0, 2, 2)


@pytest.mark.parametrize(("leader_end", "cut"), [(156, 156), (172, 172), (200, 200), (250, 200)])
def test_le_25_where_both_have_the_epoch_the_shorter_end_counts(leader_end: int, cut: int) -> None:
    """The question for an epoch's end is asked within the fetch here; the rule is the same."""
    assert find_truncation(log_of((5, 200), high_watermark=199), 5, leader_end) == cut


def test_le_27_a_leader_that_cannot_tell_leaves_what_is_committed() -> None:
    assert find_truncation(log_of((5, 200), high_watermark=100), -1, -1) == 100


def test_le_29_a_follower_before_its_leaders_start_begins_there() -> None:
    lone = Lone()
    lone.role(2, 0)
    lone.fill((0, 1))
    (asked,) = lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode.OFFSET_OUT_OF_RANGE))
    assert isinstance(asked, ListOffsetsRequest)
    assert [(each.timestamp_ms, each.current_leader_epoch) for each in asked.partitions] == [(-1, 0), (-2, 0)]
    told = tuple([ListOffsetsPartitionReply(TP, ErrorCode.NONE, -1, offset) for offset in (3, 2)])
    (again,) = lone.receive(lone.fetching, "broker-2", ListOffsetsReply(told))
    assert (again.partitions[0].fetch_offset, lone.marks) == (2, (2, 2, 2))
    coming = placed(plain(0), 2, 0)
    lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode.NONE, 2, 2, 2, (coming,)))
    assert lone.marks == (2, 2, 3)


@pytest.mark.parametrize(
    ("leader_end", "leader_start", "marks"),
    [(1, 0, (0, 1, 1)), (5, 4, (4, 4, 4)), (5, 3, (0, 2, 3)), (3, 1, (0, 2, 3)), (9, 0, (0, 2, 3))],
    ids=["leader is shorter", "leader starts later", "just reaches", "as long", "longer"],
)
def test_what_a_follower_out_of_range_does_goes_by_both_ends_of_its_leader(
    leader_end: int, leader_start: int, marks: tuple[int, int, int]
) -> None:
    lone = Lone()
    lone.role(2, 0)
    lone.fill((0, 3))
    lone.log.set_high_watermark(2)
    lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode.OFFSET_OUT_OF_RANGE))
    told = tuple([ListOffsetsPartitionReply(TP, ErrorCode.NONE, -1, offset) for offset in (leader_end, leader_start)])
    (again,) = lone.receive(lone.fetching, "broker-2", ListOffsetsReply(told))
    assert (lone.marks, again.partitions[0].fetch_offset) == (marks, marks[2])


@pytest.mark.parametrize("error", [3, 6, 75, 56])
def test_le_30_a_follower_that_is_refused_backs_off_and_asks_again(error: int) -> None:
    lone = Lone()
    lone.role(2, 4)
    assert lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode(error))) == []
    assert lone.pass_time(999) == []
    (again,) = lone.pass_time(1)
    assert isinstance(again, FetchRequest)
    assert again.partitions[0].current_leader_epoch == 4


def test_le_30_a_fenced_follower_waits_for_newer_metadata() -> None:
    lone = Lone()
    lone.role(2, 4)
    old = lone.fetching
    assert lone.answer_fetch(old, FetchPartitionReply(TP, ErrorCode.FENCED_LEADER_EPOCH)) == []
    assert lone.pass_time(60_000) == []
    assert lone.role(2, 4, 1, 2) == [], "only who is in sync changed"
    assert lone.pass_time(60_000) == []
    *_, again = lone.role(2, 5)
    assert again.partitions[0].current_leader_epoch == 5
    assert lone.answer_fetch(old, FetchPartitionReply(TP, ErrorCode.NOT_LEADER_OR_FOLLOWER)) == []
    assert lone.pass_time(60_000) == [], "an answer of the old term counts for nothing"


def test_le_35_with_several_quick_elections_one_answer_is_not_enough() -> None:
    """Adapted: the three own look-ups of the original can't come from one log, so the epochs told are 4, 3 and 1."""
    log = log_of((1, 119), (2, 10), (4, 20), (5, 51), high_watermark=115)
    ends = []
    for told in ((4, 140), (3, 130), (1, 120)):
        log.truncate_to(find_truncation(log, *told))
        ends.append(log.log_end_offset)
    assert ends == [140, 129, 119]


def test_le_35_two_replicas_that_led_in_turn_and_were_each_alone_agree_in_the_end() -> None:
    """The same in a world: each had appended under an epoch of its own what the other never saw."""
    stage = Stage(2, topic={"unclean_leader_election_enable": True})
    stage.world.invariants = None
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.stop_replication(2)
    for leader, other, producer_id in ((1, 2, A), (2, 1, B)) * 2:
        stage.produce(leader, producer_id, stage.partition.leader_epoch + 1, 0, acks=1)
        stage.produce(leader, producer_id, stage.partition.leader_epoch + 1, 1, acks=1)
        stage.elect(other)
        stage.run(2_000)
    stage.let_replicate(2)
    stage.run(5_000)
    logs = [stage.replica(each).log for each in (1, 2)]
    assert logs[0].read(0, 99, 2**20) == logs[1].read(0, 99, 2**20)
    assert [each.leader_epoch for each in logs[0].read(0, 99, 2**20)] == [0, 0, 0, 2, 2]
