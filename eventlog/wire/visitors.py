"""All clients outside, as one machine of the world."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from eventlog.errors import RequestError
from eventlog.messages import Connection, Disconnected, Envelope, Start, Timer

VISITORS: Final = "clients"


class Say(NamedTuple):
    """To the visitors: one of you says this."""

    envelope: Envelope


class Sleep(NamedTuple):
    """To the visitors: something goes on `for_ms` from now."""

    name: str
    for_ms: int


class Visitors:
    """`answers` are waited for by (connection, correlation id), `sleepers` by name. Who is told of an answer is a future
    of asyncio; in a replay there are none, and the same happens."""

    name = VISITORS

    __slots__ = ("answers", "broken", "sleepers", "timers")

    def __init__(self, broken: Callable[[Connection], None]) -> None:
        self.answers: dict[tuple[Connection, int], Future[Any]] = {}
        self.broken = broken
        self.timers: dict[str, int] = {}
        self.sleepers: dict[str, Future[None]] = {}

    @property
    def is_anybody_waiting(self) -> bool:
        return bool(self.answers or self.timers)

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        message = envelope.message
        if isinstance(message, Say):
            return [message.envelope]
        if isinstance(message, Disconnected):
            self.broken(envelope.connection)
        elif isinstance(message, Sleep):
            self.timers[message.name] = now_ms + message.for_ms
        elif isinstance(message, Timer):
            _resolve(self.sleepers.pop(message.name, None), None)
        elif not isinstance(message, Start):
            _resolve(self.answers.pop((envelope.connection, envelope.correlation_id), None), message)
        return []

    def deadlines(self) -> dict[str, int]:
        return self.timers

    def freeze(self, now_ms: int) -> tuple[Any, ...]:
        raise RequestError("a cluster that listens can't freeze; its recording can be replayed instead")


def _resolve(future: Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)
