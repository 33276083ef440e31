"""What a world consists of, and how what a machine says gets on its way."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Final, NamedTuple

from eventlog.broker import Broker
from eventlog.client import ProducerEngine
from eventlog.controller import Controller
from eventlog.errors import ErrorCode, InvariantViolation, RequestError
from eventlog.messages import (
    CONTROLLER,
    NO_CONNECTION,
    CloseConnection,
    Connection,
    Disconnected,
    Envelope,
    Machine,
    NoReply,
    Start,
    Stopped,
    Timer,
    broker_name,
)
from eventlog.messages.broker_api import FetchRequest, MetadataReply, MetadataRequest, ProduceReply
from eventlog.messages.controller_api import (
    AllocateProducerIdsReply,
    AllocateProducerIdsRequest,
    AlterPartitionReply,
    AlterPartitionRequest,
    ControlledShutdownReply,
    ControlledShutdownRequest,
    FetchMetadataReply,
    FetchMetadataRequest,
    RegisterBrokerReply,
    RegisterBrokerRequest,
)
from eventlog.messages.user_api import USER, Send, SendsResolved
from eventlog.sim.choices import Answerer
from eventlog.sim.faults import Deviation
from eventlog.sim.invariants import Invariants
from eventlog.sim.network import ConnectionState, Links
from eventlog.sim.recorder import Recorder
from eventlog.sim.refold import REFUSALS
from eventlog.storage import MemoryStores
from eventlog.values import BrokerSettings, Record

START_MS: Final = 1_700_000_000_000
LATENCY_MS: Final = 1
SLOW_FETCH_MS: Final = 400
ADMIN: Final = "admin"
FOREVER_MS: Final = 2**62
WATCHED_TIMERS: Final = ("expire", "retention")
"""Timers of a broker that make it forget producers or delete records."""
PROMPT: Final = (
    FetchRequest,
    MetadataRequest,
    MetadataReply,
    RegisterBrokerRequest,
    RegisterBrokerReply,
    FetchMetadataRequest,
    FetchMetadataReply,
    AlterPartitionRequest,
    AlterPartitionReply,
    AllocateProducerIdsRequest,
    AllocateProducerIdsReply,
    ControlledShutdownRequest,
    ControlledShutdownReply,
)
"""What arrives first in a coarse world: all that is said to the controller and by it, metadata, and requests for data."""
FIRST: Final = 2**60
NONE: Final = ErrorCode.NONE


class FaultEnd(NamedTuple):
    """Something that a fault left to happen later: `heal`, `restart`, `resume`, `speed up`, on these machines."""

    what: str
    targets: tuple[str, ...]


class Handover(NamedTuple):
    """The server of a connection turns to the next request that has arrived on it."""

    connection: Connection


class WorldState:
    """Machines, network, time."""

    __slots__ = (
        "_counts",
        "_earliest_timer_ms",
        "_heard",
        "_order",
        "_queue",
        "answerer",
        "broker_settings",
        "connections",
        "deviations",
        "event_number",
        "invariants",
        "is_coarse",
        "latency_ms",
        "links",
        "machines",
        "now_ms",
        "paused",
        "recorder",
        "seed",
        "slow",
        "stopping",
        "stores",
        "stuck",
        "user_inbox",
    )

    def __init__(
        self,
        brokers: int = 3,
        broker_settings: BrokerSettings | None = None,
        seed: int = 0,
        answerer: Answerer | None = None,
        recorder: Recorder | None = None,
        invariants: Invariants | None = None,
        latency_ms: int = LATENCY_MS,
        is_coarse: bool = False,
    ) -> None:
        if not 1 <= brokers <= 32:
            raise RequestError(f"brokers must be from 1 to 32, not {brokers}")
        self.broker_settings = broker_settings or BrokerSettings()
        self.seed = seed
        self.answerer = answerer
        self.recorder = recorder
        self.invariants = invariants
        # How long a message is under way. 0: time passes only when everything that was sent has arrived.
        self.latency_ms = latency_ms
        # What is said to the controller and by it, metadata and requests for data arrive before anything else that was sent.
        self.is_coarse = is_coarse
        self.now_ms = START_MS
        self.event_number = 0
        self.deviations: list[Deviation] = []
        self.user_inbox: Callable[[Envelope], None] | None = None
        self._queue: list[tuple[int, int, Envelope | FaultEnd | Handover]] = []
        self._order = 0
        self._earliest_timer_ms = FOREVER_MS
        self._counts: dict[str, int] = {}
        self.connections: dict[Connection, ConnectionState] = {}
        self.links = Links()
        # Machines that stand still, with what has arrived for them meanwhile and its order of sending.
        self.paused: dict[str, list[tuple[int, Envelope | Handover]]] = {}
        # Followers whose fetches are late.
        self.slow: dict[str, int] = {}
        # Followers that fetch nothing, with the fetches they would have sent.
        self.stuck: dict[str, list[Envelope]] = {}
        # Brokers that are coming to an orderly end, and how long they will be down; -1: for good.
        self.stopping: dict[str, int] = {}
        self._heard: dict[int, bool] = {}
        self.stores: dict[int, MemoryStores] = {}
        # None: a broker that is down.
        self.machines: dict[str, Machine | None] = {}
        self.add(Controller(self.broker_settings, seed))
        for broker_id in range(1, brokers + 1):
            self.stores[broker_id] = MemoryStores()
            self._heard[broker_id] = True
            self.add(Broker(broker_id, 0, self.broker_settings, self.stores[broker_id]))

    # --- what is in it --------------------------------------------------------------------------------------------

    def add(self, machine: Machine) -> None:
        """A new machine joins and gets its `Start`."""
        if self.machines.get(machine.name) is not None:
            raise RequestError(f"there is a machine called {machine.name!r} already")
        self.machines[machine.name] = machine
        self.inject(Envelope(machine.name, machine.name, NO_CONNECTION, 0, Start()))

    @property
    def controller(self) -> Controller:
        controller = self.machines[CONTROLLER]
        assert isinstance(controller, Controller)
        return controller

    def find_broker(self, broker_id: int) -> Broker | None:
        """The broker's process, or None while it is down. Raises RequestError when there is no such broker."""
        if broker_id not in self.stores:
            raise RequestError(f"there is no broker {broker_id}; the brokers are {', '.join(map(str, self.stores))}")
        machine = self.machines[broker_name(broker_id)]
        assert machine is None or isinstance(machine, Broker)
        return machine

    def brokers(self) -> list[Broker]:
        """Those that are up, by id."""
        found = [self.find_broker(broker_id) for broker_id in self.stores]
        return [broker for broker in found if broker is not None]

    def _check_name(self, name: str) -> None:
        if name not in self.machines:
            raise RequestError(f"there is no machine {name!r}; there are {', '.join(self.machines)}")

    # --- sending --------------------------------------------------------------------------------------------------

    def inject(self, envelope: Envelope) -> None:
        """Hand an envelope to its machine now: what a user does."""
        machine = self.machines[envelope.destination]
        assert machine is not None
        self._receive(machine, envelope)

    def hand_in(self, producer: ProducerEngine, topic: str, partition: int, record: Record) -> None:
        """A user's send. Mostly it only joins an open batch, and then no envelope is made for it."""
        if not producer.join_open_batch(topic, partition, record):
            self.inject(Envelope(USER, producer.name, NO_CONNECTION, 0, Send(topic, partition, record)))
            return
        self.event_number = event_number = self.event_number + 1
        if self.recorder is not None:
            self.recorder.sent(event_number, self.now_ms, producer.name, topic, partition, record)

    def schedule(self, at_ms: int, item: Envelope | FaultEnd | Handover) -> None:
        """Let `item` happen at `at_ms`."""
        self._order += 1
        heappush(self._queue, (at_ms, self._order, item))

    def _receive(self, machine: Machine, envelope: Envelope) -> None:
        self.event_number = event_number = self.event_number + 1
        now_ms = self.now_ms
        recorder = self.recorder
        if recorder is not None:
            recorder.delivered(event_number, now_ms, envelope)
        out = machine.receive(envelope, now_ms)
        for sent in out:
            self._send(sent)
        earliest_ms = self._earliest_timer_ms
        for at_ms in machine.deadlines().values():
            if at_ms < earliest_ms:
                self._earliest_timer_ms = earliest_ms = at_ms
        kind = machine.__class__
        if kind is Broker:
            if self.invariants is not None:
                self.invariants.after(machine, envelope, self, out)
        elif kind is Controller:
            if recorder is not None:
                recorder.controller_moved(now_ms, self.controller)
            if self.invariants is not None:
                self.invariants.controller_moved(self)

    def _send(self, envelope: Envelope) -> None:
        source, destination, connection, _, message = envelope
        if connection == NO_CONNECTION:
            if destination == USER:
                if self.recorder is not None:
                    self.recorder.told_user(self.now_ms, envelope)
                if self.invariants is not None and message.__class__ is SendsResolved:
                    self.invariants.resolved(message, self)
                if self.user_inbox is not None:
                    self.user_inbox(envelope)
                return
            if message.__class__ is Stopped:
                # After what it sent before has arrived.
                self.schedule(self.now_ms + self.latency_ms, FaultEnd("stop", (source,)))
                return
        else:
            state = self.connections.get(connection)
            message_type = message.__class__
            if message_type is CloseConnection:
                self._close(envelope, state)
                return
            if source == connection.client:
                if state is None:
                    state = self.connections[connection] = ConnectionState()
            elif state is None:
                return  # nobody is there to hear it
            else:
                state.is_busy = False
                if state.backlog:
                    self.schedule(self.now_ms, Handover(connection))
                if message_type is ProduceReply and self.recorder is not None:
                    self._note_refusals(envelope, state)
                elif message_type is NoReply:
                    return
                if not state.is_plain:
                    if state.is_closed:
                        return
                    if state.awaited_answer >= 0:
                        for answer in state.answers_in_order(envelope):
                            self.schedule(self.now_ms + self.latency_ms, answer)
                        return
        due_ms = self.now_ms + self.latency_ms
        if self.stuck and source in self.stuck and message.__class__ is FetchRequest:
            self.stuck[source].append(envelope)
            return
        if self.slow and source in self.slow and message.__class__ is FetchRequest:
            due_ms += SLOW_FETCH_MS
        self._order = order = self._order + 1
        if self.is_coarse and message.__class__ in PROMPT:
            order -= FIRST
        heappush(self._queue, (due_ms, order, envelope))

    def _note_refusals(self, envelope: Envelope, state: ConnectionState) -> None:
        """A leader's answer leaves: what it refuses for a producer's sake goes into the history."""
        for reply in envelope.message.partitions:
            if reply.error is not NONE and reply.error.name in REFUSALS:
                broker = self.machines[envelope.source]
                asked = [request for request in state.served if request.correlation_id == envelope.correlation_id]
                if self.recorder is None or not asked or not isinstance(broker, Broker):
                    continue
                for wanted in asked[0].message.partitions:
                    if wanted.topic_partition == reply.topic_partition:
                        end_offset = broker.replicas[reply.topic_partition].log.log_end_offset
                        self.recorder.refused(self.now_ms, broker.broker_id, wanted.batch, reply, end_offset)

    def _receive_watching(self, machine: Machine, envelope: Envelope) -> None:
        """`_receive` for what may move a log's start or cut its end, or make a broker forget producers: the recorder
        is told."""
        recorder = self.recorder
        if recorder is None or not isinstance(machine, Broker):
            self._receive(machine, envelope)
            return
        before = [
            (log, log.log_start_offset, log.log_end_offset, [known for known, _ in log.producer_state.entries()])
            for log in (replica.log for replica in machine.replicas.values())
        ]
        self._receive(machine, envelope)
        for log, start_offset, end_offset, producer_ids in before:
            if log.log_start_offset > start_offset:
                recorder.log_start_moved(self.now_ms, machine.broker_id, log, start_offset)
            if log.log_end_offset < end_offset:
                recorder.truncated(self.now_ms, machine.broker_id, log, end_offset)
            elif envelope.message.__class__ is Timer:
                state = log.producer_state
                gone = tuple([known for known in producer_ids if state.find_entry(known) is None])
                if gone:
                    name, broker_id = log.topic_partition, machine.broker_id
                    recorder.forgot(self.now_ms, broker_id, name, "expired", gone, log.log_end_offset)

    def _close(self, envelope: Envelope, state: ConnectionState | None) -> None:
        """An endpoint gives the connection up."""
        if state is None:
            return
        connection = envelope.connection
        if envelope.source == connection.server:
            del self.connections[connection]
            self._tell_disconnected(connection.client, connection)
            return
        if not state.is_closed:
            state.is_closed = True
            state.is_plain = False
            # The end of the stream follows what was sent before it.
            self.schedule(
                self.now_ms + self.latency_ms,
                Envelope(connection.client, connection.server, connection, -1, Disconnected()),
            )

    def _tell_disconnected(self, endpoint: str, connection: Connection, refused: bool = False) -> None:
        other = connection.server if endpoint == connection.client else connection.client
        self.schedule(self.now_ms + self.latency_ms, Envelope(other, endpoint, connection, -1, Disconnected(refused)))

    # --- timers ---------------------------------------------------------------------------------------------------

    def _find_timer(self) -> tuple[int, Machine, str] | None:
        """The earliest timer of a machine that doesn't stand still. O(machines), and only when one may be due."""
        found: tuple[int, Machine, str] | None = None
        earliest_ms = FOREVER_MS
        paused = self.paused
        for name, machine in self.machines.items():
            if machine is None or name in paused:
                continue
            for timer, at_ms in machine.deadlines().items():
                # At one time a machine's timers go by name, in whatever order they were set.
                if (
                    found is None
                    or at_ms < earliest_ms
                    or (at_ms == earliest_ms and machine is found[1] and timer < found[2])
                ):
                    earliest_ms = at_ms
                    found = (at_ms, machine, timer)
        self._earliest_timer_ms = FOREVER_MS if found is None else found[0]
        return found

    def _run_out(self, at_ms: int, machine: Machine, timer: str) -> None:
        self.now_ms = max(self.now_ms, at_ms)
        deadlines = machine.deadlines()
        del deadlines[timer]
        envelope = Envelope(machine.name, machine.name, NO_CONNECTION, 0, Timer(timer))
        if timer in WATCHED_TIMERS:
            self._receive_watching(machine, envelope)
        else:
            self._receive(machine, envelope)

    # --- judging --------------------------------------------------------------------------------------------------

    def violation(self, promise: str, message: str) -> InvariantViolation:
        """An InvariantViolation that says where in the run it was found, and how to see it again."""
        tail = "\n".join(self.recorder.tail(12)) if self.recorder is not None else "(nothing was recorded)"
        return InvariantViolation(
            f"{promise} is broken at event {self.event_number}, seed {self.seed}: {message}\n"
            f"deviations: {[tuple(deviation) for deviation in self.deviations]}\nthe events before it:\n{tail}",
            promise,
            self.event_number,
        )
