"""Replication, high watermark and in-sync replicas (RF), one leader at a time; the failovers are next door.

The scenarios' brokers 0, 1, 2 are 1, 2, 3 here; 1 leads. RF-35 is about the metadata log's own appends, which no
partition log here has to take.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from broker_stage import T0, TP, A, batch
from lone_stage import INTERNAL, Lone, plain

from eventlog.broker.follower import take
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.messages.broker_api import DeleteRecordsRequest, FetchPartitionReply
from eventlog.messages.controller_api import (
    AlterPartitionRequest,
    FenceBrokerRecord,
    RegisterBrokerRecord,
    UnfenceBrokerRecord,
)
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, RecordBatch, placed

LAG_MS = 30_000


def leader(*in_sync: int, records: int = 10, **settings: object) -> Lone:
    """Broker 1 leads in epoch 0, partition epoch 1, with so many records in one batch."""
    lone = Lone(**settings)
    lone.role(1, 0, *in_sync, partition_epoch=1)
    if records:
        lone.produce(plain(*[0] * records))
    return lone


def sync(lone: Lone) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """In-sync replicas: (committed, maximal)."""
    return lone.leadership.in_sync_replicas, lone.leadership.maximal_in_sync_replicas()


# --- high watermark and offsets -----------------------------------------------------------------------------------


def five_records_two_committed() -> Lone:
    lone = Lone()
    lone.role(1, 8, 1, 3)
    lone.produce(plain(10, 11))
    lone.produce(plain(21, 22, 25))
    for follower, offset in ((2, 0), (2, 2), (3, 0), (3, 2)):
        lone.fetch(follower, offset)
    lone.controller_says(0, 0, 1, 3, 2)
    return lone


def test_rf_01_a_fetch_acknowledges_only_what_lies_below_it() -> None:
    lone = five_records_two_committed()
    assert lone.marks == (0, 2, 5)
    assert [lone.list_offsets(-1, isolation) for isolation in (INTERNAL, 0, 1)] == [(0, 5), (0, 2), (0, 2)]
    assert lone.list_offsets(T0 + 30) == (0, -1)


def test_rf_02_a_new_leader_tells_no_end_below_its_epochs_start_and_all_else() -> None:
    lone = five_records_two_committed()
    lone.role(2, 9)
    lone.role(1, 10)
    assert (lone.marks, lone.leadership.epoch_start_offset) == ((0, 2, 5), 5)
    assert lone.list_offsets(-1, INTERNAL) == (0, 5)
    assert [lone.list_offsets(-1, isolation) for isolation in (0, 1)] == [(78, -1)] * 2
    assert lone.list_offsets(-2) == (0, 0)
    assert lone.list_offsets(T0 + 11) == (0, 1)
    assert lone.list_offsets(T0 + 22) == (78, -1), "it is there, but above the high watermark"
    assert lone.list_offsets(T0 + 100) == (78, -1)
    assert lone.list_offsets(-3) == (78, -1)
    assert lone.list_offsets(T0 + 100, INTERNAL) == (0, -1)
    for follower in (2, 3):
        lone.fetch(follower, 5)
    assert lone.list_offsets(-1) == (0, 5)
    assert lone.list_offsets(T0 + 100) == (0, -1)
    assert lone.list_offsets(-3) == (0, 4)


def test_rf_03_latest_means_something_else_to_each_isolation_level() -> None:
    lone = Lone(transaction_partition_verification_enable=False)
    lone.role(1, 0, 1, 2, replicas=2)
    assert lone.log.append_as_leader(batch(A, 0, 0, 3)._replace(attributes=0x10), 0, T0).error is ErrorCode.NONE
    for fetched, ends in ((0, (3, 0, 0)), (1, (3, 1, 0))):
        lone.fetch(2, fetched)
        assert tuple(lone.list_offsets(-1, isolation)[1] for isolation in (INTERNAL, 0, 1)) == ends
    assert [lone.list_offsets(-2, isolation) for isolation in (INTERNAL, 0, 1)] == [(0, 0)] * 3


def test_rf_12_too_few_in_sync_hold_the_high_watermark_and_a_wish_does_not_help() -> None:
    lone = leader(1, 2, min_insync_replicas=3)
    lone.fetch(2, 10)
    assert lone.log.high_watermark == 0
    lone.fetch(3, 10)
    assert (lone.wishes, lone.log.high_watermark) == ([(1, 2, 3)], 0)
    lone.controller_says(0, 1, 1, 2, 3)
    assert lone.log.high_watermark == 10


def test_rf_14_no_more_need_be_in_sync_than_there_are_replicas() -> None:
    lone = Lone(min_insync_replicas=3)
    lone.role(1, 0, replicas=1)
    reply = lone.produce(plain(0), acks=-1)
    assert reply is not None
    assert (reply.error, reply.base_offset, lone.marks) == (ErrorCode.NONE, 0, (0, 1, 1))


def log_with(records: int = 0) -> PartitionLog:
    log = PartitionLog(TP, MemoryLogStore(), LogSettings())
    for _ in range(records):
        log.append_as_leader(plain(0), 0, T0)
    return log


def taken(log: PartitionLog, *batches: RecordBatch, high_watermark: int = 0, log_start_offset: int = 0) -> bool:
    reply = FetchPartitionReply(TP, ErrorCode.NONE, high_watermark, high_watermark, log_start_offset, batches)
    return take(log, reply)


def test_rf_19_a_high_watermark_stays_within_its_log() -> None:
    log = log_with(3)
    for told, known in ((1, 1), (5, 3)):
        taken(log, high_watermark=told)
        assert log.high_watermark == known
    taken(log, *[placed(plain(0), offset, 0) for offset in (3, 4, 5)], high_watermark=6)
    assert log.high_watermark == 6
    log.truncate_to(3)
    assert log.high_watermark == 3
    for _ in range(3):
        log.append_as_leader(plain(0), 0, T0)
    assert (log.high_watermark, log.log_end_offset) == (3, 6)
    log.restart_at(4)
    assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (4, 4, 4)


def test_a_followers_high_watermark_is_what_its_leader_says_even_if_that_is_lower() -> None:
    log = log_with(3)
    log.set_high_watermark(3)
    taken(log, high_watermark=1)
    assert log.high_watermark == 1


def test_rf_21_the_log_start_cannot_pass_the_high_watermark() -> None:
    lone = leader(1, 2, records=30)
    lone.fetch(2, 25)
    for offset, error, start in ((25, 0, 25), (26, 1, -1), (-1, 0, 25)):
        assert lone.ask(DeleteRecordsRequest(((TP, offset),)))[0].partitions == ((TP, error, start),)
    assert lone.marks == (25, 25, 30)


def test_rf_32_a_batch_before_the_start_is_taken_by_an_empty_log_if_it_reaches_into_it() -> None:
    log = log_with()
    log.restart_at(5)

    def append(base_offset: int, records: int) -> tuple[bool, int, int]:
        is_taken = taken(log, placed(plain(*[0] * records), base_offset, 0))
        return is_taken, log.log_start_offset, log.log_end_offset

    assert append(3, 1) == (False, 5, 5)
    assert append(3, 2) == (False, 5, 5), "it ends just before the start"
    assert append(4, 3) == (True, 4, 7)
    assert append(7, 1) == (True, 4, 8)
    assert append(3, 2) == (False, 4, 8)
    assert append(8, 1) == (True, 4, 9)


def test_rf_32_a_log_that_begins_inside_a_batch_follows_its_leaders_start_at_once() -> None:
    log = log_with()
    log.restart_at(5)
    assert taken(log, placed(plain(0, 0, 0), 4, 0), high_watermark=7, log_start_offset=5)
    assert (log.log_start_offset, log.high_watermark, log.log_end_offset) == (5, 7, 7)


def test_rf_32_a_follower_with_records_that_cannot_take_a_batch_stops_until_the_next_term() -> None:
    lone = Lone()
    lone.role(2, 0)
    lone.fill((0, 5))
    coming = placed(plain(0, 0, 0), 4, 0)
    assert lone.answer_fetch(lone.fetching, FetchPartitionReply(TP, ErrorCode.NONE, 5, 5, 5, (coming,))) == []
    assert lone.marks == (0, 0, 5)
    lone.broker.timers.clear()
    assert lone.pass_time(60_000) == []
    assert len(lone.role(2, 1)) == 2, "the old connection is closed, a fetch goes out on the next"


# --- in-sync replicas ---------------------------------------------------------------------------------------------


def test_rf_05_only_who_caught_up_is_taken_in() -> None:
    lone = leader(1)
    lone.fetch(2, 3)
    assert lone.wishes == []
    lone.fetch(2, 10)
    assert (lone.wishes, sync(lone)) == ([(1, 2)], ((1,), (1, 2)))
    lone.fetch(2, 10)
    assert lone.wishes == [], "one wish at a time"
    lone.controller_says(0, 1, 1, 2)
    assert (sync(lone), lone.leadership.partition_epoch) == (((1, 2), (1, 2)), 2)


@pytest.mark.parametrize("error", [3, 42, 74, 95, 107, 55])
def test_rf_06_what_a_refusal_leaves(error: int) -> None:
    """107 and 55: back to what is committed. Others: the wish holds the high watermark back until metadata comes."""
    lone = leader(1)
    lone.fetch(2, 10)
    lone.controller_says(error, 1)
    is_given_up = error in (107, 55)
    assert sync(lone) == ((1,), (1,) if is_given_up else (1, 2))
    lone.fetch(2, 10)
    assert lone.wishes == ([(1, 2)] if is_given_up else [])
    lone.role(1, 0, 1, partition_epoch=2)
    assert sync(lone) == ((1,), (1, 2)), "metadata ended the wish, and the next is made at once"
    assert lone.wishes == [(1, 2)]


def test_rf_07_a_follower_joins_only_once_it_has_reached_the_term() -> None:
    lone = leader(1, 3, records=0)
    lone.produce(plain(0, 0))
    lone.produce(plain(0, 0, 0))
    lone.fetch(3, 1)
    assert lone.log.high_watermark == 1
    lone.role(2, 1, 1, 3)
    lone.role(1, 2, 1, 3)
    lone.produce(plain(0, 0))
    assert (lone.leadership.epoch_start_offset, lone.marks) == (5, (0, 1, 7))
    for offset, wishes in ((0, []), (1, []), (4, []), (5, [(1, 3, 2)])):
        lone.fetch(2, offset)
        assert lone.wishes == wishes


def test_rf_08_a_follower_that_lags_is_put_out_and_the_high_watermark_waits_for_it() -> None:
    lone = leader(1, 2, 3)
    lone.fetch(2, 10)
    assert lone.pass_time(LAG_MS) == []
    lone.pass_time(1)
    assert (lone.wishes, sync(lone), lone.log.high_watermark) == ([(1, 2)], ((1, 2, 3), (1, 2, 3)), 0)
    lone.controller_says(0, 1, 1, 2)
    assert (sync(lone), lone.log.high_watermark) == (((1, 2), (1, 2)), 10)


def test_rf_10_who_had_what_was_there_at_its_previous_fetch_is_not_put_out() -> None:
    lone = leader(1, 2)
    lone.pass_time(5_000)
    lone.fetch(2, 5)
    remote = lone.leadership.remotes[2]
    assert (lone.log.high_watermark, remote.last_caught_up_ms) == (5, T0)
    lone.pass_time(5_001)
    lone.produce(plain(*[0] * 5))
    lone.fetch(2, 10)
    assert (lone.log.high_watermark, remote.last_caught_up_ms) == (10, T0 + 5_000)
    assert lone.pass_time(T0 + 5_000 + LAG_MS - lone.now_ms) == []
    assert [type(each) for each in lone.pass_time(LAG_MS)][:1] == [AlterPartitionRequest]


def test_rf_11_who_is_level_is_not_put_out_however_long_ago_that_was() -> None:
    lone = leader(1, 2)
    lone.pass_time(500)
    lone.fetch(2, 10)
    assert lone.leadership.remotes[2].last_caught_up_ms == T0 + 500
    assert lone.pass_time(10 * LAG_MS) == []


def test_rf_16_a_fetch_of_a_former_process_is_refused_and_leaves_no_trace() -> None:
    lone = leader(1, 2)
    assert lone.fetch(2, 5).error is ErrorCode.NONE
    before = lone.leadership.freeze(lone.now_ms)
    assert lone.fetch(2, 10, broker_epoch=11).error is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert lone.leadership.freeze(lone.now_ms) == before


def test_rf_18_metadata_ends_a_wish_and_its_late_answer_counts_for_nothing() -> None:
    """The next wish need not wait for the late answer, as it does in Kafka: answers name what they answer."""
    lone = leader(1, 2)
    lone.pass_time(LAG_MS + 1)
    assert lone.wishes == [(1,)]
    lone.role(1, 0, 1, 2, partition_epoch=2)
    assert (sync(lone), lone.log.high_watermark) == (((1, 2), (1, 2)), 0)
    asked = [each for each in lone.pass_time(LAG_MS) if isinstance(each, AlterPartitionRequest)]
    assert [each.partition_epoch for each in asked] == [2]
    for error in (0, 95, 107):
        lone.controller_says(error, 1, 1)
        assert (sync(lone), lone.leadership.wished_in_sync_replicas) == (((1, 2), (1, 2)), (1,))
        assert lone.log.high_watermark == 0
    lone.controller_says(0, 2, 1)
    assert (sync(lone), lone.log.high_watermark) == (((1,), (1,)), 10)


def restarted(lone: Lone) -> None:
    lone.tell(FenceBrokerRecord(3, 13))
    lone.tell(RegisterBrokerRecord(3, 23, 1))


@pytest.mark.parametrize(
    ("fetches", "joined"),
    [
        (lambda lone: None, []),
        (lambda lone: lone.fetch(3, 9, broker_epoch=23), []),
        (lambda lone: lone.fetch(3, 10, broker_epoch=23), [(1, 2, 3)]),
        (lambda lone: lone.fetch(3, 10, broker_epoch=24), []),
        (lambda lone: lone.fetch(3, 10, broker_epoch=-1), [(1, 2, 3)]),
    ],
    ids=["none", "behind", "level", "of a process not yet heard of", "without its epoch"],
)
def test_only_the_process_that_fetched_joins_when_it_is_alive(
    fetches: Callable[[Lone], object], joined: list[tuple[int, ...]]
) -> None:
    """A crash may have cost it what its predecessor had."""
    lone = leader(1, 2)
    lone.fetch(3, 10)
    lone.controller_says(107, 1)
    lone.fetch(2, 10)
    restarted(lone)
    fetches(lone)
    assert lone.wishes == []
    lone.tell(UnfenceBrokerRecord(3, 23))
    assert lone.wishes == joined
    if joined:
        (asked,) = [each.message for each in lone.sent if isinstance(each.message, AlterPartitionRequest)]
        fetched_by = lone.leadership.remotes[3].broker_epoch
        assert asked.new_in_sync_replicas == ((1, 11), (2, 12), (3, fetched_by))


# --- roles --------------------------------------------------------------------------------------------------------


def test_a_leader_elected_again_keeps_its_log_so_produces_wait_on() -> None:
    lone = leader(1, 2, records=0)
    assert lone.produce(plain(0), acks=-1) is None
    lone.role(1, 1, 1, 2)
    assert [each.message for each in lone.sent] == []
    assert (lone.leadership.epoch_start_offset, lone.leadership.remotes[2].log_end_offset) == (1, -1)
    lone.fetch(2, 1, epoch=1)
    (reply,) = [each.message.partitions[0] for each in lone.sent if each.destination == "asker"]
    assert (reply.error, reply.base_offset) == (ErrorCode.NONE, 0)


@pytest.mark.parametrize("leader_id", [2, -1])
def test_a_leader_that_is_none_any_more_answers_6_to_who_waits(leader_id: int) -> None:
    lone = leader(1, 2, records=0)
    assert lone.produce(plain(0), acks=-1) is None
    lone.role(leader_id, 1, 1, 2)
    (reply,) = [each.message.partitions[0] for each in lone.sent if each.destination == "asker"]
    assert (reply.error, reply.base_offset) == (ErrorCode.NOT_LEADER_OR_FOLLOWER, 0)


def test_a_new_partition_epoch_keeps_what_is_known_of_followers_and_a_new_leader_epoch_forgets_it() -> None:
    lone = leader(1, 2, 3)
    lone.fetch(2, 10)
    known, start = lone.leadership, lone.leadership.epoch_start_offset
    lone.pass_time(1_000)
    lone.role(1, 0, 1, 2)
    assert lone.leadership is known
    assert (known.remotes[2].log_end_offset, known.epoch_start_offset, known.in_sync_replicas) == (10, start, (1, 2))
    lone.role(1, 1, 1, 2)
    remotes = lone.leadership.remotes
    assert lone.leadership.epoch_start_offset == 10
    assert [(each.log_end_offset, each.last_caught_up_ms) for each in remotes.values()] == [(-1, lone.now_ms), (-1, 0)]


def test_a_follower_goes_on_fetching_when_only_who_is_in_sync_changed() -> None:
    lone = Lone()
    lone.role(2, 0)
    connection = lone.fetching
    assert lone.role(2, 0, 2, 3) == []
    assert lone.fetching == connection
    lone.role(3, 1, 2, 3)
    assert (lone.fetching.server, lone.fetching != connection) == ("broker-3", True)
