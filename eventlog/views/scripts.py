"""What can be played again and again: a scenario of the search's, or a program of a user's on a new cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import HORIZON_MS, MOST_EVENTS, Scenario, literal_of
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import run_literal
from eventlog.sim.state import FOREVER_MS
from eventlog.sim.world import World

Program = Callable[[Cluster], object]

class Begun(NamedTuple):
    """A run at its beginning: `first_event` is how long its trace is, `go_on` plays it to its end."""

    cluster: Cluster
    first_event: int
    go_on: Callable[[], object]


class ScenarioScript:
    """A small world of the search's, staged once."""

    repeated_by = "eventlog replay takes it"

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.name = scenario.name
        self._rehearsal = Rehearsal(scenario, checks="cheap")

    def begin(self) -> Begun:
        built = self._rehearsal.stage()
        world = built.cluster._world

        def go_on() -> None:
            until_ms = world.now_ms + HORIZON_MS
            most = world.event_number + MOST_EVENTS
            while (world.is_anything_under_way or built.producer.in_flight) and world.step(until_ms):
                if world.event_number > most:
                    raise world.violation("H13", f"no rest after {MOST_EVENTS} events")

        return Begun(built.cluster, built.first_event, go_on)

    def literal(self, deviations: tuple[Deviation, ...]) -> str:
        return literal_of(self.scenario, deviations)


class ProgramScript:
    """`program` is called with a new cluster of `settings`, and must do the same each time."""

    repeated_by = "Explorer(the program, deviations=the literal) takes it"

    def __init__(self, program: Program, settings: dict[str, Any]) -> None:
        self.program = program
        self.settings = settings
        self.name = getattr(program, "__name__", "a program")

    def begin(self) -> Begun:
        cluster = Cluster(**self.settings)
        return Begun(cluster, len(cluster.recorder.events), lambda: self.program(cluster))

    def literal(self, deviations: tuple[Deviation, ...]) -> str:
        return run_literal(self.settings, deviations)


Script = ScenarioScript | ProgramScript


def script_of(played: Scenario | Program | Script, settings: dict[str, Any]) -> Script:
    """What plays it. Raises RequestError for what can't be played again."""
    if isinstance(played, Scenario | Script):
        if settings:
            raise RequestError(f"{', '.join(settings)}: settings are for a program's cluster, a scenario has its own")
        return ScenarioScript(played) if isinstance(played, Scenario) else played
    if callable(played):
        return ProgramScript(played, settings)
    what = "a Cluster that has run already" if isinstance(played, Cluster) else repr(played)[:60]
    raise RequestError(
        f"{what} can't be played again from its beginning; give a function that takes a new cluster and does with it what "
        "is to be seen"
    )


class Enough(BaseException):
    """The moment is there. No Exception: a program that catches those goes no further either."""


def stop_at(world: World, seen_events: int) -> None:
    """From now on, `world` raises Enough instead of taking a step, once its trace has `seen_events` events.

    Who lets it take steps may be a program in the middle of a `flush`; so the world itself must say it.
    """
    assert world.recorder is not None
    recorder = world.recorder

    class Stopping(World):
        __slots__ = ()

        def step(self, until_ms: int = FOREVER_MS) -> bool:
            if len(recorder.events) >= seen_events:
                raise Enough
            return super().step(until_ms)

    world.__class__ = Stopping
