"""Between floors 6 and 7: a scenario that is staged once and played many times.

Staging costs as much as the run that follows. So the world is frozen at its beginning, and each run goes on from there in
a world of its own: with the same names, history, trace and verdict as `scenarios.play` (see the tests).

A rehearsal keeps no run, and is made where it is used: a rule that is replaced while it plays must be replaced when it is
made.
"""

from __future__ import annotations

from copy import copy

from eventlog.client import ProducerEngine
from eventlog.clients import Producer
from eventlog.scenarios import MOST_EVENTS, WRITER, Played, Scenario, Stage, play_on, stage
from eventlog.sim.choices import Answerer
from eventlog.sim.faults import Deviation
from eventlog.sim.invariants import Invariants
from eventlog.sim.recorder import Recorder
from eventlog.sim.world import World


class Rehearsal:
    """`scenario`, ready to be played again and again. `runs` counts."""

    __slots__ = ("_built", "_events", "_frozen", "_rows", "checks", "most_events", "runs", "scenario")

    def __init__(self, scenario: Scenario, checks: str = "full", most_events: int = MOST_EVENTS) -> None:
        self.scenario = scenario
        self.checks = checks
        self.most_events = most_events
        self.runs = 0
        self._built = stage(scenario, checks)
        recorder = self._built.cluster.recorder
        self._frozen = self._built.cluster._world.freeze()
        self._events = tuple(recorder.events)
        self._rows = tuple(recorder.history.rows)

    def stage(self) -> Stage:
        """The scenario's beginning, once more."""
        old = self._built.cluster
        invariants = None if self.checks == "off" else Invariants(full=self.checks == "full")
        recorder = self._recorder()
        cluster = copy(old)
        cluster._recorder = recorder
        cluster._world = World.thaw(self._frozen, recorder, invariants)
        cluster._world.user_inbox = cluster._inbox
        engine = cluster._world.machines[WRITER]
        assert isinstance(engine, ProducerEngine)
        producer = Producer(cluster, engine)
        cluster._clients = {WRITER: producer}
        cluster._admin_replies = {}
        deliveries = []
        for delivery in self._built.deliveries:
            twin = copy(delivery)
            twin._producer = producer
            deliveries.append(twin)
            if not twin.done:
                producer._deliveries[twin.number] = twin
        return Stage(self.scenario, cluster, producer, tuple(deliveries), self._built.first_event)

    def _recorder(self) -> Recorder:
        old, new = self._built.cluster.recorder, Recorder()
        new._events += self._events
        for row in self._rows:
            new._history.append(row)
        new.leaders = dict(old.leaders)
        new.failovers, new.duplicates_recognised = old.failovers, old.duplicates_recognised
        new._seen_records = old._seen_records
        return new

    def play(self, choices: Answerer | tuple[Deviation, ...] = ()) -> Played:
        """As `scenarios.play`."""
        self.runs += 1
        return play_on(self.stage(), choices, self.most_events)
