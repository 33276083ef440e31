"""What the committed log of a partition says by itself: copies, order, sequences, producer epochs."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.check.excuses import Place, is_start, takes_any_first, was_forgotten, writing_cause
from eventlog.check.final import FinalLog
from eventlog.check.history import LogBatch
from eventlog.check.index import Index, log_witness, seen
from eventlog.check.promises import BROKEN, EXCUSED, EXPIRED, LOG_START_MOVED, UNKNOWN_PRODUCER
from eventlog.check.verdict import Outcome
from eventlog.values import MAX_SEQUENCE


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


def _is_in_step(index: Index, final: FinalLog) -> bool:
    """True when every producer's batches follow one another from the start, and its epochs never go back."""
    newest: dict[int, tuple[int, int]] = {}
    last_id = last_epoch = expected = -1
    for _, _, producer_id, producer_epoch, base_sequence, numbers in final.batches:
        if producer_id < 0 or base_sequence < 0:
            continue
        if producer_id != last_id or producer_epoch != last_epoch:
            newest[last_id] = (last_epoch, expected)
            known = newest.get(producer_id)
            if known is None or producer_epoch > known[0]:
                if not is_start(index, base_sequence):
                    return False
            elif known != (producer_epoch, base_sequence):
                return False
            last_id, last_epoch = producer_id, producer_epoch
        elif base_sequence != expected:
            return False
        expected = (base_sequence + len(numbers)) & MAX_SEQUENCE
    return True


def steps(index: Index) -> Steps:
    """One pass over the committed batches that have sequences, remembering per (producer_id, producer_epoch)."""
    found = Steps([], [], [])
    for final in index.finals.values():
        if _is_in_step(index, final):
            continue
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
                    found.gaps.append(_no_start(index, final, batch, top))
                newest[who] = (after, batch)
            elif base_sequence == known[0]:
                newest[who] = (after, batch)
            elif (producer_id, producer_epoch, base_sequence) in at_sequence:
                before = at_sequence[(producer_id, producer_epoch, base_sequence)]
                found.twice.append(
                    Step(final, batch, before, _excuse(index, final, before, batch), "was appended before")
                )
            else:
                came = f"came where sequence {known[0]} was next"
                found.gaps.append(Step(final, batch, known[1], _excuse(index, final, known[1], batch), came))
                if (base_sequence - known[0]) & MAX_SEQUENCE < 1 << 30:
                    newest[who] = (after, batch)
            at_sequence[(producer_id, producer_epoch, base_sequence)] = batch
            if top is None or producer_epoch > top[3]:
                highest[producer_id] = batch
            elif producer_epoch < top[3]:
                excuse = _excuse(index, final, top, batch)
                found.fenced.append(Step(final, batch, top, excuse, f"came after epoch {top[3]}"))
    return found


def _excuse(index: Index, final: FinalLog, before: LogBatch, batch: LogBatch) -> str:
    return EXPIRED if was_forgotten(index, final.name, before, batch) else ""


def _no_start(index: Index, final: FinalLog, batch: LogBatch, top: LogBatch | None) -> Step:
    """A (producer_id, producer_epoch) that does not begin at the start. Only an unknown producer may."""
    if final.log.log_start_offset > 0:
        return Step(final, batch, top, LOG_START_MOVED, "is the first that is left")
    if top is None:
        excuse = UNKNOWN_PRODUCER if takes_any_first(index) else ""
        return Step(final, batch, None, excuse, "is its first in this partition")
    excuse = _excuse(index, final, top, batch)
    return Step(final, batch, top, excuse, "is the first of its epoch, though the producer was known")


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


def _in_logs(first: Place, second: Place) -> tuple[dict[str, object], ...]:
    """Two places as witnesses: one row when they are in one log."""
    if first.final is second.final:
        batches = (first.batch, second.batch) if first.batch is not second.batch else (first.batch,)
        return (log_witness(first.final.log, *batches),)
    return log_witness(first.final.log, first.batch), log_witness(second.final.log, second.batch)
