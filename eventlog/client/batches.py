"""A producer's batches, the queue of each partition, and the sequence bookkeeping that belongs to it.

Sources: `ProducerBatch`, `RecordAccumulator` (queues, order of retries, splitting), `TxnPartitionEntry` and the parts
of `TransactionManager` that count sequences. Where Kafka's client compares sequences as plain numbers, the comparisons
here know that 0 follows 2147483647.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from eventlog.values import (
    BATCH_HEADER_BYTES,
    MAX_SEQUENCE,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    RECORD_OVERHEAD_BYTES,
    Record,
    RecordBatch,
    TopicPartition,
    increment,
)

_HALF = (MAX_SEQUENCE + 1) // 2


def later_sequence(one: int, other: int) -> int:
    """The later of two sequences, or of one and -1 (none): the one less than half the circle ahead of the other."""
    if one < 0 or other < 0:
        return max(one, other)
    return one if ((one - other) & MAX_SEQUENCE) < _HALF else other


def record_bound_bytes(record: Record) -> int:
    """The most that `record` can take in a batch, as the Java client estimates it. O(headers)."""
    key, value, _, headers, _ = record
    size = RECORD_OVERHEAD_BYTES + (0 if key is None else len(key)) + (0 if value is None else len(value))
    for name, content in headers:
        size += 10 + len(name.encode()) + (0 if content is None else len(content))
    return size


class Batch:
    """Records of one partition on their way, from the first append to their end.

    `base_sequence` is -1 until the batch is drained for the first time; from then on (producer id, epoch, base
    sequence, records) stay as they are, save for an epoch bump (`reopened`). `attempts` counts put-backs, as the Java
    client does for its limits; `tries` counts sendings, by which chance calls them. `in_retry` stays True after the
    first put-back. `is_out`: a request with it is unanswered. `unproven`: some attempt may have been appended.
    """

    __slots__ = (
        "attempts",
        "backoff_until_ms",
        "base_sequence",
        "capacity_bytes",
        "created_ms",
        "first_record",
        "in_retry",
        "is_done",
        "is_out",
        "leader_epoch",
        "producer_epoch",
        "producer_id",
        "queue",
        "records",
        "reopened",
        "room_bytes",
        "tries",
        "unproven",
        "wire",
    )

    def __init__(self, queue: PartitionQueue, capacity_bytes: int, created_ms: int) -> None:
        self.queue = queue
        self.capacity_bytes = capacity_bytes
        self.room_bytes = capacity_bytes - BATCH_HEADER_BYTES
        self.created_ms = created_ms
        self.records: list[Record] = []
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = NO_PRODUCER_EPOCH
        self.base_sequence = NO_SEQUENCE
        self.first_record = -1
        self.attempts = 0
        self.tries = 0
        self.backoff_until_ms = 0
        self.leader_epoch = -1
        self.in_retry = False
        self.reopened = False
        self.is_done = False
        self.is_out = False
        self.unproven = False
        self.wire: RecordBatch | None = None

    @property
    def size_bytes(self) -> int:
        return self.capacity_bytes - self.room_bytes

    @property
    def last_sequence(self) -> int:
        return increment(self.base_sequence, len(self.records) - 1)

    def label(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.base_sequence = base_sequence
        self.wire = None

    def built(self) -> RecordBatch:
        """The batch as it is sent, made once per labelling. O(records)."""
        wire = self.wire
        if wire is None:
            records = self.records
            count = len(records)
            first_ms = records[0][2]
            wire = self.wire = RecordBatch(
                0,
                -1,
                self.producer_id,
                self.producer_epoch,
                self.base_sequence,
                count - 1,
                count,
                first_ms,
                first_ms if count == 1 else max([record[2] for record in records]),
                0,
                self.capacity_bytes - self.room_bytes,
                tuple(records),
            )
        return wire


class SequenceState(NamedTuple):
    """What a producer counts for one partition; -1 for none. `unresolved_sequence` is the one to wait for (or -1)."""

    producer_id: int
    producer_epoch: int
    next_sequence: int
    last_acked_sequence: int
    last_acked_offset: int
    in_flight: tuple[int, ...]
    """Base sequences of the batches sent or put back, oldest first."""
    queued: tuple[int, ...]
    """Base sequences of the batches waiting to be sent, -1 for those that have none yet."""
    unresolved_sequence: int


class PartitionQueue:
    """What waits for one partition, and its sequences.

    `queue` holds closed batches in the order of sending; `open` is the batch that still takes records and comes after
    them, `open_is_due` when it need not linger any more. `in_flight` holds the batches that have a sequence and no end,
    in the order of their sequences, out or put back (idempotent producers only).
    """

    __slots__ = (
        "in_flight",
        "initial_sequence",
        "is_muted",
        "last_acked_offset",
        "last_acked_sequence",
        "next_sequence",
        "open",
        "open_is_due",
        "producer_epoch",
        "producer_id",
        "queue",
        "records_drained",
        "topic_partition",
        "unresolved_sequence",
    )

    def __init__(self, topic_partition: TopicPartition, initial_sequence: int) -> None:
        self.topic_partition = topic_partition
        self.initial_sequence = initial_sequence
        self.queue: deque[Batch] = deque()
        self.open: Batch | None = None
        self.open_is_due = False
        self.in_flight: list[Batch] = []
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = NO_PRODUCER_EPOCH
        self.next_sequence = 0
        self.last_acked_sequence = NO_SEQUENCE
        self.last_acked_offset = -1
        self.unresolved_sequence = NO_SEQUENCE
        self.is_muted = False
        self.records_drained = 0

    def state(self) -> SequenceState:
        return SequenceState(
            self.producer_id,
            self.producer_epoch,
            self.next_sequence,
            self.last_acked_sequence,
            self.last_acked_offset,
            tuple(batch.base_sequence for batch in self.in_flight),
            tuple(batch.base_sequence for batch in self.queue) + ((NO_SEQUENCE,) if self.open is not None else ()),
            self.unresolved_sequence,
        )

    def first_sequence(self) -> int:
        """Where the present epoch's sequences begin: 0, save in the first epoch of a producer id, where a test may say
        otherwise."""
        return self.initial_sequence if self.producer_epoch == 0 else 0

    def has_stale_id(self, producer_id: int, producer_epoch: int) -> bool:
        return producer_id != self.producer_id or producer_epoch != self.producer_epoch

    def is_next(self, base_sequence: int) -> bool:
        """True if `base_sequence` directly follows the last acknowledged one (or begins, when there is none)."""
        last = self.last_acked_sequence
        return base_sequence == (self.first_sequence() if last < 0 else increment(last, 1))

    def start_at_beginning(self, producer_id: int, producer_epoch: int) -> None:
        """Goes over to this id and epoch: all in flight get new sequences in their order, from the first one on."""
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        sequence = self.first_sequence()
        for batch in self.in_flight:
            batch.label(producer_id, producer_epoch, sequence)
            batch.reopened = True
            sequence = increment(sequence, len(batch.records))
        self.next_sequence = sequence
        self.last_acked_sequence = NO_SEQUENCE

    def assign(self, batch: Batch) -> None:
        """Gives the next sequences to a batch that is drained for the first time."""
        batch.label(self.producer_id, self.producer_epoch, self.next_sequence)
        self.next_sequence = increment(self.next_sequence, len(batch.records))
        self.in_flight.append(batch)

    def take_back(self, batch: Batch) -> bool:
        """Undoes `assign` if nothing was assigned after it; the batch never left."""
        if not self.in_flight or self.in_flight[-1] is not batch or batch.reopened:
            return False
        if increment(batch.base_sequence, len(batch.records)) != self.next_sequence:
            return False
        self.in_flight.pop()
        self.next_sequence = batch.base_sequence
        batch.label(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE)
        return True

    def acknowledge(self, batch: Batch, base_offset: int) -> None:
        """Books a success, also a late one of a batch that has expired: it says what the log holds."""
        self.last_acked_sequence = later_sequence(batch.last_sequence, self.last_acked_sequence)
        if base_offset >= 0:
            self.last_acked_offset = max(self.last_acked_offset, base_offset + len(batch.records) - 1)
        self.leave(batch)

    def leave(self, batch: Batch) -> None:
        """The batch is no longer in flight."""
        if batch in self.in_flight:
            self.in_flight.remove(batch)

    def mark_unresolved(self, batch: Batch) -> None:
        """Nobody knows whether `batch` is in the log: wait for the sequence after it."""
        after = increment(batch.last_sequence, 1)
        self.unresolved_sequence = later_sequence(after, self.unresolved_sequence)

    def put_back(self, batch: Batch) -> None:
        """Into the queue by the order of sequences, before everything that has none."""
        queue = self.queue
        place = 0
        if self.in_flight:
            order = self.in_flight
            rank = order.index(batch)
            while place < len(queue) and queue[place] in order and order.index(queue[place]) < rank:
                place += 1
        queue.insert(place, batch)

    def put_first_without_sequence(self, batch: Batch) -> None:
        """Into the queue behind every batch that has sequences, before those that have none."""
        place = 0
        while place < len(self.queue) and self.queue[place].base_sequence >= 0:
            place += 1
        self.queue.insert(place, batch)

    def is_in_line(self, batch: Batch) -> bool:
        """True if all before `batch` in flight are out, and none behind it: after a failure everything comes back first,
        then leaves again in its order, pipelined (librdkafka)."""
        is_behind = False
        for each in self.in_flight:
            if each is batch:
                is_behind = True
            elif each.is_out is is_behind:
                return False
        return True

    def put_back_in_order(self, batch: Batch) -> None:
        """Into the queue by the order of first sending: a plain producer's retry, as librdkafka makes it."""
        place = 0
        while place < len(self.queue) and 0 <= self.queue[place].first_record < batch.first_record:
            place += 1
        self.queue.insert(place, batch)

    def clear(self) -> None:
        """Forgets every batch that has its end."""
        self.queue.clear()
        self.in_flight = [batch for batch in self.in_flight if not batch.is_done]
        self.open = None
        self.open_is_due = False
        self.unresolved_sequence = NO_SEQUENCE

    def close_open(self) -> Batch | None:
        """Ends the open batch; it goes to the end of the queue."""
        batch = self.open
        if batch is not None:
            self.open = None
            self.open_is_due = False
            self.queue.append(batch)
        return batch

    def split(self, batch: Batch, target_bytes: int) -> list[Batch]:
        """Pieces of `batch` of at most `target_bytes` each, with its sequences, in its place in flight. O(records).

        Sizes are upper bounds, so everything may still fit one piece of that size; sending that again would change
        nothing (Kafka's client does so until the delivery timeout, KAFKA-8350), hence it is cut in the middle then.
        """
        sizes = [record_bound_bytes(record) for record in batch.records]
        groups: list[list[int]] = [[]]
        used = BATCH_HEADER_BYTES
        for index, size in enumerate(sizes):
            if groups[-1] and used + size > target_bytes:
                groups.append([])
                used = BATCH_HEADER_BYTES
            groups[-1].append(index)
            used += size
        if len(groups) == 1:
            middle = (len(sizes) + 1) // 2
            groups = [groups[0][:middle], groups[0][middle:]]
        pieces = []
        for group in groups:
            piece = Batch(self, BATCH_HEADER_BYTES + sum(sizes[index] for index in group), batch.created_ms)
            piece.room_bytes = 0
            piece.records = [batch.records[index] for index in group]
            piece.first_record = batch.first_record + group[0]
            piece.tries = batch.tries
            piece.unproven = batch.unproven
            piece.reopened = batch.reopened
            if batch.base_sequence >= 0:
                sequence = increment(batch.base_sequence, group[0])
                piece.label(batch.producer_id, batch.producer_epoch, sequence)
            pieces.append(piece)
        if batch in self.in_flight:
            place = self.in_flight.index(batch)
            self.in_flight[place : place + 1] = pieces
        return pieces
