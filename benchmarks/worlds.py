"""`world`, `idle-day`, `freeze`, `checker`: the event loop and what lives in it.

The yardstick of `world` is a bare loop that delivers the envelopes of a recorded run, in the order and number of that
run, to machines that do nothing but give back what was recorded. The world's side has faults drawn, everything recorded
and the invariants checked, and it runs the real machines. These are most of it, so a second line takes their time off:
what is left is the world's own, of the same kind as what the bare loop does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.timing import Row, rate, span, take_turns
from eventlog.broker import Broker
from eventlog.check import judge
from eventlog.client import ProducerEngine
from eventlog.cluster import Cluster
from eventlog.controller import Controller
from eventlog.messages import Envelope
from eventlog.sim.faults import FaultPlan, fault_plan
from eventlog.storage import MemoryStores

SENDS = 3_000
EVERY_MS = 500
SEED = 1
DAY_MS = 86_400_000
TURNS = 5
Caused = list[tuple[int, Envelope]]


def chaos_cluster(faults: FaultPlan | None = None, checks: str = "cheap") -> Cluster:
    return Cluster(seed=SEED, faults=faults, checks=checks, min_insync_replicas=2)


def stream(cluster: Cluster) -> None:
    """`SENDS` records to three partitions, one every `EVERY_MS`, then healing until all is over."""
    producer = cluster.producer("writer")
    cluster.create_topic("orders", 3)
    for index in range(SENDS):
        producer.send("orders", b"hello", partition=index % 3)
        cluster.advance(EVERY_MS)
    cluster.recover()


def stream_seconds(faults: FaultPlan | None, checks: str) -> tuple[int, float]:
    """(events, seconds) of one run."""
    cluster = chaos_cluster(faults, checks)
    before = cluster._world.event_number
    start = perf_counter()
    stream(cluster)
    return (cluster._world.event_number - before, perf_counter() - start)


# --- the yardstick ------------------------------------------------------------------------------------------------


class Score(NamedTuple):
    """A run, noted down. `scripts`: for each machine, what each of its deliveries caused, in order, and when that was
    delivered in its turn (counted in deliveries). What nothing caused (a user's send, a timer) is put to the delivery
    before it."""

    events: int
    first: Caused
    scripts: dict[str, list[Caused]]


@contextmanager
def wrapped_receive(wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, every machine's `receive` is `wrap` of it."""
    kinds: tuple[Any, ...] = (Broker, Controller, ProducerEngine)
    originals = [kind.receive for kind in kinds]
    for kind, original in zip(kinds, originals, strict=True):
        kind.receive = wrap(original)
    try:
        yield
    finally:
        for kind, original in zip(kinds, originals, strict=True):
            kind.receive = original


def note_down(faults: FaultPlan | None) -> Score:
    """Run once, listening to what every delivery causes."""
    heard: list[tuple[Envelope, Sequence[Envelope]]] = []
    cluster = chaos_cluster(faults)

    def listener(original: Any) -> Any:
        def receive(machine: Any, envelope: Envelope, now_ms: int) -> Sequence[Envelope]:
            caused: Sequence[Envelope] = original(machine, envelope, now_ms)
            heard.append((envelope, caused))
            return caused

        return receive

    with wrapped_receive(listener):
        stream(cluster)
    turn_of = {id(envelope): turn for turn, (envelope, _) in enumerate(heard)}
    was_caused = {id(envelope) for _, caused in heard for envelope in caused}
    all_caused: list[Caused] = [
        [(turn_of[id(envelope)], envelope) for envelope in caused if id(envelope) in turn_of] for _, caused in heard
    ]
    for turn, (envelope, _) in enumerate(heard):
        if turn and id(envelope) not in was_caused:
            all_caused[turn - 1].append((turn, envelope))
    scripts: dict[str, list[Caused]] = {}
    for (envelope, _), caused_here in zip(heard, all_caused, strict=True):
        scripts.setdefault(envelope.destination, []).append(caused_here)
    return Score(len(heard), [(0, heard[0][0])], scripts)


def machines_seconds(faults: FaultPlan | None) -> float:
    """The part of a run that its machines take themselves."""
    cluster = chaos_cluster(faults, "cheap")
    spent = 0.0

    def timed(original: Any) -> Any:
        def receive(machine: Any, envelope: Envelope, now_ms: int) -> Sequence[Envelope]:
            nonlocal spent
            start = perf_counter()
            caused: Sequence[Envelope] = original(machine, envelope, now_ms)
            spent += perf_counter() - start
            return caused

        return receive

    with wrapped_receive(timed):
        stream(cluster)
    return spent


class Player:
    """A machine that gives back what was noted down."""

    __slots__ = ("script",)

    def __init__(self, script: list[Caused]) -> None:
        self.script = iter(script)

    def receive(self, envelope: Envelope, now: int) -> Caused:
        return next(self.script)


def bare_loop_seconds(score: Score) -> float:
    machines = {name: Player(script) for name, script in score.scripts.items()}
    connections = {
        envelope.connection: True for script in score.scripts.values() for caused in script for _, envelope in caused
    }
    queue: list[tuple[int, int, Envelope]] = [(due, 0, envelope) for due, envelope in score.first]
    order = delivered = 0
    start = perf_counter()
    while queue:
        now, _, envelope = heappop(queue)
        if envelope.connection in connections or envelope.source == envelope.destination:
            delivered += 1
            for due, sent in machines[envelope.destination].receive(envelope, now):
                order += 1
                heappush(queue, (due, order, sent))
    seconds = perf_counter() - start
    assert delivered == score.events
    return seconds


def world() -> list[Row]:
    plan = fault_plan()
    score = note_down(plan)
    counts: dict[str, int] = {}

    def side(name: str, faults: FaultPlan | None, checks: str) -> Callable[[], float]:
        def run() -> float:
            counts[name], seconds = stream_seconds(faults, checks)
            return seconds

        return run

    bare, checked, machines, seeded, benign = take_turns(
        (
            lambda: bare_loop_seconds(score),
            side("checked", plan, "cheap"),
            lambda: machines_seconds(plan),
            side("seeded", plan, "off"),
            side("benign", None, "off"),
        ),
        TURNS,
    )
    # A send that only joins an open batch is an event of the world, but no envelope: the bare loop has none for it.
    assert 0 <= counts["checked"] - score.events <= SENDS
    checked_each, machines_each, bare_each = (
        seconds / events
        for seconds, events in ((checked, counts["checked"]), (machines, counts["checked"]), (bare, score.events))
    )
    ratio = checked_each / bare_each
    figures = (
        f"{rate(counts['checked'], checked)} events; without checks {rate(counts['seeded'], seeded)}, benign "
        f"{rate(counts['benign'], benign)}; bare loop {rate(score.events, bare)}"
    )
    own = checked_each - machines_each
    own_ratio = own / bare_each
    own_figures = f"{span(own)} an event of {span(checked_each)}, bare {span(bare_each)}"
    what = "world under chaos, cheap checks, against a bare loop"
    return [
        Row(what, figures, f"{ratio:.1f}x", "<= 3x", ratio <= 3),
        Row("of that the world's own part, without the machines", own_figures, f"{own_ratio:.1f}x"),
    ]


# --- what lives in it ---------------------------------------------------------------------------------------------


def idle_day_seconds() -> float:
    with Cluster() as cluster:
        cluster.create_topic("orders", 3)
        producer = cluster.producer()
        for index in range(60):
            producer.send("orders", b"hello", partition=index % 3)
        producer.flush()
        start = perf_counter()
        cluster.advance(DAY_MS)
        return perf_counter() - start


def idle_day() -> list[Row]:
    (measured,) = take_turns((idle_day_seconds,), 10)
    what = "a virtual day of an idle cluster, after some writes"
    return [Row(what, span(measured), "", "<= 50 ms", measured <= 50e-3)]


def freeze() -> list[Row]:
    """Three brokers with their stores, as they stand after 20 batches, to tuples and back."""
    with Cluster() as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        for _ in range(20):
            producer.send("orders", b"hello")
            producer.flush()
        cluster.advance(10)
        world = cluster._world
        now_ms, settings = world.now_ms, world.broker_settings
        brokers = [(broker, world.stores[broker.broker_id]) for broker in world.brokers()]

        def freeze_and_thaw() -> None:
            for broker, stores in brokers:
                frozen, frozen_stores = broker.freeze(now_ms), stores.freeze()
                Broker.thaw(frozen, now_ms, settings, MemoryStores.thaw(frozen_stores))

        def seconds() -> float:
            start = perf_counter()
            for _ in range(100):
                freeze_and_thaw()
            return (perf_counter() - start) / 100

        (measured,) = take_turns((seconds,), 20)
    what = "freeze + thaw of 3 brokers and their stores, 20 batches"
    return [Row(what, span(measured), "", "<= 60 us", measured <= 60e-6)]


def checker() -> list[Row]:
    cluster = chaos_cluster(fault_plan())
    stream(cluster)
    history = cluster.history(healed=True)

    def seconds() -> float:
        start = perf_counter()
        judge(history)
        return perf_counter() - start

    (measured,) = take_turns((seconds,), 7)
    figures = f"{rate(SENDS, measured)} sends, {rate(len(history), measured)} rows of history"
    return [Row("the checker", figures)]
