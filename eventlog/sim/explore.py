"""The space of a world's runs: every state it can be in, and what may come next, for `search`.

It is the world itself that moves here, with cells where machines stand (`cells`, `explored_world`). Between two steps it
is taken apart into pieces that are kept once each (machines, queue, connections, the rest), and a state is the tuple of
them.

E1. States are kept where somebody may deviate: at a delivery for which `targets` offers something that budgets allow. The
    benign successor is where the world comes to when nobody does; the others follow in the order of `faults`.
E2. A path through the space is a list of choices by question, and the world itself repeats it (`choices_of`).
E3. What lies between two questions has no choice in it; every event of it is looked at all the same.
E4. Equal states are one: order of sending is kept by rank, waits as distances, faults spent as what is left of budgets;
    what has arrived is forgotten.

Not here: a recorder, a seed, the names of events.
"""

from __future__ import annotations

from heapq import heappop
from typing import Any, Final

from eventlog.broker import Broker
from eventlog.errors import RequestError
from eventlog.messages import Machine
from eventlog.sim.cells import DISK, Cells
from eventlog.sim.explored_world import ExploredWorld
from eventlog.sim.glance import Outcomes, broken_state
from eventlog.sim.network import Links
from eventlog.sim.pieces import digest_of, joined
from eventlog.sim.state import START_MS
from eventlog.sim.wires import Network, Wires
from eventlog.sim.world import World

State = tuple[Any, ...]
"""A cell for each machine, then `Queue`, `Network` and `Rest`. Each is kept once, so states are compared by identity."""
MOST_EVENTS: Final = 5_000
"""So many events in a row without a question, and a run is taken to have no end."""


class Queue:
    """What is under way, in its order: (Unix milliseconds, rank, item)."""

    __slots__ = ("entries",)

    def __init__(self, entries: list[tuple[int, int, Any]]) -> None:
        self.entries = entries


class Rest:
    """What is left of the budgets, what users were told, whom the controller hears, and what faults hold at the moment
    (None: nothing)."""

    __slots__ = ("budgets", "heard", "held", "is_calm", "outcomes")

    def __init__(self, budgets: dict[str, int], outcomes: Outcomes, heard: dict[int, bool], held: Any) -> None:
        self.budgets = budgets
        self.outcomes = outcomes
        self.heard = heard
        self.held = held
        # Everybody runs and is heard.
        self.is_calm = all(heard.values())


class WorldSpace:
    """What `search` walks through. `world`: a real one at the beginning; `budgets`: (fault, how often at most);
    `sends`: the numbers of the sends that must have their end."""

    def __init__(
        self,
        world: World,
        budgets: tuple[tuple[str, int], ...],
        sends: tuple[int, ...],
        waits_for_all: bool,
        loses_metadata: bool = False,
    ) -> None:
        self.cells = Cells(world.broker_settings, world.seed)
        self.faults = tuple([fault for fault, _ in budgets])
        self.sends = sends
        self.waits_for_all = waits_for_all
        self.world: Any = ExploredWorld.of(world, self.cells, self.faults)
        self.world.loses_metadata = loses_metadata
        self.names = list(world.machines)
        self.machine_count = len(self.names)
        self.broker_count = len(world.stores)
        self._queues: dict[tuple[int, ...], Queue] = {}
        self._rests: dict[Any, Rest] = {}
        self._broken: dict[Any, str] = {}
        self.at_rest: dict[State, None] = {}
        # By `id` of what is kept: a part of a state's digest.
        self._digests: dict[int, int] = {}
        # What is broken where.
        self.sentences: dict[State, str] = {}
        self.events = 0
        # What happened on the way to the successors that were asked for last: a bit for each of `mark_names`.
        self.noted = 0
        self.mark_names: list[str] = []
        self._put_in(world, tuple([budget for _, budget in budgets]))
        self.root = self._run()
        self.asked_before = self.world.questions

    def _put_in(self, world: World, budgets: tuple[int, ...]) -> None:
        thawed = World.thaw(world.freeze())
        shift_ms = thawed.now_ms - START_MS
        explored = self.world
        explored.machines = {}
        explored.stores = dict.fromkeys(world.stores)
        explored.disks = {}
        explored._heard = dict(thawed._heard)
        explored.links, explored.paused, explored.slow = Links(), {}, {}
        explored.stuck, explored.stopping = {}, {}
        if thawed.links.cuts or thawed.paused or thawed.slow or thawed.stuck or thawed.stopping or not thawed.brokers():
            raise RequestError("a search begins in a world where nothing is wrong")
        for name, machine in thawed.machines.items():
            assert machine is not None
            explored.machines[name] = self.cells.cell_of(*_moved(machine, thawed))
        explored._queue = [(at_ms - shift_ms, order, item) for at_ms, order, item in thawed._queue]
        wires = Wires({}, {})
        for connection, state in thawed.connections.items():
            state.requests_not_before_ms -= shift_ms
            state.replies_not_before_ms -= shift_ms
            while len(state.served) > state.is_busy:
                state.served.popleft()  # answered long ago
            wires.changed[connection] = state
        explored.network = explored._network_after(explored._interned(wires))
        explored.budgets = dict(zip(self.faults, budgets, strict=True))
        explored.outcomes = ()

    # --- taking a world apart and putting it together -------------------------------------------------------------

    def _load(self, state: State) -> Any:
        world = self.world
        *cells, queue, network, rest = state
        machines = world.machines
        if world.disks:
            world.disks = {}
        machines.update(zip(self.names, cells, strict=True))
        if not rest.is_calm:
            for name, cell in zip(self.names, cells, strict=True):
                if cell.kind is DISK:
                    world.disks[name] = cell
                    machines[name] = None
        world._queue = queue.entries.copy()
        world._order = len(world._queue)
        world.network = network
        world.budgets = rest.budgets
        world.outcomes = rest.outcomes
        world._heard = rest.heard
        if world.is_held:
            world.is_held = False
            world.links, world.paused, world.slow, world.stuck, world.stopping = Links(), {}, {}, {}, {}
        if rest.held is not None:
            world.is_held = True
            links, paused, slow, stuck, stopping = rest.held
            world.links = Links.thaw(links)
            world.paused = {name: list(items) for name, items in paused}
            world.slow = dict(slow)
            world.stuck = {name: list(items) for name, items in stuck}
            world.stopping = dict(stopping)
        world.broken = ""
        world.is_seen = False
        return world

    def _save(self) -> State:
        world = self.world
        queue = world._queue
        queue.sort()
        numbers = self.cells.numbers
        key: list[int] = []
        for at_ms, _, item in queue:
            if id(item) not in numbers:
                item = self.cells.the(item)
            key += (at_ms, id(item))
        known = self._queues.get(tuple(key))
        if known is None:
            kept = [(at_ms, rank, self.cells.the(item)) for rank, (at_ms, _, item) in enumerate(queue)]
            known = self._queues[tuple(key)] = Queue(kept)
        held = None
        if world.links.cuts or world.paused or world.slow or world.stuck or world.stopping:
            world.is_held = True
            held = self._held(world)
        rest_key = (*world.budgets.values(), world.outcomes, *world._heard.values(), held)
        rest = self._rests.get(rest_key)
        if rest is None:
            rest = self._rests[rest_key] = Rest(world.budgets, world.outcomes, world._heard, held)
        machines = world.machines
        if world.disks:
            return (*[machines[name] or world.disks[name] for name in self.names], known, world.network, rest)
        return (*machines.values(), known, world.network, rest)

    @staticmethod
    def _held(world: Any) -> Any:
        return (
            world.links.freeze(),
            tuple([(name, tuple(items)) for name, items in world.paused.items()]),
            tuple(world.slow.items()),
            tuple([(name, tuple(items)) for name, items in world.stuck.items()]),
            tuple(world.stopping.items()),
        )

    # --- what `search` asks ---------------------------------------------------------------------------------------

    def begin(self) -> list[State]:
        return [self.root]

    def successors(self, state: State, may_deviate: bool) -> list[State | None]:
        """The benign successor (None: at rest), then one for each deviation."""
        self.noted = 0
        if state in self.at_rest:
            return [None]
        found: list[State | None] = [self._after(state, None)]
        if may_deviate:
            found += [self._after(state, offer) for offer in self.offers_of(state)]
        return found

    def offers_of(self, state: State) -> list[tuple[str, str]]:
        """(fault, target) of each deviation from a state that is not at rest."""
        world = self._load(state)
        item = world._queue[0][2]
        return list(world.offers(world.find_question(item), item))

    def _after(self, state: State, chosen: tuple[str, str] | None) -> State:
        world = self._load(state)
        _, order, item = heappop(world._queue)
        world.questions += 1
        if chosen is None:
            world.play(self.cells.number_of(item), item, order)
        else:
            world.chosen = chosen
            world.play_anew(None, item, order)
        return self._run()

    def _run(self) -> State:
        """On to the next moment when somebody may deviate, or to rest. What lies between is looked at, not kept."""
        world = self.world
        events = 0
        while True:
            events += 1
            if world.is_seen:
                world.is_seen = False
                world.broken = world.broken or self._broken_together()
            if events > MOST_EVENTS:
                world.broken = f"H13: no rest after {events} events in which nobody could deviate"
            is_at_rest = self._is_at_rest()
            if world.broken or is_at_rest or not world.go_on():
                break
        self.events += events
        if world.noted:
            self._note(world.noted)
            world.noted = []
        if not world.broken and is_at_rest and len(world.outcomes) < len(self.sends):
            world.broken = "H13: at rest, and some sends have no end"
        state = self._save()
        if is_at_rest:
            self.at_rest[state] = None
        if world.broken:
            self.sentences.setdefault(state, world.broken)
        return state

    def _note(self, marks: list[str]) -> None:
        names = self.mark_names
        for mark in marks:
            if mark not in names:
                names.append(mark)
            self.noted |= 1 << names.index(mark)

    def _is_at_rest(self) -> bool:
        world = self.world
        if world._queue:
            return False
        return len(world.outcomes) >= len(self.sends) or world._find_timer() is None

    def _broken_together(self) -> str:
        world = self.world
        machines = world.machines
        cells = [machines[name] for name in self.names[: self.broker_count + 1]]  # the controller and the brokers
        # What is seen is kept once each.
        key = (*[None if cell is None else id(cell.seen) for cell in cells], world.outcomes)
        answer = self._broken.get(key)
        if answer is None:
            brokers = {number: cell.seen for number, cell in enumerate(cells[1:], 1) if cell is not None}
            answer = self._broken[key] = broken_state(cells[0].seen, brokers, world.outcomes, self.waits_for_all)
        return answer

    def broken(self, state: State) -> str:
        """The promise that was broken on the way to this state, or ""."""
        sentence = self.sentences.get(state)
        return "" if sentence is None else sentence.partition(":")[0]

    def digest(self, state: State) -> int:
        """64 bits of what is in it, the same in every process."""
        *cells, queue, network, rest = state
        cell_digest = self.cells.digest
        return joined([*[cell_digest(cell) for cell in cells], *map(self._digest_of_part, (queue, network, rest))])

    def _digest_of_part(self, part: Any) -> int:
        """Of a queue, a network, a rest, or an item of a queue: all are kept, so they are known by their `id`."""
        known = self._digests.get(id(part))
        if known is None:
            if part.__class__ is Queue:
                known = joined([one for at_ms, _, item in part.entries for one in (at_ms, self._digest_of_part(item))])
            elif part.__class__ is Network:
                known = joined(sorted([_digest_of_wire(wire) for wire in part.wires.values()]))
            elif part.__class__ is Rest:
                heard = tuple(part.heard.items())
                known = digest_of((tuple(part.budgets.values()), part.outcomes, heard, part.held))
            else:
                known = digest_of(part)
            self._digests[id(part)] = known
        return known

    # --- telling a path -------------------------------------------------------------------------------------------

    def choices_of(self, path: tuple[int, ...]) -> dict[int, tuple[str, str]]:
        """What a path of successors chooses at which question: (fault, target) by the question's number, from 1."""
        world = self.world
        chosen: dict[int, tuple[str, str]] = {}
        state = self.root
        asked = self.asked_before
        for index in path:
            offer = self.offers_of(state)[index - 1] if index else None
            if offer is not None:
                chosen[asked + 1] = offer
            world.questions = 0
            state = self._after(state, offer)
            asked += world.questions
        return chosen


def _digest_of_wire(wire: Any) -> int:
    if not wire.digest:
        wire.digest = digest_of((wire.connection, wire.state.freeze(START_MS)))
    found: int = wire.digest
    return found


def _moved(machine: Machine, world: World) -> tuple[Any, Any]:
    """(machine, stores), with its clock at `START_MS`."""
    frozen = machine.freeze(world.now_ms)
    now_ms, world.now_ms = world.now_ms, START_MS
    moved = world._thaw_machine((type(machine).__name__, frozen), None)
    world.now_ms = now_ms
    return (moved, world.stores[moved.broker_id] if isinstance(moved, Broker) else None)
