"""What every part of a broker stands on: its state, and how it addresses others."""

from __future__ import annotations

from typing import Any

from eventlog.broker.replica import Replica
from eventlog.broker.waiting_room import WaitingRoom
from eventlog.log.store import StoreProvider
from eventlog.messages import (
    CONTROLLER,
    Connection,
    Envelope,
    broker_name,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings, TopicPartition


class BrokerProcess:
    """The state of one broker process."""

    __slots__ = (
        "_connection_numbers",
        "_correlation_ids",
        "_is_asking_for_ids",
        "_producer_ids",
        "broker_epoch",
        "broker_id",
        "has_ended",
        "image",
        "incarnation",
        "name",
        "replicas",
        "settings",
        "stores",
        "timers",
        "waiting",
    )

    def __init__(self, broker_id: int, incarnation: int, settings: BrokerSettings, stores: StoreProvider) -> None:
        self.broker_id = broker_id
        self.name = broker_name(broker_id)
        self.incarnation = incarnation
        self.settings = settings
        self.stores = stores
        self.broker_epoch = -1
        self.image = MetadataImage()
        self.replicas: dict[TopicPartition, Replica] = {}
        self.waiting = WaitingRoom()
        self.timers: dict[str, int] = {}
        # The next id to give out and the end of its block; behind it the block that was fetched ahead.
        self._producer_ids: tuple[tuple[int, int], ...] = ()
        self._is_asking_for_ids = False
        # It came to its orderly end: what still reaches the process must not touch what it has closed.
        self.has_ended = False
        self._connection_numbers: dict[str, int] = {}
        self._correlation_ids: dict[Connection, int] = {}

    def _answer(self, envelope: Envelope, message: Any) -> Envelope:
        connection = envelope.connection
        return Envelope(self.name, connection.client, connection, envelope.correlation_id, message)

    def _connect(self, server: str, purpose: str) -> Connection:
        # Never a number of the process before this one: its connections may still be known to somebody.
        number = self._connection_numbers.get(purpose, self.incarnation * 1_000_000)
        self._connection_numbers[purpose] = number + 1
        return Connection(self.name, server, purpose, number)

    def _ask(self, connection: Connection, message: Any) -> Envelope:
        correlation_id = self._correlation_ids.get(connection, 0)
        self._correlation_ids[connection] = correlation_id + 1
        return Envelope(self.name, connection.server, connection, correlation_id, message)

    def _ask_controller(self, purpose: str, message: Any) -> Envelope:
        return self._ask(Connection(self.name, CONTROLLER, purpose, self.incarnation), message)
