"""What the replicas of a partition say to each other: leaders, whole batches, marks, agreement."""

from __future__ import annotations

from typing import TypeAlias

from eventlog.check.ends import odd_acks
from eventlog.check.final import FinalLog, straight_end
from eventlog.check.history import LeaderChanged, Log, LogBatch
from eventlog.check.index import Index, log_witness, seen
from eventlog.check.losses import every_copy_lost, unclean_election
from eventlog.check.promises import BROKEN, EXCUSED, UNCLEAN_ELECTION
from eventlog.check.verdict import Outcome
from eventlog.values import MAX_SEQUENCE, TopicPartition

Identity: TypeAlias = tuple[int, int, int, int, int]
"""What makes a record this record: (leader_epoch, producer_id, producer_epoch, its own sequence, send_number)."""

Misplaced: TypeAlias = list[tuple[LogBatch | None, str]]
"""Batches that don't lie where the log says, with what was expected; None for the log's end."""


def alike(index: Index) -> dict[int, Log]:
    """For every replica, by the id of its Log row, the first replica of the partition with the same batches."""
    found: dict[int, Log] = {}
    for replicas in index.logs.values():
        different: list[Log] = []
        for log in replicas.values():
            first = next((other for other in different if other.batches == log.batches), log)
            found[id(log)] = first
            if first is log:
                different.append(log)
    return found


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
            epochs = [batch[1] for batch in log.batches]
            if epochs == sorted(epochs):
                continue
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
    odd = index.memo(odd_acks)
    if odd:
        for name, final in index.finals.items():
            for batch in final.batches:
                if batch[2] >= 0 and batch[4] >= 0:
                    whole.setdefault((*name, batch[2], batch[3], batch[4]), batch)
    for row in odd:
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


def _misplaced(log: Log, final: FinalLog) -> Misplaced:
    found: Misplaced = []
    if log.batches and 0 <= log.batches[0][0] <= log.log_start_offset:
        laid_out = log is final.log and final.is_straight
        if log.log_end_offset == (final.offsets[-1] + 1 if laid_out else straight_end(log.batches)):
            return found
    end_offset: int | None = None
    for batch in log.batches:
        base_offset, numbers = batch[0], batch[5]
        if base_offset != end_offset or not numbers:
            if not numbers:
                found.append((batch, "at least one record"))
            elif end_offset is not None and (base_offset < end_offset or base_offset > log.log_start_offset):
                # Below log_start_offset a hole is nobody's business: a replica may have been cut there.
                found.append((batch, f"offset {end_offset}"))
            elif end_offset is None and (base_offset > log.log_start_offset or base_offset < 0):
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
        excuse = every_copy_lost(index, name, offset, 0) or (
            UNCLEAN_ELECTION if unclean_election(index, name, 0) else ""
        )
        cause = excuse or "two replicas hold different records as committed"
        if outcome.wants(EXCUSED if excuse else BROKEN, cause):
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
    if index.memo(alike)[id(one)] is index.memo(alike)[id(other)]:
        return None
    shared = _shared_batches(index, one, other) or 0
    return _lowest_difference(_records(one, shared), _records(other, shared), low, high)


def _lowest_difference(left: dict[int, Identity], right: dict[int, Identity], low: int, high: int) -> int | None:
    return min((at for at in left | right if low <= at < high and left.get(at) != right.get(at)), default=None)


def misplaced(index: Index) -> dict[int, Misplaced]:
    """For every replica, by the id of its Log row, the batches that don't lie where they should."""
    found: dict[int, Misplaced] = {}
    first_of = index.memo(alike)
    for name, replicas in index.logs.items():
        for log in replicas.values():
            first = first_of[id(log)]
            same_marks = (first.log_start_offset, first.log_end_offset) == (log.log_start_offset, log.log_end_offset)
            found[id(log)] = (
                found[id(first)] if first is not log and same_marks else _misplaced(log, index.finals[name])
            )
    return found


def _shared_batches(index: Index, one: Log, other: Log) -> int | None:
    """How many batches two replicas share from the beginning; None when batches overlap, so that this says nothing."""
    crooked = index.memo(misplaced)
    if crooked[id(one)] or crooked[id(other)]:
        return None
    if index.memo(alike)[id(one)] is index.memo(alike)[id(other)]:
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
