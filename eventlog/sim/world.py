"""The world: one loop that moves every machine, in virtual time, under whatever the answerer decides.

An event is a delivery, a timer that runs out, or the end of a fault (a link heals, a broker restarts). They come by
time; at one time deliveries come before timers, in the order of sending, then of the machines. Nothing else moves.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple

from eventlog.broker import Broker
from eventlog.client import ConsumerEngine, ProducerEngine
from eventlog.controller import Controller
from eventlog.errors import InvariantViolation, RequestError
from eventlog.messages import (
    CONTROLLER,
    NO_CONNECTION,
    CloseConnection,
    Connection,
    Disconnected,
    Envelope,
    Frozen,
    Machine,
    NoReply,
    Start,
    Timer,
    broker_name,
)
from eventlog.messages.broker_api import FetchReply, FetchRequest, ProduceReply
from eventlog.messages.controller_api import ElectLeaderRequest, HeartbeatsResumed, HeartbeatsStopped
from eventlog.messages.user_api import USER, Send, SendsResolved
from eventlog.sim.choices import Answerer, thaw_answerer
from eventlog.sim.faults import Deviation
from eventlog.sim.invariants import Invariants
from eventlog.sim.names import name_of_reply, name_of_request
from eventlog.sim.network import ConnectionState, Links
from eventlog.sim.recorder import Recorder
from eventlog.storage import MemoryStores
from eventlog.values import BrokerSettings, Record

START_MS: Final = 1_700_000_000_000
LATENCY_MS: Final = 1
SLOW_FETCH_MS: Final = 400
NETWORK: Final = "network"
ADMIN: Final = "admin"
FOREVER_MS: Final = 2**62

_new_tuple = tuple.__new__


class FaultEnd(NamedTuple):
    """Something that a fault left to happen later: `heal`, `restart`, `resume`, `speed up`, on these machines."""

    what: str
    targets: tuple[str, ...]


class Handover(NamedTuple):
    """The server of a connection turns to the next request that has arrived on it."""

    connection: Connection


class World:
    """Machines, network, time. `answerer` None: a benign world, in which nobody is asked."""

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
        "links",
        "machines",
        "now_ms",
        "paused",
        "recorder",
        "seed",
        "slow",
        "stores",
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
    ) -> None:
        if not 1 <= brokers <= 32:
            raise RequestError(f"brokers must be from 1 to 32, not {brokers}")
        self.broker_settings = broker_settings or BrokerSettings()
        self.seed = seed
        self.answerer = answerer
        self.recorder = recorder
        self.invariants = invariants
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
        for sent in machine.receive(envelope, now_ms):
            self._send(sent)
        earliest_ms = self._earliest_timer_ms
        for at_ms in machine.deadlines().values():
            if at_ms < earliest_ms:
                self._earliest_timer_ms = earliest_ms = at_ms
        kind = machine.__class__
        if kind is Broker:
            if self.invariants is not None:
                self.invariants.after(machine, envelope, self)
        elif kind is Controller and recorder is not None:
            recorder.controller_moved(now_ms, self.controller)

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
                if message_type is NoReply or state.is_closed:
                    return
        due_ms = self.now_ms + LATENCY_MS
        if self.slow and source in self.slow and message.__class__ is FetchRequest:
            due_ms += SLOW_FETCH_MS
        self._order += 1
        heappush(self._queue, (due_ms, self._order, envelope))

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
                self.now_ms + LATENCY_MS,
                Envelope(connection.client, connection.server, connection, -1, Disconnected()),
            )

    def _tell_disconnected(self, endpoint: str, connection: Connection, refused: bool = False) -> None:
        other = connection.server if endpoint == connection.client else connection.client
        self.schedule(self.now_ms + LATENCY_MS, Envelope(other, endpoint, connection, -1, Disconnected(refused)))

    # --- the loop -------------------------------------------------------------------------------------------------

    def step(self, until_ms: int = FOREVER_MS) -> bool:
        """The next event, if it is due by `until_ms`; False when there is none."""
        queue = self._queue
        at_ms = queue[0][0] if queue else FOREVER_MS
        if self._earliest_timer_ms < at_ms and self._earliest_timer_ms <= until_ms:
            timer = self._find_timer()
            if timer is not None and timer[0] < at_ms and timer[0] <= until_ms:
                self._run_out(*timer)
                return True
        if at_ms > until_ms or not queue:
            return False
        _, order, item = heappop(queue)
        self.now_ms = at_ms
        if item.__class__ is Envelope:
            self._deliver(item, order)
        elif isinstance(item, Handover):
            self._hand_over(item, order)
        else:
            assert isinstance(item, FaultEnd)
            self._end_fault(item)
        return True

    def run_until(self, at_ms: int) -> None:
        """Let everything happen that is due by `at_ms`; then it is `at_ms`."""
        step = self.step
        while step(at_ms):
            pass
        self.now_ms = max(self.now_ms, at_ms)

    @property
    def is_anything_under_way(self) -> bool:
        """Is a message, or the end of a fault, still to come?"""
        return bool(self._queue)

    def next_event_ms(self) -> int | None:
        """When the next event is due; None in a world at rest."""
        timer = self._find_timer()
        due = [at_ms for at_ms in (timer[0] if timer else None, self._queue[0][0] if self._queue else None) if at_ms]
        return min(due) if due else None

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
        self._receive(machine, Envelope(machine.name, machine.name, NO_CONNECTION, 0, Timer(timer)))

    def _deliver(self, envelope: Envelope, order: int) -> None:
        source, destination, connection, correlation_id, message = envelope
        if connection == NO_CONNECTION:
            if destination in self.paused:
                self.paused[destination].append((order, envelope))
                return
            machine = self.machines[destination]
            if machine is not None:
                self._receive(machine, envelope)
            return
        if self.links.cuts and (source, destination) in self.links.cuts:
            self.links.held[(source, destination)].append((order, envelope))
            return
        if self.paused and destination in self.paused:
            self.paused[destination].append((order, envelope))
            return
        state = self.connections.get(connection)
        is_request = source == connection.client
        if correlation_id == -1:  # the network speaks: the connection is gone
            if is_request and state is not None and self.now_ms < state.requests_not_before_ms:
                # The end of a stream waits behind what is late on it.
                heappush(self._queue, (state.requests_not_before_ms, order, envelope))
                return
            self._deliver_end(envelope, state, is_request)
            return
        if state is None:
            return  # the bytes of a connection that broke
        if not state.is_plain and self._is_held_up(envelope, state, is_request, order):
            return
        if is_request:
            if self.answerer is not None and self._deviate(name_of_request(envelope), envelope, state, order):
                return
            if state.is_busy or state.backlog:
                state.backlog.append(envelope)
            else:
                self._serve(envelope, state)
            return
        if self.answerer is not None:
            request = state.request_of(correlation_id)
            if request is not None and self._deviate(name_of_reply(request), envelope, state, order):
                return
        machine = self.machines.get(destination)
        if machine is None:
            if destination == ADMIN:
                del self.connections[connection]
                if self.user_inbox is not None:
                    self.user_inbox(envelope)
            return
        if message.__class__ is FetchReply and self.recorder is not None:
            self._receive_as_follower(machine, envelope)
        else:
            self._receive(machine, envelope)

    def _serve(self, envelope: Envelope, state: ConnectionState) -> None:
        """The server takes a request that has arrived into process."""
        source, destination, connection, _, _ = envelope
        machine = self.machines[destination]
        if machine is None:
            del self.connections[connection]
            self._tell_disconnected(source, connection, refused=True)
            return
        state.is_busy = True
        state.served.append(envelope)
        self._receive(machine, envelope)

    def _hand_over(self, handover: Handover, order: int) -> None:
        connection = handover.connection
        state = self.connections.get(connection)
        if state is None or state.is_busy or not state.backlog:
            return
        if connection.server in self.paused:
            self.paused[connection.server].append((order, handover))
            return
        self._serve(state.backlog.popleft(), state)

    def _is_held_up(self, envelope: Envelope, state: ConnectionState, is_request: bool, order: int) -> bool:
        """What the connection's past faults do to this delivery; True when it doesn't take place now."""
        if is_request:
            if state.requests_lost:
                return True
            not_before_ms = state.requests_not_before_ms
        else:
            if state.replies_lost or state.is_closed:
                return True
            not_before_ms = state.replies_not_before_ms
        if self.now_ms < not_before_ms:
            heappush(self._queue, (not_before_ms, order, envelope))
            return True
        return False

    def _deliver_end(self, envelope: Envelope, state: ConnectionState | None, is_from_client: bool) -> None:
        """A connection's end has reached an endpoint."""
        connection = envelope.connection
        if is_from_client and state is not None:
            while state.backlog:  # the server reads to the end what had arrived before
                request = state.backlog.popleft()
                machine = self.machines[connection.server]
                if machine is not None:
                    self._receive(machine, request)
            self.connections.pop(connection, None)
        machine = self.machines.get(envelope.destination)
        if machine is not None:
            self._receive(machine, envelope)

    def _receive_as_follower(self, machine: Machine, envelope: Envelope) -> None:
        """A fetch answer, watching whether it makes the follower cut its log."""
        assert self.recorder is not None
        reply = envelope.message.partitions[0]
        if reply.diverging_epoch < 0 or not isinstance(machine, Broker):
            self._receive(machine, envelope)
            return
        log = machine.replicas[reply.topic_partition].log
        end_offset = log.log_end_offset
        self._receive(machine, envelope)
        if log.log_end_offset < end_offset:
            self.recorder.truncated(self.now_ms, machine.broker_id, log, end_offset)

    # --- faults ---------------------------------------------------------------------------------------------------

    def _deviate(
        self, named: tuple[str, tuple[str, ...]] | None, envelope: Envelope, state: ConnectionState, order: int
    ) -> bool:
        """Ask the one question; True when the delivery does not take place now."""
        if named is None:
            return False
        event, faults = named
        occurrence = self._counts.get(event, 0) + 1
        self._counts[event] = occurrence
        assert self.answerer is not None
        deviation = self.answerer.answer(event, occurrence, faults, _Options(self, envelope))
        if deviation is None:
            return False
        self._note(deviation)
        return self._strike_delivery(deviation, envelope, state, order)

    def _note(self, deviation: Deviation) -> None:
        self.deviations.append(deviation)
        if self.recorder is not None:
            self.recorder.fault(self.event_number, self.now_ms, deviation)

    def _strike_delivery(self, deviation: Deviation, envelope: Envelope, state: ConnectionState, order: int) -> bool:
        fault = deviation.fault
        connection = envelope.connection
        is_request = envelope.source == connection.client
        if fault == "request_lost":
            state.requests_lost = True
            state.is_plain = False
            return True
        if fault == "reply_lost":
            state.replies_lost = True
            state.is_plain = False
            return True
        if fault == "delay":
            not_before_ms = self.now_ms + deviation.duration_ms
            if is_request:
                state.requests_not_before_ms = not_before_ms
            else:
                state.replies_not_before_ms = not_before_ms
            state.is_plain = False
            # When it is delivered after all it will be asked about again, as the next occurrence.
            heappush(self._queue, (not_before_ms, order, envelope))
            return True
        if fault == "disconnect":
            self.break_connection(connection)
            return True
        if fault == "client_timeout":
            machine = self.machines[connection.client]
            assert machine is not None
            self._run_out(self.now_ms, machine, f"request {connection.server}")
            return state.is_closed
        self.strike(deviation)
        if self.links.cuts and (envelope.source, envelope.destination) in self.links.cuts:
            self.links.held[(envelope.source, envelope.destination)].append((order, envelope))
            return True
        if envelope.destination in self.paused:
            self.paused[envelope.destination].append((order, envelope))
            return True
        return self.connections.get(connection) is not state

    def strike_now(self, deviation: Deviation) -> None:
        """A fault that somebody asked for, at this moment."""
        self._note(deviation)
        self.strike(deviation)

    def strike(self, deviation: Deviation) -> None:
        """A fault of machines and links, on its target."""
        fault, target, duration_ms = deviation.fault, deviation.target, deviation.duration_ms
        if fault in ("crash", "crash_losing_tail"):
            self.crash(int(target.removeprefix("broker-")), fault == "crash_losing_tail")
            self._end_later(FaultEnd("restart", (target,)), duration_ms)
        elif fault == "pause":
            self.pause(target)
            self._end_later(FaultEnd("resume", (target,)), duration_ms)
        elif fault == "cut":
            first, second = target.split("<>")
            self.cut(first, second)
            self._end_later(FaultEnd("heal", (first, second)), duration_ms)
        elif fault == "cut_one_way":
            first, second = target.split(">")
            self.cut_one_way(first, second)
            self._end_later(FaultEnd("heal one way", (first, second)), duration_ms)
        elif fault == "isolate":
            self.isolate(target)
            self._end_later(FaultEnd("rejoin", (target,)), duration_ms)
        elif fault == "slow_follower":
            self.slow[target] = self.slow.get(target, 0) + 1
            self._end_later(FaultEnd("speed up", (target,)), duration_ms)
        elif fault == "election":
            topic_partition, leader = target.split(">")
            self.elect(topic_partition, int(leader.removeprefix("broker-")))
        else:
            raise RequestError(f"fault {fault!r} strikes a delivery, not a machine")

    def _end_later(self, end: FaultEnd, duration_ms: int) -> None:
        if duration_ms >= 0:
            self.schedule(self.now_ms + duration_ms, end)

    def _end_fault(self, end: FaultEnd) -> None:
        what, targets = end
        if what == "restart":
            self.restart(int(targets[0].removeprefix("broker-")))
        elif what == "resume":
            self.resume(targets[0])
        elif what == "heal":
            self.heal(*targets)
        elif what == "heal one way":
            self.heal_one_way(*targets)
        elif what == "rejoin":
            self.rejoin(targets[0])
        else:
            left = self.slow.pop(targets[0], 1) - 1
            if left > 0:
                self.slow[targets[0]] = left
        if self.recorder is not None:
            self.recorder.fault_ended(self.event_number, self.now_ms, what, targets)

    # --- what users and faults do to machines and links -----------------------------------------------------------

    def crash(self, broker_id: int, losing_tail: bool = False) -> None:
        """The process dies; its disk stays, with `losing_tail` without what was not flushed. No-op when it is down."""
        broker = self.find_broker(broker_id)
        if broker is None:
            return
        name = broker.name
        self.machines[name] = None
        if self.invariants is not None:
            self.invariants.crashed(name)
        for _, item in self.paused.pop(name, ()):
            self.connections.pop(item.connection, None)
        for connection in [c for c in self.connections if name in (c.client, c.server)]:
            del self.connections[connection]
            other = connection.client if connection.server == name else connection.server
            self._tell_disconnected(other, connection)
        if losing_tail:
            for topic_partition, from_offset, to_offset in self.stores[broker_id].lose_unflushed_tails():
                if self.recorder is not None:
                    self.recorder.tail_lost(self.now_ms, broker_id, topic_partition, from_offset, to_offset)
                if self.invariants is not None:
                    self.invariants.tail_lost(name, topic_partition, to_offset)
        self._update_heartbeats()

    def restart(self, broker_id: int) -> None:
        """A new process over the same disk. No-op when it runs."""
        if self.find_broker(broker_id) is not None:
            return
        name = broker_name(broker_id)
        # A process is known by a number that never comes twice, however soon it dies again.
        incarnation = self.event_number
        self.add(Broker(broker_id, incarnation, self.broker_settings, self.stores[broker_id]))
        if self.invariants is not None:
            self.invariants.restarted(name)
        self._update_heartbeats()

    def pause(self, name: str) -> None:
        """The machine stands still: nothing reaches it, its timers don't run out."""
        self._check_name(name)
        if name not in self.paused and self.machines[name] is not None:
            self.paused[name] = []
            self._update_heartbeats()

    def resume(self, name: str) -> None:
        """It goes on where it stood, with all that arrived meanwhile."""
        for order, item in self.paused.pop(name, ()):
            heappush(self._queue, (self.now_ms, order, item))  # in front of what is sent from now on
        self._find_timer()
        self._update_heartbeats()

    def cut(self, first: str, second: str) -> None:
        """Nothing passes between the two, in both directions."""
        self.cut_one_way(first, second)
        self.cut_one_way(second, first)

    def heal(self, first: str, second: str) -> None:
        """Undo one `cut` of the two."""
        self.heal_one_way(first, second)
        self.heal_one_way(second, first)

    def cut_one_way(self, source: str, destination: str) -> None:
        """Nothing passes from `source` to `destination`."""
        self._check_name(source)
        self._check_name(destination)
        self.links.cut(source, destination)
        self._update_heartbeats()

    def heal_one_way(self, source: str, destination: str) -> None:
        """Undo one cut in this direction; what it held arrives now."""
        for order, item in self.links.heal(source, destination):
            heappush(self._queue, (self.now_ms, order, item))
        self._update_heartbeats()

    def heal_all(self) -> None:
        """Undo every fault: links heal, brokers restart and go on, nobody is slow."""
        for source, destination in list(self.links.cuts):
            while (source, destination) in self.links.cuts:
                self.heal_one_way(source, destination)
        for name in list(self.paused):
            self.resume(name)
        self.slow.clear()
        for broker_id in self.stores:
            self.restart(broker_id)
        self._queue = [entry for entry in self._queue if entry[2].__class__ is not FaultEnd]
        self._queue.sort()

    def isolate(self, name: str) -> None:
        """Cut a broker off from the controller and the other brokers; clients still reach it."""
        for other in self._peers(name):
            self.cut(name, other)

    def rejoin(self, name: str) -> None:
        """Undo one `isolate`."""
        for other in self._peers(name):
            self.heal(name, other)

    def _peers(self, name: str) -> list[str]:
        return [CONTROLLER, *[broker_name(other) for other in self.stores if broker_name(other) != name]]

    def elect(self, topic_partition: str, broker_id: int) -> None:
        """Ask the controller for another leader of `topic-partition`."""
        for known in self.controller.image.partitions:
            if str(known) == topic_partition:
                self.ask_controller(ElectLeaderRequest(known, broker_id))

    def ask_controller(self, request: Any) -> Connection:
        """An administrator's request; the answer goes to the user's inbox on the connection returned."""
        connection = Connection(ADMIN, CONTROLLER, "admin", self.event_number)
        self.connections[connection] = ConnectionState()
        self.inject(Envelope(ADMIN, CONTROLLER, connection, 0, request))
        return connection

    def break_connection(self, connection: Connection) -> None:
        """It breaks: what is under way is lost in both directions, and both ends notice."""
        if self.connections.pop(connection, None) is not None:
            self._tell_disconnected(connection.client, connection)
            self._tell_disconnected(connection.server, connection)

    def _check_name(self, name: str) -> None:
        if name not in self.machines:
            raise RequestError(f"there is no machine {name!r}; there are {', '.join(self.machines)}")

    def _update_heartbeats(self) -> None:
        """Tell the controller of brokers that fell silent or are heard again."""
        for broker_id, was_heard in self._heard.items():
            name = broker_name(broker_id)
            is_heard = (
                self.machines[name] is not None
                and name not in self.paused
                and (name, CONTROLLER) not in self.links.cuts
            )
            if is_heard != was_heard:
                self._heard[broker_id] = is_heard
                news = HeartbeatsResumed(broker_id) if is_heard else HeartbeatsStopped(broker_id)
                self.schedule(self.now_ms + LATENCY_MS, Envelope(NETWORK, CONTROLLER, NO_CONNECTION, 0, news))

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

    # --- freezing -------------------------------------------------------------------------------------------------

    def freeze(self) -> Frozen:
        """The whole world as plain tuples (settings, recorder and inbox aside)."""
        now_ms = self.now_ms
        machines = []
        for name, machine in self.machines.items():
            frozen = None if machine is None else (type(machine).__name__, machine.freeze(now_ms))
            machines.append((name, frozen, self._settings_of(machine)))
        return (
            now_ms,
            self.event_number,
            self._order,
            self.seed,
            self.broker_settings,
            tuple([(at_ms - now_ms, order, item) for at_ms, order, item in self._queue]),
            tuple([(connection, state.freeze(now_ms)) for connection, state in self.connections.items()]),
            self.links.freeze(),
            tuple([(name, tuple(held)) for name, held in self.paused.items()]),
            tuple(self.slow.items()),
            tuple(self._heard.items()),
            tuple([(broker_id, stores.freeze()) for broker_id, stores in self.stores.items()]),
            tuple(machines),
            tuple(self._counts.items()),
            tuple(self.deviations),
            None if self.answerer is None else self.answerer.freeze(),
        )

    @staticmethod
    def _settings_of(machine: Machine | None) -> Any:
        if isinstance(machine, ProducerEngine | ConsumerEngine):
            return machine.settings
        return None

    @classmethod
    def thaw(cls, frozen: Frozen, recorder: Recorder | None = None, invariants: Invariants | None = None) -> World:
        """A world that goes on exactly as the frozen one would have."""
        world = cls.__new__(cls)
        (
            now_ms,
            world.event_number,
            world._order,
            world.seed,
            settings,
            queue,
            connections,
            links,
            paused,
            slow,
            heard,
            stores,
            machines,
            counts,
            deviations,
            answerer,
        ) = frozen
        world.now_ms = now_ms
        world.broker_settings = settings
        world.recorder = recorder
        world.invariants = invariants
        world.user_inbox = None
        world._queue = [(now_ms + wait_ms, order, item) for wait_ms, order, item in queue]
        world.connections = {connection: ConnectionState.thaw(state, now_ms) for connection, state in connections}
        world.links = Links.thaw(links)
        world.paused = {name: list(held) for name, held in paused}
        world.slow = dict(slow)
        world._heard = dict(heard)
        world.stores = {broker_id: MemoryStores.thaw(stored) for broker_id, stored in stores}
        world._counts = dict(counts)
        world.deviations = list(deviations)
        world.answerer = thaw_answerer(answerer)
        world.machines = {}
        for name, state, client_settings in machines:
            world.machines[name] = None if state is None else world._thaw_machine(state, client_settings)
        world._find_timer()
        if invariants is not None:
            for broker in world.brokers():  # what is committed already binds from the start
                invariants.after(broker, None, world)
        return world

    def _thaw_machine(self, frozen: tuple[str, Frozen], client_settings: Any) -> Machine:
        kind, state = frozen
        if kind == "Broker":
            return Broker.thaw(state, self.now_ms, self.broker_settings, self.stores[state[0]])
        if kind == "Controller":
            return Controller.thaw(state, self.now_ms, self.broker_settings, self.seed)
        if kind == "ConsumerEngine":
            return ConsumerEngine.thaw(state, self.now_ms)
        return ProducerEngine.thaw(state, self.now_ms)


class _Options:
    """Whom a fault would strike at one delivery."""

    __slots__ = ("envelope", "world")

    def __init__(self, world: World, envelope: Envelope) -> None:
        self.world = world
        self.envelope = envelope

    def find_target(self, fault: str, event: str, occurrence: int, luck: int) -> str | None:
        world = self.world
        source, destination, connection, _, message = self.envelope
        if fault in ("request_lost", "reply_lost", "delay", "disconnect"):
            return f"{source}>{destination}"
        if fault == "client_timeout":
            client = world.machines[connection.client]
            if client is None or f"request {connection.server}" not in client.deadlines():
                return None
            return connection.client if message.__class__ is ProduceReply else None
        if fault == "cut":
            return f"{source}<>{destination}" if (source, destination) not in world.links.cuts else None
        if fault == "cut_one_way":
            return f"{source}>{destination}" if (source, destination) not in world.links.cuts else None
        broker = destination if destination.startswith("broker-") else source
        if fault == "slow_follower":
            return source if source.startswith("broker-") and source not in world.slow else None
        if world.machines.get(broker) is None or broker in world.paused:
            return None
        if fault == "isolate":
            return broker if (broker, CONTROLLER) not in world.links.cuts else None
        if fault == "election":
            return self._find_election(luck)
        return broker

    def _find_election(self, luck: int) -> str | None:
        """Another in-sync replica for a partition that this broker leads."""
        world = self.world
        image = world.controller.image
        for topic_partition, partition in image.partitions.items():
            others = [
                member
                for member in partition.in_sync_replicas
                if member != partition.leader_id and image.is_alive(member)
            ]
            if others and broker_name(partition.leader_id) in (self.envelope.source, self.envelope.destination):
                return f"{topic_partition}>{broker_name(others[luck % len(others)])}"
        return None
