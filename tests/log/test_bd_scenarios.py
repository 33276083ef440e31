"""Broker dedup, scenario by scenario (BD-01 to BD-30), at a partition's log and its producer state.

BD-29, a duplicate that waits for the high watermark, needs brokers: see `tests/broker/test_broker_waiting.py`.
"""

from __future__ import annotations

import pytest
from log_stage import MAX, T0, Table, batch, plain

from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_batch
from eventlog.log.producer_state import ACCEPTED, Duplicate, Origin, ProducerState, Rejected
from eventlog.values import placed

DAY_MS = 86_400_000


def after_bd_01() -> Table:
    table = Table()
    assert table.send(1, 0, 0, 1) == (0, 0)
    assert table.send(1, 0, 1, 1) == (1, 1)
    return table


def after_bd_04() -> Table:
    table = Table()
    for sequence in range(6):
        assert table.send(1, 0, sequence, 1) == (sequence, sequence)
    assert table.send(1, 0, 6, 3) == (6, 8)
    return table


def test_bd_01_a_first_batch_and_its_successor_are_appended() -> None:
    table = after_bd_01()
    assert table.last() == (0, 1)
    assert table.window() == [(0, 0), (1, 1)]


def test_bd_02_an_exact_repeat_is_never_accepted_by_the_state() -> None:
    """The look-up is part of `judge` here, so the repeat is a duplicate; past the five it is out of order."""
    state = ProducerState()
    for sequence in range(6):
        each = placed(batch(1, 0, sequence, 1), sequence, 0)
        assert state.judge(each) is ACCEPTED
        state.remember(each)
    assert isinstance(state.judge(batch(1, 0, 5, 1)), Duplicate)
    verdict = state.judge(batch(1, 0, 0, 1))
    assert isinstance(verdict, Rejected)
    assert verdict.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_bd_03_a_gap_is_refused_and_changes_nothing() -> None:
    table = after_bd_01()
    assert table.send(1, 0, 5, 1) == 45
    assert table.last() == (0, 1)
    assert table.end == 2


def test_bd_04_a_repeat_of_the_newest_batch_gets_its_offsets() -> None:
    table = after_bd_04()
    assert table.send(1, 0, 6, 3) == "dup 6..8"
    assert table.end == 9
    assert table.window() == [(2, 2), (3, 3), (4, 4), (5, 5), (6, 8)]


def test_bd_05_a_tail_of_an_appended_batch_is_no_duplicate() -> None:
    table = after_bd_04()
    assert table.send(1, 0, 7, 2) == 45


def test_bd_07_a_batch_older_than_the_five_is_out_of_order_not_duplicate_sequence_46() -> None:
    table = after_bd_04()
    assert table.send(1, 0, 1, 1) == 45
    assert table.end == 9


def test_bd_08_refusals_and_repeats_do_not_move_the_expected_sequence() -> None:
    table = after_bd_04()
    assert table.send(1, 0, 6, 3) == "dup 6..8"
    assert table.send(1, 0, 7, 2) == 45
    assert table.send(1, 0, 1, 1) == 45
    assert table.send(1, 0, 9, 1) == (9, 9)
    assert table.send(1, 0, 9, 1) == "dup 9..9"
    assert table.end == 10


def test_bd_09_a_repeat_does_not_keep_a_batch_among_the_five() -> None:
    table = Table()
    for sequence in range(5):
        table.send(1, 0, sequence, 1)
    assert table.send(1, 0, 0, 1) == "dup 0..0"
    assert table.send(1, 0, 5, 1) == (5, 5)
    assert table.send(1, 0, 0, 1) == 45
    assert table.send(1, 0, 1, 1) == "dup 1..1"


@pytest.mark.parametrize(("sweep_ms", "is_forgotten"), [(1_000 + DAY_MS - 1, False), (1_000 + DAY_MS, True)])
def test_bd_10_a_repeat_does_not_prolong_a_producers_life(sweep_ms: int, is_forgotten: bool) -> None:
    table = Table()
    assert table.append(batch(1, 0, 0, 1, at_ms=1_000), now_ms=1_000).base_offset == 0
    assert table.append(batch(1, 0, 0, 1, at_ms=86_400_000), now_ms=86_400_000).is_duplicate
    assert table.log.producer_state.expire(sweep_ms, DAY_MS) == ((1,) if is_forgotten else ())
    assert (table.last() is None) == is_forgotten


def test_bd_11_producers_are_independent() -> None:
    table = Table()
    assert [table.send(*each) for each in ((1, 0, 0, 1), (2, 0, 0, 1), (1, 0, 1, 1), (2, 0, 1, 1))] == [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
    ]
    assert table.send(1, 0, 0, 1) == "dup 0..0"


def test_bd_12_batches_without_a_producer_are_never_deduplicated() -> None:
    """Their snapshots' names: see `test_sr_scenarios`."""
    table = Table()
    assert [table.append(plain(value="same")).base_offset for _ in range(3)] == [0, 1, 2]
    assert len(table.log.producer_state) == 0
    assert table.end == 3
    table.reload()
    assert (table.end, len(table.log.producer_state)) == (3, 0)


def test_bd_13_the_log_end_moves_for_a_plain_record() -> None:
    table = Table()
    table.append(plain())
    table.reload()
    assert (table.end, table.snapshots) == (1, [1])


def test_bd_14_the_payload_is_not_compared_and_the_first_writer_wins() -> None:
    table = Table()
    assert table.send(1, 0, 0, 1, value="a") == (0, 0)
    assert table.send(1, 0, 0, 1, value="b") == "dup 0..0"
    assert table.values() == ["a.0"]


def test_bd_15_two_appended_batches_sent_as_one_are_refused() -> None:
    table = Table()
    assert table.send(1, 0, 0, 2) == (0, 1)
    assert table.send(1, 0, 2, 2) == (2, 3)
    assert table.send(1, 0, 0, 4) == 45
    assert table.end == 4


@pytest.mark.parametrize("sequence", [1, 16, MAX - 1, MAX])
def test_bd_17_an_unknown_producer_may_begin_anywhere(sequence: int) -> None:
    table = Table()
    assert table.send(1, 5, sequence, 1) == (0, 0)
    assert table.last() == (5, sequence)


def test_bd_18_after_an_odd_start_only_the_next_one_follows() -> None:
    table = Table()
    table.send(1, 5, 16, 1)
    assert table.send(1, 5, 17, 1) == (1, 1)
    assert table.send(1, 5, 0, 1) == 45


def test_bd_19_a_follower_stores_all_it_is_given() -> None:
    table = Table()
    numbers = [(1, 0, 0, 1), (2, 0, 0, 1), (1, 0, 1, 1), (2, 0, 1, 1), (1, 0, 1, 1)]
    table.log.append_as_follower(tuple(placed(batch(*each), at, 0) for at, each in enumerate(numbers)))
    table.check()
    assert table.end == 5


def test_bd_20_a_repeat_on_a_follower_is_stored() -> None:
    table = Table()
    table.follow(batch(1, 0, 0, 2), 0)
    table.follow(batch(1, 0, 0, 2), 2)
    assert table.end == 4


def test_bd_21_a_gap_is_refused_from_a_client_and_taken_by_a_follower() -> None:
    table = Table()
    table.send(1, 0, 0, 1)
    assert table.send(1, 0, 3, 1) == 45
    table.follow(batch(1, 0, 3, 1), 1)
    assert table.last() == (0, 3)


def test_bd_22_a_replica_without_state_starts_in_the_middle() -> None:
    """Here because the log itself begins later; because its snapshot is out of range: see the next one."""
    table = Table()
    table.log.restart_at(2)
    assert table.last() is None
    table.follow(batch(1, 0, 2, 1), 2)
    assert table.window() == [(2, 2)]
    assert table.last() == (0, 2)


def test_bd_22_truncation_rolls_the_state_back_and_a_reload_agrees() -> None:
    table = after_bd_01()
    table.log.truncate_to(1)
    assert (table.end, table.window(), table.snapshots) == (1, [(0, 0)], [1])
    table.store.write_snapshot(2, table.store.read_snapshot(1))
    table.reload()
    assert (table.end, table.window()) == (1, [(0, 0)])
    table.follow(batch(1, 0, 2, 1), 2)
    assert table.window() == [(0, 0), (2, 2)]


def test_bd_23_a_coordinators_data_is_not_checked_for_sequence() -> None:
    table = Table()
    table.log.restart_at(99)
    guard = table.log.producer_state.start_verification(1, 0, -1, T0)
    offsets = batch(1, 0, -1, 1, is_transactional=True)
    assert table.append(offsets, origin=Origin.COORDINATOR, guard=guard).base_offset == 99
    assert table.append(offsets, origin=Origin.COORDINATOR).base_offset == 100


def test_bd_25_only_a_coordinator_may_write_a_control_batch() -> None:
    table = Table()
    marker = marker_batch(1, 0, True, 0, T0)
    assert table.append(marker).error is ErrorCode.INVALID_RECORD
    assert table.append(marker, origin=Origin.COORDINATOR).base_offset == 0


@pytest.mark.parametrize(("delta", "count"), [(0, 3), (15, 3), (-3, 3), (2, 0), (2, -1), (2, 4), (-1, 0)])
@pytest.mark.parametrize("producer_id", [-1, 1])
def test_bd_26_count_and_offset_range_must_agree(delta: int, count: int, producer_id: int) -> None:
    """Headers that agree with each other but not with the bytes inside are the codec's to refuse."""
    table = Table()
    honest = batch(1, 0, 0, 3) if producer_id == 1 else plain(3)
    assert table.append(honest).base_offset == 0
    lying = (batch(1, 0, 3, 3) if producer_id == 1 else plain(3))._replace(last_offset_delta=delta, record_count=count)
    result = table.append(lying)
    assert (result.error, result.base_offset, result.found_in_log) == (ErrorCode.INVALID_RECORD, -1, True)
    assert table.end == 3


def test_bd_28_a_refused_first_batch_leaves_only_the_leader_epoch_behind() -> None:
    table = after_bd_01()
    table.leader_epoch = 3
    assert table.send(1, 0, 7, 1) == 45
    assert (table.end, table.last()) == (2, (0, 1))
    assert table.log.leader_epochs.entries == [(0, 0), (3, 2)]
    assert table.log.end_offset_for(3) == (3, 2)


def test_bd_30_the_duplicate_look_up_comes_before_the_verification_gate() -> None:
    table = Table()
    transactional = batch(1, 0, 0, 1, is_transactional=True)
    guard = table.log.producer_state.start_verification(1, 0, 0, T0)
    assert table.append(transactional, guard=guard).base_offset == 0
    assert table.append(marker_batch(1, 0, True, 0, T0), origin=Origin.COORDINATOR).base_offset == 1
    repeated = table.append(transactional)
    assert (repeated.is_duplicate, repeated.base_offset) == (True, 0)
    successor = batch(1, 0, 1, 1, is_transactional=True)
    assert table.append(successor).error is ErrorCode.INVALID_TXN_STATE
    assert table.append(successor, guard=guard).error is ErrorCode.INVALID_TXN_STATE
