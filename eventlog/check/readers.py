"""What readers got, held against the log: nothing that went away again, nothing twice, nothing passed over."""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from eventlog.check.final import FinalLog
from eventlog.check.history import Assigned, Read, ReadRecord
from eventlog.check.index import Index, around, seen, what_is_at
from eventlog.check.losses import read_cause
from eventlog.check.promises import BROKEN
from eventlog.check.verdict import Outcome
from eventlog.values import TopicPartition

_RECORDS = itemgetter(4)
_OFFSET, _LEADER_EPOCH, _NUMBER = map(itemgetter, range(3))


class Readings(NamedTuple):
    """What is wrong with what readers got: (row, record, the offset that should have come next)."""

    dirty: list[tuple[Read, ReadRecord, int]]
    back: list[tuple[Read, ReadRecord, int]]
    skipping: list[tuple[Read, ReadRecord, int]]


def readings(index: Index) -> Readings:
    """One pass over the rows of every reader. Reads that equal a stretch of the log are done with at one comparison."""
    found = Readings([], [], [])
    for reader, rows in index.readers.items():
        final = index.finals.get(TopicPartition(*reader[1:]))
        expected = -1
        first = 0
        kinds = list(map(type, rows))
        for _ in range(kinds.count(Assigned)):
            place = kinds.index(Assigned, first)
            _read_on(found, rows[first:place], expected, final)
            expected, first = rows[place][4], place + 1
        _read_on(found, rows[first:], expected, final)
    return found


def _read_on(found: Readings, rows: list[Any], expected: int, final: FinalLog | None) -> None:
    """Note what is wrong with the Read rows of one reader from where it stood (-1: wherever) to where it is put next."""
    if final is not None and final.is_rising:
        records = list(chain.from_iterable(map(_RECORDS, rows)))
        if not records:
            return
        place = final.index_at.get(records[0][0])
        if place is not None and (expected < 0 or expected == records[0][0]):
            end = place + len(records)
            if (
                list(map(_OFFSET, records)) == list(final.offsets[place:end])
                and list(map(_NUMBER, records)) == final.numbers[place:end]
                and list(map(_LEADER_EPOCH, records)) == final.leader_epochs[place:end]
            ):
                return
    for row in rows:
        for record in row[4]:
            if expected >= 0 and record[0] != expected:
                _follow(found, row, record, expected, final)
            if final is not None and record[0] >= final.log.log_start_offset and not _is_in(final, record):
                found.dirty.append((row, record, expected))
            expected = record[0] + 1


def _follow(found: Readings, row: Read, record: ReadRecord, expected: int, final: FinalLog | None) -> None:
    """Note what is wrong with a record that has not the next offset."""
    if record[0] < expected:
        found.back.append((row, record, expected))
    elif final is not None and _lies_between(final, expected, record[0]):
        found.skipping.append((row, record, expected))


def _lies_between(final: FinalLog, low: int, high: int) -> bool:
    """True when a committed record has an offset from `low` up to, not including, `high`."""
    if low in final.index_at:
        return True
    place = final.index_at.get(high) if final.is_rising else None
    if place is not None:
        return place > 0 and final.offsets[place - 1] >= low
    return any(low <= offset < high for offset in final.offsets)


def _is_in(final: FinalLog, record: ReadRecord) -> bool:
    offset, leader_epoch, number = record
    place = final.index_at.get(offset)
    if place is None:
        return False
    return final.numbers[place] == number and leader_epoch in (-1, final.leader_epochs[place])


def no_dirty_read(index: Index) -> Outcome:
    """H6: what a reader got is in the final committed log, at that offset and of that leader_epoch."""
    outcome = Outcome()
    for row, (offset, leader_epoch, number), _ in index.memo(readings).dirty:
        name = TopicPartition(row.topic, row.partition)
        status, cause = read_cause(index, name, offset, number)
        if outcome.wants(status, cause):
            final = index.finals[name]
            outcome.describe(
                index,
                "H6",
                f"Reader {row.consumer!r} got record {number} (leader_epoch {leader_epoch}) at offset {offset} of "
                f"{name}; in the end there is {what_is_at(final, offset)}.",
                seen(_got(row, (offset, leader_epoch, number)), around(final, offset)),
                (index.position(index.sent.get(number)), len(index.rows)),
                row.at_ms,
            )
    return outcome


def forward(index: Index) -> Outcome:
    """R1: a reader gets no offset at or below one it got before, until it is put elsewhere."""
    return _reader_outcome(index, "R1", index.memo(readings).back, "a reader was taken back")


def no_skip(index: Index) -> Outcome:
    """R2: a reader passes over no committed record."""
    return _reader_outcome(index, "R2", index.memo(readings).skipping, "a reader was led past committed records")


def _reader_outcome(index: Index, promise: str, found: list[tuple[Read, ReadRecord, int]], cause: str) -> Outcome:
    outcome = Outcome()
    for row, record, expected in found:
        if outcome.wants(BROKEN, cause):
            place = index.position(row)
            outcome.describe(
                index,
                promise,
                f"Reader {row.consumer!r} of {row.topic}-{row.partition} got offset {record[0]} where "
                f"{expected} was to come.",
                seen(_got(row, record)),
                (0, place),
                row.at_ms,
            )
    return outcome


def _got(row: Read, record: ReadRecord) -> Read:
    """`row` with the one record that matters."""
    return row._replace(records=(record,))
