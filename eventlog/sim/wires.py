"""Connections of an explored world: their states kept once each, and what looks like the world's dictionary over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eventlog.messages import Connection
from eventlog.sim.names import Named
from eventlog.sim.network import ConnectionState


class Wire:
    """One connection's state, kept once. `state` is never changed: whoever wants to takes a copy. `named`: what the
    world calls the delivery of an envelope here, by its number; None where nobody is asked about it."""

    __slots__ = ("connection", "named", "number", "state")

    def __init__(self, number: int, connection: Connection, state: ConnectionState) -> None:
        self.number = number
        self.connection = connection
        self.state = state
        self.named: dict[int, Named | None] = {}


class Network:
    """All connections, kept once. `after`: the networks that follow when some of them change; most are never asked."""

    __slots__ = ("_after", "wires")

    def __init__(self, wires: dict[Connection, Wire]) -> None:
        self.wires = wires
        self._after: dict[Any, Network] | None = None

    @property
    def after(self) -> dict[Any, Network]:
        if self._after is None:
            self._after = {}
        return self._after


class Wires:
    """The dictionary that `World.connections` is, over wires that are copied when somebody touches them. `changed` has
    the copies; None stands for a connection that is gone. What is looked at is noted in `touched`, as it was then."""

    __slots__ = ("changed", "touched", "wires")

    def __init__(self, wires: dict[Connection, Wire], touched: dict[Any, Any]) -> None:
        self.wires = wires
        self.changed: dict[Connection, ConnectionState | None] = {}
        self.touched = touched

    def get(self, connection: Connection) -> ConnectionState | None:
        changed = self.changed
        if connection in changed:
            return changed[connection]
        wire = self.wires.get(connection)
        self.touched[connection] = wire
        if wire is None:
            return None
        state = changed[connection] = wire.state.copy()
        return state

    def __getitem__(self, connection: Connection) -> ConnectionState:
        state = self.get(connection)
        if state is None:
            raise KeyError(connection)
        return state

    def __setitem__(self, connection: Connection, state: ConnectionState) -> None:
        self.get(connection)
        self.changed[connection] = state

    def __delitem__(self, connection: Connection) -> None:
        if self.get(connection) is None:
            raise KeyError(connection)
        self.changed[connection] = None

    def __contains__(self, connection: Connection) -> bool:
        return self.get(connection) is not None

    def pop(self, connection: Connection, default: Any = None) -> Any:
        state = self.get(connection)
        if state is None:
            return default
        self.changed[connection] = None
        return state

    def __iter__(self) -> Iterator[Connection]:
        known = dict.fromkeys((*self.wires, *self.changed))
        return iter([connection for connection in known if connection in self])
