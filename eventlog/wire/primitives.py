"""Kafka's primitive types on the wire: big-endian numbers, strings and arrays in their older and their compact form.

From its flexible version on, an API writes lengths as unsigned varints of one more (0: null) and ends every structure
with tagged fields. `Reader` and `Writer` know which form is meant; who uses them doesn't.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import Final, TypeVar

NO_UUID: Final = bytes(16)
_INT8: Final = Struct(">b")
_INT16: Final = Struct(">h")
_INT32: Final = Struct(">i")
_INT64: Final = Struct(">q")
Item = TypeVar("Item")


class MalformedError(ValueError):
    """These bytes are no request: the connection that they came on is ended."""


MALFORMED: Final = (MalformedError, error, UnicodeDecodeError)
"""What a `Reader` raises."""


class Reader:
    """Reads one structure behind another from `data`. Nothing is copied but what is returned."""

    __slots__ = ("_view", "is_flexible", "position")

    def __init__(self, data: bytes | bytearray | memoryview, position: int = 0, is_flexible: bool = False) -> None:
        self._view = memoryview(data)
        self.position = position
        self.is_flexible = is_flexible

    @property
    def left_bytes(self) -> int:
        return len(self._view) - self.position

    @property
    def rest(self) -> memoryview:
        """What was not read yet."""
        return self._view[self.position :]

    def take(self, size_bytes: int) -> memoryview:
        """The next bytes, not copied."""
        start = self.position
        end = start + size_bytes
        if size_bytes < 0 or end > len(self._view):
            raise MalformedError(f"{size_bytes} bytes were expected, {self.left_bytes} are left")
        self.position = end
        return self._view[start:end]

    def int8(self) -> int:
        value: int = _INT8.unpack_from(self._view, self.position)[0]
        self.position += 1
        return value

    def int16(self) -> int:
        value: int = _INT16.unpack_from(self._view, self.position)[0]
        self.position += 2
        return value

    def int32(self) -> int:
        value: int = _INT32.unpack_from(self._view, self.position)[0]
        self.position += 4
        return value

    def int64(self) -> int:
        value: int = _INT64.unpack_from(self._view, self.position)[0]
        self.position += 8
        return value

    def boolean(self) -> bool:
        return self.int8() != 0

    def uuid(self) -> bytes:
        return bytes(self.take(16))

    def uvarint(self) -> int:
        """At most 32 bits."""
        value = shift = 0
        for _ in range(5):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise MalformedError("a number of variable length takes more than 5 bytes")

    def _length(self, of_string: bool) -> int:
        """-1 is null."""
        if self.is_flexible:
            return self.uvarint() - 1
        return self.int16() if of_string else self.int32()

    def nullable_string(self) -> str | None:
        length = self._length(True)
        return None if length < 0 else str(self.take(length), "utf-8")

    def string(self) -> str:
        value = self.nullable_string()
        if value is None:
            raise MalformedError("a string was expected, null came")
        return value

    def nullable_bytes(self) -> memoryview | None:
        length = self._length(False)
        return None if length < 0 else self.take(length)

    def nullable_array(self, item: Callable[[], Item]) -> list[Item] | None:
        """As many as the array has of what `item()` reads. Each takes a byte or more."""
        count = self.uvarint() - 1 if self.is_flexible else self.int32()
        if count < 0:
            return None
        if count > self.left_bytes:
            raise MalformedError(f"an array of {count} is said to lie in {self.left_bytes} bytes")
        return [item() for _ in range(count)]

    def array(self, item: Callable[[], Item]) -> list[Item]:
        values = self.nullable_array(item)
        if values is None:
            raise MalformedError("an array was expected, null came")
        return values

    def skip_tags(self) -> None:
        """The tagged fields at the end of a structure: none that a broker must know."""
        if self.is_flexible:
            for _ in range(self.uvarint()):
                self.uvarint()
                self.take(self.uvarint())


class Writer:
    """Writes one structure behind another. What is large stays where it is: `parts` are written one behind the other."""

    __slots__ = ("_open", "_parts", "is_flexible")

    def __init__(self, is_flexible: bool = False) -> None:
        self.is_flexible = is_flexible
        self._parts: list[bytes | bytearray | memoryview] = []
        self._open = bytearray()

    def parts(self) -> list[bytes | bytearray | memoryview]:
        """All that was written, in order."""
        return [*self._parts, self._open]

    def raw(self, data: bytes | bytearray) -> None:
        self._open += data

    def attach(self, data: bytes | memoryview) -> None:
        """`data` follows, and is not copied."""
        self._parts += (self._open, data)
        self._open = bytearray()

    def int8(self, value: int) -> None:
        self._open += _INT8.pack(value)

    def int16(self, value: int) -> None:
        self._open += _INT16.pack(value)

    def int32(self, value: int) -> None:
        self._open += _INT32.pack(value)

    def int64(self, value: int) -> None:
        self._open += _INT64.pack(value)

    def boolean(self, value: bool) -> None:
        self._open.append(value)

    def uvarint(self, value: int) -> None:
        while value > 0x7F:
            self._open.append(value & 0x7F | 0x80)
            value >>= 7
        self._open.append(value)

    def nullable_string(self, value: str | None) -> None:
        encoded = None if value is None else value.encode()
        if self.is_flexible:
            self.uvarint(0 if encoded is None else len(encoded) + 1)
        else:
            self.int16(-1 if encoded is None else len(encoded))
        if encoded:
            self._open += encoded

    def string(self, value: str) -> None:
        self.nullable_string(value)

    def length(self, count: int) -> None:
        """Of an array, or of bytes; -1 is null."""
        if self.is_flexible:
            self.uvarint(count + 1)
        else:
            self.int32(count)

    def int32s(self, values: tuple[int, ...]) -> None:
        """An array of them."""
        self.length(len(values))
        for value in values:
            self.int32(value)

    def no_tags(self) -> None:
        """The end of a structure without tagged fields."""
        if self.is_flexible:
            self._open.append(0)

    def tags(self, fields: dict[int, Writer]) -> None:
        """The end of a structure with these tagged fields, by rising number."""
        self.uvarint(len(fields))
        for number, field in fields.items():
            content = b"".join(field.parts())
            self.uvarint(number)
            self.uvarint(len(content))
            self._open += content
