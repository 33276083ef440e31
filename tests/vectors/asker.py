"""A machine that sends what it is told and keeps what comes back: one request, one answer, nothing retried."""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog.messages import NO_CONNECTION, Connection, Disconnected, Envelope, Start
from eventlog.sim.world import World


class Ask(NamedTuple):
    """To the asker: send this on that connection."""

    connection: Connection
    correlation_id: int
    message: Any


class Asker:
    """`answers` by (connection, correlation id); `closed` are the connections that ended."""

    name = "asker"

    def __init__(self) -> None:
        self.answers: dict[tuple[Connection, int], Any] = {}
        self.closed: list[Connection] = []

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        message = envelope.message
        if isinstance(message, Ask):
            connection, correlation_id, wanted = message
            return [Envelope(self.name, connection.server, connection, correlation_id, wanted)]
        if isinstance(message, Disconnected):
            self.closed.append(envelope.connection)
        elif not isinstance(message, Start):
            self.answers[(envelope.connection, envelope.correlation_id)] = message
        return []

    def deadlines(self) -> dict[str, int]:
        return {}

    def freeze(self, now_ms: int) -> Any:
        raise AssertionError("nobody freezes the asker")

    def send(self, world: World, connection: Connection, correlation_id: int, message: Any) -> None:
        """Let `message` go out now."""
        world.inject(Envelope("user", self.name, NO_CONNECTION, 0, Ask(connection, correlation_id, message)))
