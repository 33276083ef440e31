"""What senders and readers were told, held against the log: acknowledgements, failures, reads, sends without end."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.check.excuses import loss_cause, read_cause
from eventlog.check.history import Acked, Assigned, LeaderChanged, Read, ReadRecord
from eventlog.check.index import FinalLog, Index, log_witness, offset_in, seen
from eventlog.check.promises import BROKEN
from eventlog.check.verdict import Outcome
from eventlog.values import TopicPartition


def one_offset(index: Index) -> Outcome:
    """H1: all acknowledgements of a send that name a place name the same."""
    outcome = Outcome()
    for number, ends in index.double_ends.items():
        places: list[tuple[str, int, int, Acked]] = []
        for row in {id(row): row for row in ends}.values():
            if type(row) is Acked and row.base_offset >= 0:
                for offset, acked_number in enumerate(row.send_numbers, row.base_offset):
                    if acked_number == number:
                        places.append((row.topic, row.partition, offset, row))
        for place in places[1:]:
            if place[:3] == places[0][:3]:
                continue
            cause = "two acknowledgements of one record name two places"
            if outcome.wants(BROKEN, cause):
                first, second = (f"{topic}-{partition}@{offset}" for topic, partition, offset, _ in (places[0], place))
                outcome.describe(
                    index,
                    "H1",
                    f"Record {number} was acknowledged at {first} and again at {second}.",
                    seen(index.sent.get(number), places[0][3], place[3]),
                    (index.position(places[0][3]), index.position(place[3])),
                    place[3].at_ms,
                )
    return outcome


def one_end(index: Index) -> Outcome:
    """I33: no send is acknowledged or failed a second time."""
    outcome = Outcome()
    for number, rows in index.double_ends.items():
        for row in rows[1:]:
            if outcome.wants(BROKEN, "a send was completed more than once"):
                outcome.describe(
                    index,
                    "I33",
                    f"Record {number} had its end ({type(rows[0]).__name__}), and then another ({type(row).__name__}).",
                    seen(index.sent.get(number), rows[0], row),
                    (index.position(rows[0]), index.position(row)),
                    row.at_ms,
                )
    return outcome


def lost(index: Index) -> list[tuple[int, Acked, TopicPartition, int]]:
    """Every acknowledged send that stands nowhere in the committed logs: (number, its Acked row, partition, offset).

    Left out: what was acknowledged in a partition whose log nobody wrote down, and what lies before its
    log_start_offset, for that was deleted on purpose.
    """
    missing = []
    in_log = index.numbered_in_log
    for number, row in index.acked.items():
        if number not in in_log:
            name = TopicPartition(row.topic, row.partition)
            final = index.finals.get(name)
            if final is None:
                continue
            offset = offset_in(row, number)
            if 0 <= offset < final.log.log_start_offset:
                continue
            missing.append((number, row, name, offset))
    return missing


def nothing_lost(index: Index) -> Outcome:
    """H5: what was acknowledged is in the committed log, as far as its acks promise it."""
    outcome = Outcome()
    for number, row, name, offset in index.memo(lost):
        status, cause = loss_cause(index, name, offset, number)
        if outcome.wants(status, cause):
            place = f"at offset {offset} of {name}" if offset >= 0 else f"in {name}"
            final = index.finals[name]
            outcome.describe(
                index,
                "H5",
                f"Record {number} of producer {row.producer!r} was acknowledged {place} and is not in the committed "
                f"log, which ends at {final.log.high_watermark}.",
                seen(index.sent.get(number), row, _around(final, offset)),
                (index.position(index.sent.get(number)), len(index.rows)),
                row.at_ms,
            )
    return outcome


def true_offset(index: Index) -> Outcome:
    """A1: a record that is in the log and was acknowledged with an offset is at that offset."""
    outcome = Outcome()
    in_log = index.numbered_in_log
    for row in index.acked_rows:
        base_offset, numbers = row[4], row[5]
        final = index.finals.get(row[2:4])  # type: ignore[call-overload]  # a plain pair is found as well, and cheaper
        if final is None or base_offset < 0:
            continue
        index_at = final.index_at
        if len(numbers) > 1 and final.is_rising:  # a whole batch at one stroke
            place = index_at.get(base_offset)
            if place is not None and index_at.get(base_offset + len(numbers) - 1) == place + len(numbers) - 1:
                if tuple(final.numbers[place : place + len(numbers)]) == numbers:
                    continue
        for offset, number in enumerate(numbers, base_offset):
            place = index_at.get(offset)
            if place is not None and final.numbers[place] == number:
                continue
            if number not in in_log or offset < final.log.log_start_offset:
                continue  # not in the log at all: that is H5's
            status, cause = loss_cause(index, final.name, offset, number)
            if outcome.wants(status, cause if status != BROKEN else "acknowledged with an offset where it is not"):
                outcome.describe(
                    index,
                    "A1",
                    f"Record {number} was acknowledged at offset {offset} of {final.name}; there is "
                    f"{_what(final, offset)}, while the record stands elsewhere in {in_log[number]}.",
                    seen(row, _around(final, offset)),
                    index.span(number),
                    row.at_ms,
                )
    return outcome


def no_failed_write(index: Index) -> Outcome:
    """G1a: no send that was reported as certainly not written is in the log."""
    outcome = Outcome()
    for number, row in index.failed.items():
        if row.may_be_written or number not in index.numbered_in_log:
            continue
        cause = f"{row.error} was taken for proof that nothing was written"
        if outcome.wants(BROKEN, cause):
            outcome.describe(
                index,
                "G1a",
                f"Record {number} failed with {row.error} as certainly not written, and is in "
                f"{index.numbered_in_log[number]}.",
                seen(index.sent.get(number), row),
                index.span(number),
                row.at_ms,
            )
    return outcome


def sent_before(index: Index) -> Outcome:
    """A2: no record comes from nowhere, and none is in another partition than it was sent to."""
    outcome = Outcome()
    if not index.sent_count:
        return outcome
    sent = index.sent
    for name, final in index.finals.items():
        topic, partition = name
        for place, number in enumerate(final.numbers):
            if number < 0:
                continue
            row = sent.get(number)
            if row is not None and row[3] == topic and (row[4] == partition or row[4] < 0):
                continue
            cause = "nobody sent it" if row is None else "it was sent to another partition"
            if outcome.wants(BROKEN, cause):
                offset = final.offsets[place]
                outcome.describe(
                    index,
                    "A2",
                    f"Record {number} is at offset {offset} of {name}, but "
                    + ("nobody sent it." if row is None else f"it was sent to {row.topic}-{row.partition}."),
                    seen(row, _around(final, offset)),
                    index.span(number),
                    0 if row is None else row.at_ms,
                )
    return outcome


class Readings(NamedTuple):
    """What is wrong with what readers got: (row, record, the offset that should have come next)."""

    dirty: list[tuple[Read, ReadRecord, int]]
    back: list[tuple[Read, ReadRecord, int]]
    skipping: list[tuple[Read, ReadRecord, int]]


def readings(index: Index) -> Readings:
    """One pass over all reads. A poll that equals a stretch of the log is done with at one comparison."""
    found = Readings([], [], [])
    finals = index.finals
    expected_of: dict[tuple[object, ...], int] = {}
    final_of: dict[tuple[object, ...], FinalLog | None] = {}
    for row in index.reading:
        reader = row[1:4]
        if isinstance(row, Assigned):
            expected_of[reader] = row.offset
            continue
        records = row[4]
        if not records:
            continue
        if reader not in final_of:
            final_of[reader] = finals.get(TopicPartition(row.topic, row.partition))
        final = final_of[reader]
        expected = expected_of.get(reader, -1)
        first_offset = records[0][0]
        if final is not None and final.is_rising:
            place = final.index_at.get(first_offset)
            if place is not None and final.records[place : place + len(records)] == records:
                if expected != first_offset and expected >= 0:
                    _follow(found, row, records[0], expected, final)
                expected_of[reader] = records[-1][0] + 1
                continue
        for record in records:
            if expected >= 0 and record[0] != expected:
                _follow(found, row, record, expected, final)
            if final is not None and record[0] >= final.log.log_start_offset and not _is_in(final, record):
                found.dirty.append((row, record, expected))
            expected = record[0] + 1
        expected_of[reader] = expected
    return found


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
    known = final.records[place]
    return known[2] == number and (leader_epoch < 0 or known[1] == leader_epoch)


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
                f"{name}; in the end there is {_what(final, offset)}.",
                seen(_got(row, (offset, leader_epoch, number)), _around(final, offset)),
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


def it_recovers(index: Index) -> Outcome:
    """H13: after healing every send has an end, every partition a leader, and every replica is in sync."""
    outcome = Outcome()
    end = index.end
    if end is None or not end.healed:
        outcome.not_checkable = "the run did not end healed"
        return outcome
    for number, row in index.sent.items():
        if number not in index.acked and number not in index.failed:
            if outcome.wants(BROKEN, "a send never got its end"):
                sentence = f"Record {number} of producer {row.producer!r} was neither acknowledged nor failed."
                outcome.describe(
                    index, "H13", sentence, seen(row, end), (index.position(row), len(index.rows)), end.at_ms
                )
    newest: dict[TopicPartition, LeaderChanged] = {}
    for changed in index.leader_rows:
        newest[TopicPartition(changed.topic, changed.partition)] = changed
    for name, changed in newest.items():
        missing = [broker for broker in index.logs.get(name, {}) if broker not in changed.in_sync_replicas]
        if changed.leader >= 0 and not missing:
            continue
        if outcome.wants(BROKEN, "a partition did not recover"):
            state = "has no leader" if changed.leader < 0 else f"lacks {missing} in its in-sync replicas"
            place = index.position(changed)
            outcome.describe(index, "H13", f"{name} {state}.", seen(changed, end), (place, len(index.rows)), end.at_ms)
    return outcome


def _what(final: FinalLog, offset: int) -> str:
    place = final.index_at.get(offset)
    if place is None:
        return "nothing"
    return f"record {final.numbers[place]} (leader_epoch {final.records[place][1]})"


def _around(final: FinalLog, offset: int) -> dict[str, object]:
    """The final log as a witness: the batch at `offset`, if there is one."""
    place = final.index_at.get(offset)
    batches = (final.batch_of(place),) if place is not None else ()
    return log_witness(final.log, *batches)


def _got(row: Read, record: ReadRecord) -> Read:
    """`row` with the one record that matters."""
    return row._replace(records=(record,))
