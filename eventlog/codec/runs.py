"""Records of one shape, one behind the other: looked at by columns instead of one by one.

A client that is fast sends records that differ in little but their values: as long, as many bytes for each number in front.
Then the same byte of each stands at a fixed distance, and a slice with a step is a column; comparing columns costs a
twentieth of a loop over records. Nothing is taken on trust: every byte that the loop would read is read.
"""

from __future__ import annotations

from struct import unpack
from typing import Final

_EVEN_LAST: Final = bytes(range(0x00, 0x80, 2))
_EVEN: Final = bytes(range(0x80, 0x100, 2))
_MORE: Final = bytes(range(0x80, 0x100))
_LAST: Final = bytes(range(0x80))
_MOST_INDEXES: Final = 65_536
_WIDTHS: Final = ((64, 1), (8_192, 2), (_MOST_INDEXES, 3))
"""An index below this takes so many bytes as a varint."""

_columns: list[tuple[bytes, bytes]] = []


def find_run(data: bytes, start: int, size: int, index: int, most: int) -> tuple[int, int]:
    """(how many records behind the one at `start` have its shape, the greatest of their timestamp deltas).

    The record at `start` takes `size` bytes and was looked at; the one behind it is number `index` in its batch. A record
    of the same shape has lengths as this one, no headers, a timestamp delta that is not negative, and its number as offset
    delta. At most `most` are looked at. (0, 0) when there is none.
    """
    position = _behind(data, start)
    columns = list(range(start, position))
    times = position = position + 1  # what lies between are the record's attributes, which mean nothing
    position = _behind(data, position)
    offsets, position = position, _behind(data, position)
    time_width, offset_width = offsets - times, position - offsets
    for _ in ("key", "value"):
        behind = _behind(data, position)
        columns += range(position, behind)
        length = _unsigned(data, position, behind)
        position = behind if length & 1 else behind + (length >> 1)
    if position != start + size - 1 or data[position]:
        return (0, 0)
    columns.append(position)
    limit, width = next((each for each in _WIDTHS if index < each[0]), (0, 0))
    count = min(most, limit - index, (len(data) - start) // size - 1)
    if width != offset_width or count <= 0 or time_width > 8:
        return (0, 0)
    for column in columns:
        count = _leading(data, column, size, count, data[column : column + 1])
    for number in range(time_width):
        is_last = number == time_width - 1
        allowed = (_EVEN_LAST if is_last else _EVEN) if number == 0 else _LAST if is_last else _MORE
        count = _leading(data, times + number, size, count, allowed)
    if count <= 0:
        return (0, 0)
    for number in range(width):
        expected = _offset_columns()[number][number < width - 1][index : index + count]
        if _column(data, offsets + number, size, count) != expected:
            return (0, 0)
    return (count, _greatest(data, times, time_width, size, count) >> 1)


def _behind(data: bytes, position: int) -> int:
    """Where the varint at `position` ends."""
    while data[position] >= 0x80:
        position += 1
    return position + 1


def _unsigned(data: bytes, position: int, end: int) -> int:
    value = 0
    for byte in reversed(data[position:end]):
        value = value << 7 | byte & 0x7F
    return value


def _column(data: bytes, position: int, size: int, count: int) -> bytes:
    """The same byte of each of the `count` records behind the one where it stands at `position`."""
    return data[position + size : position + size * count + 1 : size]


def _leading(data: bytes, position: int, size: int, count: int, allowed: bytes) -> int:
    """How many of these bytes, from the first on, are among the allowed."""
    if count <= 0:
        return 0
    column = _column(data, position, size, count)
    return len(column) - len(column.lstrip(allowed))


def _greatest(data: bytes, position: int, width: int, size: int, count: int) -> int:
    """The greatest of the varints, all `width` bytes wide."""
    if width == 1:
        return max(_column(data, position, size, count))
    room, kind = (4, "I") if width <= 4 else (8, "Q")
    numbers = bytearray(room * count)
    for number in range(width):
        numbers[number::room] = _column(data, position + number, size, count)
    # Their highest bits are the same in all, so they compare as the numbers do.
    greatest: int = max(unpack(f"<{count}{kind}", numbers))
    return _unsigned(greatest.to_bytes(room, "little"), 0, width)


def _offset_columns() -> list[tuple[bytes, bytes]]:
    """Each byte of the varints of 0, 1, 2, ...: without and with the bit that says that another follows."""
    if not _columns:
        for low_bits in (6, 13, 20):
            step = 1 << max(0, low_bits - 6)
            repeated = b"".join([bytes((value,)) * (step >> 1 or 1) for value in _values(low_bits)])
            plain = (repeated * (_MOST_INDEXES // len(repeated) + 1))[:_MOST_INDEXES]
            _columns.append((plain, bytes(map(0x80.__or__, plain))))
    return _columns


def _values(low_bits: int) -> range:
    return range(0, 128, 2) if low_bits == 6 else range(128)
