"""What the search promises (S1-S4), on spaces small enough to see through, and against plain recursion on random ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random

import pytest

from eventlog.errors import RequestError
from eventlog.sim.search import (
    BROKEN,
    ENDLESS,
    INTERRUPTED,
    MAX_SUCCESSORS,
    MEMORY,
    STATES,
    TIME,
    Found,
    Progress,
    Searched,
    retell,
    search,
)

REST = ""


class Letters:
    """States are letters. `steps`: by state, what comes next, the benign one first; a letter left out is at rest."""

    def __init__(self, steps: dict[str, str | list[str]], broken: str = "", begin: str = "a") -> None:
        self.steps, self.broken_ones, self.first = steps, broken, begin
        self.visited = ""
        self.asked_to_deviate = ""

    def begin(self) -> list[str]:
        return list(self.first)

    def broken(self, state: str) -> str:
        self.visited += state
        return f"promise {state.upper()}" if state in self.broken_ones else ""

    def successors(self, state: str, may_deviate: bool) -> list[str | None]:
        if may_deviate:
            self.asked_to_deviate += state
        return [each or None for each in self.steps.get(state, [REST])]


class Numbers:
    """States are numbers, one after the other without end."""

    def begin(self) -> list[int]:
        return [0]

    def broken(self, state: int) -> str:
        return ""

    def successors(self, state: int, may_deviate: bool) -> list[int | None]:
        return [state + 1]


# --- order (S1, S2) ---------------------------------------------------------------------------------------------------


def test_a_level_is_finished_before_the_next_begins() -> None:
    space = Letters({"a": "bd", "b": "ce", "d": "fg"})
    searched = search(space, 2)
    assert space.visited == "abc" + "dfe" + "g"
    assert searched.levels == (3, 3, 1)
    assert (searched.complete, searched.stopped_by) == (2, "")


def test_by_depth_every_step_costs_the_same() -> None:
    space = Letters({"a": "bd", "b": "ce", "d": "fg"})
    searched = search(space)
    assert space.visited == "abdcefg"
    assert searched.levels == (1, 2, 4)
    assert (searched.depth, searched.complete, searched.finals) == (2, 2, 4)


def test_by_depth_no_benign_successor_is_no_rest() -> None:
    searched = search(Letters({"a": [REST, "b"]}))
    assert (searched.states, searched.transitions, searched.finals) == (2, 1, 1)


def test_deviations_are_told_apart_from_rest() -> None:
    searched = search(Letters({"a": [REST, "b"]}), 1)
    assert (searched.states, searched.transitions, searched.finals) == (2, 1, 2)


def test_no_deviation_is_asked_for_at_the_last_level() -> None:
    space = Letters({"a": "bd", "b": "ce", "d": "fg"})
    searched = search(space, 1)
    assert space.asked_to_deviate == "abc"
    assert (space.visited, searched.transitions) == ("abcdfe", 5)


def test_deviations_offered_unasked_at_the_last_level_are_not_taken() -> None:
    space = Letters({"a": "bd", "b": "ce", "d": "fg"})
    assert search(space, 0).states == 3


def test_a_state_that_deviations_reach_first_belongs_to_the_benign_run_that_reaches_it_later() -> None:
    space = Letters({"a": "bc", "b": "c"}, broken="c")
    searched = search(space, 1)
    assert space.visited == "abc"
    assert searched.found["promise C"] == (1, 0, 0, (0, 0))
    assert searched.levels == (3,)


def test_a_state_of_the_same_level_is_visited_once_when_a_benign_run_overtakes_it() -> None:
    space = Letters({"a": [REST, "b", "c"], "b": "c", "c": "d"})
    searched = search(space, 1)
    assert space.visited == "abcd"
    assert searched.levels == (1, 3)


def test_what_breaks_has_the_least_number_of_deviations_not_of_steps() -> None:
    steps: dict[str, str | list[str]] = {"a": "bz", "b": "c", "c": "d"}
    assert search(Letters(steps, broken="dz"), 3).path == (0, 0, 0)
    assert search(Letters(steps, broken="dz")).path == (1,)


# --- what is told (S3) ------------------------------------------------------------------------------------------------


def test_a_way_is_retold_from_its_beginning() -> None:
    space = Letters({"a": "b", "m": "nb", "n": "oc", "o": "pxy"}, broken="y", begin="am")
    searched = search(space, 1)
    found = searched.found["promise Y"]
    assert found == Found(times=1, level=1, begin=1, path=(0, 0, 2))
    assert (searched.broken, searched.path, searched.stopped_by) == ("promise Y", (0, 0, 2), BROKEN)
    assert retell(space, found.path, found.begin) == ["m", "n", "o", "y"]


def test_a_way_of_another_space_is_refused() -> None:
    with pytest.raises(RequestError, match="leads on from rest at step 2"):
        retell(Letters({"a": "b"}), (0, 0))


def test_the_depth_is_that_of_the_longest_way() -> None:
    assert search(Letters({"a": "bd", "b": "c", "d": "e", "e": "f", "f": "g"}), 1).depth == 4


def test_all_broken_states_are_counted_when_asked_and_nothing_follows_them() -> None:
    class ByVowel(Letters):
        def broken(self, state: str) -> str:
            return super().broken(state) and ("vowel" if state in "aeiou" else "consonant")

    space = ByVowel({"a": "be", "b": "ci", "e": "x", "c": "z"}, broken="eic")
    searched = search(space, 1, stop_at_first=False)
    assert searched.found == {"consonant": (1, 0, 0, (0, 0)), "vowel": (2, 1, 0, (1,))}
    assert searched.broken == "consonant"
    assert (space.visited, searched.stopped_by, searched.finals) == ("abcei", "", 0)


# --- benign runs that never rest (S4) ---------------------------------------------------------------------------------


def test_a_benign_run_that_goes_round_is_reported_once() -> None:
    # a -> b -> c -> b; d joins the round later, and e has one of its own.
    searched = search(Letters({"a": "bd", "b": "ce", "c": "b", "d": "c", "e": "e"}), 1)
    assert searched.cycle == (2, 0, 0, (0,))
    assert (searched.cycles, searched.finals, searched.broken, searched.stopped_by) == (2, 0, "", "")


def test_a_benign_run_that_is_always_new_is_taken_to_have_no_end_and_ends_the_search() -> None:
    searched = search(Numbers(), 0, most_benign_steps=100)
    assert (searched.states, searched.stopped_by, searched.cycles) == (100, ENDLESS, 1)
    assert searched.cycle is not None
    assert searched.cycle.path == (0,) * 100
    assert search(Letters({"a": "b", "b": "c"}), 0, most_benign_steps=3).stopped_by == ""
    assert search(Letters({"a": "b", "b": "c"}), 0, most_benign_steps=2).stopped_by == ENDLESS


def test_by_depth_nothing_is_without_end() -> None:
    assert search(Letters({"a": "b", "b": "a"}), most_benign_steps=1).stopped_by == ""


def test_meeting_what_is_known_is_no_cycle() -> None:
    searched = search(Letters({"a": "bcb", "b": "d", "c": "b"}), 1)
    assert (searched.cycle, searched.cycles, searched.finals) == (None, 0, 1)


# --- limits -----------------------------------------------------------------------------------------------------------


def test_no_more_states_are_visited_than_allowed() -> None:
    searched = search(Numbers(), 0, max_states=1000)
    assert (searched.states, searched.stopped_by, searched.complete) == (1000, STATES, -1)
    searched = search(Numbers(), max_states=1000)
    assert (searched.states, searched.stopped_by, searched.complete) == (1000, STATES, 999)


def test_as_many_states_as_allowed_are_a_whole_search() -> None:
    searched = search(Letters({"a": "b"}), 0, max_states=2)
    assert (searched.states, searched.stopped_by, searched.complete) == (2, "", 0)


def test_it_ends_when_the_time_is_over() -> None:
    times = iter(range(100, 200))
    searched = search(Numbers(), 0, time_limit_s=5, clock=lambda: next(times))
    assert (searched.states, searched.stopped_by) == (4 * 256, TIME)


def test_it_ends_when_the_memory_is_full() -> None:
    in_use = iter(range(0, 10_000, 100))
    searched = search(Numbers(), 0, max_memory_bytes=300, memory=lambda: next(in_use))
    assert (searched.states, searched.stopped_by) == (3 * 256, MEMORY)


class Interrupted(Letters):
    def successors(self, state: str, may_deviate: bool) -> list[str | None]:
        if state == "f":
            raise KeyboardInterrupt
        return super().successors(state, may_deviate)


def test_an_interrupt_gives_what_was_seen_until_then() -> None:
    searched = search(Interrupted({"a": "bd", "b": "ce", "d": "fg"}), 2)
    assert (searched.states, searched.stopped_by, searched.complete) == (5, INTERRUPTED, 0)
    assert (searched.levels, searched.finals) == ((3, 2), 1)


def test_progress_is_told_every_some_thousand_states() -> None:
    told: list[Progress] = []
    search(Numbers(), 0, max_states=10_000, progress=told.append)
    assert [each.states for each in told] == [0, 4096, 8192]
    assert told[-1] == Progress(states=8192, transitions=8192, level=0, frontier=1, entered=0)


@pytest.mark.parametrize("was_collecting", [True, False])
@pytest.mark.parametrize("space", [Letters({"a": "b"}), Interrupted({"a": "f"}), Letters({"a": "bx"}, broken="b")])
def test_garbage_is_collected_afterwards_as_before(was_collecting: bool, space: Letters) -> None:
    seen: list[bool] = []
    old = space.broken

    def broken(state: str) -> str:
        seen.append(gc.isenabled())
        return old(state)

    space.broken = broken  # type: ignore[method-assign]
    try:
        if not was_collecting:
            gc.disable()
        search(space, 1)
        assert gc.isenabled() is was_collecting
        assert seen == [False, False]
    finally:
        gc.enable()
        del space.broken


def test_more_successors_than_can_be_told_are_refused() -> None:
    def searched(count: int) -> Searched:
        steps: dict[str, str | list[str]] = {"a": ["b"] * (count - 1) + ["c"]}
        return search(Letters(steps, broken="c"), 1)

    assert searched(MAX_SUCCESSORS).path == (MAX_SUCCESSORS - 1,)
    with pytest.raises(RequestError, match="a state has 4097 successors, more than 4096"):
        searched(MAX_SUCCESSORS + 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: search(Numbers(), -1), "max_deviations must be 0 or more, or None, not -1"),
        (lambda: search(Numbers(), 0, max_states=0), "max_states must be 1 or more, not 0"),
        (lambda: search(Numbers(), 0, time_limit_s=5), "time_limit_s must be more than 0 and needs a clock, not 5"),
        (lambda: search(Numbers(), 0, time_limit_s=0, clock=lambda: 0), "time_limit_s must be more than 0"),
        (lambda: search(Numbers(), 0, max_memory_bytes=5), "max_memory_bytes must be more than 0 and needs memory"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: Callable[[], Searched], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        wrong()


# --- against plain recursion ------------------------------------------------------------------------------------------


class RandomGraph:
    """Numbers below `size`; each with a benign successor or none, and up to three deviations."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        size = random.randint(2, 40)
        self.steps: list[list[int | None]] = []
        for _ in range(size):
            benign = None if random.random() < 0.2 else random.randrange(size)
            self.steps.append([benign, *[random.randrange(size) for _ in range(random.randint(0, 3))]])
        self.broken_ones = {number: f"p{number % 2}" for number in range(size) if random.random() < 0.1}
        self.begins = [random.randrange(size) for _ in range(random.randint(1, 3))]

    def begin(self) -> list[int]:
        return self.begins

    def broken(self, state: int) -> str:
        return self.broken_ones.get(state, "")

    def successors(self, state: int, may_deviate: bool) -> list[int | None]:
        return self.steps[state] if may_deviate else self.steps[state][:1]

    def costs(self, cost_of: Callable[[int], int]) -> dict[int, int]:
        """By state that can be reached: the least cost, found by trying every step until nothing gets cheaper."""
        costs = dict.fromkeys(self.begins, 0)
        while True:
            before = dict(costs)
            for state, cost in before.items():
                if not self.broken(state):
                    for which, successor in enumerate(self.steps[state]):
                        if successor is not None:
                            through = cost + cost_of(which)
                            costs[successor] = min(costs.get(successor, through), through)
            if costs == before:
                return costs

    def rounds(self, states: dict[int, int]) -> int:
        """How many rounds benign runs from these states end in."""
        lowest: dict[int, bool] = {}
        for state in states:
            run: list[int] = []
            at: int | None = state
            while at is not None and not self.broken(at) and at not in run:
                run.append(at)
                at = self.steps[at][0]
            if at in run:
                lowest[min(run[run.index(at) :])] = True
        return len(lowest)


def levels_of(costs: dict[int, int]) -> tuple[int, ...]:
    return tuple([list(costs.values()).count(level) for level in range(max(costs.values()) + 1)])


@pytest.mark.parametrize("seed", range(150))
def test_the_search_sees_what_plain_recursion_sees(seed: int) -> None:
    graph = RandomGraph(seed)
    by_steps = graph.costs(lambda _which: 1)
    searched = search(graph, stop_at_first=False)
    assert searched.levels == levels_of(by_steps)
    assert searched.depth == max(by_steps.values())

    max_deviations = seed % 4
    costs = graph.costs(lambda which: int(which > 0))
    costs = {state: cost for state, cost in costs.items() if cost <= max_deviations}
    searched = search(graph, max_deviations, stop_at_first=False)
    assert tuple([level for level in searched.levels if level]) == levels_of(costs)
    assert searched.states == len(costs)
    assert searched.finals == sum([graph.steps[state][0] is None and not graph.broken(state) for state in costs])
    assert searched.cycles == graph.rounds(costs)
    for promise, found in searched.found.items():
        broken = [state for state in costs if graph.broken(state) == promise]
        end = retell(graph, found.path, found.begin)[-1]
        assert (found.times, graph.broken(end)) == (len(broken), promise)
        assert found.level == min([costs[state] for state in broken]) == costs[end]
        assert found.level == sum([which > 0 for which in found.path])

    again = search(graph, max_deviations, stop_at_first=False)
    assert again == searched
    first = search(graph, max_deviations)
    assert first.broken == searched.broken
    assert first.path == searched.path
