"""Transactions as a partition's log sees them (TX-01 to TX-11), and the gates and markers of the newer protocol.

TX-12 onwards, and the consumer's scenarios (RC), need coordinators and readers. TX-09 is about threads racing on one
log: here a log has one caller, so the race can't be written down. TX-06 leaves the last stable offset of an aborted
entry out: nothing here needs it.
"""

from __future__ import annotations

import pytest
from log_stage import T0, Table, batch, plain
from test_ef_scenarios import ABORT, COMMIT, Transactions, told, transactional

from eventlog.codec import encode_batch, open_batch, pack
from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_batch, marker_of
from eventlog.log.partition_log import AbortedTransaction
from eventlog.log.producer_state import Origin
from eventlog.values import RecordBatch


def follow_all(table: Transactions, *batches: RecordBatch) -> None:
    for each in batches:
        table.follow(each, table.end)


def marker(producer_id: int, is_commit: bool) -> RecordBatch:
    return marker_batch(producer_id, 0, is_commit, 0, T0)


def test_tx_01_the_first_unstable_offset_through_two_transactions() -> None:
    table = Transactions()
    table.log.restart_at(99)
    table.follow(transactional(1, 0, 0, 1), 99)
    table.follow(transactional(2, 0, 0, 1), 105)
    seen = [table.unstable]
    table.follow(marker(1, COMMIT), 109)
    seen.append(table.unstable)
    for high_watermark in (100, 110):
        table.log.set_high_watermark(high_watermark)
        seen.append(table.unstable)
    table.follow(marker(2, ABORT), 112)
    seen.append(table.unstable)
    table.log.set_high_watermark(113)
    seen.append(table.unstable)
    assert seen == [99, 99, 99, 105, 105, -1]


def test_tx_02_transactions_that_end_out_of_order() -> None:
    table = Transactions()
    table.log.restart_at(992_342)
    for producer_id, offset in ((1, 992_342), (2, 992_367), (3, 992_399)):
        table.follow(transactional(producer_id, 0, 0, 1), offset)
    seen = []
    for producer_id, offset in ((1, 992_414), (3, 992_434), (2, 992_512)):
        table.follow(marker(producer_id, COMMIT), offset)
        table.commit()
        seen.append(table.unstable)
    assert seen == [992_367, 992_367, -1]


def test_tx_04_mixed_data() -> None:
    table = Transactions()
    seen = []
    for each in (transactional(137, 0, 0, 3), plain(3), transactional(983, 0, 0, 3)):
        follow_all(table, each)
        seen.append(table.unstable)
    follow_all(table, marker(137, ABORT))
    table.commit()
    seen.append(table.unstable)
    follow_all(table, marker(983, COMMIT))
    table.commit()
    seen.append(table.unstable)
    assert seen == [0, 0, 0, 6, -1]


@pytest.mark.parametrize("how", ["never", "clean", "kill"])
def test_tx_05_an_aborted_transaction_over_segments(how: str) -> None:
    table = Transactions(segment_bytes=transactional(137, 0, 0, 3).size_bytes + 20)
    follow_all(table, transactional(137, 0, 0, 3), transactional(137, 0, 3, 3), marker(137, ABORT))
    assert table.bases == [0, 3, 6]
    if how != "never":
        table.reload(how)
    assert table.log.aborted == [AbortedTransaction(137, 0, 6)]


@pytest.mark.parametrize("how", ["never", "clean", "kill"])
def test_tx_06_four_interleaved_transactions(how: str) -> None:
    table = Transactions()

    def t(producer_id: int, sequence: int, count: int) -> RecordBatch:
        return transactional(producer_id, 0, sequence, count)

    follow_all(table, t(1, 0, 5), plain(3), t(2, 0, 2), t(1, 5, 4), t(3, 0, 3), plain(2), t(1, 9, 10))
    follow_all(table, marker(1, ABORT))
    table.log.set_high_watermark(30)
    seen = [table.unstable]
    follow_all(table, t(2, 2, 6), t(4, 0, 3), plain(10), t(3, 3, 9), marker(3, COMMIT), t(4, 3, 8), t(2, 8, 7))
    follow_all(table, marker(2, ABORT))
    table.log.set_high_watermark(75)
    seen.append(table.unstable)
    follow_all(table, plain(10), t(4, 11, 4), marker(4, COMMIT))
    table.log.set_high_watermark(90)
    assert [*seen, table.unstable] == [8, 36, -1]
    table.log.write_checkpoints()
    if how != "never":
        table.reload(how)
    assert (table.end, table.unstable) == (90, -1)
    assert table.log.aborted == [AbortedTransaction(1, 0, 29), AbortedTransaction(2, 8, 74)]


@pytest.mark.parametrize(("start", "deletes", "stable"), [(5, False, 5), (8, True, 8), (2, False, 0)])
def test_tx_08_the_last_stable_offset_when_the_logs_start_has_passed_the_transaction(
    start: int, deletes: bool, stable: int
) -> None:
    """A start inside a batch gives that batch's base, as a real broker answered it."""
    table = Transactions()
    follow_all(table, transactional(1, 0, 0, 5), plain(3))
    table.log._roll(8)
    follow_all(table, transactional(1, 0, 5, 5))
    table.commit()
    assert table.log.last_stable_offset == 0
    table.log.advance_log_start(start)
    assert table.log.delete_old_segments(T0) == deletes
    table.check()
    assert table.log.last_stable_offset == stable


def test_tx_10_a_late_transaction() -> None:
    table = Transactions()
    limit_ms = 60_000
    late_ms = T0 + limit_ms + 300_000 + 1
    table.follow(batch(39, 0, 0, 1, at_ms=T0, is_transactional=True), 0)
    table.follow(batch(57, 0, 0, 1, at_ms=T0 + 500, is_transactional=True), 1)
    state = table.log.producer_state
    assert [state.has_late_transaction(at, limit_ms) for at in (T0, T0 + 500, late_ms - 1)] == [False] * 3
    assert state.has_late_transaction(late_ms, limit_ms)
    follow_all(table, marker(39, COMMIT))
    assert state.has_late_transaction(late_ms + 500, limit_ms)
    follow_all(table, marker(57, COMMIT))
    assert not state.has_late_transaction(late_ms + 500, limit_ms)


def test_tx_11_markers_without_data_leave_nothing() -> None:
    table = Transactions()
    for is_commit in (ABORT, COMMIT, ABORT):
        table.mark(is_commit, 1, 0, 0)
    table.commit()
    assert (table.log.last_stable_offset, table.log.aborted) == (3, [])


# --- gates --------------------------------------------------------------------------------------------------------


def marked(table: Transactions, epoch: int, version: int) -> int | str:
    made = marker_batch(1, epoch, COMMIT, 0, T0)
    return told(table.append(made, origin=Origin.COORDINATOR, transaction_version=version))


def test_a_marker_of_version_2_must_raise_the_epoch_of_an_open_transaction_only() -> None:
    table = Transactions()
    assert table.t(1, 3, 0, 1) == 0
    assert marked(table, 3, 2) == "error 47"
    assert marked(table, 4, 2) == 1
    assert marked(table, 4, 2) == 2, "none is open"
    assert marked(table, 3, 2) == "error 47"
    assert table.t(1, 4, 0, 1) == 3
    assert marked(table, 4, 0) == 4, "version 1 leaves the epoch"


def test_a_refused_higher_epoch_leaves_a_verification_and_the_next_batch_waits_for_a_marker() -> None:
    table = Transactions()
    assert [table.t(1, 0, 0, 1), table.t(1, 0, 1, 1)] == [0, 1]
    assert table.verify(1, 0, 2) == 0, "open: nothing to verify"
    assert table.verify(1, 1, 0) != 0
    assert table.t(1, 1, 0, 1, guard=0) == "error 48"
    assert table.t(1, 0, 2, 1, guard=0) == "error 45"
    table.mark(ABORT, 1, 0, 0)
    assert table.t(1, 0, 2, 1) == 3


def test_a_lower_epoch_leaves_nothing_behind() -> None:
    table = Transactions()
    table.t(1, 5, 0, 1)
    guard = table.verify(1, 4, 0)
    assert table.t(1, 4, 0, 1, guard=guard) == "error 48"
    assert table.t(1, 5, 1, 1, guard=0) == 1


def test_verification_can_be_switched_off_and_a_verification_under_way_still_counts() -> None:
    table = Transactions(transaction_partition_verification_enable=False)
    assert table.t(1, 0, 4, 1, guard=0) == 0
    table.verify(2, 0, 3)
    assert table.t(2, 0, 4, 1, guard=0) == "error 45"
    assert table.t(2, 0, 3, 1, guard=0) == 1


def test_a_first_batch_of_transaction_version_2_must_have_sequence_0() -> None:
    table = Transactions()
    guard = table.log.producer_state.start_verification(1, 0, 3, T0, must_begin_at_zero=True)
    assert table.t(1, 0, 3, 1, guard=guard) == "error 45"
    other = Transactions()
    guard = other.log.producer_state.start_verification(1, 0, 3, T0)
    assert other.t(1, 0, 3, 1, guard=guard) == 0


def test_with_zero_an_unknown_producer_must_begin_at_zero() -> None:
    table = Table(unknown_producer_first_sequence="zero")
    result = table.append(batch(1, 5, 7, 1))
    assert result.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert "0 was expected from a producer that is not known here" in result.message
    assert [table.send(1, 5, 0, 1), table.send(1, 5, 1, 1)] == [(0, 0), (1, 1)]
    table.log.producer_state.expire(T0 + 1, 1)
    assert table.send(1, 5, 2, 1) == 45
    table.follow(batch(2, 0, 9, 1), 2)
    assert table.send(2, 0, 10, 1) == (3, 3), "a follower took it"


# --- packed batches -----------------------------------------------------------------------------------------------


def test_a_packed_marker_says_the_same() -> None:
    assert marker_of(pack(marker_batch(1, 0, COMMIT, 7, T0))) == (True, 7)
    assert marker_of(pack(marker_batch(1, 0, ABORT, 7, T0))) == (False, 7)


def test_a_packed_batch_is_appended_recognised_and_refused_like_one_of_objects() -> None:
    table = Table()
    sent = open_batch(encode_batch(batch(1, 0, 0, 3)))
    assert isinstance(sent, RecordBatch)
    assert isinstance(sent.records, bytes)
    assert table.append(sent).base_offset == 0
    assert table.append(sent).is_duplicate
    assert table.send(1, 0, 3, 1) == (3, 3)
    spoilt = sent._replace(records=sent.records[:-1] + b"?")
    result = table.append(spoilt)
    assert (result.error, result.found_in_log) == (ErrorCode.CORRUPT_MESSAGE, False)


@pytest.mark.parametrize("is_packed", [False, True])
def test_the_records_that_are_too_new_are_named(is_packed: bool) -> None:
    far = [batch(1, 0, 0, 1, at_ms=T0 + away).records[0] for away in (0, 3_600_001, 1, 3_600_001)]
    sent = batch(1, 0, 0, 4)._replace(records=tuple(far), max_timestamp_ms=T0 + 3_600_001)
    result = Table().append(pack(sent) if is_packed else sent)
    assert (result.error, result.record_errors) == (ErrorCode.INVALID_TIMESTAMP, (1, 3))


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_compacted_topic_names_the_records_without_a_key(is_packed: bool) -> None:
    sent = batch(1, 0, 0, 2)
    keyed = sent._replace(records=(sent.records[0]._replace(key=b"k"), sent.records[1]))  # type: ignore[union-attr]
    result = Table(cleanup_policy="compact").append(pack(keyed) if is_packed else keyed)
    assert (result.error, result.record_errors) == (ErrorCode.INVALID_RECORD, (1,))


def test_log_append_time_is_put_into_a_packed_batch() -> None:
    table = Table(message_timestamp_type="LogAppendTime")
    result = table.append(pack(batch(1, 0, 0, 2)), now_ms=T0 + 77)
    assert result.log_append_time_ms == T0 + 77
    (stored,) = table.log.read(0, 2, 2**62)
    reopened = open_batch(encode_batch(stored))
    assert isinstance(reopened, RecordBatch)
    assert reopened.max_timestamp_ms == T0 + 77
    assert reopened.attributes & 0x08
