"""Which leader epoch wrote which part: the rules of the list, and against a plain reading of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventlog.log.leader_epochs import UNDEFINED, LeaderEpochs

THREE = ((0, 0), (1, 3), (2, 5))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [(0, (0, 3)), (1, (1, 5)), (2, (2, 9)), (3, (-1, -1)), (-1, (-1, -1))],
)
def test_where_an_epoch_ends_as_a_real_broker_answered_it(asked: int, answer: tuple[int, int]) -> None:
    assert LeaderEpochs(THREE).end_offset_for(asked, 9) == answer


def test_an_epoch_between_two_known_ones_ends_where_the_older_one_does() -> None:
    epochs = LeaderEpochs(((2, 0), (5, 10), (9, 20)))
    assert epochs.end_offset_for(3, 30) == (2, 10)
    assert epochs.end_offset_for(8, 30) == (5, 20)


def test_an_epoch_older_than_all_known_ends_where_they_begin() -> None:
    assert LeaderEpochs(((2, 7), (5, 10))).end_offset_for(1, 30) == (1, 7)


def test_an_empty_list_knows_nothing() -> None:
    epochs = LeaderEpochs()
    assert epochs.latest == UNDEFINED
    for asked in (-1, 0, 1):
        assert epochs.end_offset_for(asked, 5) == (-1, -1)


def test_the_same_epoch_again_at_or_after_its_start_changes_nothing() -> None:
    epochs = LeaderEpochs(THREE)
    assert not epochs.assign(2, 5)
    assert not epochs.assign(2, 99)
    assert epochs.freeze() == THREE


def test_the_same_epoch_from_an_earlier_offset_moves_down() -> None:
    epochs = LeaderEpochs(THREE)
    assert epochs.assign(2, 4)
    assert epochs.freeze() == ((0, 0), (1, 3), (2, 4))


@pytest.mark.parametrize(
    ("epoch", "start", "after"),
    [
        (3, 9, ((0, 0), (1, 3), (2, 5), (3, 9))),
        (3, 5, ((0, 0), (1, 3), (3, 5))),  # an epoch without a record doesn't survive
        (3, 2, ((0, 0), (3, 2))),
        (1, 4, ((0, 0), (1, 4))),
        (0, 7, ((0, 7),)),
    ],
)
def test_a_new_epoch_drops_what_contradicts_it(epoch: int, start: int, after: tuple[tuple[int, int], ...]) -> None:
    epochs = LeaderEpochs(THREE)
    assert epochs.assign(epoch, start)
    assert epochs.freeze() == after
    assert epochs.latest == after[-1][0]


@pytest.mark.parametrize(("end", "left"), [(9, 3), (6, 3), (5, 2), (4, 2), (3, 1), (1, 1), (0, 0)])
def test_truncation_drops_epochs_that_begin_at_or_after_the_end(end: int, left: int) -> None:
    epochs = LeaderEpochs(THREE)
    assert epochs.truncate_from_end(end) == (left < 3)
    assert epochs.freeze() == THREE[:left]
    assert epochs.latest == (THREE[left - 1][0] if left else UNDEFINED)


@pytest.mark.parametrize(
    ("start", "after"),
    [
        (0, THREE),
        (2, ((0, 2), (1, 3), (2, 5))),
        (3, ((1, 3), (2, 5))),
        (4, ((1, 4), (2, 5))),
        (5, ((2, 5),)),
        (8, ((2, 8),)),
    ],
)
def test_a_later_log_start_begins_the_epoch_that_covers_it_there(
    start: int, after: tuple[tuple[int, int], ...]
) -> None:
    epochs = LeaderEpochs(THREE)
    assert epochs.truncate_from_start(start) == (after != THREE)
    assert epochs.freeze() == after


def test_a_log_start_before_all_epochs_changes_nothing() -> None:
    epochs = LeaderEpochs(((3, 10), (4, 20)))
    assert not epochs.truncate_from_start(5)
    assert epochs.freeze() == ((3, 10), (4, 20))


STEPS = st.lists(
    st.tuples(st.sampled_from(("assign", "assign", "assign", "end", "start")), st.integers(0, 6), st.integers(0, 12)),
    max_size=20,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(STEPS)
def test_the_list_follows_its_rules_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    epochs, plain = LeaderEpochs(), []
    for kind, epoch, offset in steps:
        if kind == "assign":
            epochs.assign(epoch, offset)
            if not plain or plain[-1][0] != epoch or plain[-1][1] > offset:
                while plain and (plain[-1][0] >= epoch or plain[-1][1] >= offset):
                    plain.pop()
                plain.append((epoch, offset))
        elif kind == "end":
            epochs.truncate_from_end(offset)
            plain = [each for each in plain if each[1] < offset]
        else:
            epochs.truncate_from_start(offset)
            below = [each for each in plain if each[1] <= offset]
            plain = ([(below[-1][0], offset)] if below else []) + [each for each in plain if each[1] > offset]
        assert epochs.entries == plain
        assert epochs.latest == (plain[-1][0] if plain else UNDEFINED)
        assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(plain))
        end = 20
        for asked in range(-1, 8):
            assert epochs.end_offset_for(asked, end) == read_plainly(plain, asked, end)


def read_plainly(entries: list[tuple[int, int]], asked: int, end: int) -> tuple[int, int]:
    if asked < 0 or not entries or asked > entries[-1][0]:
        return -1, -1
    if asked == entries[-1][0]:
        return asked, end
    start = min(each[1] for each in entries if each[0] > asked)
    known = [each[0] for each in entries if each[0] <= asked]
    return (max(known) if known else asked), start
