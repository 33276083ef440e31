"""Every state that can be reached, each visited once: by depth, or in order of deviations.

A *space* says where runs begin, what comes next, and what is broken. Of what its states are, nothing is known here but
that equal ones are one.

Searched by depth (`max_deviations` None), every step costs the same, and what breaks is reached by the fewest steps.
Searched in order of deviations, the benign step is free and every other costs one: level 0 is the benign run from each
beginning; what level j meets, level j + 1 begins from by one deviation and goes on benignly. Breadth-first search with
steps that cost nothing. So the story of what breaks is as near to the ordinary as can be.

S1. Every state is visited once, at its lowest level, and asked once whether it is broken.
S2. What breaks first has the least depth, or the least number of deviations.
S3. The same space is searched in the same order, and its paths tell the same states again.
S4. A benign run rests, breaks, meets what is known, or has no end: it goes round, and each round is counted once; or it
    goes on and on (`most_benign_steps`), which ends a search that stops at the first, as something broken does.

Nothing is kept of a state but itself, a number and the step that led there. A state that deviations reach gets its
number at once, but is visited when its level comes: until then a benign step may still come by, and then it belongs
there.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeVar

from eventlog.errors import RequestError

MAX_SUCCESSORS: Final = 4096
"""A step is told as (number of the state before) * this + which successor."""

STATES_PER_LOOK: Final = 256
"""After so many states the clock and the memory are looked at."""

LOOKS_PER_PROGRESS: Final = 16

STATES, TIME, MEMORY, INTERRUPTED = "states", "time", "memory", "interrupted"
BROKEN, ENDLESS = "broken", "a run without end"
"""Why a search ended before everything was seen."""

State = TypeVar("State", bound=Hashable)


class Space(Protocol[State]):
    """What can be searched."""

    def begin(self) -> Sequence[State]:
        """Where runs begin."""
        ...

    def successors(self, state: State, may_deviate: bool) -> Sequence[State | None]:
        """What may come next. First the benign successor, None when the benign run is at rest; then one for each
        deviation, in a fixed order. `may_deviate` False: nobody asks for those any more."""
        ...

    def broken(self, state: State) -> str:
        """The promise that is broken in this state, or ""."""
        ...


class Progress(NamedTuple):
    """How far it is. `level`: deviations, or depth; `frontier`: what this level began with, `entered`: how much of it
    is done."""

    states: int
    transitions: int
    level: int
    frontier: int
    entered: int


class Found(NamedTuple):
    """How often something was met, and its first way: the level, which beginning, and which successor at each step."""

    times: int
    level: int
    begin: int
    path: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search saw. `depth`: steps of the longest way gone; `levels`: new states at each number of deviations (or
    each depth); `complete`: the last level that was seen as a whole, -1 for none; `finals`: states at rest."""

    states: int
    transitions: int
    depth: int
    levels: tuple[int, ...]
    complete: int
    finals: int
    cycle: Found | None
    found: dict[str, Found]
    stopped_by: str

    @property
    def cycles(self) -> int:
        """Benign runs that never rest, each round counted once."""
        return 0 if self.cycle is None else self.cycle.times

    @property
    def broken(self) -> str:
        """The promise found broken first, or ""."""
        return next(iter(self.found), "")

    @property
    def path(self) -> tuple[int, ...]:
        """Which successor at each step leads to what is broken; () when nothing is."""
        return next((found.path for found in self.found.values()), ())


class _Stop(Exception):
    """Ends a search; says why."""


class _Watch:
    """Looks at the clock and the memory, and tells how far it is."""

    def __init__(
        self,
        time_limit_s: float | None,
        clock: Callable[[], float] | None,
        max_memory_bytes: int | None,
        memory: Callable[[], int] | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        if time_limit_s is not None and (clock is None or time_limit_s <= 0):
            raise RequestError(f"time_limit_s must be more than 0 and needs a clock, not {time_limit_s}")
        if max_memory_bytes is not None and (memory is None or max_memory_bytes <= 0):
            raise RequestError(f"max_memory_bytes must be more than 0 and needs memory, not {max_memory_bytes}")
        self.clock, self.memory, self.progress = clock, memory, progress
        self.until = None if clock is None or time_limit_s is None else clock() + time_limit_s
        self.max_memory_bytes = max_memory_bytes

    def look(self, states: int, transitions: int, level: int, frontier: int, entered: int) -> None:
        if self.until is not None and self.clock is not None and self.clock() >= self.until:
            raise _Stop(TIME)
        if self.max_memory_bytes is not None and self.memory is not None and self.memory() >= self.max_memory_bytes:
            raise _Stop(MEMORY)
        if self.progress is not None and not states % (STATES_PER_LOOK * LOOKS_PER_PROGRESS):
            self.progress(Progress(states, transitions, level, frontier, entered))


def search(
    space: Space[State],
    max_deviations: int | None = None,
    max_states: int = 10_000_000,
    time_limit_s: float | None = None,
    clock: Callable[[], float] | None = None,
    progress: Callable[[Progress], None] | None = None,
    stop_at_first: bool = True,
    max_memory_bytes: int | None = None,
    memory: Callable[[], int] | None = None,
    most_benign_steps: int | None = None,
) -> Searched:
    """Visits all states, or those within `max_deviations`. `clock`: seconds; `memory`: bytes in use. Not
    `stop_at_first`: broken states are counted, and nothing follows them. An interrupt gives what was seen until then.
    `most_benign_steps`: a benign run that is longer is taken to have no end."""
    if max_deviations is not None and max_deviations < 0:
        raise RequestError(f"max_deviations must be 0 or more, or None, not {max_deviations}")
    if max_states < 1:
        raise RequestError(f"max_states must be 1 or more, not {max_states}")
    watch = _Watch(time_limit_s, clock, max_memory_bytes, memory, progress)

    numbers: dict[State, int] = {}
    steps = array("q")  # by number: the step that leads there; below 0: a beginning
    visits = array("i")  # by number: as which it was visited, from 1; 0: not yet
    new = states = transitions = depth = finals = cycles = 0
    levels: list[int] = []
    complete = -1
    found: dict[str, Found] = {}
    cycle: Found | None = None
    stopped_by = ""
    number_of, add_step, add_visit = numbers.setdefault, steps.append, visits.append
    successors_of, broken_in = space.successors, space.broken

    was_collecting = gc.isenabled()
    gc.disable()  # what is kept is no garbage, and there is much of it
    try:
        frontier: list[State] = []
        frontier_numbers, frontier_depths = array("q"), array("i")
        for begin, state in enumerate(space.begin()):
            if number_of(state, new) == new:
                add_step(-1 - begin)
                add_visit(0)
                frontier.append(state)
                frontier_numbers.append(new)
                frontier_depths.append(0)
                new += 1
        while frontier:
            level = len(levels)
            levels.append(0)
            may_deviate = max_deviations is None or level < max_deviations
            following: list[State] = []
            following_numbers, following_depths = array("q"), array("i")
            for place, state in enumerate(frontier):
                number = frontier_numbers[place]
                if visits[number]:
                    continue  # a benign step came by
                here = frontier_depths[place]
                first_visit = states + 1
                last_visit = None if most_benign_steps is None else states + most_benign_steps
                while True:  # along the benign run; by depth, one round
                    if not states % STATES_PER_LOOK:
                        watch.look(states, transitions, level, len(frontier), place)
                    if states >= max_states:
                        raise _Stop(STATES)
                    states += 1
                    levels[level] += 1
                    visits[number] = states
                    if here > depth:
                        depth = here
                    promise = broken_in(state)
                    if promise:
                        known = found.get(promise) or Found(0, level, *_way(steps, number))
                        found[promise] = known._replace(times=known.times + 1)
                        if stop_at_first:
                            raise _Stop(BROKEN)
                        break
                    offered = successors_of(state, may_deviate)
                    if len(offered) > MAX_SUCCESSORS:
                        raise RequestError(f"a state has {len(offered)} successors, more than {MAX_SUCCESSORS}")
                    step = number * MAX_SUCCESSORS
                    benign: State | None = None
                    if max_deviations is not None:
                        benign = offered[0]
                        if benign is None:
                            finals += 1
                        else:
                            transitions += 1
                            number = number_of(benign, new)
                            if number == new:
                                add_step(step)
                                add_visit(0)
                                new += 1
                            elif not visits[number]:
                                steps[number] = step  # deviations led there too; this is nearer to the ordinary
                            else:
                                benign = None
                                if visits[number] >= first_visit:
                                    cycles += 1
                                    cycle = cycle or Found(1, level, *_way(steps, number))
                            if states == last_visit and benign is not None:
                                benign = None
                                cycles += 1
                                cycle = Found(1, level, *_way(steps, number))
                                if stop_at_first:
                                    raise _Stop(ENDLESS)
                        offered = offered[1:] if may_deviate else ()
                        step += 1
                    here += 1
                    generated = transitions
                    for successor in offered:
                        if successor is not None:
                            transitions += 1
                            if number_of(successor, new) == new:
                                add_step(step)
                                add_visit(0)
                                following.append(successor)
                                following_numbers.append(new)
                                following_depths.append(here)
                                new += 1
                        step += 1
                    if max_deviations is None and transitions == generated:
                        finals += 1
                    if benign is None:
                        break
                    state = benign
            complete = level
            frontier, frontier_numbers, frontier_depths = following, following_numbers, following_depths
        if max_deviations is not None:
            complete = max_deviations  # nobody may deviate any more, so often as it may be
    except _Stop as stop:
        stopped_by = str(stop)
    except KeyboardInterrupt:
        stopped_by = INTERRUPTED
    finally:
        if was_collecting:
            gc.enable()
    if cycle is not None:
        cycle = cycle._replace(times=cycles)
    return Searched(states, transitions, depth, tuple(levels), complete, finals, cycle, found, stopped_by)


def _way(steps: array[int], number: int) -> tuple[int, tuple[int, ...]]:
    """(which beginning, which successor at each step) to a state."""
    path: list[int] = []
    step = steps[number]
    while step >= 0:
        number, successor = divmod(step, MAX_SUCCESSORS)
        path.append(successor)
        step = steps[number]
    path.reverse()
    return -1 - step, tuple(path)


def retell(space: Space[State], path: tuple[int, ...], begin: int = 0) -> list[State]:
    """The states along a way, from its beginning to its end."""
    state = space.begin()[begin]
    states = [state]
    for which in path:
        successor = space.successors(state, which > 0)[which]
        if successor is None:
            raise RequestError(f"the way leads on from rest at step {len(states)}: it is of another space")
        state = successor
        states.append(state)
    return states
