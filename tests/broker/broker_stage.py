"""A world of brokers and one asker: requests go to the broker that a test names, answers are kept until looked at.

After every step each broker, its stores and the controller are frozen, thawed and frozen again: the same must come out.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

from eventlog.broker import Broker
from eventlog.broker.replica import Replica
from eventlog.controller import Controller
from eventlog.messages import CONTROLLER, NO_CONNECTION, CloseConnection, Connection, Disconnected, Envelope, Start
from eventlog.messages.broker_api import (
    FetchPartition,
    FetchPartitionReply,
    FetchRequest,
    ListOffsetsPartition,
    ListOffsetsRequest,
    OffsetForLeaderEpochPartition,
    OffsetForLeaderEpochRequest,
    ProducePartition,
    ProducePartitionReply,
    ProduceRequest,
)
from eventlog.messages.controller_api import CreateTopicRequest, PartitionRecord
from eventlog.sim.invariants import Invariants
from eventlog.sim.world import START_MS, World
from eventlog.storage import MemoryStores
from eventlog.values import BrokerSettings, Record, RecordBatch, TopicPartition, record_batch, with_settings

TP = TopicPartition("t", 0)
T0 = START_MS
A, B = 9_000_000_000_000, 9_000_000_000_001


class Ask(NamedTuple):
    connection: Connection
    message: Any


class Asker:
    """A machine that sends what it is told and keeps what comes back."""

    name = "asker"

    def __init__(self) -> None:
        self.answers: dict[Connection, tuple[int, Any]] = {}

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        message = envelope.message
        if isinstance(message, Ask):
            connection, wanted = message
            if isinstance(wanted, CloseConnection):
                return [Envelope(self.name, connection.server, connection, -1, wanted)]
            return [Envelope(self.name, connection.server, connection, 0, wanted)]
        if isinstance(message, Disconnected):
            self.answers[envelope.connection] = (now_ms, "closed")
        elif not isinstance(message, Start):
            self.answers[envelope.connection] = (now_ms, message)
        return []

    def deadlines(self) -> dict[str, int]:
        return {}

    def freeze(self, now_ms: int) -> Any:
        raise NotImplementedError


def batch(producer_id: int, epoch: int, base_sequence: int, count: int = 1) -> RecordBatch:
    records = tuple(Record(None, f"v.{index}".encode(), T0) for index in range(count))
    return record_batch(records, producer_id, epoch, base_sequence)


class Stage:
    """Topic `t` with one partition; replica 1 leads, unless told otherwise."""

    def __init__(self, brokers: int = 3, topic: dict[str, Any] | None = None, **settings: Any) -> None:
        self.settings = with_settings(BrokerSettings(), settings)
        self.world = World(brokers, self.settings, invariants=Invariants(full=True))
        self.asker = Asker()
        self.world.add(self.asker)
        self.connections = 0
        self.run(20)
        self.create(topic=topic or {})

    def create(
        self, name: str = "t", partitions: int = 1, factor: int = -1, topic: dict[str, Any] | None = None
    ) -> Any:
        told: list[Any] = []
        self.world.user_inbox = lambda envelope: told.append(envelope.message)
        self.world.ask(CONTROLLER, CreateTopicRequest(name, partitions, factor, tuple((topic or {}).items())))
        self.run(20)
        (reply,) = told
        return reply

    # --- time -----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Milliseconds since the start."""
        return self.world.now_ms - T0

    def run(self, for_ms: int) -> None:
        self.world.run_until(self.world.now_ms + for_ms)
        self.check()

    def check(self) -> None:
        now_ms = self.world.now_ms
        for broker in self.world.brokers():
            stores = MemoryStores.thaw(pickle.loads(pickle.dumps(broker.stores.freeze())))
            assert stores.freeze() == broker.stores.freeze()
            frozen = pickle.loads(pickle.dumps(broker.freeze(now_ms)))
            assert Broker.thaw(frozen, now_ms, self.settings, stores).freeze(now_ms) == frozen
        frozen = pickle.loads(pickle.dumps(self.world.controller.freeze(now_ms)))
        assert Controller.thaw(frozen, now_ms, self.settings, 0).freeze(now_ms) == frozen

    # --- asking ---------------------------------------------------------------------------------------------------

    def send(self, broker_id: int, message: Any) -> Connection:
        """A request on a connection of its own."""
        self.connections += 1
        connection = Connection("asker", f"broker-{broker_id}", "test", self.connections)
        self.world.inject(Envelope("user", "asker", NO_CONNECTION, 0, Ask(connection, message)))
        return connection

    def give_up(self, connection: Connection) -> None:
        """The asker closes the connection."""
        self.world.inject(Envelope("user", "asker", NO_CONNECTION, 0, Ask(connection, CloseConnection())))

    def answered(self, connection: Connection) -> Any:
        """The answer that has come, or None."""
        return self.asker.answers.get(connection, (0, None))[1]

    def answered_at(self, connection: Connection) -> int:
        return self.asker.answers[connection][0] - T0

    def ask(self, broker_id: int, message: Any, within_ms: int = 10) -> Any:
        """The answer, which must come at once."""
        connection = self.send(broker_id, message)
        self.run(within_ms)
        answer = self.answered(connection)
        assert answer is not None, f"no answer to {message}"
        return answer

    def produce(self, broker_id: int, *numbers: int, acks: int = -1, within_ms: int = 10) -> str | int:
        """The offset, "dup@<offset>", or "<error> at <base offset>", answered at once."""
        return shown(self.ask(broker_id, produce_request(batch(*numbers), acks), within_ms).partitions[0])

    def start_produce(self, broker_id: int, *numbers: int, acks: int = -1, timeout_ms: int = 2_000) -> Connection:
        """The request is under way and appended, its answer not awaited."""
        connection = self.send(broker_id, produce_request(batch(*numbers), acks, timeout_ms))
        self.run(5)
        return connection

    def outcome(self, connection: Connection) -> str | int | None:
        answer = self.answered(connection)
        return None if answer is None else shown(answer.partitions[0])

    def fetch(self, broker_id: int, offset: int, **more: Any) -> FetchPartitionReply:
        return self.ask(broker_id, fetch_request(offset, **more)).partitions[0]

    def list_offsets(self, broker_id: int, timestamp_ms: int = -1, epoch: int = -1) -> tuple[int, int, int]:
        """(error, offset, leader epoch)."""
        asked = ListOffsetsRequest(-1, 0, (ListOffsetsPartition(TP, timestamp_ms, epoch),))
        reply = self.ask(broker_id, asked).partitions[0]
        return int(reply.error), reply.offset, reply.leader_epoch

    def epoch_end(self, broker_id: int, leader_epoch: int, current: int = -1) -> tuple[int, int, int]:
        """(error, leader epoch, end offset)."""
        asked = OffsetForLeaderEpochRequest(-1, (OffsetForLeaderEpochPartition(TP, leader_epoch, current),))
        reply = self.ask(broker_id, asked).partitions[0]
        return int(reply.error), reply.leader_epoch, reply.end_offset

    # --- faults and looking ---------------------------------------------------------------------------------------

    def stop_replication(self, *followers: int, leader: int = 1) -> None:
        """They live and are in sync, but fetch nothing."""
        for follower in followers:
            self.world.cut(f"broker-{leader}", f"broker-{follower}")

    def let_replicate(self, *followers: int, leader: int = 1) -> None:
        for follower in followers:
            self.world.heal(f"broker-{leader}", f"broker-{follower}")

    def elect(self, broker_id: int) -> None:
        self.world.elect("t-0", broker_id)

    def replica(self, broker_id: int) -> Replica:
        broker = self.world.find_broker(broker_id)
        assert broker is not None
        return broker.replicas[TP]

    def ends(self) -> list[tuple[int, int]]:
        """(log end, high watermark) of every broker that is up."""
        logs = [broker.replicas[TP].log for broker in self.world.brokers()]
        return [(log.log_end_offset, log.high_watermark) for log in logs]

    @property
    def partition(self) -> PartitionRecord:
        """By the controller."""
        return self.world.controller.image.partitions[TP]


def produce_request(each: RecordBatch, acks: int = -1, timeout_ms: int = 2_000, to: TopicPartition = TP) -> Any:
    return ProduceRequest(acks, timeout_ms, (ProducePartition(to, each),))


def fetch_request(
    offset: int,
    *,
    replica_id: int = -1,
    epoch: int = -1,
    last_epoch: int = -1,
    wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 2**20,
) -> FetchRequest:
    wanted = FetchPartition(TP, offset, epoch, last_epoch, -1, max_bytes)
    return FetchRequest(replica_id, -1, wait_ms, min_bytes, 2**24, 0, (wanted,))


def shown(reply: ProducePartitionReply) -> str | int:
    if reply.error:
        return f"{int(reply.error)} at {reply.base_offset}"
    return f"dup@{reply.base_offset}" if reply.log_append_time_ms != -1 else reply.base_offset


__all__ = ["T0", "TP", "A", "B", "Stage", "batch", "fetch_request", "produce_request", "shown"]
