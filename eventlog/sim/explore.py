"""The space of a world's runs: every state it can be in, and what may come next, for `search`.

It is the world itself that moves here, with cells where machines stand (`cells`, `explored_world`). Between two steps it
is taken apart into pieces that are kept once each (machines, queue, connections, the rest), and a state is the tuple of
them.

E1. States are kept where somebody may deviate: at a delivery for which `targets` offers something that budgets allow. The
    benign successor is where the world comes to when nobody does; the others follow in the order of `faults`.
E2. A path through the space is a list of choices by question, and the world itself repeats it (`choices_of`).
E3. What lies between two questions has no choice in it; every event of it is looked at all the same.
E4. Each deviation spends a budget and no benign step does; what is counted is counted by what is left (see `slices`).
E5. Equal states are one: order of sending is kept by rank, waits as distances, faults spent as what is left of budgets;
    what has arrived is forgotten.

Not here: a recorder, a seed, the names of events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from heapq import heappop
from typing import Any, Final

from eventlog.broker import Broker
from eventlog.errors import RequestError
from eventlog.messages import Machine
from eventlog.sim.cells import DISK, Cells
from eventlog.sim.explored_world import ExploredWorld
from eventlog.sim.glance import Outcomes, broken_state
from eventlog.sim.network import Links
from eventlog.sim.slices import Left, Tally, leads_to
from eventlog.sim.state import START_MS
from eventlog.sim.wires import Wires
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

    __slots__ = ("budgets", "heard", "held", "is_calm", "left", "outcomes")

    def __init__(self, budgets: dict[str, int], outcomes: Outcomes, heard: dict[int, bool], held: Any) -> None:
        self.budgets = budgets
        self.left: Left = tuple(budgets.values())
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
        # What is broken where.
        self.sentences: dict[State, str] = {}
        self.budgets: Left = tuple([budget for _, budget in budgets])
        # What was counted since `begin`, by what was left.
        self.tallies: defaultdict[Left, Tally] = defaultdict(Tally)
        self.narrow([tuple([0] * len(budgets))])
        # How many events the last step had.
        self._events = 0
        self._put_in(world, self.budgets)
        self.root = self._run()
        self.world.noted = []
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
        self.tallies.clear()
        return [self.root]

    def narrow(self, last: Sequence[Left]) -> None:
        """Nothing is wanted from now on but what leads to one of these strata."""
        self.last = tuple(last)
        self._wanted: dict[tuple[Left, str], bool] = {}

    def _wants(self, left: Left, fault: str) -> bool:
        wanted = self._wanted.get((left, fault))
        if wanted is None:
            at = self.faults.index(fault)
            following = (*left[:at], left[at] - 1, *left[at + 1 :])
            wanted = self._wanted[(left, fault)] = leads_to(following, self.last)
        return wanted

    def successors(self, state: State, may_deviate: bool) -> list[State | None]:
        """The benign successor (None: at rest), then one for each deviation (None: nobody wants it)."""
        left = state[-1].left
        if state in self.at_rest:
            self.tallies[left].finals += 1
            return [None]
        found: list[State | None] = [self._after(state, None)]
        if may_deviate:
            offers = self.offers_of(state)
            found += [self._after(state, offer) if self._wants(left, offer[0]) else None for offer in offers]
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
        following = self._run()
        tally = self.tallies[following[-1].left]
        tally.steps += 1
        tally.events += self._events
        if world.noted:
            for mark in dict.fromkeys(world.noted):
                tally.marks[mark] = tally.marks.get(mark, 0) + 1
            world.noted = []
        return following

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
        self._events = events
        if not world.broken and is_at_rest and len(world.outcomes) < len(self.sends):
            world.broken = "H13: at rest, and some sends have no end"
        state = self._save()
        if is_at_rest:
            self.at_rest[state] = None
        if world.broken:
            self.sentences.setdefault(state, world.broken)
        return state

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
        self.tallies[state[-1].left].states += 1
        sentence = self.sentences.get(state)
        return "" if sentence is None else sentence.partition(":")[0]

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


def _moved(machine: Machine, world: World) -> tuple[Any, Any]:
    """(machine, stores), with its clock at `START_MS`."""
    frozen = machine.freeze(world.now_ms)
    now_ms, world.now_ms = world.now_ms, START_MS
    moved = world._thaw_machine((type(machine).__name__, frozen), None)
    world.now_ms = now_ms
    return (moved, world.stores[moved.broker_id] if isinstance(moved, Broker) else None)
