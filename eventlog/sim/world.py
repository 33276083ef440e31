"""The world: one loop that moves every machine, in virtual time, under whatever the answerer decides.

An event is a delivery, a timer that runs out, or the end of a fault (a link heals, a broker restarts). They come by
time; at one time deliveries come before timers, in the order of sending, then of the machines. Nothing else moves.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from eventlog.broker import Broker
from eventlog.client import ConsumerEngine, ProducerEngine
from eventlog.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, CloseConnection, Envelope, Frozen, Machine
from eventlog.messages.broker_api import (
    DeleteRecordsRequest,
    FetchReply,
    ListOffsetsReply,
    ProducePartitionReply,
    ProduceReply,
)
from eventlog.sim.choices import thaw_answerer
from eventlog.sim.faults import Deviation
from eventlog.sim.harming import Harming
from eventlog.sim.invariants import Invariants
from eventlog.sim.names import name_of_reply, name_of_request
from eventlog.sim.network import ConnectionState, Links
from eventlog.sim.recorder import Recorder
from eventlog.sim.state import ADMIN, FOREVER_MS, START_MS, FaultEnd, Handover
from eventlog.sim.striking import end_fault, strike, strike_delivery
from eventlog.sim.targets import Offer
from eventlog.storage import MemoryStores


class World(Harming):
    """Machines, network, time. `answerer` None: a benign world, in which nobody is asked."""

    __slots__ = ()

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
        self._happen(item, order)
        return True

    def _happen(self, item: Envelope | FaultEnd | Handover, order: int) -> None:
        if item.__class__ is Envelope:
            self._deliver(item, order)
        elif isinstance(item, Handover):
            self._hand_over(item, order)
        else:
            assert isinstance(item, FaultEnd)
            end_fault(self, item)

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
        """Nothing happens before this; None in a world at rest. O(1), but for where a timer may be due by now."""
        if self._earliest_timer_ms <= self.now_ms:
            self._find_timer()
        queue = self._queue
        at_ms = min(self._earliest_timer_ms, queue[0][0]) if queue else self._earliest_timer_ms
        return None if at_ms == FOREVER_MS else at_ms

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
        elif message.__class__ is ListOffsetsReply:
            self._receive_watching(machine, envelope)
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
        if not state.is_plain and envelope.correlation_id in state.failing:
            self._send(self._failed_append(envelope))
        elif envelope.message.__class__ is DeleteRecordsRequest:
            self._receive_watching(machine, envelope)
        else:
            self._receive(machine, envelope)

    @staticmethod
    def _failed_append(envelope: Envelope) -> Envelope:
        """The answer of a leader whose disk refuses a batch. It is given before the log is asked: a store in memory
        can't fail, and what counts is that nothing was written, in the log or in its memory of producers."""
        source, destination, connection, correlation_id, request = envelope
        if request.acks == 0:
            return Envelope(destination, source, connection, correlation_id, CloseConnection())
        error = ErrorCode.KAFKA_STORAGE_ERROR
        replies = [ProducePartitionReply(wanted.topic_partition, error) for wanted in request.partitions]
        return Envelope(destination, source, connection, correlation_id, ProduceReply(tuple(replies)))

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
                if machine is not None and request.correlation_id not in state.failing:
                    self._receive(machine, request)
            self.connections.pop(connection, None)
        machine = self.machines.get(envelope.destination)
        if machine is not None:
            self._receive(machine, envelope)

    def _receive_as_follower(self, machine: Machine, envelope: Envelope) -> None:
        """A fetch answer, watching whether it makes the follower cut its log or move its start."""
        reply = envelope.message.partitions[0]
        replica = machine.replicas.get(reply.topic_partition) if isinstance(machine, Broker) else None
        if replica is not None and (
            reply.diverging_epoch >= 0 or reply.log_start_offset > replica.log.log_start_offset
        ):
            self._receive_watching(machine, envelope)
        else:
            self._receive(machine, envelope)

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
        deviation = self.answerer.answer(event, occurrence, faults, Offer(self, envelope))
        if deviation is None:
            return False
        self._note(deviation)
        return strike_delivery(self, deviation, envelope, state, order)

    def _note(self, deviation: Deviation) -> None:
        self.deviations.append(deviation)
        if self.recorder is not None:
            self.recorder.fault(self.event_number, self.now_ms, deviation)

    def strike_now(self, deviation: Deviation) -> None:
        """A fault that somebody asked for, at this moment."""
        self._note(deviation)
        strike(self, deviation)

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
            (self.latency_ms, self.is_coarse),
            tuple([(at_ms - now_ms, order, item) for at_ms, order, item in self._queue]),
            tuple([(connection, state.freeze(now_ms)) for connection, state in self.connections.items()]),
            self.links.freeze(),
            tuple([(name, tuple(held)) for name, held in self.paused.items()]),
            (
                tuple(self.slow.items()),
                tuple([(name, tuple(held)) for name, held in self.stuck.items()]),
                tuple(self.stopping.items()),
            ),
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
            (world.latency_ms, world.is_coarse),
            queue,
            connections,
            links,
            paused,
            (slow, stuck, stopping),
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
        world.stuck = {name: list(held) for name, held in stuck}
        world.stopping = dict(stopping)
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


__all__ = ["START_MS", "World"]
