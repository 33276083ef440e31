"""Frozen machines, each kept once, and what each did with an envelope: what makes the search fast.

A cell is one state of one machine, with its disk where it is a broker. `after` gives the cell that follows when an
envelope comes in, and what is sent: worked out once by the machine's own code, remembered from then on. No machine knows
of it. Time in a cell is always `START_MS`: waits are distances, and passing time makes another cell.

C1. Equal states of a machine are one cell, however they came about.
C2. What a cell answers is what the thawed machine answers.
C3. A cell never changes; the machine it lends for looking (`live`) must not be changed.

Numbers that no rule reads are made alike first (`tidy`): how far a connection has counted, timers that only keep house.
"""

from __future__ import annotations

from typing import Any, Final

from eventlog.broker import Broker
from eventlog.client import ConsumerEngine, ProducerEngine
from eventlog.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, Envelope, Machine, Timer
from eventlog.messages.broker_api import FetchReply, ProduceReply, ProduceRequest
from eventlog.sim.glance import Seen, broken_answer, broken_broker, broken_step, see
from eventlog.sim.pieces import Pieces
from eventlog.sim.state import FOREVER_MS, START_MS
from eventlog.storage import MemoryStores
from eventlog.values import BrokerSettings

FAR_MS: Final = 1_000_000_000
"""A timer this far away only keeps house and never runs out in a search."""
FARTHEST_MS: Final = 2**31 - 1
MOST_LIVE: Final = 4_096
MOST_FRESH: Final = 4_096
REPLICAS_AT: Final = 4
"""Where a frozen broker has its replicas."""
OF_A_REPLICA: Final = 4
OF_A_DISK: Final = 2
OF_A_BROKER: Final = 11
"""So many fields each has when frozen; a broker's are those of its disk too, and not its replicas."""

DUPLICATE, TRUNCATION, FENCING, RESTART = "duplicate recognised", "truncation", "broker fenced", "restart"
FAILOVER, SHRINK, EXPANSION = "new leader", "in-sync replicas shrunk", "in-sync replicas expanded"
BROKER, DISK, CONTROLLER, PRODUCER, CONSUMER = "broker", "disk", "controller", "producer", "consumer"
KINDS: Final = {Broker: BROKER, Controller: CONTROLLER, ProducerEngine: PRODUCER, ConsumerEngine: CONSUMER}
NO_WAITS: Final[dict[str, int]] = {}
Result = tuple["Cell", tuple[Envelope, ...], str, tuple[str, ...]]
"""What follows, what is sent, what that breaks, and the marks of interesting things that happened."""


class Cell:
    """One state of one machine. It stands in a world where the machine would. `broken`: a promise that this state
    breaks by itself, or ""."""

    __slots__ = (
        "_after",
        "broken",
        "cells",
        "earliest_ms",
        "fenced",
        "frozen",
        "is_timeless",
        "kind",
        "name",
        "number",
        "seen",
        "waits",
    )

    def __init__(self, cells: Cells, number: int, kind: str, name: str, frozen: tuple[int, ...]) -> None:
        self.cells = cells
        self.number = number
        self.kind = kind
        self.name = name
        # The numbers of its pieces.
        self.frozen = frozen
        # By timer, Unix milliseconds in a world where it is `START_MS`; those that are far away left out.
        self.waits: dict[str, int] = NO_WAITS
        self.earliest_ms = FOREVER_MS
        self._after: dict[Any, Result] | None = None
        self.broken = ""
        # A broker's replicas, a controller's partitions.
        self.seen: tuple[Any, ...] = ()
        # Of a controller: how many brokers are fenced.
        self.fenced = 0
        # Nothing in it goes by the clock.
        self.is_timeless = False

    @property
    def after(self) -> dict[Any, Result]:
        """What followed when it was asked, by what it was asked. Most are never asked."""
        if self._after is None:
            self._after = {}
        return self._after

    def deadlines(self) -> dict[str, int]:
        """To be looked at only."""
        return self.waits

    @property
    def live(self) -> Any:
        """The machine itself (a broker that is down: its stores), to be looked at only."""
        return self.cells.live(self)


def tidy(machine: Machine) -> None:
    """Make alike what no rule reads."""
    deadlines = machine.deadlines()
    for timer, at_ms in deadlines.items():
        if at_ms > START_MS + FAR_MS:
            deadlines[timer] = START_MS + FARTHEST_MS
    if isinstance(machine, Broker):
        for connection, correlation_id in machine._correlation_ids.items():
            if correlation_id > 1:
                machine._correlation_ids[connection] = 1  # only the first request on a connection is told apart
        least_ms = START_MS - machine.settings.replica_lag_time_max_ms - 1
        level = _level_followers(machine)
        for replica in machine.replicas.values():
            if replica.leadership is not None:
                for follower, remote in replica.leadership.remotes.items():
                    if (replica.topic_partition, follower) in level:
                        remote.last_caught_up_ms = remote.last_fetch_ms = START_MS
                    if remote.last_caught_up_ms:
                        remote.last_caught_up_ms = max(remote.last_caught_up_ms, least_ms)
                    if remote.last_fetch_ms:
                        remote.last_fetch_ms = max(remote.last_fetch_ms, least_ms)
        waiting, timers = machine.waiting, machine.timers
        _set(timers, "produce", [produce.deadline_ms for produce in waiting.produces])
        _set(timers, "fetch", [fetch.deadline_ms for fetch in waiting.fetches.values() if fetch.deadline_ms >= 0])
        _set(timers, "metadata", [asked.deadline_ms for asked in waiting.metadata])
        if "lag" in timers and not any(_may_lag(replica, machine.settings) for replica in machine.replicas.values()):
            del timers["lag"]  # the next append sets it again
    elif isinstance(machine, ProducerEngine):
        has_no_end = machine.settings.delivery_timeout_ms > FAR_MS
        for queue in machine.queues():
            for batch in (*queue.queue, *queue.in_flight, queue.open):
                if batch is not None:
                    batch.tries, batch.attempts = min(batch.tries, 1), min(batch.attempts, 1)
                    if has_no_end:
                        batch.created_ms = START_MS
        for asker in (machine.metadata.asker, machine.identity.asker):
            asker.failures = min(asker.failures, 1)
        links = [
            *machine.links.values(),
            *machine.metadata.asker.links.values(),
            *machine.identity.asker.links.values(),
        ]
        for link in links:
            if not link.in_flight and link.correlation_id > 1:
                link.correlation_id = 1


def is_timeless(machine: Machine) -> bool:
    """Does a tidy machine without timers stay what it is while time passes?"""
    if isinstance(machine, Broker):
        least_ms = START_MS - machine.settings.replica_lag_time_max_ms - 1
        level = _level_followers(machine)
        return all(
            (replica.topic_partition, follower) in level
            or (remote.last_caught_up_ms in (0, least_ms) and remote.last_fetch_ms in (0, least_ms))
            for replica in machine.replicas.values()
            if replica.leadership is not None
            for follower, remote in replica.leadership.remotes.items()
        )
    return isinstance(machine, Controller)


def _level_followers(broker: Broker) -> dict[tuple[Any, int], None]:
    """(partition, follower) of those that wait at the log end: they are level until now, however long they wait."""
    return {
        (wanted.topic_partition, fetch.request.replica_id): None
        for fetch in broker.waiting.fetches.values()
        for wanted in fetch.request.partitions
        if wanted.topic_partition in broker.replicas
        and wanted.fetch_offset == broker.replicas[wanted.topic_partition].log.log_end_offset
    }


def _set(timers: dict[str, int], timer: str, deadlines_ms: list[int]) -> None:
    """A timer that was left set when nothing waited any more goes off for nothing."""
    if timer in timers:
        if deadlines_ms:
            timers[timer] = min(deadlines_ms)
        else:
            del timers[timer]


def _may_lag(replica: Any, settings: BrokerSettings) -> bool:
    leadership = replica.leadership
    return leadership is not None and (
        leadership.find_lag_deadline(settings.replica_lag_time_max_ms, START_MS) is not None
    )


def marks_of(before: Cell, after: Cell, out: tuple[Envelope, ...]) -> tuple[str, ...]:
    """What of interest a machine's step did."""
    found: dict[str, None] = {}
    for sent in out:
        message = sent.message
        if message.__class__ is ProduceReply:
            for reply in message.partitions:
                if reply.error is ErrorCode.NONE:
                    if reply.log_append_time_ms >= 0:
                        found[DUPLICATE] = None
                else:
                    found[f"{reply.error.name} answered"] = None
        elif message.__class__ is FetchReply:
            for fetched in message.partitions:
                if fetched.error is not ErrorCode.NONE:
                    found[f"{fetched.error.name} answered"] = None
    for was, now in zip(before.seen, after.seen, strict=False):
        if isinstance(was, Seen):
            if now.batches[: len(was.batches)] != was.batches:
                found[TRUNCATION] = None
            if now.led_epoch > was.led_epoch >= -1 and now.led_epoch > 0:
                found[FAILOVER] = None
        elif now.in_sync_replicas != was.in_sync_replicas:
            found[SHRINK if len(now.in_sync_replicas) < len(was.in_sync_replicas) else EXPANSION] = None
    if before.kind is CONTROLLER and after.fenced > before.fenced:
        found[FENCING] = None
    return tuple(found)


class Cells:
    """All cells of one search, and the envelopes that go between them, each kept once."""

    __slots__ = (
        "_fresh",
        "_live",
        "_looked",
        "_seen",
        "_table",
        "_waits",
        "broker_settings",
        "hits",
        "items",
        "misses",
        "numbers",
        "pieces",
        "seed",
        "values",
    )

    def __init__(self, broker_settings: BrokerSettings, seed: int) -> None:
        self.broker_settings = broker_settings
        self.seed = seed
        self.pieces = Pieces()
        self._table: dict[Any, Cell] = {}
        self._waits: dict[Any, dict[str, int]] = {}
        self._live: dict[Cell, Any] = {}
        # Machines as they came out of a step, with their stores: most cells are asked something soon after they are made.
        self._fresh: dict[Cell, tuple[Any, MemoryStores | None]] = {}
        self._looked: dict[Any, tuple[str, tuple[Seen, ...]]] = {}
        self._seen: dict[Any, Any] = {}
        # Everything that is ever in a queue: by its number, its number by `id`, and by its type and value.
        self.items: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.values: dict[Any, int] = {}
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._table)

    # --- envelopes ------------------------------------------------------------------------------------------------

    def number_of(self, item: Any) -> int:
        """The number of an envelope (or another thing in a queue), the same for equal ones."""
        number = self.numbers.get(id(item))
        if number is None:
            # Named tuples of different types are equal when their fields are.
            key = (item[4].__class__, item) if item.__class__ is Envelope else (item.__class__, item)
            number = self.values.get(key)
            if number is None:
                number = self.values[key] = len(self.items)
                self.items.append(item)
                self.numbers[id(item)] = number
        return number

    def the(self, item: Any) -> Any:
        """The one envelope (or other thing in a queue) that is kept of those equal to `item`."""
        return item if id(item) in self.numbers else self.items[self.number_of(item)]

    # --- cells ----------------------------------------------------------------------------------------------------

    def cell_of(self, machine: Machine, stores: MemoryStores | None = None) -> Cell:
        """The cell of a machine as it stands, at `START_MS`."""
        tidy(machine)
        frozen = machine.freeze(START_MS)
        pieces = self.pieces
        if isinstance(machine, Broker):
            assert stores is not None
            numbers = pieces.numbers_of(BROKER, frozen[:REPLICAS_AT] + frozen[REPLICAS_AT + 1 :] + stores.freeze())
            for replica in frozen[REPLICAS_AT]:
                numbers += pieces.numbers_of("replica", replica)
        else:
            numbers = pieces.numbers_of(KINDS[type(machine)], frozen)
        new = Cell(self, len(self._table), KINDS[type(machine)], machine.name, tuple(numbers))
        cell = self._table.setdefault(new.frozen, new)
        if cell is new:
            far_ms = START_MS + FAR_MS
            waits = [wait for wait in machine.deadlines().items() if wait[1] <= far_ms]
            if waits:
                cell.waits = self._waits.setdefault(tuple(waits), dict(waits))
                cell.earliest_ms = min(cell.waits.values())
            cell.is_timeless = not cell.waits and is_timeless(machine)
            if isinstance(machine, Broker):
                cell.broken, cell.seen = self._look(machine, cell.frozen)
            elif isinstance(machine, Controller):
                seen = tuple(machine.image.partitions.values())
                cell.seen = self._seen.setdefault(seen, seen)
                cell.fenced = sum([registration.is_fenced for registration in machine.image.brokers.values()])
            if len(self._fresh) >= MOST_FRESH:
                self._fresh.clear()
            self._fresh[cell] = (machine, stores)
        return cell

    def _look(self, broker: Broker, numbers: tuple[int, ...]) -> tuple[str, tuple[Seen, ...]]:
        # Most of a broker's states differ in anything but their logs.
        leads = [
            -1 if replica.leadership is None else replica.leadership.leader_epoch
            for replica in broker.replicas.values()
        ]
        partitions, logs = numbers[OF_A_BROKER::OF_A_REPLICA], numbers[OF_A_BROKER + 1 :: OF_A_REPLICA]
        key = (numbers[OF_A_BROKER - OF_A_DISK : OF_A_BROKER], partitions, logs, *leads)
        looked = self._looked.get(key)
        if looked is None:
            seen = see(broker)
            looked = self._looked[key] = (broken_broker(broker), self._seen.setdefault(seen, seen))
        return looked

    def _disk(self, name: str, incarnation: int, stores: MemoryStores) -> Cell:
        numbers = tuple(self.pieces.numbers_of(DISK, (name, incarnation, *stores.freeze())))
        return self._table.setdefault(numbers, Cell(self, len(self._table), DISK, name, numbers))

    def live(self, cell: Cell) -> Any:
        """The machine of a cell (its stores, when it is down), shared: to be looked at only."""
        machine = self._live.get(cell)
        if machine is None:
            if len(self._live) >= MOST_LIVE:
                self._live.clear()
            machine = self._live[cell] = self._thaw(cell)[0]
        return machine

    def _machine(self, cell: Cell) -> tuple[Any, MemoryStores | None]:
        """The machine of a cell and its stores, for the caller to change."""
        return self._fresh.pop(cell, None) or self._thaw(cell)

    def _thaw(self, cell: Cell, now_ms: int = START_MS) -> tuple[Any, MemoryStores | None]:
        values = self.pieces.values
        frozen = tuple([values[number] for number in cell.frozen])
        kind = cell.kind
        if kind is BROKER:
            stores = MemoryStores.thaw(frozen[OF_A_BROKER - OF_A_DISK : OF_A_BROKER])
            replicas = tuple(
                [frozen[start : start + OF_A_REPLICA] for start in range(OF_A_BROKER, len(frozen), OF_A_REPLICA)]
            )
            own = (*frozen[:REPLICAS_AT], replicas, *frozen[REPLICAS_AT : OF_A_BROKER - OF_A_DISK])
            return Broker.thaw(own, now_ms, self.broker_settings, stores), stores
        if kind is DISK:
            return MemoryStores.thaw(frozen[-OF_A_DISK:]), None
        if kind is CONTROLLER:
            return Controller.thaw(frozen, now_ms, self.broker_settings, self.seed), None
        return (ProducerEngine if kind is PRODUCER else ConsumerEngine).thaw(frozen, now_ms), None

    # --- what follows ---------------------------------------------------------------------------------------------

    def receive(self, cell: Cell, envelope: Envelope) -> Result:
        """The cell after `envelope` came in, what is sent, and the promise that the answer breaks, or ""."""
        number = self.numbers.get(id(envelope))
        if number is None:
            number = self.number_of(envelope)
        result = cell.after.get(number)
        if result is None:
            result = cell.after[number] = self._receive(cell, self.items[number])
            self.misses += 1
        else:
            self.hits += 1
        return result

    def _receive(self, cell: Cell, envelope: Envelope, timer: str = "") -> Result:
        machine, stores = self._machine(cell)
        if timer:
            del machine.deadlines()[timer]
        out = tuple([self.items[self.number_of(sent)] for sent in machine.receive(envelope, START_MS)])
        broken = ""
        if envelope.message.__class__ is ProduceRequest:
            for sent in out:
                if sent.message.__class__ is ProduceReply and sent.connection == envelope.connection:
                    broken = broken or broken_answer(machine, envelope.message, sent.message)
        following = self.cell_of(machine, stores)
        if cell.kind is BROKER:
            broken = broken or broken_step(cell.name, cell.seen, following.seen)
        return (following, out, broken, marks_of(cell, following, out))

    def run_out(self, cell: Cell, timer: str) -> Result:
        """What follows when a timer runs out."""
        result = cell.after.get(timer)
        if result is None:
            envelope = Envelope(cell.name, cell.name, NO_CONNECTION, 0, Timer(timer))
            result = cell.after[timer] = self._receive(cell, envelope, timer)
        return result

    def age(self, cell: Cell, by_ms: int) -> Cell:
        """The machine `by_ms` later."""
        if cell.kind == DISK:
            return cell
        if cell.is_timeless:
            return cell
        key = (by_ms,)
        result = cell.after.get(key)
        if result is None:
            # What was at START_MS stands as far back as time has passed.
            machine, stores = self._thaw(cell, START_MS - by_ms)
            for timer, at_ms in machine.deadlines().items():
                if at_ms < START_MS:
                    machine.deadlines()[timer] = START_MS
            result = cell.after[key] = (self.cell_of(machine, stores), (), "", ())
        return result[0]

    def propose(self, cell: Cell, topic_partition: Any, wished: tuple[int, ...]) -> Result:
        """A leader asks for other in-sync replicas."""
        key = (topic_partition, wished)
        result = cell.after.get(key)
        if result is None:
            leader, stores = self._machine(cell)
            replica = leader.replicas[topic_partition]
            out: tuple[Envelope, ...] = ()
            if replica.leadership is not None and replica.leadership.wished_in_sync_replicas is None:
                sent = leader.wish_in_sync_replicas(replica, replica.leadership, wished)
                out = (self.items[self.number_of(sent)],)
            result = cell.after[key] = (self.cell_of(leader, stores), out, "", ())
        return result

    def end(self, cell: Cell, losing_tail: bool, wiping: bool) -> Cell:
        """The disk of a broker whose process dies."""
        key = ("end", losing_tail, wiping)
        result = cell.after.get(key)
        if result is None:
            broker, stores = self._machine(cell)
            assert stores is not None
            if wiping:
                stores = MemoryStores()
            elif losing_tail:
                stores.lose_unflushed_tails()
            result = cell.after[key] = (self._disk(cell.name, broker.incarnation + 1, stores), (), "", ())
        return result[0]

    def begin(self, disk: Cell, broker_id: int) -> Cell:
        """A broker's process over a disk, not yet started."""
        result = disk.after.get("begin")
        if result is None:
            stores = self._thaw(disk)[0]
            broker = Broker(broker_id, self.pieces.values[disk.frozen[1]], self.broker_settings, stores)
            result = disk.after["begin"] = (self.cell_of(broker, stores), (), "", ())
        return result[0]
