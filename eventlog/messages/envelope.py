"""The envelope, the connection it travels on, and the shape that every moving thing has.

A connection is first-in first-out, has one request in process at its server, and answers in order, as Kafka's does. A
client opens one by naming it: the first envelope on a `Connection` nobody knows opens it; a higher `number` is a
reconnect, and only between two numbers can anything overtake.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

Frozen = tuple[Any, ...]
"""What a machine freezes to: tuples of immutable values, nothing shared, nothing mutable."""


class Connection(NamedTuple):
    """`client` opened it towards `server` for one purpose; `number` counts the client's connections of that purpose."""

    client: str
    server: str
    purpose: str
    number: int


NO_CONNECTION = Connection("", "", "", 0)
CONTROLLER = "controller"
NETWORK = "network"


def broker_name(broker_id: int) -> str:
    """A broker's name as a machine: `broker-1`."""
    return f"broker-{broker_id}"


class Envelope(NamedTuple):
    """A message under way. Without a connection (`NO_CONNECTION`) it is between a machine and itself or its user.

    It is a reply when its source is the connection's server. `correlation_id` pairs reply and request on a connection.
    """

    source: str
    destination: str
    connection: Connection
    correlation_id: int
    message: Any


class Timer(NamedTuple):
    """A deadline of the machine itself that has run out, by its name."""

    name: str


class Start(NamedTuple):
    """The first envelope a machine gets."""


class ShutDown(NamedTuple):
    """To a machine: come to an orderly end. It says `Stopped` when it has."""


class Stopped(NamedTuple):
    """A machine to the network: this process ends now, in order; nothing of it is lost but what it held in memory."""


class Disconnected(NamedTuple):
    """The network to an endpoint: this connection is gone, with everything on it. `refused`: nobody was listening."""

    refused: bool = False


class CloseConnection(NamedTuple):
    """An endpoint to the network: I give this connection up. What was already sent may still be read by the server."""


class NoReply(NamedTuple):
    """A server to the network: this request is done and gets no answer (acks=0); the next may come."""


class Machine(Protocol):
    """What moves: broker, controller, producer engine, consumer engine.

    `receive` takes one envelope and the time and returns the envelopes to send; nothing else crosses. `deadlines` are
    the machine's set timers by name, in Unix milliseconds; one that runs out is removed there and comes in as a `Timer`.
    `freeze` gives the machine's whole state as plain tuples with times as distances from `now_ms`; the class's `thaw`
    makes an equal machine of it.
    """

    @property
    def name(self) -> str: ...

    def receive(self, envelope: Envelope, now_ms: int) -> Iterable[Envelope]: ...

    def deadlines(self) -> dict[str, int]: ...

    def freeze(self, now_ms: int) -> Frozen: ...
