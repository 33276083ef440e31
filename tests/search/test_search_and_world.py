"""The explored world is the world: along many runs, with rules as they are and with each that the museum replaces, every
machine of the search is at every question what that machine is in a plain world that repeats the run.

Compared is what rules are about. What `tidy` makes alike is left out: how far connections have counted, numbers of
processes, timers that keep house, times of a follower that is level.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest

from eventlog.broker import Broker
from eventlog.broker.leading import Leading
from eventlog.controller import Controller
from eventlog.exploring import Counterexample, Proof, explore, space_of
from eventlog.fanning import find_named
from eventlog.museum.exhibit import replaced
from eventlog.museum.gallery import gallery
from eventlog.scenarios import HORIZON_MS, Scenario, find_scenario, stage
from eventlog.sim.cells import DISK
from eventlog.sim.explore import WorldSpace
from eventlog.sim.explored_world import AtQuestions
from eventlog.sim.state import START_MS
from eventlog.sim.world import World
from eventlog.values import chance

MOST_STEPS = 200
PLANTS = {name: exhibit.plant for name, exhibit in gallery().items() if exhibit.plant}


def process_alike(connection: Any) -> Any:
    """A broker's processes count its connections from their own number, which goes by the events of the whole run."""
    number = connection.number
    return connection if number < 1_000_000 else connection._replace(number=1_000_000 + number % 1_000_000)


def told_of(machine: Any) -> Any:
    """What rules are about in a machine."""
    if isinstance(machine, Controller):
        return tuple(machine.image.partitions.values())
    if not isinstance(machine, Broker):
        return [
            (batch.producer_epoch, batch.base_sequence, [record.send_number for record in batch.records])
            for queue in machine.queues()
            for batch in (*queue.in_flight, *queue.queue)
        ]
    replicas = []
    for replica in machine.replicas.values():
        led, following = None, replica.following
        if replica.leadership is not None:
            *term, remotes = replica.leadership.freeze(START_MS)
            led = (term, [(member, remote[:2], remote[4:]) for member, remote in remotes])
        followed = None if following is None else (following.leader_id, following.leader_epoch)
        replicas.append((replica.partition, replica.log.freeze(), led, followed))
    waiting = machine.waiting
    produces = [(process_alike(each.connection), dict(each.required)) for each in waiting.produces]
    fetches = sorted([(process_alike(each.connection), each.request.partitions) for each in waiting.fetches.values()])
    return (replicas, machine.broker_epoch, machine.image.end_offset, produces, fetches)


class Comparing(AtQuestions):
    """Repeats a run in a plain world, and compares its machines with `states`, by the question they were kept for."""

    __slots__ = ("compared", "space", "states")

    def __init__(
        self, world: World, wanted: dict[int, tuple[str, str]], space: WorldSpace, states: dict[int, Any]
    ) -> None:
        super().__init__(world, wanted)
        self.space = space
        self.states = states
        self.compared = 0

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Any) -> Any:
        before = self.asked
        deviation = super().answer(event, occurrence, faults, options)
        if self.asked > before and self.asked in self.states:
            self.compared += 1
            for name, cell in zip(self.space.names, self.states[self.asked], strict=False):
                machine = self.world.machines[name]
                assert (machine is None) is (cell.kind is DISK), (event, name)
                if machine is not None:
                    assert told_of(cell.live) == told_of(machine), (event, name)
        return deviation


def a_run(space: WorldSpace, seed: int) -> list[tuple[Any, tuple[str, str] | None]]:
    """By luck: each state with what is deviated to from there."""
    state, run = space.root, []
    while len(run) < MOST_STEPS and state not in space.at_rest and state not in space.sentences:
        luck = chance(seed, f"step {len(run)}")
        offers = space.offers_of(state) if luck % 8 == 0 else []
        offer = offers[luck // 8 % len(offers)] if offers else None
        run.append((state, offer))
        state = space._after(state, offer)
    return run


def assert_the_same(scenario: Scenario, seeds: range) -> int:
    """How many states were compared. One space for all runs: what it remembers of one is used in the others."""
    space = space_of(scenario)
    compared = 0
    for seed in seeds:
        asked = space.asked_before
        states, wanted = {}, {}
        for state, offer in a_run(space, seed):
            states[asked + 1] = state
            if offer is not None:
                wanted[asked + 1] = offer
            space.world.questions = 0
            space._after(state, offer)
            asked += space.world.questions
        world = stage(scenario, checks="off", record=False).cluster._world
        comparing = world.answerer = Comparing(world, wanted, space, states)
        until_ms = world.now_ms + HORIZON_MS
        while comparing.asked < max(states, default=0) and world.step(until_ms):
            pass
        assert comparing.compared == len(states)
        compared += comparing.compared
    return compared


@pytest.mark.parametrize("is_warm", [True, False])
@pytest.mark.parametrize("is_coarse", [True, False])
@pytest.mark.parametrize("name", ["P3", "P2"])
def test_every_machine_of_the_search_is_the_worlds(name: str, is_coarse: bool, is_warm: bool) -> None:
    assert assert_the_same(find_scenario(name, is_coarse=is_coarse, is_warm=is_warm), range(25)) > 100


@pytest.mark.parametrize("name", PLANTS)
def test_so_it_is_with_each_rule_that_the_museum_replaces(name: str) -> None:
    with find_named(PLANTS[name])():
        assert_the_same(find_scenario("P3"), range(5))
        assert_the_same(find_scenario("P2", is_coarse=False), range(5))


def divergence_not_minded() -> AbstractContextManager[None]:
    """A rule replaced inside another one: where a fetch diverges from the log, its progress is noted all the same."""
    original = Leading._note_progress

    def note(broker: Any, *given: Any) -> None:
        with replaced(Leading, "_find_divergence", lambda *_: None):
            original(broker, *given)

    return replaced(Leading, "_note_progress", note)


def everything_taken_for_fetched() -> AbstractContextManager[None]:
    original = Leading._note_progress

    def note(broker: Any, request: Any, *given: Any) -> None:
        ends = [(wanted, broker.replicas[wanted.topic_partition].log.log_end_offset) for wanted in request.partitions]
        further = [wanted._replace(fetch_offset=end_offset) for wanted, end_offset in ends]
        original(broker, request._replace(partitions=tuple(further)), *given)

    return replaced(Leading, "_note_progress", note)


@pytest.mark.parametrize(
    ("plant", "name", "is_coarse"),
    [
        (divergence_not_minded, "P3", True),
        (divergence_not_minded, "P2", True),
        (everything_taken_for_fetched, "P3", False),
        (everything_taken_for_fetched, "P2", True),
    ],
)
def test_what_a_rule_inside_a_rule_breaks_is_repeated_by_the_world(plant: Any, name: str, is_coarse: bool) -> None:
    """The in-sync member holds as much as its leader, but something else; or it lacks it only until its next fetch."""
    with plant():
        found = explore(find_scenario(name, is_coarse=is_coarse), 2)
    assert isinstance(found, Counterexample)
    assert (found.promise, found.played.promise, found.excused) == ("H12", "H12", False)


def test_nothing_of_a_replaced_rule_is_left_for_the_next_search() -> None:
    def search(plant: AbstractContextManager[None]) -> Any:
        with plant:
            found = explore("P2", 2)
        return found.searched, found.marks if isinstance(found, Proof) else found.literal

    first, planted = search(nullcontext()), search(divergence_not_minded())
    assert planted[0].broken == "H12"
    assert search(nullcontext()) == first
    assert search(divergence_not_minded()) == planted
