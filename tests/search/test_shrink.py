"""The shrinker: from what was found to what it takes, over plans, over scenarios, and against what the search knows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest

from eventlog.errors import RequestError
from eventlog.exploring import Counterexample, explore
from eventlog.hunting import hunt
from eventlog.log import producer_state
from eventlog.log.producer_state import ProducerEntry
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import find_scenario, play
from eventlog.shrinking import failure_of, shrink_played, shrink_scenario
from eventlog.sim.choices import ANYBODY
from eventlog.sim.faults import Deviation
from eventlog.sim.shrink import Outcome, Plan, shrink


def deviations(*names: str) -> Plan:
    return tuple([Deviation(name, 1, "reply_lost", "broker-1>writer", 0) for name in names])


def names(plan: Plan) -> str:
    return "".join([deviation.event for deviation in plan])


@pytest.mark.parametrize("needed", ["", "a", "h", "ah", "dce", "abcdefgh"])
def test_what_is_not_needed_is_left_out(needed: str) -> None:
    shrunk = shrink(lambda plan: set(needed) <= set(names(plan)), deviations(*"abcdefgh"))
    assert (names(shrunk.deviations), shrunk.fails, shrunk.is_done) == ("".join(sorted(needed)), True, True)


def test_two_that_only_go_together_are_left_out_together() -> None:
    def fails(plan: Plan) -> bool:
        return "e" in names(plan) and ("b" in names(plan)) == ("g" in names(plan))

    assert names(shrink(fails, deviations(*"abcdefgh")).deviations) == "e"


def test_no_plan_is_run_twice_and_the_same_call_runs_the_same_plans() -> None:
    def runs() -> list[Plan]:
        seen: list[Plan] = []

        def fails(plan: Plan) -> bool:
            seen.append(plan)
            return set("bf") <= set(names(plan))

        shrink(fails, deviations(*"abcdefgh"))
        return seen

    assert len(set(runs())) == len(runs())
    assert runs() == runs()


def test_every_small_need_is_met_within_few_runs() -> None:
    for needed in combinations("abcdefghij", 2):
        shrunk = shrink(lambda plan, needed=needed: set(needed) <= set(names(plan)), deviations(*"abcdefghij"))
        assert names(shrunk.deviations) == "".join(needed)
        assert shrunk.runs <= 75


def test_what_did_not_apply_is_left_out_without_a_run_and_reported() -> None:
    plan = deviations(*"abcd")

    def run(tried: Plan) -> Outcome:
        return Outcome("b" in names(tried), tuple([one for one in tried if one.event in "cd"]))

    shrunk = shrink(run, plan)
    assert (names(shrunk.deviations), names(shrunk.unused)) == ("b", "cd")
    assert shrunk.runs <= 5


def test_what_does_not_fail_stays_as_it_is_and_says_so() -> None:
    shrunk = shrink(lambda plan: False, deviations("a", "b"))
    assert (names(shrunk.deviations), shrunk.fails, shrunk.runs) == ("ab", False, 1)


def test_a_bound_on_runs_ends_it_with_the_best_so_far() -> None:
    shrunk = shrink(lambda plan: "h" in names(plan), deviations(*"abcdefgh"), most_runs=3)
    assert (shrunk.fails, shrunk.is_done, shrunk.runs) == (True, False, 3)
    assert names(shrunk.deviations) == "efgh"


def test_a_milder_fault_at_the_same_event_takes_the_place_of_a_worse_one() -> None:
    worse = (Deviation("e", 1, "crash_wiped", "broker-1", 99),)

    def run(plan: Plan) -> Outcome:
        fits = len(plan) == 1 and plan[0].fault in ("crash", "crash_losing_tail", "crash_wiped")
        played = tuple([one._replace(target="broker-1") if one.target == ANYBODY else one for one in plan])
        return Outcome(fits, (), played)

    (deviation,) = shrink(run, worse).deviations
    assert (deviation.fault, deviation.target, deviation.duration_ms) == ("crash", "broker-1", 12_000)


HOLE = {"producer_snapshot_batches": 1}


@pytest.mark.parametrize("seed", range(4))
def test_kafkas_hole_found_by_luck_is_shrunk_to_what_the_search_knows(seed: int) -> None:
    scenario = find_scenario("one broker", **HOLE)
    known = explore(scenario, 2)
    assert isinstance(known, Counterexample)
    hunted = hunt(scenario, runs=400, seed=seed, excused=True, portfolio="s")
    assert hunted.failure == "H2 (excused)"
    assert hunted.told is not None
    assert hunted.shrunk is not None
    assert len(known.deviations) == 1
    assert 1 <= len(hunted.told.deviations) <= 2 <= len(hunted.found.deviations if hunted.found else ())
    assert hunted.told.unused == ()


def test_the_scenario_gets_smaller_too_and_its_literal_is_enough() -> None:
    scenario = find_scenario("one broker", producer_snapshot_batches=1, batches=4, records=2)
    hunted = hunt(scenario, runs=600, seed=3, excused=True)
    assert hunted.told is not None
    small = hunted.told.stage.scenario
    assert (small.batches, small.records) == (2, 1)
    again = play(small, hunted.told.deviations)
    assert again.unused == ()
    assert failure_of(again, excused=True) == hunted.failure
    assert hunted.literal in hunted.report()


def test_what_was_aimed_at_a_broker_is_aimed_anew_when_the_broker_is_left_out() -> None:
    scenario = find_scenario("P2", **HOLE)
    hunted = hunt(scenario, runs=17, seed=5, excused=True)
    assert hunted.found is not None
    assert hunted.told is not None
    assert "broker-2" in repr(hunted.found.deviations)
    assert hunted.told.stage.scenario.brokers == 1
    assert "broker-2" not in repr(hunted.told.deviations)


def no_memory_of_duplicates(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ProducerEntry, "find_duplicate", lambda entry, batch: None)


def a_memory_of_one_batch(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(producer_state, "REMEMBERED_BATCHES", 1)


def nothing(patch: pytest.MonkeyPatch) -> None:
    """Kafka's own hole needs no mistake."""


@pytest.mark.parametrize(
    ("rule", "name", "settings"),
    [
        (no_memory_of_duplicates, "P3", {}),
        (a_memory_of_one_batch, "P3", {}),
        (nothing, "one broker", HOLE),
    ],
)
def test_what_walks_find_is_shrunk_to_no_more_than_three_above_the_least(
    rule: Callable[[pytest.MonkeyPatch], None], name: str, settings: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In nine of ten cells, the aim is; in these, in all. What it takes at least, the search knows."""
    rule(monkeypatch)
    scenario = find_scenario(name, **settings)
    known = explore(scenario, 3)
    assert isinstance(known, Counterexample)
    lengths = []
    for seed in range(6):
        hunted = hunt(scenario, runs=300, seed=seed, excused=known.excused, portfolio="su")
        assert hunted.told is not None
        assert hunted.told.unused == ()
        lengths.append(len(hunted.told.deviations))
    assert max(lengths) <= len(known.deviations) + 3
    assert sum(lengths) <= 6 * (len(known.deviations) + 1)


def test_a_run_that_breaks_nothing_is_not_shrunk() -> None:
    rehearsal = Rehearsal(find_scenario("one broker"))
    with pytest.raises(RequestError, match="does not break H2"):
        shrink_scenario(rehearsal, (), "H2")


def test_shrinking_a_run_twice_gives_the_same() -> None:
    rehearsal = Rehearsal(find_scenario("one broker", **HOLE))
    crash = explore(find_scenario("one broker", **HOLE), 2)
    assert isinstance(crash, Counterexample)
    played = rehearsal.play(crash.deviations)
    one, other = (shrink_played(rehearsal, played, excused=True) for _ in range(2))
    assert one[0] == other[0]
    assert one[1].literal == other[1].literal
