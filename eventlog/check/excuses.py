"""Why it happened: the causes of copies and of broken order, and the excuses of losses, computed from the rows."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.check.history import Fault, LeaderChanged, LogBatch, TailLost
from eventlog.check.index import FinalLog, Index
from eventlog.check.promises import (
    BROKEN,
    EVERY_COPY_LOST,
    EXCUSED,
    IDEMPOTENT_WRITERS,
    LEADER_MOVED,
    LOG_START_MOVED,
    NOBODY_PROMISED_ACKS_0,
    NOBODY_PROMISED_ORDER,
    NOT_PROMISED,
    ONE_BATCH_MEMORY,
    UNKNOWN_PRODUCER,
    WATERMARK_BEHIND,
)
from eventlog.values import TopicPartition

_MEMORY_LOST = "the broker that judged the retry had lost its memory of all but the newest batch"
_OUT_OF_REACH = ("crash", "crash_losing_tail", "pause", "isolate", "cut", "cut_one_way")
_RESTARTS = ("crash", "crash_losing_tail", "restart")


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


def first_batches(index: Index) -> dict[tuple[TopicPartition, int], LogBatch]:
    """The first committed batch of every producer_id in every partition, by (partition, producer_id)."""
    firsts: dict[tuple[TopicPartition, int], LogBatch] = {}
    for name, final in index.finals.items():
        for batch in final.batches:
            if batch[2] >= 0 and batch[4] >= 0:
                firsts.setdefault((name, batch[2]), batch)
    return firsts


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
        if earlier.final.log.log_start_offset <= 0:
            return Cause(EXCUSED, UNKNOWN_PRODUCER)
    begun, ended = index.span(number)
    for place in index.memo(_restarts):
        if begun <= place <= ended:
            if index.run is not None and index.run.producer_snapshot_batches == 1:
                return Cause(EXCUSED, ONE_BATCH_MEMORY)
            return Cause(BROKEN, _MEMORY_LOST)
    if first_id == later.batch[2]:
        return Cause(BROKEN, f"the client raised its epoch from {first_epoch} to {later.batch[3]} and wrote again")
    return Cause(BROKEN, f"the client took a new producer id ({later.batch[2]} after {first_id}) and wrote again")


def loss_cause(index: Index, name: TopicPartition, offset: int, number: int) -> Cause:
    """Why an acknowledged record is not where it was: `offset` -1 when nobody knows where that is."""
    run, final = index.run, index.finals[name]
    begun = index.position(index.sent.get(number))
    if offset < 0 < final.log.log_start_offset:
        return Cause(EXCUSED, LOG_START_MOVED)
    if run is not None and run.acks == 0:
        return Cause(NOT_PROMISED, NOBODY_PROMISED_ACKS_0)
    if (final.beyond.get(offset) == number) if offset >= 0 else (number in final.beyond.values()):
        return Cause(EXCUSED, WATERMARK_BEHIND)
    if run is not None and run.acks == 1 and _leader_moved(index, name, offset, begun):
        return Cause(EXCUSED, LEADER_MOVED)
    if every_copy_lost(index, name, offset, begun):
        return Cause(EXCUSED, EVERY_COPY_LOST)
    return Cause(BROKEN, "in-sync replicas that held it did not lose it, and yet it is gone")


def read_cause(index: Index, name: TopicPartition, offset: int, number: int) -> Cause:
    """Why a record that a reader got is not there: it was committed, so the number of acks is no excuse."""
    if index.finals[name].beyond.get(offset) == number:
        return Cause(EXCUSED, WATERMARK_BEHIND)
    if every_copy_lost(index, name, offset, index.position(index.sent.get(number))):
        return Cause(EXCUSED, EVERY_COPY_LOST)
    return Cause(BROKEN, "a reader got what was not committed, or what was committed is gone")


def _turns(index: Index) -> dict[tuple[str, int], list[tuple[int, LeaderChanged | TailLost]]]:
    """What decides over losses, by partition: changes of leaders and in-sync replicas, and lost tails."""
    found: dict[tuple[str, int], list[tuple[int, LeaderChanged | TailLost]]] = {}
    for place, row in index.interruptions():
        if type(row) is LeaderChanged or type(row) is TailLost:
            found.setdefault((row.topic, row.partition), []).append((place, row))
    return found


def _restarts(index: Index) -> list[int]:
    """The places at which a broker crashed or was restarted."""
    return [place for place, row in index.interruptions() if type(row) is Fault and row.fault in _RESTARTS]


def every_copy_lost(index: Index, name: TopicPartition, offset: int, begun: int) -> bool:
    """True when crashes took a record from every in-sync replica that held it, from place `begun` on.

    Followed through the rows: the holders are the in-sync replicas; one that loses its tail holds no more; one that
    joins the in-sync replicas holds what a holder among them has. Losing the last holder to a crash is the excuse, and
    so is it when those that still hold it die and leave only such in sync as lost it in a crash (the last one stays in
    sync, whatever it lost). Losing it because one without the record was elected, or stayed in sync, is not.
    """
    in_sync = dict.fromkeys(index.logs.get(name, {}))
    robbed: dict[int, None] = {}
    holders: dict[int, None] | None = None
    for place, row in index.memo(_turns).get(name, ()):
        if type(row) is LeaderChanged:
            joined = dict.fromkeys(row.in_sync_replicas)
            if place >= begun:
                known = in_sync if holders is None else holders
                kept = {broker: None for broker in joined if broker in known}
                if not kept:
                    return bool(joined) and (
                        all(broker in robbed for broker in joined)
                        and all(_was_struck(index, broker, place) for broker in known)
                    )
                holders = kept | {broker: None for broker in joined if broker not in in_sync}
            in_sync = joined
        elif type(row) is TailLost and place >= begun:
            if offset < 0 or row.from_offset <= offset < row.to_offset:
                holders = dict(in_sync) if holders is None else holders
                robbed[row.broker] = None
                if holders.pop(row.broker, 0) is None and not holders:
                    return True
    return False


def _was_struck(index: Index, broker: int, before: int) -> bool:
    """True when a fault had put this broker out of reach before the place `before`."""
    return any(place < before for place in index.memo(_strikes).get(broker, ()))


def _strikes(index: Index) -> dict[int, list[int]]:
    """The places at which a broker died, stood still, or was cut off, by broker."""
    found: dict[int, list[int]] = {}
    for place, row in index.interruptions():
        if type(row) is Fault and row.fault in _OUT_OF_REACH:
            for name in row.target.replace("<>", ">").split(">"):
                number = name.removeprefix("broker-")
                if number.isdecimal():
                    found.setdefault(int(number), []).append(place)
    return found


def _leader_moved(index: Index, name: TopicPartition, offset: int, begun: int) -> bool:
    """True when, from place `begun` on, another leader came or the leader lost the record in a crash."""
    leader: tuple[int, int] | None = None
    for place, row in index.memo(_turns).get(name, ()):
        if type(row) is LeaderChanged:
            if place >= begun and leader is not None and (row.leader, row.leader_epoch) != leader:
                return True
            leader = (row.leader, row.leader_epoch)
        elif type(row) is TailLost and place >= begun:
            lost = offset < 0 or row.from_offset <= offset < row.to_offset
            if lost and (leader is None or leader[0] == row.broker):
                return True
    return False
