"""One client's socket: frames in, frames out, one request in process, answers in order.

While a request is in process, at most one large frame or a few small ones are read ahead; then the socket is left alone,
and the client has to wait (Kafka mutes the channel). The next request is not begun before the last answer has left, so what
is kept for a slow reader is one answer.

A consumer that waits for records asks the same for hours, and hears the same. What the last request said and what its answer
looked like is remembered, as long as the brokers' metadata is what it was: the same bytes again mean the same again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from eventlog.messages import Connection
from eventlog.wire.call import CORRELATION_ID, Call, Handler, UnservedError
from eventlog.wire.framing import LENGTH_BYTES, Framing
from eventlog.wire.handlers import handler_of
from eventlog.wire.primitives import MALFORMED, MalformedError

if TYPE_CHECKING:
    from eventlog.wire.door import Door

READ_AHEAD: Final = 1
REMEMBERED_BYTES: Final = 4_096
JOINED_BYTES: Final = 65_536
"""Answers up to this size are put together and leave in one piece."""


class ClientConnection(asyncio.BufferedProtocol):
    """`way` is this connection's name in the world. `ended_by`: why the door ended it; "" while it didn't."""

    def __init__(self, door: Door, broker_id: int, way: Connection) -> None:
        self.door = door
        self.broker_id = broker_id
        self.way = way
        self.ended_by = ""
        self.task: asyncio.Task[None]
        self._transport: asyncio.Transport | None = None
        self._framing = Framing(door.max_frame_bytes)
        self._last: tuple[bytearray, Call] | None = None
        self._frames: deque[bytearray] = deque()
        self._is_deaf = False
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None

    # --- asyncio's side -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self.door.connections[self.way] = self
        self.task = self.door.loop.create_task(self._serve())

    def connection_lost(self, why: Exception | None) -> None:
        self._transport = None
        self.task.cancel()
        self.door.leave(self)

    def eof_received(self) -> bool:
        return False

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._framing.room()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for frame in self._framing.received(nbytes):
                self._frame_arrived(frame)
        except MalformedError as why:
            self.end(str(why))

    def pause_writing(self) -> None:
        self._drained = self.door.loop.create_future()

    def resume_writing(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # --- one request after another --------------------------------------------------------------------------------

    def _frame_arrived(self, frame: bytearray) -> None:
        if self._is_deaf:
            return
        self._frames.append(frame)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)  # it is taken at once: the socket needs no pause
        elif len(self._frames) >= READ_AHEAD and self._transport is not None:
            self._transport.pause_reading()

    async def _next_frame(self) -> bytearray:
        if self._frames:
            await asyncio.sleep(0)  # one request a turn: the others come to theirs, and an end of this one is heard of
        else:
            self._arrived = self.door.loop.create_future()
            await self._arrived
            self._arrived = None
        frame = self._frames.popleft()
        if len(self._frames) < READ_AHEAD and self._transport is not None:
            self._transport.resume_reading()
        return frame

    async def _serve(self) -> None:
        try:
            while True:
                call = self._read(await self._next_frame())
                self.door.note(call)
                await self._handle(call, handler_of(call.api))
        except UnservedError as why:
            self.end(f"{why} came, which is not served")
        except MALFORMED as why:
            self.end(f"the request can't be read: {why}")
        except ConnectionError as why:
            self.end(str(why))
        except Exception as why:
            self.end(f"{type(why).__name__}: {why}")
            self.door.fail(why)

    def _read(self, frame: bytearray) -> Call:
        if self._last is not None:
            last_frame, last = self._last
            last_frame[CORRELATION_ID] = frame[CORRELATION_ID]
            if frame == last_frame and last.is_up_to_date:
                again = last.again(frame)
                self._last = (frame, again)
                return again
        call = Call(self.door, self.broker_id, self.way, frame)
        call.asked = handler_of(call.api).read(call)
        self._last = (frame, call) if len(frame) <= REMEMBERED_BYTES else None
        return call

    async def _handle(self, call: Call, handler: Handler) -> None:
        fault = self.door.faults.find(call)
        if fault is not None:
            await fault.strike(self, call, handler)
            return
        reply = await handler.answer(call)
        if reply is not None:
            await self.write(call, handler, reply)

    async def write(self, call: Call, handler: Handler, reply: Any) -> None:
        """Send the answer, and come back when it has left."""
        if self.door.sightings is not None and self._transport is not None and not self._transport.is_closing():
            self.door.sightings.answered(call, reply, self.door.world.now_ms)
        for piece in self.frame(call, handler, reply):
            if self._transport is not None:
                self._transport.write(piece)
        if self._drained is not None:
            await self._drained

    @staticmethod
    def frame(call: Call, handler: Handler, reply: Any) -> list[bytes | bytearray | memoryview]:
        """The whole answer with its length, in as few pieces as are worth it."""
        if call.said is not None and call.said[0] == reply and call.is_up_to_date:
            again = bytearray(call.said[1])
            again[CORRELATION_ID] = call.correlation_id.to_bytes(4, "big", signed=True)
            return [again]
        writer = call.writer()
        handler.write(call, reply, writer)
        parts = writer.parts()
        size_bytes = sum([len(part) for part in parts])
        length = size_bytes.to_bytes(LENGTH_BYTES, "big")
        if size_bytes > JOINED_BYTES:
            return [b"".join([length, parts[0]]), *parts[1:]]
        whole = b"".join([length, *parts])
        call.said = (reply, whole) if size_bytes <= REMEMBERED_BYTES else None
        return [whole]

    @property
    def kept_bytes(self) -> int:
        """What was written and has not left."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    # --- its end --------------------------------------------------------------------------------------------------

    def send_torn(self, data: bytes) -> None:
        """Send bytes that are no whole frame, and end."""
        if self._transport is not None:
            self._transport.write(data)
            self._transport.close()

    async def fall_silent(self) -> None:
        """Hear no more and say no more; the connection stays open until the client gives it up."""
        self._is_deaf = True
        self._frames.clear()
        if self._transport is not None:
            self._transport.resume_reading()
        await self.door.loop.create_future()

    def end(self, why: str) -> None:
        """Close the connection, once what was written has left."""
        self.ended_by = self.ended_by or why
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()
