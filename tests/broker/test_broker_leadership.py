"""A leader's book-keeping: how far the high watermark may rise, who may join, who lags; and what it tells readers."""

from __future__ import annotations

import pytest
from broker_stage import T0, TP, A, Stage, batch, fetch_request

from eventlog.broker.leader import Leadership
from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_batch
from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import Origin
from eventlog.messages.broker_api import READ_COMMITTED, DeleteRecordsRequest
from eventlog.messages.controller_api import (
    AlterPartitionReply,
    FenceBrokerRecord,
    PartitionRecord,
    RegisterBrokerRecord,
    UnfenceBrokerRecord,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings

LAG_MS = 1_000


class Desk:
    """Broker 1 leads with five records in its log; followers 2 and 3 have fetched from what the test says."""

    def __init__(self, in_sync: tuple[int, ...] = (1, 2, 3), minimum: int = 1, records: int = 5) -> None:
        self.log = PartitionLog(TP, MemoryLogStore(), LogSettings())
        self.image = MetadataImage()
        for broker_id in (1, 2, 3):
            self.image.replay(RegisterBrokerRecord(broker_id, 10 + broker_id, 0))
            self.image.replay(UnfenceBrokerRecord(broker_id, 10 + broker_id))
        self.minimum = minimum
        partition = PartitionRecord(TP, (1, 2, 3), in_sync, 1, 4, 7)
        self.leadership = Leadership(1, self.log, partition, T0)
        for sequence in range(records):
            self.log.append_as_leader(batch(A, 0, sequence), 4, T0)

    def fetched(self, at_ms: int = 0, **offsets: int) -> None:
        for name, offset in offsets.items():
            broker_id = int(name[1:])
            remote = self.leadership.remotes[broker_id]
            remote.fetched_from(offset, self.log.log_end_offset, T0 + at_ms, 10 + broker_id)

    def commit(self, at_ms: int = 0) -> int:
        """The high watermark after trying to raise it."""
        before = self.log.high_watermark
        rose = self.leadership.advance_high_watermark(self.minimum, self.image, LAG_MS, T0 + at_ms)
        assert rose == (self.log.high_watermark > before)
        assert self.log.high_watermark >= before
        return self.log.high_watermark

    def fence(self, broker_id: int) -> None:
        self.image.replay(FenceBrokerRecord(broker_id, 10 + broker_id))

    def wish(self, *members: int) -> None:
        self.leadership.wished_in_sync_replicas = members

    def expansion(self, broker_id: int) -> tuple[int, ...] | None:
        return self.leadership.find_expansion(broker_id, self.image)


# --- the high watermark -------------------------------------------------------------------------------------------


def test_the_slowest_in_sync_follower_holds_the_high_watermark() -> None:
    desk = Desk()
    assert desk.commit() == 0, "nobody is known to have anything"
    desk.fetched(b2=5)
    assert desk.commit() == 0
    desk.fetched(b3=3)
    assert desk.commit() == 3
    desk.fetched(b3=5)
    assert desk.commit() == 5


def test_the_high_watermark_never_goes_back_in_a_term() -> None:
    desk = Desk()
    desk.fetched(b2=5, b3=5)
    assert desk.commit() == 5
    desk.fetched(b3=2)
    assert desk.commit() == 5


@pytest.mark.parametrize(("minimum", "raised"), [(1, 5), (2, 5), (3, 0)])
def test_the_committed_in_sync_replicas_must_reach_the_minimum(minimum: int, raised: int) -> None:
    desk = Desk(in_sync=(1, 2), minimum=minimum)
    desk.fetched(b2=5, b3=5)
    desk.wish(1, 2, 3)
    assert desk.commit() == raised


def test_a_follower_about_to_join_holds_the_high_watermark_while_it_is_caught_up_and_alive() -> None:
    desk = Desk(in_sync=(1, 2))
    desk.fetched(b3=5)
    for sequence in (5, 6):
        desk.log.append_as_leader(batch(A, 0, sequence), 4, T0)
    desk.fetched(at_ms=1, b2=7)
    assert desk.commit(at_ms=LAG_MS) == 5, "caught up within the lag, so it counts"
    assert desk.commit(at_ms=LAG_MS + 1) == 7


def test_a_fenced_follower_out_of_sync_holds_nothing() -> None:
    desk = Desk(in_sync=(1, 2))
    desk.fetched(b3=3)
    desk.leadership.remotes[3].last_caught_up_ms = T0
    desk.fetched(b2=5)
    assert desk.commit() == 3
    desk.fence(3)
    assert desk.commit() == 5


def test_a_follower_that_never_fetched_and_is_not_in_sync_holds_nothing() -> None:
    desk = Desk(in_sync=(1, 2))
    desk.fetched(b2=5)
    assert desk.commit() == 5


def test_a_wish_under_way_can_only_hold_the_high_watermark_back() -> None:
    growing = Desk(in_sync=(1, 2))
    growing.fetched(b2=5)
    growing.fetched(at_ms=-9 * LAG_MS, b3=2)
    growing.wish(1, 2, 3)
    assert growing.leadership.maximal_in_sync_replicas() == (1, 2, 3)
    assert growing.commit() == 2
    shrinking = Desk()
    shrinking.fetched(b2=5, b3=2)
    shrinking.leadership.remotes[3].last_caught_up_ms = T0 - 9 * LAG_MS
    shrinking.wish(1, 2)
    assert shrinking.leadership.maximal_in_sync_replicas() == (1, 2, 3)
    assert shrinking.commit() == 2


# --- joining and lagging ------------------------------------------------------------------------------------------


def test_a_follower_may_join_with_what_is_committed_and_where_the_term_began() -> None:
    desk = Desk(in_sync=(1, 2))
    desk.fetched(b2=3)
    desk.log.set_high_watermark(3)
    for offset, joined in ((2, None), (3, (1, 2, 3)), (5, (1, 2, 3))):
        desk.fetched(b3=offset)
        assert desk.expansion(3) == joined
    desk.leadership.epoch_start_offset = 4
    desk.fetched(b3=3)
    assert desk.expansion(3) is None
    desk.fetched(b3=4)
    assert desk.expansion(3) == (1, 2, 3)
    assert desk.expansion(2) is None, "it is in sync already"
    desk.wish(1)
    assert desk.expansion(3) is None, "one wish at a time"
    desk.wish()
    desk.leadership.wished_in_sync_replicas = None
    desk.fence(3)
    assert desk.expansion(3) is None


def test_only_who_is_behind_and_late_is_put_out_and_never_the_leader() -> None:
    desk = Desk()
    desk.fetched(b2=4, b3=5)
    desk.leadership.remotes[2].last_caught_up_ms = T0
    desk.leadership.remotes[3].last_caught_up_ms = T0 - 99 * LAG_MS
    assert desk.leadership.find_shrinking(LAG_MS, T0 + LAG_MS) is None
    assert desk.leadership.find_shrinking(LAG_MS, T0 + LAG_MS + 1) == (1, 3)
    desk.log.append_as_leader(batch(A, 0, 5), 4, T0)
    assert desk.leadership.find_shrinking(LAG_MS, T0 + LAG_MS + 1) == (1,)
    desk.wish(1, 2)
    assert desk.leadership.find_shrinking(LAG_MS, T0 + LAG_MS + 1) is None


def test_when_the_first_will_have_lagged_too_long() -> None:
    desk = Desk()
    desk.fetched(b2=4, b3=5)
    desk.leadership.remotes[2].last_caught_up_ms = T0 + 300
    assert desk.leadership.find_lag_deadline(LAG_MS, T0 + 400) == T0 + 300 + LAG_MS + 1
    assert desk.leadership.find_lag_deadline(LAG_MS, T0 + 9_000) == T0 + 9_000 + 1, "never in the past"
    desk.fetched(b2=5)
    assert desk.leadership.find_lag_deadline(LAG_MS, T0) is None


def test_who_reached_the_end_of_its_previous_fetch_was_caught_up_then() -> None:
    desk = Desk()
    remote = desk.leadership.remotes[2]
    desk.fetched(at_ms=10, b2=3)
    assert remote.last_caught_up_ms == T0, "as at the beginning of the term"
    desk.fetched(at_ms=20, b2=4)
    assert remote.last_caught_up_ms == T0
    desk.log.append_as_leader(batch(A, 0, 5), 4, T0)
    desk.fetched(at_ms=30, b2=5)
    assert remote.last_caught_up_ms == T0 + 20, "5 was the end at the fetch before"
    desk.fetched(at_ms=40, b2=6)
    assert remote.last_caught_up_ms == T0 + 40


def test_exactly_as_many_in_sync_as_needed_is_enough() -> None:
    stage = Stage(min_insync_replicas=2, replica_lag_time_max_ms=1_000)
    stage.stop_replication(3)
    stage.produce(1, A, 0, 0, acks=1)
    stage.run(3_000)
    assert stage.partition.in_sync_replicas == (1, 2)
    waiting = stage.start_produce(1, A, 0, 1)
    stage.run(10)
    assert stage.outcome(waiting) == 1


def test_in_a_quiet_cluster_a_broker_that_comes_back_is_in_sync_at_once() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(20_000)
    stage.world.crash(3)
    stage.run(12_000)
    assert stage.partition.in_sync_replicas == (1, 2)
    stage.world.restart(3)
    stage.run(50)
    assert stage.partition.in_sync_replicas == (1, 2, 3)


# --- wishes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "is_new", "in_sync", "wished"),
    [
        (AlterPartitionReply(TP, 7, ErrorCode.NONE, 1, 4, (1, 2), 8), True, (1, 2), None),
        (AlterPartitionReply(TP, 6, ErrorCode.NONE, 1, 4, (1, 2), 7), False, (1, 2, 3), (1, 2)),
        (AlterPartitionReply(TP, 7, ErrorCode.NONE, 2, 5, (1, 2), 8), False, (1, 2, 3), (1, 2)),
        (AlterPartitionReply(TP, 7, ErrorCode.INELIGIBLE_REPLICA), False, (1, 2, 3), None),
        (AlterPartitionReply(TP, 6, ErrorCode.INELIGIBLE_REPLICA), False, (1, 2, 3), (1, 2)),
        (AlterPartitionReply(TP, 7, ErrorCode.INVALID_UPDATE_VERSION), False, (1, 2, 3), (1, 2)),
        (AlterPartitionReply(TP, 7, ErrorCode.FENCED_LEADER_EPOCH), False, (1, 2, 3), (1, 2)),
    ],
    ids=["granted", "granted late", "of another term", "given up", "given up late", "stale", "fenced"],
)
def test_only_the_answer_to_the_wish_under_way_counts(
    reply: AlterPartitionReply, is_new: bool, in_sync: tuple[int, ...], wished: tuple[int, ...] | None
) -> None:
    desk = Desk()
    desk.wish(1, 2)
    leadership = desk.leadership
    is_given_up = reply.error is ErrorCode.INELIGIBLE_REPLICA
    assert leadership.answered(reply, reply.error is ErrorCode.NONE, is_given_up) is is_new
    assert (leadership.in_sync_replicas, leadership.wished_in_sync_replicas) == (in_sync, wished)
    assert leadership.partition_epoch == (8 if is_new else 7)


def test_an_answer_without_a_wish_changes_nothing() -> None:
    desk = Desk()
    reply = AlterPartitionReply(TP, 7, ErrorCode.NONE, 1, 4, (1,), 8)
    assert not desk.leadership.answered(reply, True, False)
    assert (desk.leadership.in_sync_replicas, desk.leadership.partition_epoch) == ((1, 2, 3), 7)


def test_metadata_ends_a_wish_whatever_became_of_it() -> None:
    desk = Desk()
    desk.wish(1, 2)
    desk.leadership.told(PartitionRecord(TP, (1, 2, 3), (1, 3), 1, 4, 9))
    leadership = desk.leadership
    assert (leadership.in_sync_replicas, leadership.partition_epoch) == ((1, 3), 9)
    assert leadership.wished_in_sync_replicas is None


def test_a_term_begins_at_the_logs_end_and_is_noted_before_any_append() -> None:
    desk = Desk(records=3)
    later = Leadership(1, desk.log, PartitionRecord(TP, (1, 2, 3), (1, 2), 1, 9, 12), T0 + 50)
    assert later.epoch_start_offset == 3
    assert desk.log.leader_epochs.entries == [(4, 0), (9, 3)]
    known = [(each.log_end_offset, each.last_caught_up_ms) for each in later.remotes.values()]
    assert known == [(-1, T0 + 50), (-1, 0)]


@pytest.mark.parametrize("at_ms", [T0, T0 + 1, T0 + 86_400_000])
def test_a_leaders_knowledge_is_thawed_equal_wherever_time_stands(at_ms: int) -> None:
    desk = Desk(in_sync=(1, 2))
    desk.fetched(b2=4)
    desk.wish(1, 2, 3)
    frozen = desk.leadership.freeze(at_ms)
    later = Leadership.thaw(frozen, 1, desk.log, at_ms + 77)
    assert later.freeze(at_ms + 77) == frozen
    assert later.log is desk.log
    assert (later.remotes[2].last_fetch_ms, later.remotes[3].last_fetch_ms) == (T0 + 77, 0)
    assert (later.remotes[2].last_caught_up_ms, later.remotes[3].last_caught_up_ms) == (T0 + 77, 0)


# --- readers ------------------------------------------------------------------------------------------------------


def test_a_reader_of_committed_data_sees_the_last_stable_offset_and_what_was_aborted() -> None:
    stage = Stage(1)
    log = stage.replica(1).log
    leadership = stage.replica(1).leadership
    assert leadership is not None
    for sequence in (0, 1):
        guard = log.producer_state.start_verification(A, 0, sequence, T0)
        transactional = batch(A, 0, sequence)._replace(attributes=0x10)
        log.append_as_leader(transactional, 0, T0, guard=guard)
        if sequence == 0:
            log.append_as_leader(marker_batch(A, 0, False, 0, T0), 0, T0, Origin.COORDINATOR)
    assert stage.produce(1, -1, -1, -1) == 3
    committed = stage.ask(1, fetch_request(0)._replace(isolation_level=READ_COMMITTED)).partitions[0]
    assert (committed.high_watermark, committed.last_stable_offset) == (4, 2)
    assert [each.base_offset for each in committed.batches] == [0, 1]
    assert committed.aborted == ((A, 0),)
    beyond = stage.ask(1, fetch_request(2)._replace(isolation_level=READ_COMMITTED)).partitions[0]
    assert (beyond.batches, beyond.aborted) == ((), ())
    everything = stage.fetch(1, 0)
    assert [each.base_offset for each in everything.batches] == [0, 1, 2, 3]
    assert everything.aborted is None


def test_followers_follow_the_leaders_log_start() -> None:
    stage = Stage()
    for sequence in range(4):
        stage.produce(1, A, 0, sequence)
    stage.ask(1, DeleteRecordsRequest(((TP, 3),)))
    stage.produce(1, A, 0, 4)
    stage.run(1_000)
    assert [stage.replica(each).log.log_start_offset for each in (1, 2, 3)] == [3, 3, 3]
    found = stage.fetch(2, 2)
    assert (int(found.error), found.high_watermark) == (1, -1)
    assert [each.base_offset for each in stage.fetch(2, 3).batches] == [3, 4]


def test_a_follower_that_was_away_begins_where_the_leader_begins() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.world.crash(3)
    stage.run(12_000)
    for sequence in range(1, 6):
        stage.produce(1, A, 0, sequence)
    stage.ask(1, DeleteRecordsRequest(((TP, 5),)))
    stage.world.restart(3)
    stage.run(5_000)
    log = stage.replica(3).log
    assert (log.log_start_offset, log.log_end_offset, log.high_watermark) == (5, 6, 6)
    assert stage.partition.in_sync_replicas == (1, 2, 3)
    assert [each.base_offset for each in log.read(0, 6, 2**30)] == [5]
