"""When a segment is full, what goes with it, and where a time is found."""

from __future__ import annotations

import pytest
from log_stage import T0, Table, batch, plain

from eventlog.codec import pack
from eventlog.errors import ErrorCode
from eventlog.errors import InvariantViolation as Violation
from eventlog.log.marker import marker_batch

SIZE = plain().size_bytes
MANY = 2**62


@pytest.mark.parametrize(("spare", "bases"), [(-1, [0, 2, 4]), (0, [0, 3])])
def test_a_segment_is_full_when_the_next_batch_does_not_fit(spare: int, bases: list[int]) -> None:
    table = Table(segment_bytes=3 * SIZE + spare)
    for _ in range(5):
        table.append(plain())
    assert table.bases == bases


@pytest.mark.parametrize(("age_ms", "bases"), [(1_000, [0]), (1_001, [0, 2])])
def test_a_segment_is_full_when_a_batch_is_too_much_newer_than_its_first(age_ms: int, bases: list[int]) -> None:
    table = Table(segment_ms=1_000)
    table.append(plain(at_ms=T0))
    table.append(plain(at_ms=T0 - 5_000))
    table.append(plain(at_ms=T0 + age_ms))
    assert table.bases == bases


def test_on_a_log_append_time_topic_the_leaders_time_rolls() -> None:
    table = Table(segment_ms=1_000, message_timestamp_type="LogAppendTime")
    for later_ms in (0, 1_000, 1_001):
        table.append(plain(at_ms=0), now_ms=T0 + later_ms)
    assert table.bases == [0, 2]


def test_a_follower_rolls_by_the_same_rules_and_when_offsets_leave_their_int32() -> None:
    table = Table(segment_bytes=2 * SIZE)
    for offset in (0, 1, 7, 2**31 + 7):
        table.follow(plain(), offset)
    assert table.bases == [0, 7, 2**31 + 7]
    assert table.snapshots == [7, 2**31 + 7]


def test_a_batch_that_no_segment_can_hold_is_refused() -> None:
    table = Table(segment_bytes=SIZE - 1)
    result = table.append(plain())
    assert (result.error, result.found_in_log, table.end) == (ErrorCode.RECORD_LIST_TOO_LARGE, False, 0)


def test_a_smaller_limit_counts_from_the_next_append_on() -> None:
    table = Table(segment_bytes=100 * SIZE)
    for _ in range(3):
        table.append(plain())
    table.log.apply(Table(segment_bytes=2 * SIZE).settings)
    table.append(plain())
    assert table.bases == [0, 3]


def test_a_roll_makes_what_came_before_durable() -> None:
    table = Table(segment_bytes=2 * SIZE)
    for _ in range(3):
        table.append(plain())
    assert (table.store.durable_end_offset, table.end) == (2, 3)
    table.store.lose_unflushed_tail()
    table.reload()
    assert (table.end, table.bases) == (2, [0, 2])


def test_many_batches_are_counted_though_nobody_looks_at_each() -> None:
    table = Table(segment_bytes=1_000 * SIZE, max_message_bytes=SIZE)
    for _ in range(3_500):
        table.log.append_as_leader(plain(), 0, T0)
    assert table.bases == [0, 1_000, 2_000, 3_000]
    table.log.truncate_to(2_500)
    table.check()
    for _ in range(600):
        table.log.append_as_leader(plain(), 0, T0)
    assert table.bases == [0, 1_000, 2_000, 3_000]
    table.check()


def test_retention_by_size_keeps_at_least_the_limit() -> None:
    table = Table(segment_bytes=SIZE, retention_bytes=3 * SIZE)
    for _ in range(5):
        table.append(plain())
    table.log.set_high_watermark(1)
    assert table.log.next_retention_ms(T0) == T0
    assert table.log.delete_old_segments(T0)
    assert table.bases == [1, 2, 3, 4], "no segment at or above the high watermark"
    table.commit()
    assert table.log.delete_old_segments(T0)
    assert table.bases == [2, 3, 4]
    assert not table.log.delete_old_segments(T0)
    table.check()


def test_nothing_is_ever_due_without_a_limit_or_on_a_compacted_topic() -> None:
    for more in ({"retention_ms": -1}, {"cleanup_policy": "compact", "retention_ms": 1}):
        table = Table(**more)
        table.append(plain()._replace(records=(plain().records[0]._replace(key=b"k"),)))  # type: ignore[union-attr]
        assert table.end == 1
        table.commit()
        assert table.log.next_retention_ms(T0 + 10**12) is None
        assert not table.log.delete_old_segments(T0 + 10**12)


def test_leader_epochs_and_aborted_transactions_of_deleted_segments_go_too() -> None:
    table = Table(segment_bytes=2 * SIZE)
    table.follow(batch(1, 0, 0, 1, is_transactional=True), 0)
    table.follow(marker_batch(1, 0, False, 0, T0), 1)
    table.follow(plain(), 2, leader_epoch=1)
    table.follow(plain(), 3, leader_epoch=2)
    assert len(table.log.aborted) == 1
    table.commit()
    table.log.advance_log_start(3)
    assert table.log.delete_old_segments(T0)
    table.check()
    assert (table.log.aborted, table.log.leader_epochs.entries) == ([], [(2, 3)])


def test_the_check_notices_segments_and_snapshots_that_are_wrong() -> None:
    table = Table()
    table.append(plain())
    table.store.write_snapshot(2, b"")
    with pytest.raises(Violation, match="newer than the log"):
        table.log.check_invariants()
    table.store.delete_snapshot(2)
    table.log.segments.describe().size_bytes += 1
    with pytest.raises(Violation, match="says"):
        table.log.check_invariants()


# --- times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize(
    ("asked", "end", "found"),
    [
        (0, 6, (0, T0, 0)),
        (T0 + 10, 6, (1, T0 + 10, 0)),
        (T0 + 11, 6, (4, T0 + 30, 1)),
        (T0 + 30, 4, None),
        (T0 + 31, 6, None),
    ],
)
def test_a_time_is_found_at_the_first_record_not_older(
    asked: int, end: int, found: tuple[int, int, int] | None, is_packed: bool
) -> None:
    table = Table(segment_bytes=2 * SIZE + 40)
    for epoch, times in ((0, (0, 10)), (0, (5,)), (1, (1, 30)), (1, (30,))):
        records = tuple([plain(at_ms=T0 + each).records[0] for each in times])
        made = plain(len(times))._replace(
            records=records,  # type: ignore[arg-type]
            base_timestamp_ms=T0 + times[0],
            max_timestamp_ms=T0 + max(times),
        )
        table.leader_epoch = epoch
        assert not table.append(pack(made) if is_packed else made).error
    table.log.append_as_follower((marker_batch(9, 0, True, 0, T0 + 99)._replace(base_offset=6, leader_epoch=1),))
    assert table.log.find_offset_by_timestamp(asked, end) == found
    assert table.log.max_timestamp(7) == (4, T0 + 30, 1)
    assert table.log.max_timestamp(4) is None


def test_a_time_below_the_logs_start_is_not_found_but_the_newest_is() -> None:
    table = Table()
    for later_ms in (50, 10, 20):
        table.append(plain(at_ms=T0 + later_ms))
    table.commit()
    table.log.advance_log_start(1)
    assert table.log.find_offset_by_timestamp(0, 3) == (1, T0 + 10, 0)
    assert table.log.max_timestamp(3) == (0, T0 + 50, 0)
