"""The header of a batch: 61 bytes, big-endian.

| byte | field | | byte | field |
|---|---|---|---|---|
| 0 | base offset int64 | | 27 | base timestamp int64 |
| 8 | length of what follows int32 | | 35 | max timestamp int64 |
| 12 | leader epoch int32 | | 43 | producer id int64 |
| 16 | magic int8, 2 | | 51 | producer epoch int16 |
| 17 | CRC-32C of byte 21 to the end uint32 | | 53 | base sequence int32 |
| 21 | attributes int16 | | 57 | record count int32 |
| 23 | last offset delta int32 | | 61 | records |
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from eventlog.codec.compression import CODEC_MASK, ZSTD
from eventlog.codec.records import decode_records, encode_records
from eventlog.errors import ErrorCode
from eventlog.values.record import BATCH_HEADER_BYTES, Record, RecordBatch, Unreadable, batch_size_bytes

MAGIC: Final = 2
_LENGTH_END: Final = 12
"""A batch takes this more than its length field says."""
_MAGIC_AT: Final = 16
_CRC_AT: Final = 17
_ATTRIBUTES_AT: Final = 21
"""The checksum covers all from here on."""
_MAX_TIMESTAMP_AT: Final = 35
_LEAST_LENGTH: Final = 14
"""The shortest message of the oldest format; Kafka takes less for damage before it knows the format."""

_HEADER: Final = Struct(">qiibIhiqqqhii")
_PLACE: Final = Struct(">qii")
_LENGTH: Final = Struct(">i")
_CRC: Final = Struct(">I")
_COVERED: Final = Struct(">hiqqqhii")
_ATTRIBUTES: Final = Struct(">h")
_MAX_TIMESTAMP: Final = Struct(">q")

_new_tuple = tuple.__new__


def open_batch(data: bytes, *, allows_zstd: bool = True) -> RecordBatch | Unreadable:
    """The one batch that a produce request brought for a partition, its header read and nothing checked. O(1) + a copy.

    The copy is only made when bytes that are no whole batch follow: they are cut off, as in Kafka. Produce requests
    before version 7 do not allow zstd.
    """
    first = _next_batch(data, 0)
    if isinstance(first, Unreadable):
        return first
    if first is None:
        return Unreadable(
            ErrorCode.INVALID_RECORD, f"no whole batch came, only {len(data)} bytes; exactly one batch was expected"
        )
    size_bytes = first
    if data[_MAGIC_AT] != MAGIC:
        return Unreadable(
            ErrorCode.INVALID_RECORD, f"a message of format {data[_MAGIC_AT]} came, format {MAGIC} was expected"
        )
    if not allows_zstd and size_bytes >= BATCH_HEADER_BYTES and data[_ATTRIBUTES_AT + 1] & CODEC_MASK == ZSTD:
        return Unreadable(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            "a batch compressed with zstd came; produce requests before 7 may not",
        )
    if size_bytes < len(data):
        second = _next_batch(data, size_bytes)
        if isinstance(second, Unreadable):
            return second
        if second is not None:
            return Unreadable(
                ErrorCode.INVALID_RECORD, f"{len(data) - size_bytes} bytes follow the first batch; one was expected"
            )
        data = data[:size_bytes]
    if size_bytes < BATCH_HEADER_BYTES:
        return Unreadable(
            ErrorCode.CORRUPT_MESSAGE, f"a batch of {size_bytes} bytes came, its header takes {BATCH_HEADER_BYTES}"
        )
    return _from_header(data)


def _next_batch(data: bytes, position: int) -> int | Unreadable | None:
    """Size of the batch at `position`; None when the bytes end before it does."""
    left_bytes = len(data) - position
    if left_bytes < _LENGTH_END:
        return None
    (length,) = _LENGTH.unpack_from(data, position + 8)
    if length < _LEAST_LENGTH:
        return Unreadable(ErrorCode.CORRUPT_MESSAGE, f"a batch says it has a length of {length} bytes")
    if left_bytes <= _MAGIC_AT:
        return None
    if data[position + _MAGIC_AT] > MAGIC:
        return Unreadable(
            ErrorCode.CORRUPT_MESSAGE, f"format {data[position + _MAGIC_AT]} is unknown, {MAGIC} was expected"
        )
    size_bytes: int = length + _LENGTH_END
    return size_bytes if size_bytes <= left_bytes else None


def _from_header(data: bytes) -> RecordBatch:
    (
        base_offset,
        _,
        leader_epoch,
        _,
        _,
        attributes,
        last_offset_delta,
        base_timestamp_ms,
        max_timestamp_ms,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    ) = _HEADER.unpack_from(data)
    return _new_tuple(
        RecordBatch,
        (
            base_offset,
            leader_epoch,
            producer_id,
            producer_epoch,
            base_sequence,
            last_offset_delta,
            record_count,
            base_timestamp_ms,
            max_timestamp_ms,
            attributes,
            len(data),
            data,
        ),
    )


def is_intact(data: bytes) -> bool:
    """True when the checksum is that of the bytes."""
    (came,) = _CRC.unpack_from(data, _CRC_AT)
    is_right: bool = checksum(memoryview(data)[_ATTRIBUTES_AT:]) == came
    return is_right


def checksum(covered: bytes | bytearray | memoryview, before: int = 0) -> int:
    """CRC-32C of `covered`, going on from that of what came `before`."""
    # Imported here, since the package brings half of the standard library along: who has no bytes doesn't wait for it.
    from crc32c import crc32c

    return crc32c(covered, before)


def encode_batch(batch: RecordBatch) -> bytes:
    """The whole batch in its place. O(bytes).

    Objects are written uncompressed. A packed batch keeps its bytes; base offset, leader epoch, attributes and max
    timestamp are those of `batch`, its other fields can't differ.
    """
    return b"".join(batch_pieces(batch))


def batch_pieces(batch: RecordBatch) -> tuple[bytes | memoryview, ...]:
    """What `encode_batch` puts together: a packed batch's own bytes are not copied."""
    data = batch.records
    if not isinstance(data, bytes):
        return (_encode_objects(batch, data),)
    attributes, max_timestamp_ms = batch.attributes, batch.max_timestamp_ms
    (old_attributes,) = _ATTRIBUTES.unpack_from(data, _ATTRIBUTES_AT)
    (old_max_timestamp_ms,) = _MAX_TIMESTAMP.unpack_from(data, _MAX_TIMESTAMP_AT)
    if attributes != old_attributes or max_timestamp_ms != old_max_timestamp_ms:
        changed = bytearray(data)
        _ATTRIBUTES.pack_into(changed, _ATTRIBUTES_AT, attributes)
        _MAX_TIMESTAMP.pack_into(changed, _MAX_TIMESTAMP_AT, max_timestamp_ms)
        _CRC.pack_into(changed, _CRC_AT, checksum(memoryview(changed)[_ATTRIBUTES_AT:]))
        data = bytes(changed)
    place = _PLACE.pack(batch.base_offset, len(data) - _LENGTH_END, batch.leader_epoch)
    if data.startswith(place):
        return (data,)
    return (place, memoryview(data)[_MAGIC_AT:])


def _encode_objects(batch: RecordBatch, records: tuple[Record, ...]) -> bytes:
    payload = encode_records(records, batch.base_timestamp_ms)
    covered = _COVERED.pack(
        batch.attributes & ~CODEC_MASK,
        batch.last_offset_delta,
        batch.base_timestamp_ms,
        batch.max_timestamp_ms,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
        batch.record_count,
    )
    place = _PLACE.pack(batch.base_offset, BATCH_HEADER_BYTES + len(payload) - _LENGTH_END, batch.leader_epoch)
    crc = checksum(payload, checksum(covered))
    return b"".join((place, b"\x02", _CRC.pack(crc), covered, payload))


def pack(batch: RecordBatch) -> RecordBatch:
    """`batch` with its records as bytes; one that is packed comes back as it is. O(bytes)."""
    if isinstance(batch.records, bytes):
        return batch
    return _from_header(encode_batch(batch))


def unpack(batch: RecordBatch) -> RecordBatch:
    """`batch` with its records as objects, uncompressed. O(bytes). Raises `RequestError` as `decode_records` does."""
    if not isinstance(batch.records, bytes):
        return batch
    records = decode_records(batch)
    if not batch.attributes & CODEC_MASK:
        return batch._replace(records=records)
    return batch._replace(
        records=records, attributes=batch.attributes & ~CODEC_MASK, size_bytes=batch_size_bytes(records)
    )


def read_batches(data: bytes) -> tuple[list[RecordBatch], int]:
    """The batches from the start of a file up to the first that is cut off or damaged, and how many bytes they take.

    O(bytes). What follows the damage is not looked at: a torn write leaves nothing behind it that can be trusted.
    """
    batches: list[RecordBatch] = []
    position = 0
    while len(data) - position >= BATCH_HEADER_BYTES:
        size_bytes = _next_batch(data, position)
        if not isinstance(size_bytes, int) or size_bytes < BATCH_HEADER_BYTES:
            break
        each = bytes(data[position : position + size_bytes])
        if each[_MAGIC_AT] != MAGIC or not is_intact(each):
            break
        batches.append(_from_header(each))
        position += size_bytes
    return batches, position
