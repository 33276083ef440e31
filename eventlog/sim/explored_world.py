"""A world in which cells stand where machines would, loaded with one state after the other by `explore`.

What a fault does, what a connection carries and what comes first is the world's own (`world`, `harming`, `striking`,
`network`): only what touches a machine is said anew here, in terms of cells.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from eventlog.sim.network import ConnectionState
from eventlog.sim.state import FOREVER_MS, PROMPT, START_MS
from eventlog.sim.striking import strike_delivery
from eventlog.sim.targets import Offer
from eventlog.sim.world import World
from eventlog.values import FAULTS, TopicPartition

NONE: Final = ErrorCode.NONE
PRODUCE: Final = (ProduceRequest, ProduceReply)
LOSSES: Final = ("request_lost", "reply_lost")
FAILED: Final = -2


class Wire:
    """One connection's state, kept once. `state` is never changed: whoever wants to takes a copy."""

    __slots__ = ("connection", "number", "state")

    def __init__(self, number: int, connection: Connection, state: ConnectionState) -> None:
        self.number = number
        self.connection = connection
        self.state = state


class Wires:
    """All connections of a world: the dictionary that `World.connections` is, over wires that are copied when somebody
    touches them. `changed` has the copies; None stands for a connection that is gone."""

    __slots__ = ("changed", "wires")

    def __init__(self, wires: dict[Connection, Wire]) -> None:
        self.wires = wires
        self.changed: dict[Connection, ConnectionState | None] = {}

    def get(self, connection: Connection) -> ConnectionState | None:
        changed = self.changed
        if connection in changed:
            return changed[connection]
        wire = self.wires.get(connection)
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
        self.changed[connection] = state

    def __delitem__(self, connection: Connection) -> None:
        if connection not in self:
            raise KeyError(connection)
        self.changed[connection] = None

    def __contains__(self, connection: Connection) -> bool:
        if connection in self.changed:
            return self.changed[connection] is not None
        return connection in self.wires

    def pop(self, connection: Connection, default: Any = None) -> Any:
        state = self.get(connection)
        if state is None:
            return default
        self.changed[connection] = None
        return state

    def __iter__(self) -> Iterator[Connection]:
        known = dict.fromkeys((*self.wires, *self.changed))
        return iter([connection for connection in known if connection in self])


class ExploredWorld(World):
    """A world of cells, loaded with one state after the other."""

    __slots__ = (
        "broken",
        "budgets",
        "cells",
        "chosen",
        "disks",
        "is_answered",
        "is_changed",
        "is_held",
        "loses_metadata",
        "marks",
        "offers",
        "outcomes",
        "questions",
    )

    broken: str
    budgets: dict[str, int]
    cells: Cells
    chosen: tuple[str, str] | None
    disks: dict[str, Cell]
    is_answered: bool
    is_changed: bool
    is_held: bool
    loses_metadata: bool
    marks: dict[str, int]
    offers: tuple[tuple[str, str], ...]
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
        explored.answerer = explored.recorder = explored.invariants = None
        explored.user_inbox = explored._hear
        explored.now_ms = START_MS
        explored.event_number = 0
        explored.deviations = []
        explored._order = world._order
        explored._earliest_timer_ms = START_MS
        explored._counts = {}
        explored.budgets = dict.fromkeys(faults, 0)
        explored.is_answered = explored.is_changed = explored.is_held = explored.loses_metadata = False
        explored.questions = 0
        explored.marks = {}
        explored.chosen = None
        explored.offers = ()
        explored.outcomes = ()
        explored.broken = ""
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

    def _find_leader(self, topic_partition: TopicPartition) -> Broker | None:
        return super()._find_leader(topic_partition)

    def _receive(self, machine: Any, envelope: Envelope) -> None:
        self._move(machine, self.cells.receive(machine, envelope))

    def _move(self, cell: Cell, result: Result) -> None:
        following, out, broken, marks = result
        for mark in marks:
            self.marks[mark] = self.marks.get(mark, 0) + 1
        if following is not cell:
            self.machines[cell.name] = following  # type: ignore[assignment]
            self.is_changed = True
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
        self._move(machine, self.cells.run_out(machine, timer))

    def _end_process(self, broker_id: int, losing_tail: bool, wiping: bool) -> list[Any]:
        name = broker_name(broker_id)
        cell: Any = self.machines[name]
        self.disks[name] = self.cells.end(cell, losing_tail, wiping)
        self.machines[name] = None
        return []

    def _new_process(self, broker_id: int) -> Machine:
        disk = self.disks.pop(broker_name(broker_id))
        cell: Any = self.cells.begin(disk, broker_id)
        self.marks[RESTART] = self.marks.get(RESTART, 0) + 1
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
        told: list[tuple[int, int]] = []
        if message.__class__ is SendsResolved:
            offset = message.base_offset if message.error is NONE else FAILED
            for index, record in enumerate(message.records):
                told.append((record.send_number, offset + index if offset >= 0 else offset))
        elif isinstance(message, SendRefused):
            told.append((message.record.send_number, FAILED))
        if told:
            self.outcomes = tuple(sorted((*self.outcomes, *told)))

    # --- the question ---------------------------------------------------------------------------------------------

    def _deviate(self, named: Any, envelope: Envelope, state: ConnectionState, order: int) -> bool:
        if named is None or (self.is_coarse and envelope.message.__class__ in PROMPT):
            return False
        if self.is_answered:
            # The question that the state was kept for.
            self.is_answered = False
            self.questions += 1
            if self.chosen is None:
                return False
            fault, target = self.chosen
            self.budgets = {**self.budgets, fault: self.budgets[fault] - 1}
            deviation = Deviation(named[0], 1, fault, target, FAULTS[fault].default_duration_ms)
            return strike_delivery(self, deviation, envelope, state, order)
        offers = self._offers(named, envelope)
        if not offers:
            self.questions += 1
            return False
        # Somebody may deviate here: the delivery waits, and the state is kept.
        self.offers = offers
        heappush(self._queue, (START_MS, order, envelope))
        return True

    def _offers(self, named: Any, envelope: Envelope) -> tuple[tuple[str, str], ...]:
        offer = Offer(self, envelope)
        is_produce = envelope.message.__class__ in PRODUCE
        found: list[tuple[str, str]] = []
        for fault in named[1]:
            if self.budgets.get(fault) and (is_produce or self.loses_metadata or fault not in LOSSES):
                targets = [offer.find_target(fault, named[0], 1, luck) for luck in range(len(self.stores))]
                found += [(fault, target) for target in dict.fromkeys(targets) if target is not None]
        return tuple(found)

    # --- one event ------------------------------------------------------------------------------------------------

    def go_on(self) -> bool:
        """The next event, with all that arrives in the same step; False at rest."""
        queue = self._queue
        due_ms = queue[0][0] if queue else FOREVER_MS
        timer = self._find_timer()
        if timer is not None and timer[0] < due_ms:
            due_ms = timer[0]
        else:
            timer = None
            if not queue:
                return False
        if due_ms > START_MS:
            self._age(due_ms - START_MS)
            if timer is not None:
                timer = self._find_timer()
        if timer is not None:
            self._run_out(START_MS, timer[1], timer[2])
        else:
            _, order, item = heappop(self._queue)
            self._happen(item, order)
        if self.is_coarse and not self.offers:
            queue = self._queue
            while queue and queue[0][1] < 0 and queue[0][0] <= START_MS:
                _, order, item = heappop(queue)
                self._happen(item, order)
        return True

    def _age(self, by_ms: int) -> None:
        cells = self.cells
        for name, cell in self.machines.items():
            if cell is not None:
                self.machines[name] = cells.age(cell, by_ms)  # type: ignore[arg-type, assignment]
        self._queue = [(max(START_MS, at_ms - by_ms), order, item) for at_ms, order, item in self._queue]
        connections: Any = self.connections
        for wire in connections.wires.values():
            if not wire.state.is_plain:
                connections.get(wire.connection)
        for state in connections.changed.values():
            if state is not None:
                state.requests_not_before_ms = max(START_MS, state.requests_not_before_ms) - by_ms
                state.replies_not_before_ms = max(START_MS, state.replies_not_before_ms) - by_ms


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
