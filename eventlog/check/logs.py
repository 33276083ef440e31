"""What the logs say by themselves and to each other: copies, order, gaps, epochs, agreement of replicas."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from eventlog.check.excuses import Place, every_copy_lost, is_start, writing_cause
from eventlog.check.history import LeaderChanged, Log, LogBatch
from eventlog.check.index import FinalLog, Index, log_witness, seen
from eventlog.check.promises import BROKEN, EVERY_COPY_LOST, EXCUSED, LOG_START_MOVED, UNKNOWN_PRODUCER
from eventlog.check.verdict import Outcome
from eventlog.values import MAX_SEQUENCE, TopicPartition

Identity: TypeAlias = tuple[int, int, int, int, int]
"""What makes a record this record: (leader_epoch, producer_id, producer_epoch, its own sequence, send_number)."""


class Copy(NamedTuple):
    """A record that stands in the log once more: its first place and the extra one."""

    number: int
    first: Place
    extra: Place


def copies(index: Index) -> list[Copy]:
    """Every extra copy of a numbered record in the committed logs, in the order of partitions and offsets."""
    numbered = index.in_log
    for final in index.finals.values():
        if final.numbers and min(final.numbers) < 0:
            numbered -= sum(number < 0 for number in final.numbers)
    if numbered == len(index.numbered_in_log):
        return []
    counts: dict[int, int] = {}
    for final in index.finals.values():
        for number in final.numbers:
            counts[number] = counts.get(number, 0) + 1
    found = []
    firsts: dict[int, Place] = {}
    for final in index.finals.values():
        for at, number in enumerate(final.numbers):
            if number >= 0 and counts[number] > 1:
                place = Place(final, final.offsets[at], final.batch_of(at))
                first = firsts.setdefault(number, place)
                if first is not place:
                    found.append(Copy(number, first, place))
    return found


def no_duplicate(index: Index) -> Outcome:
    """H2: no record stands in the committed log more than once, acknowledged or not."""
    outcome = Outcome()
    for number, first, extra in index.memo(copies):
        status, cause = writing_cause(index, number, first, extra)
        if outcome.wants(status, cause):
            sent = index.sent.get(number)
            whose = f" of producer {sent.producer!r}" if sent is not None else ""
            again = f"{extra.final.name}@{extra.offset}" if extra.final is not first.final else str(extra.offset)
            outcome.describe(
                index,
                "H2",
                f"Record {number}{whose} is in the log twice: at {first.final.name}@{first.offset} and at {again}.",
                seen(sent, *_in_logs(first, extra)),
                index.span(number),
                0 if sent is None else sent.at_ms,
            )
    return outcome


class Late(NamedTuple):
    """A record behind a later send of its producer: where the later send stands, and where the record does."""

    number: int
    before: Place
    place: Place


def late_records(index: Index) -> list[Late]:
    """Every record whose send_number is lower than the highest of its producer before it in that partition."""
    found: list[Late] = []
    if not index.sent:
        return found
    for final in index.finals.values():
        if final.numbers == sorted(final.numbers):  # rising for all is rising for each
            continue
        highest: dict[str, int] = {}
        highest_at: dict[str, int] = {}
        get = index.sent.get
        for at, number in enumerate(final.numbers):
            sent = get(number)
            if sent is None or number < 0:
                continue
            producer = sent[1]
            top = highest.get(producer, -1)
            if number > top:
                highest[producer] = number
                highest_at[producer] = at
            elif number < top:
                before = highest_at[producer]
                earlier = Place(final, final.offsets[before], final.batch_of(before))
                found.append(Late(number, earlier, Place(final, final.offsets[at], final.batch_of(at))))
    return found


def order(index: Index) -> Outcome:
    """H3: the records of one producer stand in a partition in the order of their sends."""
    outcome = Outcome()
    for number, before, place in index.memo(late_records):
        status, cause = writing_cause(index, number, before, place)
        if outcome.wants(status, cause):
            sent = index.sent[number]
            higher = before.batch[5][before.offset - before.batch[0]]
            outcome.describe(
                index,
                "H3",
                f"Record {number} of producer {sent.producer!r} is at {place.final.name}@{place.offset}, behind "
                f"record {higher} at {before.offset}, which was sent later.",
                seen(sent, *_in_logs(before, place)),
                index.span(number),
                sent.at_ms,
            )
    return outcome


class Step(NamedTuple):
    """A batch that does not follow as it should, and what came before it."""

    final: FinalLog
    batch: LogBatch
    before: LogBatch | None
    excuse: str
    sentence: str


class Steps(NamedTuple):
    """What is wrong with sequences and producer epochs in the committed logs."""

    gaps: list[Step]
    twice: list[Step]
    fenced: list[Step]


def steps(index: Index) -> Steps:
    """One pass over the committed batches that have sequences, remembering per (producer_id, producer_epoch)."""
    found = Steps([], [], [])
    for final in index.finals.values():
        newest: dict[tuple[int, int], tuple[int, LogBatch]] = {}
        highest: dict[int, LogBatch] = {}
        at_sequence: dict[tuple[int, int, int], LogBatch] = {}
        for batch in final.batches:
            _, _, producer_id, producer_epoch, base_sequence, numbers = batch
            if producer_id < 0 or base_sequence < 0:
                continue
            who = (producer_id, producer_epoch)
            top = highest.get(producer_id)
            known = newest.get(who)
            after = (base_sequence + len(numbers)) & MAX_SEQUENCE
            if known is None:
                if not is_start(index, base_sequence):
                    found.gaps.append(_no_start(final, batch, top))
                newest[who] = (after, batch)
            elif base_sequence == known[0]:
                newest[who] = (after, batch)
            elif (producer_id, producer_epoch, base_sequence) in at_sequence:
                before = at_sequence[(producer_id, producer_epoch, base_sequence)]
                found.twice.append(Step(final, batch, before, "", "was appended before"))
            else:
                came = f"came where sequence {known[0]} was next"
                found.gaps.append(Step(final, batch, known[1], "", came))
                if (base_sequence - known[0]) & MAX_SEQUENCE < 1 << 30:
                    newest[who] = (after, batch)
            at_sequence[(producer_id, producer_epoch, base_sequence)] = batch
            if top is None or producer_epoch > top[3]:
                highest[producer_id] = batch
            elif producer_epoch < top[3]:
                found.fenced.append(Step(final, batch, top, "", f"came after epoch {top[3]}"))
    return found


def _no_start(final: FinalLog, batch: LogBatch, top: LogBatch | None) -> Step:
    """A (producer_id, producer_epoch) that does not begin at the start. Only an unknown producer may."""
    if final.log.log_start_offset > 0:
        return Step(final, batch, top, LOG_START_MOVED, "is the first that is left")
    if top is None:
        return Step(final, batch, None, UNKNOWN_PRODUCER, "is its first in this partition")
    return Step(final, batch, top, "", "is the first of its epoch, though the producer was known")


def _step_outcome(index: Index, promise: str, found: list[Step], cause: str) -> Outcome:
    outcome = Outcome()
    for final, batch, before, excuse, sentence in found:
        if outcome.wants(EXCUSED if excuse else BROKEN, excuse or cause):
            base_offset, _, producer_id, producer_epoch, base_sequence, numbers = batch
            number = numbers[0] if numbers else -1
            sent = index.sent.get(number)
            witness = (before, batch) if before is not None else (batch,)
            outcome.describe(
                index,
                promise,
                f"{final.name}@{base_offset}: sequence {base_sequence} of producer {producer_id} (epoch "
                f"{producer_epoch}) {sentence}.",
                seen(sent, log_witness(final.log, *witness)),
                index.span(number),
                0 if sent is None else sent.at_ms,
            )
    return outcome


def no_gap(index: Index) -> Outcome:
    """H4: sequences of a (producer_id, producer_epoch) begin at the start and each batch follows the one before."""
    return _step_outcome(index, "H4", index.memo(steps).gaps, "the broker took a batch that does not follow")


def no_sequence_twice(index: Index) -> Outcome:
    """I11: no two batches share (producer_id, producer_epoch, base_sequence)."""
    return _step_outcome(index, "I11", index.memo(steps).twice, "the broker did not recognise a retry")


def fencing(index: Index) -> Outcome:
    """H9: a producer_id's epochs never go back along a log."""
    return _step_outcome(index, "H9", index.memo(steps).fenced, "the broker took a fenced epoch")


def one_leader(index: Index) -> Outcome:
    """H8: one leader to a leader_epoch; leader epochs go back neither at the controller nor along a log."""
    outcome = Outcome()
    leaders: dict[tuple[str, int, int], LeaderChanged] = {}
    newest: dict[tuple[str, int], LeaderChanged] = {}
    for row in index.leader_rows:
        before = newest.get((row.topic, row.partition))
        if before is not None and row.leader_epoch < before.leader_epoch:
            if outcome.wants(BROKEN, "a leader_epoch went back"):
                sentence = (
                    f"leader_epoch {row.leader_epoch} of {row.topic}-{row.partition} came after {before.leader_epoch}."
                )
                outcome.describe(index, "H8", sentence, seen(before, row), _span(index, before, row), row.at_ms)
        newest[(row.topic, row.partition)] = row
        if row.leader >= 0:
            first = leaders.setdefault((row.topic, row.partition, row.leader_epoch), row)
            if first.leader != row.leader and outcome.wants(BROKEN, "two leaders in one leader_epoch"):
                sentence = (
                    f"leader_epoch {row.leader_epoch} of {row.topic}-{row.partition} had two leaders: "
                    f"{first.leader} and {row.leader}."
                )
                outcome.describe(index, "H8", sentence, seen(first, row), _span(index, first, row), row.at_ms)
    for name, replicas in index.logs.items():
        for log in replicas.values():
            for earlier, later in zip(log.batches, log.batches[1:], strict=False):
                if later[1] < earlier[1] and outcome.wants(BROKEN, "leader epochs go back along a log"):
                    sentence = (
                        f"{name}@{later[0]} on broker {log.broker} is of leader_epoch {later[1]}, "
                        f"behind one of {earlier[1]}."
                    )
                    witness = seen(log_witness(log, earlier, later))
                    outcome.describe(index, "H8", sentence, witness, (0, index.position(log)), log.at_ms)
    return outcome


def _span(index: Index, first: LeaderChanged, second: LeaderChanged) -> tuple[int, int]:
    return index.position(first), index.position(second)


def whole_batches(index: Index) -> Outcome:
    """H11: in every replica each batch lies right behind the one before; what was acknowledged is in the log whole."""
    outcome = Outcome()
    cause = "a log has a hole or an overlap"
    for name, replicas in index.logs.items():
        for log in replicas.values():
            for batch, expected in index.memo(misplaced)[id(log)]:
                if outcome.wants(BROKEN, cause):
                    found = (
                        f"a batch of {len(batch[5])} at {batch[0]}"
                        if batch is not None
                        else f"end {log.log_end_offset}"
                    )
                    sentence = f"{name} on broker {log.broker}: {found}, where {expected} was to come."
                    witness = seen(log_witness(log, *((batch,) if batch is not None else ())))
                    outcome.describe(index, "H11", sentence, witness, (0, index.position(log)), log.at_ms)
    whole: dict[tuple[str, int, int, int, int], LogBatch] = {}
    if index.acked_rows:
        for name, final in index.finals.items():
            for batch in final.batches:
                if batch[2] >= 0 and batch[4] >= 0:
                    whole.setdefault((*name, batch[2], batch[3], batch[4]), batch)
    for row in index.acked_rows:
        known = whole.get((row[2], row[3], row[6], row[7], row[8]))
        if known is not None and known[5] != row[5]:
            if outcome.wants(BROKEN, "a batch in the log is not the batch that was acknowledged"):
                final = index.finals[TopicPartition(row.topic, row.partition)]
                sentence = (
                    f"Sequence {row.base_sequence} of producer {row.producer_id} (epoch {row.producer_epoch}) was "
                    f"acknowledged for {len(row.send_numbers)} records; in the log it stands for other {len(known[5])}."
                )
                place = index.position(row)
                outcome.describe(
                    index, "H11", sentence, seen(row, log_witness(final.log, known)), (0, place), row.at_ms
                )
    return outcome


def _misplaced(log: Log) -> list[tuple[LogBatch | None, str]]:
    """Batches that don't lie where the log says, with what was expected; None for the log's end."""
    found: list[tuple[LogBatch | None, str]] = []
    end_offset: int | None = None
    for batch in log.batches:
        base_offset, numbers = batch[0], batch[5]
        if base_offset != end_offset or not numbers:
            if not numbers:
                found.append((batch, "at least one record"))
            elif end_offset is not None:
                found.append((batch, f"offset {end_offset}"))
            elif base_offset > log.log_start_offset or base_offset < 0:
                found.append((batch, f"log_start_offset {log.log_start_offset}"))
        end_offset = base_offset + len(numbers)
    if end_offset is None:
        end_offset = log.log_start_offset
    if log.log_end_offset != end_offset:
        found.append((None, str(end_offset)))
    return found


def marks_in_order(index: Index) -> Outcome:
    """I3: log_start_offset <= high_watermark <= log_end_offset on every replica."""
    outcome = Outcome()
    for name, replicas in index.logs.items():
        for log in replicas.values():
            if log.log_start_offset <= log.high_watermark <= log.log_end_offset:
                continue
            if outcome.wants(BROKEN, "a replica's marks are out of order"):
                sentence = (
                    f"{name} on broker {log.broker}: log_start_offset {log.log_start_offset}, high_watermark "
                    f"{log.high_watermark}, log_end_offset {log.log_end_offset}."
                )
                outcome.describe(index, "I3", sentence, seen(log_witness(log)), (0, index.position(log)), log.at_ms)
    return outcome


def _pairs(index: Index) -> list[tuple[TopicPartition, Log, Log]]:
    """Every two replicas of every partition."""
    return [
        (name, one, other)
        for name, replicas in index.logs.items()
        for place, one in enumerate(replicas.values())
        for other in list(replicas.values())[place + 1 :]
    ]


def replicas_agree(index: Index) -> Outcome:
    """H7: two replicas hold the same below the high_watermark of both. Every pair counts once."""
    outcome = Outcome()
    for name, one, other in _pairs(index):
        high = min(one.high_watermark, other.high_watermark)
        offset = first_difference(index, one, other, max(one.log_start_offset, other.log_start_offset), high)
        if offset is None:
            continue
        excused = every_copy_lost(index, name, offset, 0)
        cause = EVERY_COPY_LOST if excused else "two replicas hold different records as committed"
        if outcome.wants(EXCUSED if excused else BROKEN, cause):
            sentence = (
                f"{name}@{offset}: brokers {one.broker} and {other.broker} hold different things below their "
                f"high_watermarks {one.high_watermark} and {other.high_watermark}."
            )
            witness = seen(_at(one, offset), _at(other, offset))
            outcome.describe(index, "H7", sentence, witness, (0, len(index.rows)), one.at_ms)
    return outcome


def logs_match(index: Index) -> Outcome:
    """I5: where two replicas have a record of the same leader_epoch at the same offset, all up to there is the same."""
    outcome = Outcome()
    for name, one, other in _pairs(index):
        shared = _shared_batches(index, one, other)
        if shared is not None and shared == min(len(one.batches), len(other.batches)):
            continue
        left, right = _records(one, shared or 0), _records(other, shared or 0)
        low = max(one.log_start_offset, other.log_start_offset)
        common = [at for at, record in left.items() if at >= low and at in right and right[at][0] == record[0]]
        if not common:
            continue
        offset = _lowest_difference(left, right, low, max(common) + 1)
        if offset is not None and outcome.wants(BROKEN, "one leader_epoch stands for two contents"):
            sentence = (
                f"{name}@{offset}: brokers {one.broker} and {other.broker} differ here, though they share the "
                f"leader_epoch at {max(common)}."
            )
            witness = seen(_at(one, offset), _at(other, offset))
            outcome.describe(index, "I5", sentence, witness, (0, len(index.rows)), one.at_ms)
    return outcome


def first_difference(index: Index, one: Log, other: Log, low: int, high: int) -> int | None:
    """The lowest offset from `low` up to, not including, `high` at which two replicas differ; None when they don't.

    Batches are compared first, and records one by one only from the first batch that differs.
    """
    if one.batches == other.batches:
        return None
    shared = _shared_batches(index, one, other) or 0
    return _lowest_difference(_records(one, shared), _records(other, shared), low, high)


def _lowest_difference(left: dict[int, Identity], right: dict[int, Identity], low: int, high: int) -> int | None:
    return min((at for at in left | right if low <= at < high and left.get(at) != right.get(at)), default=None)


def misplaced(index: Index) -> dict[int, list[tuple[LogBatch | None, str]]]:
    """For every replica, by the id of its Log row, the batches that don't lie where they should."""
    return {id(log): _misplaced(log) for replicas in index.logs.values() for log in replicas.values()}


def _shared_batches(index: Index, one: Log, other: Log) -> int | None:
    """How many batches two replicas share from the beginning; None when batches overlap, so that this says nothing."""
    crooked = index.memo(misplaced)
    if crooked[id(one)] or crooked[id(other)]:
        return None
    if one.batches == other.batches:
        return len(one.batches)
    for place, (left, right) in enumerate(zip(one.batches, other.batches, strict=False)):
        if left != right:
            return place
    return min(len(one.batches), len(other.batches))


def _records(log: Log, skipped: int) -> dict[int, Identity]:
    """The records of a replica by offset, without those of the first `skipped` batches."""
    records = {}
    for base_offset, leader_epoch, producer_id, producer_epoch, base_sequence, numbers in log.batches[skipped:]:
        for place, number in enumerate(numbers):
            sequence = (base_sequence + place) & MAX_SEQUENCE if base_sequence >= 0 else -1
            records[base_offset + place] = (leader_epoch, producer_id, producer_epoch, sequence, number)
    return records


def _at(log: Log, offset: int) -> dict[str, object]:
    """A replica as a witness: the batch that holds `offset`, if any."""
    holding = [batch for batch in log.batches if batch[0] <= offset < batch[0] + len(batch[5])]
    return log_witness(log, *holding[-1:])


def _in_logs(first: Place, second: Place) -> tuple[dict[str, object], ...]:
    """Two places as witnesses: one row when they are in one log."""
    if first.final is second.final:
        batches = (first.batch, second.batch) if first.batch is not second.batch else (first.batch,)
        return (log_witness(first.final.log, *batches),)
    return log_witness(first.final.log, first.batch), log_witness(second.final.log, second.batch)
