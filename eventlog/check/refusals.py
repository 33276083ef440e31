"""H14: whether a refusal for a producer's sake is what the refusing broker's log says.

What a broker should have answered follows from what lay in its log then: the producer's epoch, its five newest batches,
the next sequence. That part of the log is still there at the end, unless it was cut since; then nobody can tell.

Where the broker had forgotten a part of it (`Forgot`), the answer is judged by what it still knew, and is excused where
its whole log says otherwise. A `Forgot` row without a log_end_offset doesn't say what came before it; then every memory
it may stand for is good enough.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from eventlog.check.excuses import OUT_OF_ORDER, REMEMBERED_BATCHES, takes_any_first
from eventlog.check.final import is_control
from eventlog.check.history import Fault, Forgot, Log, LogBatch, Refused, TailLost, Truncated
from eventlog.check.index import Index, log_witness, seen
from eventlog.check.losses import WIPE, brokers_of
from eventlog.check.promises import BROKEN, EXCUSED, EXPIRED, ONE_BATCH_MEMORY
from eventlog.check.replicas import misplaced
from eventlog.check.verdict import Outcome
from eventlog.values import MAX_SEQUENCE, TopicPartition

ACCEPTED = "an append"
DUPLICATE = "the place of the copy it has"
FENCED = "INVALID_PRODUCER_EPOCH"
NEVER = ("DUPLICATE_SEQUENCE_NUMBER", "UNKNOWN_PRODUCER_ID")
"""No broker answers these any more."""
_NOTHING = -1


class Memory(NamedTuple):
    """What a broker knows of a producer: its epoch, and its newest batches as (first, last) sequence, newest first."""

    producer_epoch: int
    batches: tuple[tuple[int, int], ...]


class Case(NamedTuple):
    """A refusal with all that it is judged by: the log then, and from which offsets on its memory goes.

    `expired_at`: what lies before is forgotten. `rebuilt_at`: of what lies before only the newest is known. -1: never.
    """

    row: Refused
    log: Log
    batches: list[LogBatch]
    expired_at: int
    rebuilt_at: int
    is_exact: bool


def no_false_refusal(index: Index) -> Outcome:
    """H14: a batch is refused for its sequence or its producer epoch only when the log says so."""
    outcome = Outcome()
    unknown = 0
    for row in index.refused_rows:
        expected, excuse = ACCEPTED, ""
        case = None if row.error in NEVER else _case(index, row)
        if case is not None:
            expected, excuse = _expected(index, case)
            if expected == row.error and not excuse:
                continue
        elif row.error not in NEVER:
            unknown += 1
            continue
        cause = excuse or ("no broker answers this any more" if row.error in NEVER else "its log says otherwise")
        if outcome.wants(EXCUSED if excuse else BROKEN, cause):
            known = case.batches[-1:] if case is not None else []
            due = "" if row.error in NEVER else f" Its whole log says: {expected}."
            witness = seen(row, log_witness(case.log, *known)) if case is not None else seen(row)
            outcome.describe(
                index,
                "H14",
                f"Broker {row.broker} refused sequence {row.base_sequence} of producer {row.producer_id} (epoch "
                f"{row.producer_epoch}) on {row.topic}-{row.partition} with {row.error}.{due}",
                witness,
                (0, index.position(row)),
                row.at_ms,
            )
    if unknown:
        text = f"{unknown} of {len(index.refused_rows)} refusals can't be judged: what the log held then is not known"
        index.notes.append(f"H14: {text}.")
        if unknown == len(index.refused_rows):
            outcome.not_checkable = text
    return outcome


def batches_of(index: Index) -> dict[tuple[int, int], list[LogBatch]]:
    """The batches of every producer in every replica's log, markers included, by (id of the Log row, producer_id)."""
    found: dict[tuple[int, int], list[LogBatch]] = {}
    for replicas in index.logs.values():
        for log in replicas.values():
            for batch in log.batches:
                if batch[2] >= 0:
                    found.setdefault((id(log), batch[2]), []).append(batch)
    return found


def _case(index: Index, row: Refused) -> Case | None:
    """What a refusal is judged by; None when the log doesn't show any more what it held then."""
    log = index.logs.get(TopicPartition(row.topic, row.partition), {}).get(row.broker)
    if log is None or row.error not in (OUT_OF_ORDER, FENCED) or log.log_end_offset < row.log_end_offset:
        return None
    if index.memo(misplaced)[id(log)] or (index.run is not None and index.run.writer == "transactional"):
        return None
    place = index.position(row)
    forgets_at_restart = index.run is None or index.run.producer_snapshot_batches == 1
    is_exact = True
    forgot: list[tuple[int, Forgot]] = []
    for other_place, other in index.interruptions():
        if type(other) is Fault:
            if other.fault == WIPE and row.broker in brokers_of(other.target) and other_place > place:
                return None
            continue
        if other[1:4] != row[1:4]:
            continue
        if type(other) is Truncated or type(other) is TailLost:
            if other_place > place and other.from_offset < row.log_end_offset:
                return None
            is_exact = is_exact and not (forgot and other_place < place)
        elif type(other) is Forgot and other_place < place:
            concerned = {"expired": row.producer_id in other.producer_ids, "restart": forgets_at_restart}
            if concerned.get(other.why, True):
                forgot.append((other_place, other))
    mine = index.memo(batches_of).get((id(log), row.producer_id), [])
    batches = mine[: bisect_left(mine, row.log_end_offset, key=_base_offset)]
    if log.log_start_offset > 0 and sum(not is_control(batch) for batch in batches) < REMEMBERED_BATCHES:
        return None
    expired_at = rebuilt_at = _NOTHING
    for forgot_place, forgotten in forgot:
        at = forgotten.log_end_offset
        if at < 0:
            is_exact = False
            at = _first_sent_after(index, batches, forgot_place, row.log_end_offset)
        if forgotten.why == "expired":
            expired_at = max(expired_at, at)
        else:
            rebuilt_at = max(rebuilt_at, at)
            is_exact = is_exact and expired_at < 0  # a log read again may bring back what had expired
    return Case(row, log, batches, expired_at, rebuilt_at, is_exact)


def _base_offset(batch: LogBatch) -> int:
    return batch[0]


def _first_sent_after(index: Index, batches: list[LogBatch], place: int, end_offset: int) -> int:
    """The offset of the first batch that was surely written after a place of the history."""
    for batch in batches:
        sent = index.sent.get(batch[5][0]) if batch[5] else None
        if sent is not None and index.position(sent) > place:
            return batch[0]
    return end_offset


def _expected(index: Index, case: Case) -> tuple[str, str]:
    """What the log says is due, and the excuse when that is not the answer but what the broker still knew is."""
    whole, rebuilt, remembered = (
        _answer(case.row, remember(case.batches, *forgotten), takes_any_first(index))
        for forgotten in (
            (_NOTHING, _NOTHING),
            (_NOTHING, case.rebuilt_at),
            (case.expired_at, case.rebuilt_at),
        )
    )
    error = case.row.error
    if whole == error and (remembered == error or not case.is_exact):
        return whole, ""
    if rebuilt == error and (remembered == error or not case.is_exact):
        return whole, ONE_BATCH_MEMORY
    if remembered == error:
        return whole, EXPIRED
    return remembered if whole == error else whole, ""


def remember(batches: list[LogBatch], expired_at: int, rebuilt_at: int) -> Memory | None:
    """What is known of a producer whose batches these are; None when it is unknown."""
    epoch: int | None = None
    known: list[tuple[int, int]] = []
    newer = rebuilt_at
    for base_offset, _, _, producer_epoch, base_sequence, numbers in reversed(batches):
        if base_offset < expired_at or (epoch is not None and producer_epoch != epoch):
            break
        epoch = producer_epoch
        if base_sequence < 0:
            continue  # a marker tells the epoch only
        if newer < rebuilt_at or len(known) == REMEMBERED_BATCHES:
            break
        known.append((base_sequence, (base_sequence + len(numbers) - 1) & MAX_SEQUENCE))
        newer = base_offset
    return None if epoch is None else Memory(epoch, tuple(known))


def _answer(row: Refused, memory: Memory | None, any_first: bool) -> str:
    """The broker's decision on a batch, by Kafka's table."""
    sequence = row.base_sequence
    if memory is None:
        return ACCEPTED if any_first or sequence == 0 else OUT_OF_ORDER
    last_sequence = (sequence + row.record_count - 1) & MAX_SEQUENCE
    if row.producer_epoch == memory.producer_epoch and (sequence, last_sequence) in memory.batches:
        return DUPLICATE
    if row.producer_epoch < memory.producer_epoch:
        return FENCED
    if memory.producer_epoch < 0:
        return ACCEPTED
    if row.producer_epoch == memory.producer_epoch and memory.batches:
        return ACCEPTED if sequence == (memory.batches[0][1] + 1) & MAX_SEQUENCE else OUT_OF_ORDER
    return ACCEPTED if sequence == 0 else OUT_OF_ORDER
