"""A cluster whose clients can die, as they do with the process that holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventlog.check import history as rows
from eventlog.clients import Consumer, Producer
from eventlog.cluster import Cluster
from eventlog.errors import ErrorCode, UnknownOutcomeError
from eventlog.messages import CloseConnection, Envelope, Frozen


class Departed:
    """Where a client was: nothing that reaches it has any effect."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def receive(self, envelope: Envelope, now_ms: int) -> Iterable[Envelope]:
        return ()

    def deadlines(self) -> dict[str, int]:
        return {}

    def freeze(self, now_ms: int) -> Frozen:
        return (self.name,)


class MortalCluster(Cluster):
    """`Cluster`, and what becomes of it when a process of the user's dies."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deaths: list[tuple[int, int, str]] = []
        """(number of events before it, at_ms, crash point), in order."""

    def producer(self, name: str = "", **settings: Any) -> Producer:
        """A new producer. The name of one that died may come again: `relay`, then `relay.2`."""
        return super().producer(self._free_name(name), **settings)

    def consumer(self, *partitions: tuple[str, int], name: str = "", **settings: Any) -> Consumer:
        """A new consumer; of its name the same is true."""
        return super().consumer(*partitions, name=self._free_name(name), **settings)

    def _change(self, request: Any) -> None:
        """Nothing goes wrong while topics are made and changed: that is how a test sets its stage."""
        world = self._open_world()
        answerer, world.answerer = world.answerer, None
        try:
            super()._change(request)
        finally:
            world.answerer = answerer

    def _free_name(self, name: str) -> str:
        life = 1
        lived = name
        while isinstance(self._world.machines.get(lived), Departed):
            life += 1
            lived = f"{name}.{life}"
        return lived

    @property
    def client_names(self) -> tuple[str, ...]:
        """Every client ever made, dead or alive, in order."""
        return tuple(self._clients)

    def kill(self, names: Iterable[str], why: str) -> None:
        """The process that held these clients dies at the crash point `why`.

        What they had handed to the network arrives; what waited in them is gone, and nobody hears of any answer.
        """
        world = self._open_world()
        self.deaths.append((len(self.recorder.events), world.now_ms, why))
        for name in names:
            if isinstance(world.machines[name], Departed):
                continue
            for connection, state in sorted(world.connections.items()):
                if connection.client == name:
                    world._close(Envelope(name, connection.server, connection, 0, CloseConnection()), state)
            world.machines[name] = Departed(name)
            client = self._clients[name]
            client._closed = True
            if isinstance(client, Producer):
                self._bury(client, why)
        world._find_timer()

    def _bury(self, producer: Producer, why: str) -> None:
        """Its sends have their end: nobody will ever know."""
        now_ms = self._world.now_ms
        error = UnknownOutcomeError(
            f"the process of {producer.name!r} died at crash point {why!r}; the record may be written or not",
            ErrorCode.NETWORK_EXCEPTION,
        )
        for number, delivery in list(producer._deliveries.items()):
            row = rows.Failed(
                now_ms, producer.name, delivery.topic, delivery.partition, (number,), error.code.name, True, 1
            )
            self.recorder.history.append(row)
            producer._fail(number, delivery.partition, error)
