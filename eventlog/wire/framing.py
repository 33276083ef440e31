"""Frames out of a stream of bytes: a length of four bytes, and so many.

A small request is received with its length, in one go, often with others. A larger one gets room of its own, which grows
with what arrives: to announce a hundred megabytes costs nobody anything.
"""

from __future__ import annotations

from typing import Final

from eventlog.wire.primitives import MalformedError

LENGTH_BYTES: Final = 4
INBOX_BYTES: Final = 4_096
FIRST_BYTES: Final = 65_536
"""The room that a large frame begins with."""
GROWTH: Final = 4


class Framing:
    """Bytes are written into `room()`; `received` says which frames are whole then."""

    __slots__ = ("_filled", "_inbox", "_large", "_large_bytes", "_view", "max_frame_bytes")

    def __init__(self, max_frame_bytes: int) -> None:
        self.max_frame_bytes = max_frame_bytes
        self._inbox = bytearray(INBOX_BYTES)
        self._view = memoryview(self._inbox)
        self._large: bytearray | None = None
        self._large_bytes = 0
        # Bytes in the inbox, or in the large frame while one is received.
        self._filled = 0

    def room(self) -> memoryview:
        """Where the next bytes belong; never empty. The one before must not be in use any more."""
        large = self._large
        if large is None:
            return self._view[self._filled :]
        if self._filled == len(large):
            large += bytes(min((GROWTH - 1) * len(large), self._large_bytes - len(large)))
        return memoryview(large)[self._filled :]

    def received(self, size_bytes: int) -> list[bytearray]:
        """So many bytes were written. Raises MalformedError when a frame is announced that can't be taken."""
        self._filled += size_bytes
        if self._large is None:
            return self._cut()
        if self._filled < self._large_bytes:
            return []
        frame, self._large, self._filled = self._large, None, 0
        return [frame]

    def _cut(self) -> list[bytearray]:
        frames: list[bytearray] = []
        inbox, begin, end = self._inbox, 0, self._filled
        while end - begin >= LENGTH_BYTES:
            body = begin + LENGTH_BYTES
            length = int.from_bytes(inbox[begin:body], "big", signed=True)
            if not 0 < length <= self.max_frame_bytes:
                raise MalformedError(f"a frame of {length} bytes was announced; 1 to {self.max_frame_bytes} are taken")
            if length > end - body:
                if length > INBOX_BYTES - LENGTH_BYTES:
                    self._begin_large(length, body)
                    return frames
                break
            begin = body + length
            frames.append(inbox[body:begin])
        if begin:
            inbox[: end - begin] = inbox[begin:end]
            self._filled = end - begin
        return frames

    def _begin_large(self, length: int, body: int) -> None:
        arrived = self._inbox[body : self._filled]
        self._large = bytearray(min(length, max(FIRST_BYTES, len(arrived))))
        self._large[: len(arrived)] = arrived
        self._large_bytes = length
        self._filled = len(arrived)
