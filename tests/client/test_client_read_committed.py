"""RC: what a reader makes of transactions, markers, packed batches and the broker's own time. Ids are the scenarios'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from client_reader_stage import NONE, ReaderStage, batch_of
from client_stage import TP0

from eventlog.codec import pack
from eventlog.messages.broker_api import READ_COMMITTED, READ_UNCOMMITTED
from eventlog.values import RecordBatch

MakeStage = Callable[..., ReaderStage]
LOG_APPEND_TIME = 0x08


def data(base_offset: int, *values: str, by: int, **flags: Any) -> RecordBatch:
    """A transactional batch of producer `by`."""
    return batch_of(base_offset, *values, producer_id=by, producer_epoch=0, is_transactional=True, **flags)


def marker(offset: int, *, by: int) -> RecordBatch:
    return batch_of(offset, "marker", producer_id=by, producer_epoch=0, is_transactional=True, is_control=True)


def committed(
    reader_stage: MakeStage, *batches: RecordBatch, aborted: tuple[tuple[int, int], ...] = (), seek: int = 0
) -> ReaderStage:
    """What a read_committed reader makes of this answer."""
    play = reader_stage(isolation_level="read_committed")
    play.seek(seek)
    play.poll()
    play.answer(NONE, *batches, aborted=aborted)
    return play


def test_rc_01_an_abort_in_the_middle(reader_stage: MakeStage) -> None:
    batches = (
        data(0, "gone", "gone", by=1),
        data(2, "other", by=2),
        marker(3, by=1),
        data(4, "kept", by=1),
        marker(5, by=1),
    )
    play = committed(reader_stage, *batches, aborted=((1, 0),))
    assert play.read() == [(2, "other"), (4, "kept")]
    play.poll()
    assert play.wanted() == [("broker-1", "fetch", 6)]


@pytest.mark.parametrize("reversed_list", [False, True])
def test_rc_02_the_same_producer_aborted_twice(reader_stage: MakeStage, reversed_list: bool) -> None:
    batches = (
        data(0, "gone", by=1),
        marker(1, by=1),
        data(2, "kept", by=1),
        marker(3, by=1),
        data(4, "gone", by=1),
        marker(5, by=1),
    )
    # A broker lists them in the order of their markers, which need not be that of their beginnings.
    aborted = ((1, 4), (1, 0)) if reversed_list else ((1, 0), (1, 4))
    assert committed(reader_stage, *batches, aborted=aborted).read() == [(2, "kept")]


def test_rc_03_what_an_aborted_producer_wrote_without_a_transaction_is_kept(reader_stage: MakeStage) -> None:
    batches = (batch_of(0, "kept", producer_id=1, producer_epoch=0), data(1, "gone", by=1), marker(2, by=1))
    assert committed(reader_stage, *batches, aborted=((1, 1),)).read() == [(0, "kept")]
    # Also when it stands behind the transaction's first record.
    batches = (data(0, "gone", by=1), batch_of(1, "kept", producer_id=1, producer_epoch=0), marker(2, by=1))
    assert committed(reader_stage, *batches, aborted=((1, 0),)).read() == [(1, "kept")]


def test_rc_05_nothing_is_brought_before_the_broker_serves_it(reader_stage: MakeStage) -> None:
    play = committed(reader_stage)
    assert play.read() == []
    play.answer(NONE, data(0, "kept", by=1), marker(1, by=1), aborted=())
    assert play.read() == [(0, "kept")]


@pytest.mark.parametrize("level", ["read_committed", "read_uncommitted"])
def test_rc_06_markers_are_never_brought_and_the_position_goes_behind_them(reader_stage: MakeStage, level: str) -> None:
    play = reader_stage(isolation_level=level)
    play.seek(0)
    play.poll()
    play.answer(NONE, marker(0, by=1), marker(1, by=2), marker(2, by=1), aborted=())
    assert play.read() == []
    assert play.wanted() == [("broker-1", "fetch", 3)]
    assert play.engine.position(TP0) == 3


def test_rc_07_two_aborted_transactions_interleaved(reader_stage: MakeStage) -> None:
    batches = (
        data(0, "gone", by=1),
        data(1, "gone", by=2),
        data(2, "gone", by=1),
        marker(3, by=1),
        data(4, "gone", by=2),
        marker(5, by=2),
        batch_of(6, "kept"),
    )
    assert committed(reader_stage, *batches, aborted=((1, 0), (2, 1))).read() == [(6, "kept")]


def test_a_fetch_that_begins_inside_an_aborted_transaction(reader_stage: MakeStage) -> None:
    batches = (data(2, "gone", by=1), marker(3, by=1), data(4, "kept", by=1))
    assert committed(reader_stage, *batches, aborted=((1, 0),), seek=2).read() == [(4, "kept")]


@pytest.mark.parametrize(
    ("level", "number"), [("read_committed", READ_COMMITTED), ("read_uncommitted", READ_UNCOMMITTED)]
)
def test_rc_09_the_end_is_asked_for_by_the_isolation_level(reader_stage: MakeStage, level: str, number: int) -> None:
    play = reader_stage(isolation_level=level, auto_offset_reset="latest")
    play.poll()
    assert play.out[0].message.isolation_level == number
    play.serve()
    assert play.out[0].message.isolation_level == number


# Packed batches.


def test_packed_batches_are_read_as_if_they_were_not(reader_stage: MakeStage) -> None:
    plain = (batch_of(0, "a", "b"), data(2, "gone", by=1), marker(3, by=1), batch_of(4, "c", "d"))
    play = committed(reader_stage, *map(pack, plain), aborted=((1, 2),), seek=1)
    assert play.read() == [(1, "b"), (4, "c"), (5, "d")]
    assert play.polls[-1].records[0].leader_epoch == 0


@pytest.mark.parametrize("packed", [False, True])
def test_where_the_topic_wants_the_brokers_time_it_is_brought(reader_stage: MakeStage, packed: bool) -> None:
    batch = batch_of(0, "a")._replace(max_timestamp_ms=77, attributes=LOG_APPEND_TIME)
    play = reader_stage()
    play.seek(0)
    play.poll()
    play.answer(NONE, pack(batch) if packed else batch)
    assert [each.record.timestamp_ms for each in play.polls[-1].records] == [77]
