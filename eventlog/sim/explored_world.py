"""A world in which cells stand where machines would, loaded with one state after the other by `explore`.

What a fault does, what a connection carries and what comes first is the world's own (`world`, `harming`, `striking`,
`network`): only what touches a machine is said anew here, in terms of cells.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Final

from eventlog.broker import Broker
from eventlog.controller import Controller
from eventlog.errors import ErrorCode, RequestError
from eventlog.messages import CONTROLLER, Connection, Envelope, Machine, broker_name
from eventlog.messages.broker_api import ProduceReply, ProduceRequest
from eventlog.messages.user_api import SendRefused, SendsResolved
from eventlog.sim.cells import RESTART, Cell, Cells, Result
from eventlog.sim.faults import Deviation
from eventlog.sim.glance import Outcomes
from eventlog.sim.moves import Moved, grown
from eventlog.sim.names import Named, name_of_reply, name_of_request
from eventlog.sim.network import ConnectionState
from eventlog.sim.state import FIRST, FOREVER_MS, PROMPT, START_MS, FaultEnd, Handover
from eventlog.sim.striking import strike_delivery
from eventlog.sim.targets import Offer
from eventlog.sim.wires import Network, Wire, Wires
from eventlog.sim.world import World
from eventlog.values import FAULTS, TopicPartition

NONE: Final = ErrorCode.NONE
PRODUCE: Final = (ProduceRequest, ProduceReply)
LOSSES: Final = ("request_lost", "reply_lost")
FAILED: Final = -2


class ExploredWorld(World):
    """A world of cells, loaded with one state after the other."""

    __slots__ = (
        "_moves",
        "_networks",
        "_touched",
        "_wires",
        "broken",
        "budgets",
        "cells",
        "chosen",
        "disks",
        "is_held",
        "is_seen",
        "loses_metadata",
        "network",
        "noted",
        "outcomes",
        "questions",
    )

    _moves: dict[Any, Any]
    _networks: dict[tuple[int, ...], Network]
    _touched: dict[Any, Any]
    _wires: dict[Any, Wire]
    broken: str
    budgets: dict[str, int]
    cells: Cells
    chosen: tuple[str, str] | None
    disks: dict[str, Cell]
    is_held: bool
    is_seen: bool
    loses_metadata: bool
    network: Network
    noted: list[str]
    outcomes: Outcomes
    questions: int

    @classmethod
    def of(cls, world: World, cells: Cells, faults: tuple[str, ...]) -> ExploredWorld:
        """An explored world in the state of a real one, in which nobody was told anything yet."""
        explored = cls.__new__(cls)
        explored.cells = cells
        explored.broker_settings = world.broker_settings
        explored.seed = world.seed
        explored.latency_ms, explored.is_coarse = world.latency_ms, world.is_coarse
        explored.answerer = explored  # type: ignore[assignment]  # somebody is asked: `_deviate` says what it says
        explored.recorder = explored.invariants = None
        explored.user_inbox = explored._hear
        explored.now_ms = START_MS
        explored.event_number = 0
        explored.deviations = []
        explored._order = world._order
        explored._earliest_timer_ms = START_MS
        explored._counts = {}
        explored.budgets = dict.fromkeys(faults, 0)
        explored.is_held = explored.is_seen = explored.loses_metadata = False
        explored.questions = 0
        explored.noted = []
        explored.chosen = None
        explored.outcomes = ()
        explored.broken = ""
        explored._moves, explored._networks, explored._wires = {}, {}, {}
        explored._touched = {}
        explored.network = Network({})
        return explored

    # --- cells instead of machines --------------------------------------------------------------------------------

    @property
    def controller(self) -> Controller:
        cell: Any = self.machines[CONTROLLER]
        found: Controller = cell.live
        return found

    def find_broker(self, broker_id: int) -> Broker | None:
        if broker_id not in self.stores:
            raise RequestError(f"there is no broker {broker_id}; the brokers are {', '.join(map(str, self.stores))}")
        cell: Any = self.machines[broker_name(broker_id)]
        return None if cell is None else cell.live

    def _receive(self, machine: Any, envelope: Envelope) -> None:
        connection = envelope.connection
        if envelope.source == connection.server and envelope.correlation_id >= 0:
            state = self.connections.get(connection)
            if state is not None and state.served and state.served[0].correlation_id == envelope.correlation_id:
                state.served.popleft()  # its answer has arrived
        self._move(machine, self.cells.receive(machine, envelope))

    def _move(self, cell: Cell, result: Result) -> None:
        following, out, broken, marks = result
        self.noted += marks
        if following is not cell:
            self.machines[cell.name] = following  # type: ignore[assignment]
            if following.seen is not cell.seen:
                self.is_seen = True
            broken = broken or following.broken
        if broken:
            self.broken = self.broken or broken
        for sent in out:
            self._send(sent)

    def _receive_watching(self, machine: Any, envelope: Envelope) -> None:
        self._receive(machine, envelope)

    def _receive_as_follower(self, machine: Any, envelope: Envelope) -> None:
        self._receive(machine, envelope)

    def _find_timer(self) -> Any:
        found: Any = None
        earliest_ms = FOREVER_MS
        for name, cell in self.machines.items():
            if cell is not None and cell.earliest_ms < earliest_ms and name not in self.paused:  # type: ignore[attr-defined]
                earliest_ms = cell.earliest_ms  # type: ignore[attr-defined]
                found = cell
        if found is None:
            return None
        return (earliest_ms, found, min([timer for timer, at_ms in found.waits.items() if at_ms == earliest_ms]))

    def _run_out(self, at_ms: int, machine: Any, timer: str) -> None:
        self._touched[machine.name] = machine
        self._move(machine, self.cells.run_out(machine, timer))

    def _happen(self, item: Any, order: int) -> None:
        is_envelope = item.__class__ is Envelope
        if is_envelope or item.__class__ is Handover:
            destination = item.destination if is_envelope else item.connection.server
            if destination not in self._touched and destination in self.machines:
                self._touched[destination] = self.machines[destination]
        super()._happen(item, order)

    def _end_process(self, broker_id: int, losing_tail: bool, wiping: bool) -> list[Any]:
        name = broker_name(broker_id)
        cell: Any = self.machines[name]
        self.disks[name] = self.cells.end(cell, losing_tail, wiping)
        self.machines[name] = None
        self.is_seen = True
        return []

    def _new_process(self, broker_id: int) -> Machine:
        disk = self.disks.pop(broker_name(broker_id))
        cell: Any = self.cells.begin(disk, broker_id)
        self.noted.append(RESTART)
        self.is_seen = True
        found: Machine = cell
        return found

    def _update_heartbeats(self) -> None:
        self._heard = self._heard.copy()
        super()._update_heartbeats()

    def _note_forgetting(self, broker_id: int, why: str) -> None:
        return

    def _propose(self, topic_partition: TopicPartition, wished: tuple[int, ...]) -> None:
        leader = self._find_leader(topic_partition)
        assert leader is not None
        cell: Any = self.machines[leader.name]
        self._move(cell, self.cells.propose(cell, topic_partition, wished))

    def _hear(self, envelope: Envelope) -> None:
        message = envelope.message
        told: list[tuple[int, int, int]] = []
        if message.__class__ is SendsResolved:
            offset = message.base_offset if message.error is NONE else FAILED
            for index, record in enumerate(message.records):
                at_offset = offset + index if offset >= 0 else offset
                told.append((record.send_number, message.topic_partition.partition, at_offset))
        elif isinstance(message, SendRefused):
            told.append((message.record.send_number, message.partition, FAILED))
        self._tell(tuple(told))

    def _tell(self, told: Outcomes) -> None:
        if told:
            self.outcomes = tuple(sorted((*self.outcomes, *told)))
            self.is_seen = True

    # --- the question ---------------------------------------------------------------------------------------------

    def _deviate(self, named: Any, envelope: Envelope, state: ConnectionState, order: int) -> bool:
        """What was chosen at the question that the state was kept for; nothing anywhere else."""
        if self.chosen is None:
            return False
        (fault, target), self.chosen = self.chosen, None
        self.budgets = {**self.budgets, fault: self.budgets[fault] - 1}
        deviation = Deviation(named[0], 1, fault, target, FAULTS[fault].default_duration_ms)
        return strike_delivery(self, deviation, envelope, state, order)

    def find_question(self, item: Any) -> Named | None:
        """What this delivery is called, and which faults could come instead; None where nobody is asked."""
        if item.__class__ is not Envelope or (self.is_coarse and item.message.__class__ in PROMPT):
            return None
        source, destination, connection, correlation_id, _ = item
        wire = self.network.wires.get(connection)
        if wire is None or correlation_id == -1 or destination in self.paused:
            return None
        if self.links.cuts and (source, destination) in self.links.cuts:
            return None
        number = self.cells.number_of(item)
        if number in wire.named:
            return wire.named[number]
        state = wire.state.copy()
        is_request = source == connection.client
        named: Named | None = None
        if state.is_plain or not self._will_be_held_up(state, is_request):
            asked = item if is_request else state.request_of(correlation_id)
            if asked is not None:
                named = name_of_request(asked) if is_request else name_of_reply(asked)
        wire.named[number] = named
        return named

    @staticmethod
    def _will_be_held_up(state: ConnectionState, is_request: bool) -> bool:
        if is_request:
            return state.requests_lost or state.requests_not_before_ms > START_MS
        return state.replies_lost or state.is_closed or state.replies_not_before_ms > START_MS

    def offers(self, named: Named, envelope: Envelope) -> Iterator[tuple[str, str]]:
        """(fault, target) of each deviation that the budgets allow here."""
        self.connections = Wires(self.network.wires, {})  # type: ignore[assignment]
        offer = Offer(self, envelope)
        is_produce = envelope.message.__class__ in PRODUCE
        for fault in named[1]:
            if self.budgets.get(fault) and (is_produce or self.loses_metadata or fault not in LOSSES):
                found: dict[str, None] = {}
                for luck in range(len(self.stores)):
                    target = offer.find_target(fault, named[0], 1, luck)
                    if target is not None and target not in found:
                        found[target] = None
                        yield (fault, target)

    # --- one event ------------------------------------------------------------------------------------------------

    def go_on(self) -> bool:
        """The next event, with all that arrives in the same step; False when somebody may deviate there, and then it
        waits. Not to be called at rest."""
        queue = self._queue
        due_ms = queue[0][0] if queue else FOREVER_MS
        timer = self._find_timer()
        if timer is not None and timer[0] < due_ms:
            due_ms = timer[0]
        else:
            timer = None
        if due_ms > START_MS:
            self._age(due_ms - START_MS)
            if timer is not None:
                timer = self._find_timer()
        if timer is not None:
            self.play((timer[1].name, timer[2]), None, 0)
            return True
        _, order, item = self._queue[0]
        named = self.find_question(item)
        if named is not None:
            assert isinstance(item, Envelope)  # nothing else is asked about
            if next(self.offers(named, item), None) is not None:
                return False
            self.questions += 1
        heappop(self._queue)
        self.play(self.cells.number_of(item), item, order)
        return True

    def play(self, key: Any, item: Any, order: int) -> None:
        """An event, remembered by all that it looks at: `item`, or the timer that `key` names runs out, or the messages
        arrive that go first."""
        if item.__class__ is FaultEnd or not self.is_calm:
            self.play_anew(key, item, order)
            return
        machines, wires = self.machines, self.network.wires
        known = self._moves.get(key)
        while known.__class__ is tuple:
            looked_at = known[0]
            found = machines[looked_at] if looked_at.__class__ is str else wires.get(looked_at)
            if len(known) == 2:
                known = known[1].get(found)
            else:
                known = known[2] if known[1] is found else None
        moved: Moved = known or self._remember(key, item, order)
        for name, cell in moved.cells:
            machines[name] = cell  # type: ignore[assignment]
        if moved.wires:
            network = self.network.after.get(moved)
            if network is None:
                network = self.network.after[moved] = self._network_after(moved.wires)
            self.network = network
        for wait_ms, is_first, sent in moved.sent:
            self._order = order = self._order + 1
            heappush(self._queue, (START_MS + wait_ms, order - FIRST if is_first else order, sent))
        self._tell(moved.outcomes)
        self.noted += moved.marks
        self.broken = self.broken or moved.broken
        self.is_seen = self.is_seen or moved.is_seen

    def _remember(self, key: Any, item: Any, order: int) -> Moved:
        """What an event changes, worked out in this world, which is then as it was."""
        queue, self._queue = self._queue, []
        machines, self.machines = self.machines, self.machines.copy()
        before = (self.outcomes, self.noted, self.broken, self.is_seen)
        self.outcomes, self.noted, self.broken, self.is_seen = (), [], "", False
        connections = self._live_through(key, item, order)
        touched = self._touched
        cells = [(name, self.machines[name]) for name in touched if name.__class__ is str]
        self._queue.sort()
        the = self.cells.the
        moved = Moved(
            tuple([(name, cell) for name, cell in cells if cell is not touched[name]]),  # type: ignore[misc]
            tuple([(at, wire) for at, wire in self._interned(connections) if wire is not touched[at]]),
            tuple([(at_ms - START_MS, number < 0, the(sent)) for at_ms, number, sent in self._queue]),
            self.outcomes,
            tuple(self.noted),
            self.broken,
            self.is_seen,
        )
        self._queue, self.machines = queue, machines
        self.outcomes, self.noted, self.broken, self.is_seen = before
        self._moves[key] = grown(self._moves.get(key), list(touched.items()), 0, moved)
        return moved

    @property
    def is_calm(self) -> bool:
        """No fault lasts that holds anything back."""
        return not (self.links.cuts or self.paused or self.slow or self.stuck or self.stopping)

    def play_anew(self, key: Any, item: Any, order: int) -> None:
        """An event, not remembered; only what arrives in the same step is."""
        wires = self._watch()
        if item is None:
            name, timer = key
            self._run_out(START_MS, self.machines[name], timer)
        else:
            self._happen(item, order)
        if not self.is_calm:
            self._take_in_what_goes_first()
        changes = [(at, wire) for at, wire in self._interned(wires) if wire is not self.network.wires.get(at)]
        if changes:
            self.network = self._network_after(changes)
        first: list[Any] = []
        while self._is_next_first():
            first.append(self.cells.the(heappop(self._queue)[2]))
        if first:
            self.play(tuple(map(id, first)), first, 0)

    def _live_through(self, key: Any, item: Any, order: int) -> Wires:
        wires = self._watch()
        if item is None:
            name, timer = key
            self._run_out(START_MS, self.machines[name], timer)
        elif item.__class__ is list:
            for one in item:
                self._order += 1
                heappush(self._queue, (START_MS, self._order - FIRST, one))
        else:
            self._happen(item, order)
        self._take_in_what_goes_first()
        return wires

    def _watch(self) -> Wires:
        self._touched = {}
        wires = Wires(self.network.wires, self._touched)
        self.connections = wires  # type: ignore[assignment]
        return wires

    def _is_next_first(self) -> bool:
        queue = self._queue
        return self.is_coarse and bool(queue) and queue[0][1] < 0 and queue[0][0] <= START_MS

    def _take_in_what_goes_first(self) -> None:
        while self._is_next_first():
            _, order, item = heappop(self._queue)
            self._happen(item, order)

    def _age(self, by_ms: int) -> None:
        cells = self.cells
        for name, cell in self.machines.items():
            if cell is not None:
                self.machines[name] = cells.age(cell, by_ms)  # type: ignore[arg-type, assignment]
        self._queue = [(max(START_MS, at_ms - by_ms), order, item) for at_ms, order, item in self._queue]
        network = self.network.after.get(by_ms)
        if network is None:
            network = self.network.after[by_ms] = self._network_later(by_ms)
        self.network = network

    # --- connections ----------------------------------------------------------------------------------------------

    def _network_later(self, by_ms: int) -> Network:
        changes = []
        for connection, wire in self.network.wires.items():
            state = wire.state
            if max(state.requests_not_before_ms, state.replies_not_before_ms) > START_MS:
                state = state.copy()
                state.requests_not_before_ms -= by_ms
                state.replies_not_before_ms -= by_ms
                changes.append((connection, self._wire_of(connection, state)))
        return self._network_after(changes) if changes else self.network

    def _network_after(self, changes: Sequence[tuple[Connection, Wire | None]]) -> Network:
        wires = dict(self.network.wires)
        for connection, wire in changes:
            if wire is None:
                wires.pop(connection, None)
            else:
                wires[connection] = wire
        numbers = tuple(sorted([wire.number for wire in wires.values()]))
        return self._networks.setdefault(numbers, Network(wires))

    def _interned(self, connections: Wires) -> list[tuple[Connection, Wire | None]]:
        return [
            (connection, None if state is None else self._wire_of(connection, state))
            for connection, state in connections.changed.items()
        ]

    def _wire_of(self, connection: Connection, state: ConnectionState) -> Wire:
        the = self.cells.the
        if state.replies_lost or state.is_closed:
            state.served.clear()  # no answer will be named after them
        served, backlog = [the(request) for request in state.served], [the(request) for request in state.backlog]
        key: Any = (connection, state.is_busy, *map(id, served), -1, *map(id, backlog))
        if not state.is_plain:
            key = (key, state.freeze(START_MS)[4:])
        wire = self._wires.get(key)
        if wire is None:
            kept = state.copy()
            kept.served.clear()
            kept.served.extend(served)
            kept.backlog = deque(backlog)
            wire = self._wires[key] = Wire(len(self._wires), connection, kept)
        return wire


class AtQuestions:
    """Answers by the number of the question, counted as `ExploredWorld` counts them: how a path becomes deviations."""

    __slots__ = ("asked", "wanted", "world")

    def __init__(self, world: World, wanted: dict[int, tuple[str, str]]) -> None:
        self.world = world
        self.wanted = wanted
        self.asked = 0

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Any) -> Deviation | None:
        if self.world.is_coarse and options.envelope.message.__class__ in PROMPT:
            return None
        self.asked += 1
        chosen = self.wanted.get(self.asked)
        if chosen is None:
            return None
        fault, target = chosen
        return Deviation(event, occurrence, fault, target, FAULTS[fault].default_duration_ms)

    def freeze(self) -> Any:
        raise NotImplementedError("a path is told from its beginning")
