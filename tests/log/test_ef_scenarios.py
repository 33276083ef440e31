"""Epochs, fencing and markers at the log, scenario by scenario (EF-02 to EF-27), and what readers may see because of them.

Where a scenario speaks of verification switched off, the producer is verified first (see `test_tx_scenarios` for off).
EF-18, a tentative update that spans several batches, has nothing to stand on: an append is one batch. EF-29 is the
broker's.
"""

from __future__ import annotations

import pytest
from log_stage import T0, Table, batch

from eventlog.errors import ErrorCode
from eventlog.log.marker import Marker, marker_batch, marker_of
from eventlog.log.partition_log import AbortedTransaction, AppendResult
from eventlog.log.producer_state import Origin
from eventlog.values import RecordBatch, placed

COMMIT, ABORT = True, False
DAY_MS = 86_400_000


def transactional(producer_id: int, epoch: int, base_sequence: int, count: int) -> RecordBatch:
    return batch(producer_id, epoch, base_sequence, count, is_transactional=True)


class Transactions(Table):
    """A leader's log to which transactional batches and markers come."""

    def verify(self, producer_id: int, epoch: int, base_sequence: int, now_ms: int = T0) -> int:
        return self.log.producer_state.start_verification(producer_id, epoch, base_sequence, now_ms)

    def t(self, *numbers: int, guard: int | None = None) -> int | str:
        """A transactional batch; verified first unless a guard is given. Base offset, "dup@", or the error."""
        if guard is None:
            guard = self.verify(*numbers[:3])
        return told(self.append(transactional(*numbers), guard=guard))

    def mark(self, is_commit: bool, producer_id: int, epoch: int, coordinator_epoch: int, at_ms: int = T0) -> int | str:
        made = marker_batch(producer_id, epoch, is_commit, coordinator_epoch, at_ms)
        return told(self.append(made, origin=Origin.COORDINATOR))

    def coordinator_epoch(self, producer_id: int = 1) -> int:
        entry = self.log.producer_state.find_entry(producer_id)
        assert entry is not None
        return entry.coordinator_epoch

    @property
    def unstable(self) -> int:
        return self.log.producer_state.first_unstable_offset


def told(result: AppendResult) -> int | str:
    if result.error:
        return f"error {int(result.error)}"
    return f"dup@{result.base_offset}" if result.is_duplicate else result.base_offset


def begun_at(offset: int) -> Transactions:
    table = Transactions()
    table.log.restart_at(offset)
    return table


# --- epochs -------------------------------------------------------------------------------------------------------


def test_ef_02_an_old_epoch_is_refused() -> None:
    table = Table()
    assert table.send(1, 1, 0, 1) == (0, 0)
    assert table.send(1, 0, 0, 1) == 47
    assert table.end == 1


def test_ef_04_an_exact_repeat_from_an_old_epoch_is_fenced_and_no_duplicate() -> None:
    table = Table()
    assert table.send(1, 0, 0, 1) == (0, 0)
    assert table.send(1, 1, 0, 1) == (1, 1)
    assert table.send(1, 0, 0, 1) == 47


@pytest.mark.parametrize("sequence", [1, 17])
def test_a_higher_epoch_must_begin_at_zero_and_a_refused_one_is_not_taken(sequence: int) -> None:
    table = Table()
    table.send(1, 0, 0, 1)
    assert table.send(1, 32767, sequence, 1) == 45
    assert table.send(1, 0, 1, 1) == (1, 1)


# --- markers and epochs -------------------------------------------------------------------------------------------


def test_ef_06_a_marker_of_an_unknown_producer_fixes_its_epoch() -> None:
    table = begun_at(27)
    assert table.mark(ABORT, 1, 2, 0) == 27
    assert table.last() == (2, -1)
    assert table.send(1, 0, 0, 1) == 47
    assert table.send(1, 2, 17, 1) == 45
    assert table.send(1, 3, 17, 1) == 45
    assert table.send(1, 2, 0, 1) == (28, 28)


def test_ef_07_a_marker_of_a_higher_epoch_empties_the_window() -> None:
    table = Transactions()
    table.send(1, 0, 0, 1)
    assert table.mark(ABORT, 1, 1, 0) == 1
    assert (table.last(), table.window()) == ((1, -1), [])
    assert table.unstable == -1


def test_ef_08_after_an_epoch_raising_marker_sequences_begin_at_zero() -> None:
    table = Transactions()
    assert [table.t(1, 0, 0, 1), table.t(1, 0, 1, 1), table.mark(ABORT, 1, 1, 0)] == [0, 1, 2]
    assert table.t(1, 1, 2, 1) == "error 45"
    assert table.t(1, 2, 2, 1) == "error 45"
    assert table.t(1, 1, 0, 1) == 3


def test_a_marker_of_the_same_epoch_leaves_the_window() -> None:
    table = Transactions()
    for sequence in range(3):
        table.t(1, 0, sequence, 1)
    assert table.mark(COMMIT, 1, 0, 0) == 3
    assert table.window() == [(0, 0), (1, 1), (2, 2)]
    assert table.t(1, 0, 1, 1, guard=0) == "dup@1"
    assert table.t(1, 0, 3, 1) == 4


def test_a_transaction_remembers_five_batches_too() -> None:
    table = Transactions()
    for sequence in range(7):
        assert table.t(1, 0, sequence, 1) == sequence
    assert table.window() == [(2, 2), (3, 3), (4, 4), (5, 5), (6, 6)]
    assert table.t(1, 0, 1, 1, guard=0) == "error 45"
    assert table.t(1, 0, 2, 1, guard=0) == "dup@2"


def test_ef_10_a_marker_of_a_lower_epoch_is_refused_and_taken_by_a_follower() -> None:
    table = Transactions()
    table.send(1, 5, 0, 1)
    assert table.mark(COMMIT, 1, 3, 0) == "error 47"
    table.follow(marker_batch(1, 3, COMMIT, 0, T0), 1)
    assert table.last() == (3, -1)


def test_ef_11_a_marker_below_a_markers_epoch_is_refused() -> None:
    table = Transactions()
    assert table.mark(ABORT, 1, 5, 1) == 0
    assert table.mark(ABORT, 1, 4, 1) == "error 47"
    assert table.mark(ABORT, 1, 5, 1) == 1


def test_ef_12_coordinator_epochs_never_go_back() -> None:
    table = begun_at(99)
    assert table.t(1, 5, 0, 1) == 99
    assert table.coordinator_epoch() == -1
    assert table.mark(COMMIT, 1, 5, 1) == 100
    assert table.coordinator_epoch() == 1
    assert table.mark(COMMIT, 1, 5, 1) == 101, "a repeat is harmless"
    assert table.mark(COMMIT, 1, 5, 2) == 102
    assert table.mark(COMMIT, 1, 5, 1) == "error 52"


def test_ef_13_a_zombie_coordinator_is_fenced_between_data() -> None:
    table = Transactions()
    assert [table.t(1, 0, 0, 10), table.mark(ABORT, 1, 0, 1), table.t(1, 0, 10, 5)] == [0, 10, 11]
    assert table.mark(COMMIT, 1, 0, 2) == 16
    assert table.mark(ABORT, 1, 0, 1) == "error 52"


def test_ef_14_a_zombie_coordinator_is_fenced_after_empty_transactions() -> None:
    table = Transactions(leader_epoch=1)
    table.follow(transactional(1, 0, 0, 10), 0)
    table.follow(marker_batch(1, 0, COMMIT, 1, T0), 10)
    assert [table.mark(ABORT, 1, 0, 2), table.mark(ABORT, 1, 0, 2)] == [11, 12]
    assert table.mark(ABORT, 1, 0, 1) == "error 52"


def test_ef_15_the_coordinator_epoch_survives_a_reload() -> None:
    table = Transactions()
    table.t(1, 0, 0, 1)
    table.mark(COMMIT, 1, 0, 1)
    table.reload()
    assert table.mark(COMMIT, 1, 0, 0) == "error 52"


def test_ef_16_a_markers_epoch_is_looked_at_before_its_coordinators() -> None:
    table = Transactions()
    table.mark(COMMIT, 1, 5, 3)
    assert table.mark(COMMIT, 1, 4, 1) == "error 47"
    assert table.mark(COMMIT, 1, 6, 1) == "error 52"
    assert table.mark(COMMIT, 1, 6, 4) == 1


def test_ef_19_empty_transactions_between_full_ones_leave_no_trace() -> None:
    table = begun_at(16)
    table.follow(transactional(1, 0, 0, 5), 16)
    table.log.set_high_watermark(21)
    assert (table.unstable, table.log.last_stable_offset) == (16, 16)
    for offset, is_commit in ((21, COMMIT), (22, COMMIT), (23, ABORT)):
        table.follow(marker_batch(1, 0, is_commit, 0, T0), offset)
    table.follow(transactional(1, 0, 5, 4), 24)
    for offset in (28, 29):
        table.follow(marker_batch(1, 0, ABORT, 0, T0), offset)
    table.follow(transactional(1, 0, 9, 2), 30)
    assert table.log.aborted == [AbortedTransaction(1, 24, 28)]
    assert table.unstable == 16
    expected = [(21, 16, 16), (22, 24, 22), (28, 24, 24), (29, 30, 29), (32, 30, 30)]
    for high_watermark, unstable, stable in expected:
        table.log.set_high_watermark(high_watermark)
        assert (table.unstable, table.log.last_stable_offset) == (unstable, stable)
        table.check()


def test_the_lowest_of_several_open_transactions_holds_readers_back() -> None:
    table = Transactions()
    assert [table.t(7, 0, 0, 2), table.t(3, 0, 0, 2), table.t(5, 0, 0, 2)] == [0, 2, 4]
    table.commit()
    assert table.log.last_stable_offset == 0
    table.mark(COMMIT, 3, 0, 0)
    table.mark(ABORT, 7, 0, 0)
    table.commit()
    assert table.log.last_stable_offset == 4
    table.mark(COMMIT, 5, 0, 0)
    assert table.log.last_stable_offset == 4, "the marker is not committed yet"
    table.commit()
    assert table.log.last_stable_offset == table.end == 9


def test_ef_20_an_emptied_control_batch_says_nothing() -> None:
    table = Transactions()
    empty = marker_batch(23423, 15, COMMIT, 0, T0)._replace(record_count=0, records=())
    table.follow(empty, 15)
    assert (table.end, table.unstable) == (16, -1)
    assert table.send(23423, 0, 4, 1) == (16, 16), "as if nothing were known"


def test_ef_21_a_follower_takes_a_lower_epoch_and_drops_the_batches_of_the_higher() -> None:
    table = Table()
    table.send(1, 5, 0, 1)
    table.follow(batch(1, 3, 0, 1), 1)
    assert (table.last(), table.window()) == ((3, 0), [(0, 0)])


# --- verification -------------------------------------------------------------------------------------------------


def test_ef_22_a_transaction_opens_only_under_the_guard_of_its_verification() -> None:
    table = Transactions()
    assert table.t(23, 1, 4, 2, guard=0) == "error 48"
    assert table.unstable == -1
    guard = table.verify(23, 1, 4)
    assert table.t(23, 1, 4, 2, guard=guard + 1) == "error 48"
    assert table.t(23, 1, 4, 2, guard=guard) == 0
    assert table.unstable == 0
    assert table.t(23, 1, 6, 2, guard=0) == 2, "the transaction is open: nothing to verify"
    assert table.log.producer_state.freeze()[1][0] == (), "the guard is used up"


def test_ef_23_a_batch_outside_a_transaction_does_not_use_the_guard_up() -> None:
    table = Transactions()
    guard = table.verify(23, 1, 5)
    assert table.send(23, 1, 3, 2) == (0, 1)
    assert table.t(23, 1, 5, 2, guard=guard) == 2
    assert table.mark(COMMIT, 23, 1, 0) == 4
    assert table.verify(23, 1, 7) != guard
    assert table.t(23, 1, 7, 1, guard=guard) == "error 48"


def test_ef_24_a_marker_without_a_transaction_makes_a_late_guard_worthless() -> None:
    table = Transactions()
    guard = table.verify(23, 1, 0)
    assert table.mark(COMMIT, 23, 1, 0) == 0
    assert table.t(23, 1, 0, 1, guard=guard) == "error 48"


def test_ef_26_a_verification_keeps_its_guard_its_lowest_sequence_and_its_highest_epoch() -> None:
    table = Transactions()
    seen = []
    for sequence, epoch in ((1, 0), (0, 0), (2, 1), (0, 0), (2, 1), (3, 1), (1, 1)):
        table.verify(1, epoch, sequence)
        ((_, known),) = table.log.producer_state.freeze()[1][0]
        seen.append((known.lowest_sequence, known.producer_epoch, known.guard, known.since_ms))
    assert [each[:2] for each in seen] == [(1, 0), (0, 0), (2, 1), (2, 1), (2, 1), (2, 1), (1, 1)]
    assert len({each[2:] for each in seen}) == 1


def test_a_later_batch_may_not_overtake_the_one_that_is_being_verified() -> None:
    table = Transactions()
    guard = table.verify(1, 0, 0)
    assert table.verify(1, 0, 5) == guard
    assert table.t(1, 0, 5, 1, guard=guard) == "error 45"
    assert table.t(1, 0, 0, 5, guard=guard) == 0
    assert table.t(1, 0, 5, 1, guard=guard) == 5


def test_a_plain_batch_above_the_one_being_verified_is_refused_though_it_is_next() -> None:
    table = Transactions()
    table.send(1, 0, 0, 3)
    table.verify(1, 0, 3)
    assert table.send(1, 0, 3, 1) == (3, 3)
    assert table.send(1, 0, 4, 1) == 45
    assert table.send(1, 0, 3, 1) == "dup 3..3"
    table.mark(ABORT, 1, 0, 0)
    assert table.send(1, 0, 4, 1) == (5, 5)


@pytest.mark.parametrize(("after_ms", "left"), [(DAY_MS - 1, 1), (DAY_MS, 0)])
def test_ef_27_a_verification_expires(after_ms: int, left: int) -> None:
    table = Transactions()
    table.verify(1, 0, 0)
    table.log.producer_state.expire(T0 + after_ms, DAY_MS)
    rest = table.log.producer_state.freeze()[1]
    assert len(rest[0]) == left


# --- an open transaction ------------------------------------------------------------------------------------------


def test_a_batch_outside_the_open_transaction_is_refused_after_its_sequence() -> None:
    table = Transactions()
    table.t(1, 0, 0, 1)
    assert table.send(1, 0, 1, 1) == 48
    assert table.send(1, 0, 2, 1) == 45
    assert table.t(1, 0, 1, 1, guard=0) == 1
    table.mark(COMMIT, 1, 0, 0)
    assert table.send(1, 0, 2, 1) == (3, 3)


def test_an_open_transaction_keeps_its_producer_from_expiring() -> None:
    table = Transactions()
    table.t(1, 5, 0, 1)
    state = table.log.producer_state
    assert state.expire(T0 + 2 * DAY_MS, DAY_MS) == ()
    assert (table.last(), table.unstable) == ((5, 0), 0)
    table.mark(COMMIT, 1, 5, 0, at_ms=T0 + DAY_MS)
    assert state.expire(T0 + 2 * DAY_MS - 1, DAY_MS) == (), "a marker's time counts"
    assert state.expire(T0 + 2 * DAY_MS, DAY_MS) == (1,)


def test_a_batch_after_a_marker_says_the_time_again() -> None:
    table = Transactions()
    table.send(1, 0, 0, 1, at_ms=T0 + 1)
    entry = table.log.producer_state.find_entry(1)
    assert entry is not None
    assert entry.last_timestamp_ms == T0 + 1
    table.mark(ABORT, 1, 0, 0, at_ms=T0 + 9)
    assert entry.last_timestamp_ms == T0 + 9
    table.send(1, 0, 1, 1, at_ms=T0 + 5)
    assert entry.last_timestamp_ms == T0 + 5


def test_truncation_past_a_marker_opens_the_transaction_again() -> None:
    table = Transactions()
    table.t(1, 0, 0, 2)
    table.mark(ABORT, 1, 0, 3)
    table.commit()
    assert (table.log.last_stable_offset, table.log.aborted) == (3, [AbortedTransaction(1, 0, 2)])
    table.log.truncate_to(2)
    table.check()
    assert (table.unstable, table.log.aborted, table.coordinator_epoch()) == (0, [], -1)
    assert table.send(1, 0, 2, 1) == 48
    table.log.truncate_to(0)
    table.check()
    assert (table.unstable, table.last()) == (-1, None)


def test_a_reload_finds_open_and_aborted_transactions_again() -> None:
    table = Transactions()
    table.t(1, 0, 0, 2)
    table.mark(ABORT, 1, 0, 0)
    table.t(2, 0, 0, 1)
    table.t(1, 0, 2, 1)
    aborted = table.log.aborted
    table.store.write_checkpoint("high_watermark", 3)
    table.reload()
    assert (table.log.aborted, table.unstable) == (aborted, 3)
    assert sorted(table.log.producer_state.ongoing.items()) == [(3, 2), (4, 1)]
    table.mark(COMMIT, 2, 0, 0)
    table.commit()
    assert table.log.last_stable_offset == 4


@pytest.mark.parametrize("is_commit", [COMMIT, ABORT])
@pytest.mark.parametrize("coordinator_epoch", [0, 1, 2**31 - 1])
def test_a_marker_says_what_was_put_into_it(is_commit: bool, coordinator_epoch: int) -> None:
    made = marker_batch(9, 32767, is_commit, coordinator_epoch, T0)
    assert marker_of(placed(made, 5, 0)) == Marker(is_commit, coordinator_epoch)
    assert (made.is_control, made.is_transactional, made.base_sequence, made.record_count) == (True, True, -1, 1)
    assert made.records[0] == (
        b"\0\0\0" + bytes([is_commit]),
        b"\0\0" + coordinator_epoch.to_bytes(4, "big"),
        T0,
        (),
        -1,
    )


def test_a_refused_transaction_says_what_to_do() -> None:
    table = Transactions()
    refused = table.append(transactional(1, 0, 0, 1))
    assert refused.error is ErrorCode.INVALID_TXN_STATE
    assert "Add the partition to the transaction first" in refused.message
