"""Snapshots, restarts, truncation and expiry, scenario by scenario (SR-02 to SR-26, EX-01 to EX-09, LE-32, LE-33), and
what a real broker was seen to remember after each kind of restart.
"""

from __future__ import annotations

import pytest
from log_stage import T0, Table, batch, plain
from test_ef_scenarios import ABORT, COMMIT, Transactions, transactional

from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_batch
from eventlog.log.partition_log import Recovery
from eventlog.log.snapshot import ProducerSnapshot, decode_snapshot

DAY_MS = 86_400_000
BATCH_BYTES = batch(1, 0, 0, 1).size_bytes


def written(table: Table, offset: int) -> tuple[ProducerSnapshot, ...]:
    entries = decode_snapshot(table.store.read_snapshot(offset))
    assert isinstance(entries, tuple)
    assert all(isinstance(each, ProducerSnapshot) for each in entries)
    return entries  # type: ignore[return-value]


def a_segment_each(table: Table, count: int, producer_id: int = 1) -> None:
    for sequence in range(count):
        assert table.send(producer_id, 0, sequence, 1) == (sequence, sequence)


def table_of_small_segments(**settings: object) -> Table:
    return Table(segment_bytes=BATCH_BYTES, **settings)


# --- what a snapshot keeps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_sr_02_an_ended_transaction_is_known_by_its_newest_batch_and_its_markers_time(how: str) -> None:
    table = Transactions()
    assert [table.t(1, 0, 0, 1), table.t(1, 0, 1, 1), table.mark(ABORT, 1, 0, 0, at_ms=T0 + 9)] == [0, 1, 2]
    table.commit()
    table.reload(how)
    assert table.snapshots == [3]
    entry = table.log.producer_state.find_entry(1)
    assert entry is not None
    assert (table.unstable, table.window(), entry.last_timestamp_ms) == (-1, [(1, 1)], T0 + 9)
    assert table.t(1, 0, 2, 1) == 3


def test_sr_03_a_marker_alone_is_known_after_a_restart() -> None:
    table = Transactions()
    table.mark(ABORT, 1, 0, 0, at_ms=T0 + 9)
    table.reload("clean")
    entry = table.log.producer_state.find_entry(1)
    assert entry is not None
    assert (entry.last_timestamp_ms, table.window(), table.unstable) == (T0 + 9, [], -1)
    assert table.send(1, 0, 1, 1) == 45
    assert table.send(1, 0, 0, 1) == (1, 1)


def test_sr_04_a_fencing_abort_is_known_after_a_restart() -> None:
    table = Transactions()
    table.t(1, 0, 0, 1)
    table.mark(ABORT, 1, 1, 0)
    table.reload("clean")
    assert (table.last(), table.window()) == ((1, -1), [])
    assert table.t(1, 0, 1, 1) == "error 48", "nobody verifies a fenced epoch; the gate comes before the fence"
    assert table.send(1, 0, 1, 1) == 47
    assert table.t(1, 1, 0, 1) == 2


def test_sr_05_no_second_snapshot_is_written_at_the_same_offset() -> None:
    table = Table()
    table.send(1, 0, 0, 1)
    table.log.close()
    first = table.store.read_snapshot(1)
    table.store.write_snapshot(1, b"untouched")
    table.log.close()
    assert (table.snapshots, table.store.read_snapshot(1)) == ([1], b"untouched")
    table.store.write_snapshot(1, first)
    table.reload("clean")
    assert table.snapshots == [1]


def test_sr_09_a_log_thrown_away_has_no_snapshots() -> None:
    table = table_of_small_segments()
    a_segment_each(table, 3)
    assert table.snapshots == [1, 2]
    table.log.restart_at(0)
    assert (table.snapshots, table.last(), table.bases) == ([], None, [0])
    assert table.send(1, 0, 0, 1) == (0, 0)
    table.log.close()
    assert table.snapshots == [1]


def test_bd_12_bd_13_a_snapshot_is_named_after_the_log_end_though_nobody_has_an_id() -> None:
    table = Table()
    for count in (1, 2, 3):
        table.append(plain())
        table.log.close()
        assert table.snapshots[-1] == count
        assert written(table, count) == ()


@pytest.mark.parametrize(("bases", "kept"), [((5,), [5, 42]), ((42,), [42])])
def test_sr_11_strays_are_deleted_at_the_start(bases: tuple[int, ...], kept: list[int]) -> None:
    table = Table()
    table.log.restart_at(bases[0])
    for offset in range(bases[0], 50):
        table.send(1, 0, offset, 1)
    data = b""
    for offset in (2, 5, 42):
        table.store.write_snapshot(offset, data)
    table.log._delete_strays()
    assert table.snapshots == kept


def test_sr_12_sr_13_a_roll_writes_a_snapshot_and_truncation_to_it_reads_nothing_else() -> None:
    table = table_of_small_segments()
    for sequence in range(4):
        table.send(1, 0, sequence, 1)
        assert table.snapshots == list(range(1, sequence + 1))
    table.store.flush()
    assert table.snapshots == [1, 2, 3]
    table.log.truncate_to(1)
    table.check()
    assert (table.bases, table.snapshots, table.window()) == ([0, 1], [1], [(0, 0)])
    assert table.log.recovery == Recovery("truncation", 1, 0)


def test_sr_14_truncation_uses_the_newest_snapshot_that_is_left() -> None:
    table = Table()
    for _ in range(3):
        table.append(plain())
    for offset in (2, 3):
        table.store.write_snapshot(offset, empty_snapshot())
    seen = []
    for offset in (2, 1, 0):
        table.log.truncate_to(offset)
        table.check()
        seen.append((table.snapshots, table.log.recovery.snapshot_offset, table.end))
    assert seen == [([2], 2, 2), ([1], -1, 1), ([], -1, 0)]


def empty_snapshot() -> bytes:
    table = Table()
    table.append(plain())
    table.log.close()
    return table.store.read_snapshot(1)


def test_sr_15_truncation_without_snapshots_replays() -> None:
    table = table_of_small_segments()
    a_segment_each(table, 8)
    for offset in table.snapshots:
        table.store.delete_snapshot(offset)
    table.log.truncate_to(6)
    table.check()
    assert table.window() == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    assert table.log.recovery == Recovery("truncation", -1, 6)
    assert table.snapshots == [5, 6]


def test_truncation_reads_what_lies_behind_the_newest_snapshot_and_no_more() -> None:
    table = Table(segment_bytes=100 * BATCH_BYTES)
    for sequence in range(250):
        table.log.append_as_leader(batch(1, 0, sequence, 1), 0, T0)
    table.log.truncate_to(240)
    table.check()
    assert table.log.recovery == Recovery("truncation", 200, 40)
    assert table.window() == [(sequence, sequence) for sequence in range(235, 240)]


def test_truncation_reads_nothing_when_nobody_was_known() -> None:
    """Kafka's short cut; so who expired before the cut is not known again after it, though the log has it."""
    table = Table()
    for sequence in range(3):
        table.send(1, 0, sequence, 1)
    table.log.producer_state.expire(T0 + DAY_MS, DAY_MS)
    table.log.truncate_to(2)
    table.check()
    assert (table.log.recovery, table.last()) == (Recovery("truncation", -1, 0), None)
    assert table.send(1, 0, 0, 1) == (2, 2)


@pytest.mark.parametrize(("records_left", "delta", "base"), [(2, 3, 23), (0, 1, 23)], ids=["SR-16", "SR-17"])
def test_sr_16_sr_17_a_compacted_batch_keeps_the_last_sequence(records_left: int, delta: int, base: int) -> None:
    table = Table()
    table.log.restart_at(base)
    whole = batch(1, 0, 0, delta + 1)
    thinned = whole._replace(record_count=records_left, records=whole.records[:records_left])
    table.follow(thinned, base)
    table.follow(plain(), base + delta + 1)
    table.follow(plain(), base + delta + 2)
    table.log.truncate_to(base + delta + 1)
    table.check()
    assert table.last() == (0, delta)


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_sr_18_an_ended_transaction_holds_nobody_back_after_a_restart(how: str) -> None:
    table = Transactions()
    table.t(137, 5, 0, 3)
    table.mark(ABORT, 137, 5, 0)
    table.commit()
    table.log.write_checkpoints()
    aborted = list(table.log.aborted)
    table.reload(how)
    table.log.set_high_watermark(4)
    assert (table.unstable, table.log.last_stable_offset) == (-1, 4)
    assert table.log.aborted == aborted


def test_sr_20_without_a_snapshot_after_a_clean_stop_nothing_is_read_and_nothing_known() -> None:
    table = table_of_small_segments()
    a_segment_each(table, 3)
    table.log.close()
    for offset in table.snapshots:
        table.store.delete_snapshot(offset)
    table.reload()
    assert table.log.recovery == Recovery("no snapshots", -1, 0)
    assert table.snapshots == [1, 2, 3]
    assert written(table, 3) == ()
    assert len(table.log.producer_state) == 0
    assert table.send(1, 0, 77, 1) == (3, 3)


@pytest.mark.parametrize(("how", "window"), [("clean", [(0, 0), (1, 1), (2, 2)]), ("kill", [(2, 2)])])
def test_sr_21_snapshots_newer_than_the_log_are_deleted(how: str, window: list[tuple[int, int]]) -> None:
    """After a clean stop the newest stray is taken for the clean stop's own, so the real one goes before it does."""
    table = Table()
    a_segment_each(table, 3)
    if how == "clean":
        table.log.close()
    for offset in (4, 5):
        table.store.write_snapshot(offset, empty_snapshot())
    table.reload()
    assert table.snapshots == [3]
    assert table.window() == window


# --- retention ----------------------------------------------------------------------------------------------------


def test_sr_22_a_deleted_segment_takes_its_snapshot_and_forgets_nobody() -> None:
    table = table_of_small_segments(retention_bytes=2 * BATCH_BYTES)
    table.send(1, 0, 0, 1)
    table.send(2, 0, 0, 1)
    table.send(2, 0, 1, 1)
    assert not table.log.delete_old_segments(T0), "nothing is committed"
    table.commit()
    assert table.log.delete_old_segments(T0)
    table.check()
    assert (table.bases, table.log.log_start_offset, table.snapshots) == ([1, 2], 1, [1, 2])
    assert table.send(1, 0, 0, 1) == "dup 0..0"
    assert table.store.read(0, 3, 2**62)[0].base_offset == 1, "the records are really gone"
    entry = table.log.producer_state.find_entry(1)
    assert entry is not None
    assert entry.batches[0].records == (), "and memory doesn't keep them alive"


def test_sr_23_deleted_records_take_whole_segments_below_the_start() -> None:
    table = table_of_small_segments()
    table.send(1, 0, 0, 1)
    table.send(2, 0, 0, 1)
    table.append(plain())
    assert table.snapshots == [1, 2]
    table.commit()
    table.log.advance_log_start(2)
    assert table.log.next_retention_ms(T0) == T0
    assert table.log.delete_old_segments(T0)
    table.check()
    assert (table.bases, table.snapshots) == ([2], [2])
    assert [table.last(1), table.last(2)] == [(0, 0), (0, 0)]


@pytest.mark.parametrize("rolled", [False, True])
def test_sr_24_when_all_is_too_old_the_active_segment_rolls_and_goes_too(rolled: bool) -> None:
    table = table_of_small_segments(retention_ms=1_000)
    a_segment_each(table, 3)
    if rolled:
        table.log._roll(3)
    assert table.snapshots == ([1, 2, 3] if rolled else [1, 2])
    table.commit()
    due_ms = table.log.next_retention_ms(T0)
    assert due_ms == T0 + 1_001
    assert not table.log.delete_old_segments(due_ms - 1)
    assert table.log.delete_old_segments(due_ms)
    table.check()
    assert (table.log.log_start_offset, table.snapshots, table.bases) == (3, [3], [3])
    assert table.log.next_retention_ms(due_ms) is None
    assert table.send(1, 0, 2, 1) == "dup 2..2"


# --- expiry -------------------------------------------------------------------------------------------------------


def test_ex_01_ex_08_ex_09_an_expired_producer_is_unknown() -> None:
    table = Table()
    assert table.send(1, 5, 0, 1) == (0, 0)
    assert table.log.producer_state.expire(T0 + DAY_MS + 1, DAY_MS) == (1,)
    assert table.send(1, 5, 0, 1) == (1, 1), "a retry duplicates"
    table.log.producer_state.expire(T0 + DAY_MS + 1, DAY_MS)
    assert table.send(1, 5, 1, 1) == (2, 2)
    table.log.producer_state.expire(T0 + DAY_MS + 1, DAY_MS)
    assert table.send(1, 2, 7, 1) == (3, 3), "the fence is forgotten"
    assert table.last() == (2, 7)


@pytest.mark.parametrize(("sweep_ms", "gone"), [(DAY_MS - 1, ()), (DAY_MS, (1,))])
def test_ex_03_the_limit_is_exact(sweep_ms: int, gone: tuple[int, ...]) -> None:
    table = Table()
    table.append(batch(1, 0, 0, 1, at_ms=0), now_ms=0)
    assert table.log.producer_state.expire(sweep_ms, DAY_MS) == gone


def test_ex_04_an_open_transaction_protects_until_it_ends() -> None:
    table = Transactions()
    table.t(1, 5, 0, 1)
    state = table.log.producer_state
    for days in (2, 3):
        assert state.expire(T0 + days * DAY_MS, DAY_MS) == ()
        table.check()
    assert table.unstable == 0
    table.mark(COMMIT, 1, 5, 0, at_ms=T0 + DAY_MS)
    table.check()
    assert state.expire(T0 + 2 * DAY_MS - 1, DAY_MS) == ()
    assert state.expire(T0 + 2 * DAY_MS, DAY_MS) == (1,)


@pytest.mark.parametrize(("pause_ms", "last"), [(DAY_MS, None), (DAY_MS - 1, (0, 1))])
@pytest.mark.parametrize("how", ["clean", "kill"])
def test_ex_06_who_is_expired_by_now_is_not_restored(how: str, pause_ms: int, last: tuple[int, int] | None) -> None:
    table = Table()
    table.send(1, 0, 0, 1)
    table.send(1, 0, 1, 1)
    table.reload(how, now_ms=T0 + pause_ms)
    assert table.last() == last
    assert table.send(1, 0, 2, 1) == (2, 2)
    assert table.last() == (0, 2)


def test_ex_07_old_record_times_expire_at_once() -> None:
    now_ms = 10**12
    table = Table()
    assert table.append(batch(1, 0, 0, 1, at_ms=0), now_ms=now_ms).base_offset == 0
    assert table.log.producer_state.expire(now_ms, DAY_MS) == (1,)
    assert table.append(batch(1, 0, 0, 1, at_ms=0), now_ms=now_ms).base_offset == 1


def test_a_record_older_than_the_ones_before_it_makes_its_producer_expire_earlier() -> None:
    table = Table()
    table.send(1, 0, 0, 1, at_ms=T0)
    table.send(2, 0, 0, 1, at_ms=T0)
    table.send(1, 0, 1, 1, at_ms=T0 - 50_000)
    table.check()
    state = table.log.producer_state
    assert state.expire(T0 - 50_001 + DAY_MS, DAY_MS) == ()
    assert state.expire(T0 - 50_000 + DAY_MS, DAY_MS) == (1,)
    assert state.expire(T0 + DAY_MS, DAY_MS) == (2,)


def test_a_producer_that_goes_on_writing_is_kept_and_expires_by_its_newest_record() -> None:
    table = Table()
    state = table.log.producer_state
    for sequence in range(5):
        assert table.append(batch(1, 0, sequence, 1, at_ms=T0 + sequence * DAY_MS), now_ms=T0 + sequence * DAY_MS)
        assert state.expire(T0 + sequence * DAY_MS, DAY_MS) == ()
    assert state.expire(T0 + 5 * DAY_MS - 1, DAY_MS) == ()
    assert state.expire(T0 + 5 * DAY_MS, DAY_MS) == (1,)


# --- truncation and transactions ----------------------------------------------------------------------------------


def test_le_32_truncation_past_a_marker_opens_the_transaction_again() -> None:
    table = Transactions()
    table.log.restart_at(99)
    assert table.t(1, 0, 0, 6) == 99
    table.log._roll(105)
    assert table.mark(COMMIT, 1, 0, 0) == 105
    table.commit()
    assert table.unstable == -1
    table.log._roll(106)
    table.append(plain())
    table.log.truncate_to(106)
    table.check()
    assert (table.unstable, table.snapshots) == (-1, [105, 106])
    table.log.truncate_to(105)
    table.check()
    assert (table.unstable, table.snapshots) == (99, [105])


@pytest.mark.parametrize("how", ["truncate", "restart"])
def test_le_33_truncation_below_a_transaction_ends_it(how: str) -> None:
    table = Transactions()
    table.append(plain(3))
    table.t(17, 10, 0, 2)
    table.log.set_high_watermark(5)
    table.reload("clean")
    assert table.unstable == 3
    if how == "truncate":
        table.log.truncate_to(0)
    else:
        table.log.restart_at(0)
    table.check()
    assert (table.unstable, table.last(17)) == (-1, None)


# --- what a real broker was seen to remember ----------------------------------------------------------------------


def five_sent(**settings: object) -> Table:
    table = Table(**settings)
    for sequence in range(5):
        table.send(1, 0, sequence, 1)
    return table


def retried(table: Table) -> list[object]:
    return [table.send(1, 0, sequence, 1) for sequence in range(6)]


ONE = [45, 45, 45, 45, "dup 4..4", (5, 5)]


def test_real_a_clean_stop_leaves_one_snapshot_and_a_window_of_one() -> None:
    table = five_sent()
    assert table.snapshots == []
    table.log.close()
    assert {each: [tuple(known) for known in written(table, each)] for each in table.snapshots} == {
        5: [(1, 0, ((4, 4, 0, T0),), T0, -1, -1)]
    }
    table.reload()
    assert table.log.recovery == Recovery("clean", 5, 0)
    assert retried(table) == ONE


def test_real_a_crash_leaves_none_and_recovery_writes_one_and_loads_it() -> None:
    table = five_sent()
    table.reload("kill")
    assert table.snapshots == [5]
    assert table.log.recovery == Recovery("crash", -1, 5)
    assert retried(table) == ONE


def test_real_a_crash_after_a_clean_restart_reads_the_segment_again() -> None:
    table = Table()
    for sequence in range(3):
        table.send(1, 0, sequence, 1)
    table.reload("clean")
    assert table.snapshots == [3]
    table.send(1, 0, 3, 1)
    table.send(1, 0, 4, 1)
    assert table.window() == [(2, 2), (3, 3), (4, 4)]
    table.reload("kill")
    assert table.snapshots == [5]
    assert retried(table) == ONE


def test_real_the_window_refills_after_a_restart() -> None:
    table = five_sent()
    table.reload("clean")
    table.send(1, 0, 5, 1)
    table.send(1, 0, 6, 1)
    assert [table.send(1, 0, sequence, 1) for sequence in (2, 3, 4, 5, 6, 7)] == [
        45,
        45,
        "dup 4..4",
        "dup 5..5",
        "dup 6..6",
        (7, 7),
    ]


def test_real_truncation_of_a_log_never_restarted_keeps_five_and_writes_a_snapshot() -> None:
    table = Table()
    for sequence in range(7):
        table.send(1, 0, sequence, 1)
    table.log.truncate_to(6)
    assert {each: [known[:3] for known in written(table, each)] for each in table.snapshots} == {
        6: [(1, 0, ((5, 5, 0, T0),))]
    }
    assert retried(table)[1:] == [f"dup {each}..{each}" for each in range(1, 6)]


def test_real_truncation_deletes_the_snapshot_of_a_recovery_and_gives_five_back() -> None:
    table = five_sent()
    table.reload("kill")
    assert table.snapshots == [5]
    table.log.truncate_to(3)
    assert table.snapshots == [3]
    assert table.window() == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_real_an_open_transaction_stays_open_over_a_restart(how: str) -> None:
    table = Transactions()
    table.send(9, 0, 0, 1)
    assert table.t(1, 0, 0, 2) == 1
    table.send(9, 0, 1, 1)
    table.commit()
    table.log.write_checkpoints()
    table.reload(how)
    assert (table.unstable, table.log.last_stable_offset) == (1, 1)
    assert table.t(1, 0, 0, 2, guard=0) == "dup@1"
    assert table.t(1, 0, 2, 1, guard=0) == 4, "it is open, so nothing is verified"


@pytest.mark.parametrize("how", ["clean", "kill"])
def test_real_a_producer_whose_records_are_all_deleted_is_forgotten_by_a_clean_stop_only(how: str) -> None:
    table = five_sent()
    table.commit()
    table.log.advance_log_start(5)
    table.reload(how)
    assert table.last() == (None if how == "clean" else (0, 4))
    assert table.log.log_start_offset == (5 if how == "clean" else 0)


def test_a_coordinators_epoch_and_a_refused_marker_survive() -> None:
    table = Transactions()
    table.follow(transactional(1, 0, 0, 1), 0)
    table.follow(marker_batch(1, 0, COMMIT, 7, T0), 1)
    table.reload("kill")
    stale = table.append(marker_batch(1, 0, COMMIT, 6, T0))
    assert stale.error is ErrorCode.INVALID_RECORD, "a client may not write one"
    assert table.mark(COMMIT, 1, 0, 6) == "error 52"
