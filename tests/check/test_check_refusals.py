"""H14: a refusal is right when the log says so; wrong, or excused by what the broker had forgotten, when it doesn't."""

import pytest
from check_rows import RUN, batch, history, log, refused, sent, status

from eventlog.check import (
    BROKEN,
    EXCUSED,
    HELD,
    NOT_CHECKABLE,
    Fault,
    Forgot,
    TailLost,
    Truncated,
    judge,
)
from eventlog.values import MAX_SEQUENCE

FENCED = "INVALID_PRODUCER_EPOCH"
SEVEN = tuple(batch(offset, offset) for offset in range(7))
"""Seven batches of one record: 2 to 6 are the five newest, 7 is next."""


def judged(*rows, batches=SEVEN, run=RUN, **log_fields):
    """How H14 stands, and why, when these rows come before the log."""
    result = judge(history(sent(*range(9)), *rows, log(*batches, **log_fields), run=run, healed=False)).promise("H14")
    return result.status, result.why


def stands(*rows, **how):
    return judged(*rows, **how)[0]


@pytest.mark.parametrize(
    ("row", "right"),
    [
        (refused(8, end=7), HELD),
        (refused(7, end=7), BROKEN),
        (refused(6, end=7), BROKEN),
        (refused(2, end=7), BROKEN),
        (refused(1, end=7), HELD),
        (refused(5, end=7, count=2), HELD),
        (refused(7, end=6), HELD),
        (refused(1, end=6), BROKEN),
        (refused(0, end=0), BROKEN),
        (refused(3, end=0), BROKEN),
        (refused(3, end=7, producer_id=8), BROKEN),
        (refused(1, end=7, epoch=1), HELD),
        (refused(0, end=7, epoch=1), BROKEN),
        (refused(7, FENCED, end=7), BROKEN),
        (refused(7, "UNKNOWN_PRODUCER_ID", end=7), BROKEN),
        (refused(6, "DUPLICATE_SEQUENCE_NUMBER", end=7), BROKEN),
    ],
    ids=[
        "gap",
        "the next",
        "the newest again",
        "the fifth newest again",
        "the sixth newest again",
        "known first, other last",
        "the log was shorter then",
        "it was the fifth newest then",
        "unknown, from the start",
        "unknown, from anywhere",
        "another producer is unknown",
        "higher epoch, not from the start",
        "higher epoch from the start",
        "not fenced",
        "59 is never answered",
        "46 is never answered",
    ],
)
def test_a_refusal_is_what_the_log_says(row, right):
    assert stands(row) == right


@pytest.mark.parametrize(("epoch", "error", "right"), [(0, FENCED, HELD), (0, None, BROKEN), (1, FENCED, BROKEN)])
def test_only_a_lower_epoch_is_fenced(epoch, error, right):
    row = refused(5, *([error] if error else []), end=2, epoch=epoch)
    assert stands(row, batches=(batch(0, 0), batch(1, 1, epoch=1, sequence=0))) == right


def test_a_marker_raises_the_epoch_and_takes_no_sequence():
    marker = batch(1, -1, epoch=1, sequence=-1)
    assert stands(refused(1, FENCED, end=2), batches=(batch(0, 0), marker)) == HELD
    assert stands(refused(0, end=2, epoch=1), batches=(batch(0, 0), marker)) == BROKEN
    assert stands(refused(1, end=2, epoch=1), batches=(batch(0, 0), marker)) == HELD
    same = batch(1, -1, sequence=-1)
    assert stands(refused(1, end=2), batches=(batch(0, 0), same)) == BROKEN


def test_sequences_wrap_in_refusals_too():
    rows = (batch(0, 0, 1, sequence=MAX_SEQUENCE - 1),)
    assert stands(refused(0, end=2), batches=rows) == BROKEN
    assert stands(refused(1, end=2), batches=rows) == HELD
    assert stands(refused(MAX_SEQUENCE - 1, end=2, count=2), batches=rows) == BROKEN


def test_where_unknown_producers_must_begin_at_zero_another_sequence_is_rightly_refused():
    zero = RUN._replace(unknown_producer_first_sequence="zero")
    assert stands(refused(3, end=0), run=zero) == HELD
    assert stands(refused(0, end=0), run=zero) == BROKEN


# -- what the broker had forgotten

ONE = RUN._replace(producer_snapshot_batches=1)


@pytest.mark.parametrize("known", [5, -1], ids=["log end known", "log end guessed"])
def test_a_restarted_broker_rightly_knows_only_the_newest_batch(known):
    sends = [row for number in range(7) for row in sent(number)]
    restart = Forgot(30, 1, "t", 0, "restart", (), known)
    rows = (*sends[:5], restart, *sends[5:])

    def stand(row, *before, run=ONE):
        result = judge(history(*rows, *before, row, log(*SEVEN), run=run, healed=False)).promise("H14")
        return result.status, result.why

    assert stand(refused(3, end=7)) == (EXCUSED, "memory of one batch")
    assert stand(refused(4, end=7))[0] == BROKEN  # the newest then
    assert stand(refused(5, end=7))[0] == BROKEN  # came since
    assert stand(refused(7, end=7))[0] == BROKEN
    assert stand(refused(1, end=7))[0] == HELD
    assert stand(refused(3, end=7), run=RUN)[0] == BROKEN  # here restarts forget nothing
    assert stand(refused(3, end=7, broker=2))[0] == NOT_CHECKABLE


def test_what_a_broker_forgets_later_or_elsewhere_excuses_nothing():
    row = refused(3, end=7)
    restart = Forgot(30, 1, "t", 0, "restart", (), 7)
    assert stands(restart, row, run=ONE) == EXCUSED
    assert stands(row, restart, run=ONE) == BROKEN
    assert stands(restart._replace(broker=2), row, run=ONE) == BROKEN
    assert stands(restart._replace(partition=1), row, run=ONE) == BROKEN
    assert stands(restart._replace(why="snapshot"), row) == EXCUSED


def test_a_forgotten_producer_is_judged_by_what_came_after():
    expired = Forgot(30, 1, "t", 0, "expired", (7,), 5)
    assert judged(expired, refused(3, end=7)) == (EXCUSED, "producer expired")
    assert stands(expired, refused(5, end=7)) == BROKEN
    assert stands(expired, refused(9, end=5)) == BROKEN  # unknown: anything is taken
    assert stands(expired, refused(9, end=7)) == HELD
    assert stands(expired._replace(producer_ids=(8,)), refused(3, end=7)) == BROKEN
    zero = RUN._replace(unknown_producer_first_sequence="zero")
    assert judged(expired, refused(5, end=5), run=zero) == (EXCUSED, "producer expired")
    assert stands(expired, refused(0, FENCED, end=5, epoch=-1)) == BROKEN


def test_a_memory_made_anew_by_a_truncation_is_good_for_both_answers():
    expired = Forgot(30, 1, "t", 0, "expired", (7,), 5)
    cut = Truncated(31, 1, "t", 0, 5, 6)
    assert stands(expired, refused(9, end=5)) == BROKEN
    assert stands(expired, cut, refused(9, end=5)) == HELD
    assert stands(expired, cut, refused(3, end=7)) == EXCUSED


def test_a_log_that_was_read_again_may_have_brought_back_who_was_forgotten():
    expired, restart = Forgot(30, 1, "t", 0, "expired", (7,), 5), Forgot(31, 1, "t", 0, "restart", (), 5)
    assert stands(expired, refused(9, end=5), run=ONE) == BROKEN
    assert stands(expired, restart, refused(9, end=5), run=ONE) == HELD
    assert stands(restart, expired, refused(9, end=5), run=ONE) == BROKEN


# -- what nobody can tell


@pytest.mark.parametrize(
    "row",
    [
        Truncated(70, 1, "t", 0, 6, 9),
        TailLost(70, 1, "t", 0, 6, 9),
        Fault(70, "crash_wiped", "broker-1", "", -1),
    ],
    ids=lambda row: type(row).__name__,
)
def test_a_log_that_was_cut_below_its_end_since_tells_nothing(row):
    assert stands(refused(7, end=7), row) == NOT_CHECKABLE
    assert stands(row, refused(7, end=7)) == BROKEN
    if not isinstance(row, Fault):
        assert stands(refused(7, end=7), row._replace(from_offset=7)) == BROKEN
        assert stands(refused(7, end=7), row._replace(broker=2)) == BROKEN


def test_a_log_that_is_shorter_broken_or_missing_tells_nothing():
    assert stands(refused(7, end=8)) == NOT_CHECKABLE
    assert stands(refused(7, end=7, broker=2)) == NOT_CHECKABLE
    assert stands(refused(7, end=7), batches=(*SEVEN[:3], *SEVEN[4:])) == NOT_CHECKABLE
    assert stands(refused(7, "INVALID_RECORD", end=7)) == NOT_CHECKABLE
    assert stands(refused(7, end=7), run=RUN._replace(writer="transactional")) == NOT_CHECKABLE


def test_a_log_whose_start_moved_tells_what_its_five_newest_batches_tell():
    assert stands(refused(7, end=7), batches=SEVEN[2:], start=2) == BROKEN
    assert stands(refused(8, end=7), batches=SEVEN[2:], start=2) == HELD
    assert stands(refused(7, end=7), batches=SEVEN[3:], start=3) == NOT_CHECKABLE


def test_how_many_could_not_be_judged_is_noted():
    verdict = judge(history(sent(0), refused(1, end=9), refused(4, end=1), log(batch(0, 0)), healed=False))
    assert status(verdict, "H14") == HELD
    assert verdict.notes == ("H14: 1 of 2 refusals can't be judged: what the log held then is not known.",)
