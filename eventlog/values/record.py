"""Records and batches: what a log is made of.

A `RecordBatch` is what travels, is stored, replicated and deduplicated; never a single record. Its header decides
everything the log does; its records are opaque: a tuple of `Record` when they were written in this process, packed
bytes when they came over a wire. Nobody looks inside except who asks for the records.

Both are immutable, so replicas may share them, and nothing else.
Source of the fields: Apache Kafka's record batch format, version 2.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from eventlog.errors import ErrorCode
from eventlog.values.sequence import MAX_SEQUENCE, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE

NO_TIMESTAMP: Final = -1
BATCH_HEADER_BYTES: Final = 61
"""Size of an empty batch in format version 2: everything up to and including the record count."""
RECORD_OVERHEAD_BYTES: Final = 21
"""The most that a record adds to its key, value and headers (varints at their longest)."""


TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20


class TopicPartition(NamedTuple):
    """One partition of one topic; prints as `orders-0`."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Record(NamedTuple):
    """One event. `key` and `value` are bytes or None; `timestamp_ms` is Unix time, -1 for none.

    `send_number` is not a part of Kafka's record and never goes over a wire: it numbers the sends of one world, so that
    a checker can tell two records with equal contents apart. -1 when nobody numbered it.
    """

    key: bytes | None
    value: bytes | None
    timestamp_ms: int = NO_TIMESTAMP
    headers: tuple[tuple[str, bytes | None], ...] = ()
    send_number: int = -1


class RecordBatch(NamedTuple):
    """A batch of records with its header, before or after it has a place in a log.

    `base_offset` and `leader_epoch` are set when a leader places it (0 and -1 before). `last_offset_delta` is
    `record_count - 1` in a fresh batch; compaction may lower `record_count` later. `base_sequence` -1 and `producer_id`
    -1 mean: no producer, so no rule of the idempotent writer applies. `attributes` are Kafka's bits (0-2 compression, 4
    transactional, 5 control). `size_bytes` is the size in format version 2. `records` are objects, or the whole batch as
    it came from a client, header included: bytes of which only `codec` reads more than the fields above say.
    """

    base_offset: int
    leader_epoch: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    last_offset_delta: int
    record_count: int
    base_timestamp_ms: int
    max_timestamp_ms: int
    attributes: int
    size_bytes: int
    records: tuple[Record, ...] | bytes

    @property
    def is_transactional(self) -> bool:
        return self.attributes & TRANSACTIONAL != 0

    @property
    def is_control(self) -> bool:
        return self.attributes & CONTROL != 0

    @property
    def last_offset(self) -> int:
        """Offset of the last record, inclusive."""
        return self.base_offset + self.last_offset_delta

    @property
    def end_offset(self) -> int:
        """The offset after the last record."""
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """Sequence of the last record, wrapped; -1 when the batch has none."""
        if self.base_sequence < 0:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & MAX_SEQUENCE

    def __str__(self) -> str:
        who = (
            f"producer {self.producer_id} (epoch {self.producer_epoch}) "
            f"sequences {self.base_sequence}..{self.last_sequence}"
            if self.producer_id >= 0
            else "no producer id"
        )
        return f"{self.record_count} records at {self.base_offset}..{self.last_offset}, {who}"


class Unreadable(NamedTuple):
    """Bytes that came where a batch was due, and are none: why, and which error its sender gets."""

    error: ErrorCode
    message: str


_new_tuple = tuple.__new__


def placed(batch: RecordBatch, base_offset: int, leader_epoch: int) -> RecordBatch:
    """`batch` with its place in a log. The records are shared, not copied."""
    return _new_tuple(RecordBatch, (base_offset, leader_epoch) + batch[2:])  # noqa: RUF005 (twice as fast)


def record_batch(
    records: tuple[Record, ...],
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = NO_PRODUCER_EPOCH,
    base_sequence: int = NO_SEQUENCE,
    *,
    is_transactional: bool = False,
    is_control: bool = False,
    size_bytes: int | None = None,
) -> RecordBatch:
    """A fresh batch (base_offset 0, leader_epoch -1) around `records`. O(records) for the size and timestamps."""
    timestamps = [record.timestamp_ms for record in records] or [NO_TIMESTAMP]
    return RecordBatch(
        0,
        -1,
        producer_id,
        producer_epoch,
        base_sequence,
        len(records) - 1,
        len(records),
        timestamps[0],
        max(timestamps),
        (TRANSACTIONAL if is_transactional else 0) | (CONTROL if is_control else 0),
        batch_size_bytes(records) if size_bytes is None else size_bytes,
        records,
    )


def _varint_bytes(number: int) -> int:
    """Bytes that a signed `number` takes as a zigzag varint."""
    zigzag = (number << 1) ^ (number >> 63)
    return max(1, (zigzag.bit_length() + 6) // 7)


def record_size_bytes(record: Record, offset_delta: int, timestamp_delta_ms: int) -> int:
    """Exact size of one record in format version 2. O(headers)."""
    key, value = record.key, record.value
    body = 1 + _varint_bytes(timestamp_delta_ms) + _varint_bytes(offset_delta)
    body += 1 if key is None else _varint_bytes(len(key)) + len(key)
    body += 1 if value is None else _varint_bytes(len(value)) + len(value)
    body += _varint_bytes(len(record.headers))
    for name, content in record.headers:
        body += _varint_bytes(len(name.encode())) + len(name.encode())
        body += 1 if content is None else _varint_bytes(len(content)) + len(content)
    return _varint_bytes(body) + body


def batch_size_bytes(records: tuple[Record, ...]) -> int:
    """Exact size of a batch of `records` in format version 2. O(records)."""
    base_timestamp_ms = records[0].timestamp_ms if records else 0
    return BATCH_HEADER_BYTES + sum(
        record_size_bytes(record, index, record.timestamp_ms - base_timestamp_ms)
        for index, record in enumerate(records)
    )
