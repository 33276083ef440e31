"""Sequences that wrap from 2147483647 to 0, scenario by scenario (WR-01 to WR-04), and what lies around them."""

from __future__ import annotations

import pytest
from log_stage import MAX, Table, batch

from eventlog.log.producer_state import ProducerState
from eventlog.values import placed


def test_wr_01_zero_follows_the_highest_sequence() -> None:
    table = Table()
    table.follow(batch(1, 15, MAX, 1), 735)
    state = table.log.producer_state
    assert table.window() == [(MAX, MAX)]
    state.remember(placed(batch(1, 15, 0, 1), 1235, 0))
    assert table.window() == [(MAX, MAX), (0, 0)]
    assert table.last() == (15, 0)


def test_wr_01_a_client_may_send_zero_after_the_highest_sequence() -> None:
    table = Table()
    table.follow(batch(1, 15, MAX, 1), 735)
    assert table.send(1, 15, 0, 1) == (736, 736)


@pytest.mark.parametrize("sequence", [1, 2, MAX - 1])
def test_wr_02_nothing_but_zero_follows_the_highest_sequence(sequence: int) -> None:
    table = Table()
    table.follow(batch(1, 15, MAX, 1), 0)
    assert table.send(1, 15, sequence, 1) == 45
    assert table.end == 1


def test_wr_03_a_batch_that_straddles_the_wrap() -> None:
    state = ProducerState()
    straddling = placed(batch(1, 15, MAX - 10, 20 + 1), 2000, 0)
    state.remember(straddling)
    entry = state.find_entry(1)
    assert entry is not None
    (known,) = entry.batches
    assert (known.base_sequence, known.last_sequence) == (MAX - 10, 9)
    assert (known.base_offset, known.last_offset) == (2000, 2020)
    assert entry.next_sequence == 10


def test_wr_04_a_repeat_of_a_straddling_batch_is_recognised() -> None:
    table = Table()
    table.send(1, 0, MAX - 2, 1)
    assert table.send(1, 0, MAX - 1, 4) == (1, 4)
    assert table.send(1, 0, MAX - 1, 4) == "dup 1..4"
    assert table.last() == (0, 1)


def test_a_part_of_a_straddling_batch_is_no_duplicate() -> None:
    table = Table()
    table.send(1, 0, MAX - 1, 4)
    for sequence, count in ((MAX - 1, 2), (0, 2), (MAX, 3), (0, 1), (1, 1)):
        assert table.send(1, 0, sequence, count) == 45


def test_the_five_are_recognised_across_the_wrap() -> None:
    table = Table()
    first = MAX - 2
    for index in range(6):
        assert table.send(1, 0, (first + index) % 2**31, 1) == (index, index)
    assert table.window() == [(MAX - 1, MAX - 1), (MAX, MAX), (0, 0), (1, 1), (2, 2)]
    for index in range(1, 6):
        assert table.send(1, 0, (first + index) % 2**31, 1) == f"dup {index}..{index}"
    assert table.send(1, 0, first, 1) == 45


def test_the_wrap_does_not_touch_the_epoch_and_the_highest_epoch_works() -> None:
    table = Table()
    assert table.send(1, 32766, MAX, 1) == (0, 0)
    assert table.send(1, 32767, 1, 1) == 45
    assert table.send(1, 32767, 0, 1) == (1, 1)
    assert table.send(1, 32766, 0, 1) == 47
    assert table.last() == (32767, 0)
