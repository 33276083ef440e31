"""Why a record stands where it should not: the causes of copies and of broken order, computed from the rows."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.check.final import FinalLog
from eventlog.check.history import Acked, Failed, Fault, Forgot, LogBatch
from eventlog.check.index import Index
from eventlog.check.promises import (
    BROKEN,
    EFFECTS_OF,
    EXCUSED,
    EXPIRED,
    FORGETS,
    IDEMPOTENT_WRITERS,
    LATE_COPY,
    LIBRDKAFKA,
    MEMORY_LOST,
    NOBODY_PROMISED_ORDER,
    NOT_PROMISED,
    ONE_BATCH_MEMORY,
    RAISED_ELSEWHERE,
    UNKNOWN_PRODUCER,
    WINDOW_PASSED,
)
from eventlog.values import TopicPartition

OUT_OF_ORDER = "OUT_OF_ORDER_SEQUENCE_NUMBER"
REMEMBERED_BATCHES = 5


class Cause(NamedTuple):
    """Whether a breach is broken, excused or was not promised, and by what it came."""

    status: str
    cause: str


class Place(NamedTuple):
    """Where a record stands: in which final log, at which offset, in which batch."""

    final: FinalLog
    offset: int
    batch: LogBatch


def is_start(index: Index, base_sequence: int) -> bool:
    """True when a producer epoch may begin with this sequence."""
    return base_sequence == 0 or (index.run is not None and base_sequence == index.run.initial_sequence)


def takes_any_first(index: Index) -> bool:
    """True when a broker takes any first sequence from a producer it does not know, as Kafka does."""
    return index.run is None or index.run.unknown_producer_first_sequence != "zero"


def first_batches(index: Index) -> dict[tuple[TopicPartition, int], LogBatch]:
    """The first committed batch of every producer_id in every partition, by (partition, producer_id)."""
    firsts: dict[tuple[TopicPartition, int], LogBatch] = {}
    for name, final in index.finals.items():
        for batch in final.batches:
            if batch[2] >= 0 and batch[4] >= 0:
                firsts.setdefault((name, batch[2]), batch)
    return firsts


def is_before_an_unknowns_first(index: Index, name: TopicPartition, row: Acked) -> bool:
    """True when the partition's first batch of this producer epoch begins above the start, and behind `row`'s batch.

    The broker took that one as an unknown producer's first, so `row`'s was refused and can't be written any more.
    """
    first = index.memo(first_batches).get((name, row.producer_id))
    return (
        first is not None
        and first[3] == row.producer_epoch
        and not is_start(index, first[4])
        and 0 <= row.base_sequence < first[4]
        and takes_any_first(index)
        and index.finals[name].log.log_start_offset <= 0
    )


def leaders_by_epoch(index: Index) -> dict[tuple[str, int, int], int]:
    """Who led, by (topic, partition, leader_epoch)."""
    return {(row.topic, row.partition, row.leader_epoch): row.leader for row in index.leader_rows if row.leader >= 0}


def was_forgotten(index: Index, name: TopicPartition, earlier: LogBatch, later: LogBatch) -> bool:
    """True when the broker that took `later` had forgotten its producer, for its age, since `earlier` was written."""
    for row in index.forgot_rows:
        if row.why != "expired" or (row.topic, row.partition) != name or later[2] not in row.producer_ids:
            continue
        if row.broker != index.memo(leaders_by_epoch).get((*name, later[1]), row.broker):
            continue
        if row.log_end_offset >= 0:
            if earlier[0] < row.log_end_offset <= later[0]:
                return True
        elif not later[5] or index.position(row) <= index.span(later[5][0])[1]:
            return True
    return False


def writing_cause(index: Index, number: int, earlier: Place, later: Place) -> Cause:
    """Why a record stands at `later`, which should not be there because of what stands at `earlier` in the log.

    Used for copies (both places hold the record) and for broken order (`earlier` holds a later send).
    """
    _, _, first_id, first_epoch, first_sequence, _ = earlier.batch
    _, _, second_id, second_epoch, second_sequence, _ = later.batch
    writer = index.run.writer if index.run is not None else None
    if first_id < 0 and second_id < 0:
        if writer in IDEMPOTENT_WRITERS:
            return Cause(BROKEN, "no producer id: an idempotent writer wrote as a plain one")
        return Cause(NOT_PROMISED, f"no producer id: {NOBODY_PROMISED_ORDER}")
    if first_id < 0 or second_id < 0:
        return Cause(BROKEN, "one was written with a producer id, the other without")
    if earlier.final is not later.final:
        return Cause(BROKEN, "the client wrote the record to two partitions")
    if first_id == second_id and was_forgotten(index, later.final.name, earlier.batch, later.batch):
        return Cause(EXCUSED, EXPIRED)
    if first_id == second_id and first_epoch == second_epoch:
        who = f"(producer_id {first_id}, epoch {first_epoch}, sequence {second_sequence})"
        if first_sequence == second_sequence:
            return Cause(BROKEN, f"the broker did not recognise {who}")
        if second_sequence < first_sequence:
            return Cause(BROKEN, f"the broker took {who} after sequence {first_sequence}")
        return Cause(BROKEN, f"the client gave the record a later sequence than its send had: {who}")
    if first_id == second_id and second_epoch < first_epoch:
        return Cause(BROKEN, f"the broker took epoch {second_epoch} of producer_id {first_id} after {first_epoch}")
    return _raised_epoch(index, number, earlier, later)


def _raised_epoch(index: Index, number: int, earlier: Place, later: Place) -> Cause:
    """The client raised its epoch, or took a new id, and wrote again. It does so when a broker answers 45."""
    first_id, first_epoch = earlier.batch[2], earlier.batch[3]
    first = index.memo(first_batches).get((earlier.final.name, first_id))
    if first is not None and first[3] == first_epoch and not is_start(index, first[4]):
        if earlier.final.log.log_start_offset <= 0 and takes_any_first(index):
            return Cause(EXCUSED, UNKNOWN_PRODUCER)
    begun, ended = index.span(number)
    if index.run is not None and index.run.client == LIBRDKAFKA:
        end = index.acked.get(number) or index.failed.get(number)
        given_up = _given_up(index, number, end, begun, ended)
        if any(_may_be_beside(row, end) and any(0 <= n < number for n in row.send_numbers) for row in given_up):
            return Cause(EXCUSED, LATE_COPY)
        is_elsewhere = any(end is None or not _may_be_beside(row, end) for row in given_up)
        if is_elsewhere or _was_refused_elsewhere(index, earlier, begun, ended):
            return Cause(EXCUSED, RAISED_ELSEWHERE)
    for place, *whose in index.memo(_refused_as_too_old):
        if begun <= place <= ended and whose == [earlier.final.name, first_id, first_epoch]:
            return Cause(EXCUSED, WINDOW_PASSED)
    for place in index.memo(_restarts):
        if begun <= place <= ended:
            if index.run is not None and index.run.producer_snapshot_batches == 1:
                return Cause(EXCUSED, ONE_BATCH_MEMORY)
            return Cause(BROKEN, MEMORY_LOST)
    if first_id == later.batch[2]:
        return Cause(BROKEN, f"the client raised its epoch from {first_epoch} to {later.batch[3]} and wrote again")
    return Cause(BROKEN, f"the client took a new producer id ({later.batch[2]} after {first_id}) and wrote again")


def _given_up(index: Index, number: int, end: Acked | Failed | None, begun: int, ended: int) -> list[Failed]:
    """While a send was under way, which others of its producer were given up unanswered. `end`: its own."""
    sent = index.sent.get(number)
    return [
        row
        for row in index.failed_rows
        if row.may_be_written
        and row is not end
        and sent is not None
        and row.producer == sent.producer
        and begun <= index.position(row) <= ended
    ]


def _may_be_beside(row: Failed, end: Acked | Failed | None) -> bool:
    """Is it of the partition of the send with this end? Nobody knows where one without an end went."""
    return end is None or (row.topic, row.partition) == (end.topic, end.partition)


def _was_refused_elsewhere(index: Index, earlier: Place, begun: int, ended: int) -> bool:
    """True when, while a send was under way, another partition refused a batch of its producer epoch out of order."""
    return any(
        row.error == OUT_OF_ORDER
        and begun <= index.position(row) <= ended
        and (row.producer_id, row.producer_epoch) == earlier.batch[2:4]
        and TopicPartition(row.topic, row.partition) != earlier.final.name
        for row in index.refused_rows
    )


def _refused_as_too_old(index: Index) -> list[tuple[int, TopicPartition, int, int]]:
    """(place, partition, producer_id, producer_epoch) of refusals of a batch that was there, behind five newer ones.

    Only where the client may have had more than five under way without a fault of its own: leadership had moved (its
    limit is one connection's), or an answer had called a written batch an error, so that others were acknowledged first.
    """
    found = []
    for row in index.refused_rows:
        name, place = TopicPartition(row.topic, row.partition), index.position(row)
        final = index.finals.get(name)
        if final is None or row.error != OUT_OF_ORDER or not _may_exceed(index, name, place):
            continue
        mine = [
            batch[4]
            for batch in final.batches
            if batch[2:4] == (row.producer_id, row.producer_epoch) and batch[4] >= 0 and batch[0] < row.log_end_offset
        ]
        if row.base_sequence in mine[:-REMEMBERED_BATCHES]:
            found.append((place, name, row.producer_id, row.producer_epoch))
    return found


def _may_exceed(index: Index, name: TopicPartition, place: int) -> bool:
    """True when, before `place`, the partition's leader had changed or an answer was an error after all."""
    leaders = [
        row.leader
        for row in index.leader_rows
        if (row.topic, row.partition) == name and row.leader >= 0 and index.position(row) < place
    ]
    if any(leader != leaders[0] for leader in leaders):
        return True
    return any(
        type(row) is Fault and row.fault == "error_after_append" and at < place for at, row in index.interruptions()
    )


def _restarts(index: Index) -> list[int]:
    """The places at which a broker was restarted, or told what it had forgotten by that."""
    return [
        place
        for place, row in index.interruptions()
        if (type(row) is Fault and (row.fault == "restart" or FORGETS in EFFECTS_OF.get(row.fault, ())))
        or (type(row) is Forgot and row.why != "expired")
    ]
