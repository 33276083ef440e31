"""The records of a batch: varint length, attributes, timestamp and offset deltas, key, value, headers.

A varint holds seven bits a byte, lowest first, of a number whose sign was moved to the lowest bit (zigzag: 0, -1, 1, -2).
So a raw number that is odd is negative, which for a length means null. The loops below read varints of one and two bytes
in line, since a call costs more than all the rest; `_long_varint` reads the others.

Reading runs past the end only by an index, which raises IndexError, or by a jump, after which either an index does or
the position is not where it should be. So no length is compared with what is left.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from eventlog.codec.compression import CODEC_MASK, MAX_DECOMPRESSED_BYTES, decompress
from eventlog.codec.runs import find_run
from eventlog.errors import ErrorCode, RequestError
from eventlog.values.record import BATCH_HEADER_BYTES, NO_TIMESTAMP, Record, RecordBatch

MIN_LONG: Final = -(2**63)
MAX_LONG: Final = 2**63 - 1
_INT: Final = (5, 2**32 - 1)
_LONG: Final = (10, 2**64 - 1)
"""Longest varint in bytes, and which bits of it count."""

_FIRST_LOOK: Final = 8
_LONGEST_RUN: Final = 4_096
_LEAST_OFTEN: Final = 1_024
"""After so many records one looks again whether those behind have the same shape, if they never had."""

_new_tuple = tuple.__new__


class Look(NamedTuple):
    """What a walk over records saw. Offending records are named by their index in the batch."""

    max_timestamp_ms: int
    without_key: list[int]
    out_of_time: list[int]
    is_dense: bool
    """The offset deltas are 0, 1, 2, ..."""


def decode_records(batch: RecordBatch, *, limit_bytes: int = MAX_DECOMPRESSED_BYTES) -> tuple[Record, ...]:
    """The records of a batch of either form, with the timestamps that their producer gave them. O(bytes).

    Raises `RequestError` if they can't be read, which never happens to a batch that passed `check_batch`. Names of
    headers that are not UTF-8 are read with replacement characters, as the Java client does.
    """
    if not isinstance(batch.records, bytes):
        return batch.records
    data, position = plain_records(batch.records, batch.attributes, limit_bytes)
    try:
        return _decode(data, position, batch.record_count, batch.base_timestamp_ms)
    except IndexError:
        raise _bad(f"{batch.record_count} records were expected; the bytes end before") from None


def plain_records(data: bytes, attributes: int, limit_bytes: int) -> tuple[bytes, int]:
    """Uncompressed bytes that hold the records, and where they begin there."""
    codec = attributes & CODEC_MASK
    if codec:
        return decompress(codec, data[BATCH_HEADER_BYTES:], limit_bytes), 0
    return data, BATCH_HEADER_BYTES


def walk(
    data: bytes, position: int, count: int, base_timestamp_ms: int, lowest_ms: int, highest_ms: int, needs_keys: bool
) -> Look:
    """Look at `count` records, which must fill `data` to its end, without making them. O(records).

    A timestamp outside `lowest_ms`..`highest_ms` is out of time unless it is -1. Raises `RequestError` when these are no
    records.
    """
    try:
        return _walk(data, position, count, base_timestamp_ms, lowest_ms, highest_ms, needs_keys)
    except IndexError:
        raise _bad(f"{count} records were expected; the bytes end before") from None


def encode_records(records: tuple[Record, ...], base_timestamp_ms: int) -> bytes:
    """The records one behind the other, uncompressed. O(bytes)."""
    parts: list[bytes] = []
    sizes = _SIZES
    for index, (key, value, timestamp_ms, headers, _) in enumerate(records):
        delta_ms = timestamp_ms - base_timestamp_ms
        time = sizes[delta_ms] if 0 <= delta_ms < _MANY else varint(_wrapped(delta_ms))
        place = sizes[index] if index < _MANY else varint(index)
        if key is None:
            key_size, key = _NULL, b""
        else:
            size = len(key)
            key_size = sizes[size] if size < _MANY else varint(size)
        if value is None:
            value_size, value = _NULL, b""
        else:
            size = len(value)
            value_size = sizes[size] if size < _MANY else varint(size)
        tail = _encode_headers(headers) if headers else b"\x00"
        size = 1 + len(time) + len(place) + len(key_size) + len(key) + len(value_size) + len(value) + len(tail)
        record_size = sizes[size] if size < _MANY else varint(size)
        parts += (record_size, b"\x00", time, place, key_size, key, value_size, value, tail)
    return b"".join(parts)


def _encode_headers(headers: tuple[tuple[str, bytes | None], ...]) -> bytes:
    parts = [varint(len(headers))]
    for name, content in headers:
        encoded_name = name.encode()
        parts += (varint(len(encoded_name)), encoded_name)
        parts += (_NULL, b"") if content is None else (varint(len(content)), content)
    return b"".join(parts)


def varint(number: int) -> bytes:
    """A signed number of at most 64 bits."""
    raw = (number << 1) ^ (number >> 63)
    groups = bytearray()
    while raw > 0x7F:
        groups.append(raw & 0x7F | 0x80)
        raw >>= 7
    groups.append(raw)
    return bytes(groups)


_NULL: Final = b"\x01"
"""The length -1."""
_MANY: Final = 0x400
_SIZES: Final = tuple([varint(number) for number in range(_MANY)])
"""The varints of 0 to `_MANY` - 1, ready made."""


def _bad(what: str) -> RequestError:
    return RequestError(f"the records are damaged: {what}", ErrorCode.INVALID_RECORD)


def _wrapped(number: int) -> int:
    """`number` as a signed 64-bit number, which wraps."""
    return ((number + 2**63) & (2**64 - 1)) - 2**63


def _long_varint(data: bytes, position: int, kind: tuple[int, int] = _INT) -> tuple[int, int]:
    """(raw number, position behind it) of the varint at `position`."""
    max_bytes, mask = kind
    raw = shift = 0
    for index in range(position, position + max_bytes):
        byte = data[index]
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return raw & mask, index + 1
        shift += 7
    raise _bad(f"the number at byte {position} is longer than {max_bytes} bytes")


def _skip_headers(data: bytes, position: int, raw_count: int) -> int:
    if raw_count & 1:
        raise _bad("a record has a negative number of headers")
    for _ in range(raw_count >> 1):
        raw, position = _long_varint(data, position)
        if raw & 1:
            raise _bad("the name of a header is null")
        raw, position = _long_varint(data, position + (raw >> 1))
        if not raw & 1:
            position += raw >> 1
    return position


def _read_headers(data: bytes, position: int, raw_count: int) -> tuple[tuple[tuple[str, bytes | None], ...], int]:
    if raw_count & 1:
        raise _bad("a record has a negative number of headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(raw_count >> 1):
        raw, position = _long_varint(data, position)
        if raw & 1:
            raise _bad("the name of a header is null")
        name = data[position : position + (raw >> 1)].decode("utf-8", "replace")
        raw, position = _long_varint(data, position + (raw >> 1))
        content = None
        if not raw & 1:
            content = data[position : position + (raw >> 1)]
            position += raw >> 1
        headers.append((name, content))
    return tuple(headers), position


def _walk(
    data: bytes, position: int, count: int, base_timestamp_ms: int, lowest_ms: int, highest_ms: int, needs_keys: bool
) -> Look:
    max_timestamp_ms = NO_TIMESTAMP
    without_key: list[int] = []
    out_of_time: list[int] = []
    is_dense = True
    index = 0
    next_look, patience = _FIRST_LOOK, 1
    while index < count:
        start = position
        raw = data[position]
        if raw < 0x80:
            position += 1
        elif (high := data[position + 1]) < 0x80:
            raw += (high << 7) - 0x80
            position += 2
        else:
            raw, position = _long_varint(data, position)
        end = position - 1 if raw & 1 else position + (raw >> 1)
        # The byte at `position` is the record's attributes, which mean nothing.
        raw = data[position + 1]
        if raw < 0x80:
            position += 2
        elif (high := data[position + 2]) < 0x80:
            raw += (high << 7) - 0x80
            position += 3
        else:
            raw, position = _long_varint(data, position + 1, _LONG)
        timestamp_ms = base_timestamp_ms + (raw >> 1 ^ -(raw & 1)) if raw else base_timestamp_ms
        if lowest_ms <= timestamp_ms <= highest_ms:
            if timestamp_ms > max_timestamp_ms:
                max_timestamp_ms = timestamp_ms
        else:
            timestamp_ms = _wrapped(timestamp_ms)
            if lowest_ms <= timestamp_ms <= highest_ms:
                max_timestamp_ms = max(max_timestamp_ms, timestamp_ms)
            elif timestamp_ms != NO_TIMESTAMP:
                out_of_time.append(index)
        raw = data[position]
        if raw < 0x80:
            position += 1
        elif (high := data[position + 1]) < 0x80:
            raw += (high << 7) - 0x80
            position += 2
        else:
            raw, position = _long_varint(data, position)
        if raw != index << 1:
            is_dense = False
        raw = data[position]
        if raw < 0x80:
            position += 1
        else:
            raw, position = _long_varint(data, position)
        if not raw & 1:
            position += raw >> 1
        elif needs_keys:
            without_key.append(index)
        raw = data[position]
        if raw < 0x80:
            position += 1
        elif (high := data[position + 1]) < 0x80:
            raw += (high << 7) - 0x80
            position += 2
        else:
            raw, position = _long_varint(data, position)
        if not raw & 1:
            position += raw >> 1
        raw = data[position]
        position += 1
        if raw:
            if raw >= 0x80:
                raw, position = _long_varint(data, position - 1)
            position = _skip_headers(data, position, raw)
        if position != end:
            raise _bad(f"record {index} ends at byte {position}, its length says {end}")
        index += 1
        if index == next_look:
            skipped, delta_ms = find_run(data, start, position - start, index, min(count - index, _LONGEST_RUN))
            if (
                skipped
                and lowest_ms <= base_timestamp_ms
                and base_timestamp_ms + delta_ms <= highest_ms
                and not (without_key and without_key[-1] == index - 1)
            ):
                index += skipped
                position += skipped * (position - start)
                max_timestamp_ms = max(max_timestamp_ms, base_timestamp_ms + delta_ms)
                patience = 1
            else:
                patience = min(2 * patience, _LEAST_OFTEN)
            next_look = index + patience
    if position != len(data):
        raise _bad(f"{count} records end at byte {position}, {len(data)} bytes came")
    return Look(max_timestamp_ms, without_key, out_of_time, is_dense)


def _decode(data: bytes, position: int, count: int, base_timestamp_ms: int) -> tuple[Record, ...]:
    records: list[Record] = []
    for index in range(count):
        raw = data[position]
        if raw < 0x80:
            position += 1
        elif (high := data[position + 1]) < 0x80:
            raw += (high << 7) - 0x80
            position += 2
        else:
            raw, position = _long_varint(data, position)
        end = position - 1 if raw & 1 else position + (raw >> 1)
        raw = data[position + 1]
        if raw < 0x80:
            position += 2
        elif (high := data[position + 2]) < 0x80:
            raw += (high << 7) - 0x80
            position += 3
        else:
            raw, position = _long_varint(data, position + 1, _LONG)
        timestamp_ms = base_timestamp_ms + (raw >> 1 ^ -(raw & 1)) if raw else base_timestamp_ms
        if not MIN_LONG <= timestamp_ms <= MAX_LONG:
            timestamp_ms = _wrapped(timestamp_ms)
        # The offset delta: a record doesn't know its place.
        if data[position] < 0x80:
            position += 1
        elif data[position + 1] < 0x80:
            position += 2
        else:
            _, position = _long_varint(data, position)
        key = value = None
        raw = data[position]
        if raw < 0x80:
            position += 1
        else:
            raw, position = _long_varint(data, position)
        if not raw & 1:
            key = data[position : position + (raw >> 1)]
            position += raw >> 1
        raw = data[position]
        if raw < 0x80:
            position += 1
        elif (high := data[position + 1]) < 0x80:
            raw += (high << 7) - 0x80
            position += 2
        else:
            raw, position = _long_varint(data, position)
        if not raw & 1:
            value = data[position : position + (raw >> 1)]
            position += raw >> 1
        headers: tuple[tuple[str, bytes | None], ...] = ()
        raw = data[position]
        position += 1
        if raw:
            if raw >= 0x80:
                raw, position = _long_varint(data, position - 1)
            headers, position = _read_headers(data, position, raw)
        if position != end:
            raise _bad(f"record {index} ends at byte {position}, its length says {end}")
        records.append(_new_tuple(Record, (key, value, timestamp_ms, headers, -1)))
    if position != len(data):
        raise _bad(f"{count} records end at byte {position}, {len(data)} bytes came")
    return tuple(records)
