"""A search in slices is the search itself: whoever did them, in which process, and however often."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from eventlog.errors import RequestError
from eventlog.exploring import Counterexample, Proof, explore, space_of
from eventlog.scenarios import find_scenario
from eventlog.sim.explore import WorldSpace
from eventlog.sim.search import BROKEN, ENDLESS, Found, Searched, search
from eventlog.sim.slices import Left, SliceSeen, Tally, put_together, shares_of, strata_of

MARKER = "EVENTLOG_TEST_DIES_ONCE"


@contextmanager
def dies_once() -> Iterator[None]:
    """A rule that ends the first process that isn't the test's own and asks for it."""
    marker = Path(os.environ[MARKER])
    if marker.exists() and int(marker.read_text()) != os.getpid():
        marker.unlink()
        os._exit(1)
    yield


@contextmanager
def nothing_is_a_duplicate() -> Iterator[None]:
    """Brokers find no batch that they have: a repeated one is out of order to them."""
    from eventlog.log.producer_state import ProducerEntry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProducerEntry, "find_duplicate", lambda entry, batch: None)
        yield


def seen_by(space: WorldSpace, max_deviations: int, last: Sequence[Left]) -> SliceSeen:
    space.narrow(last)
    return SliceSeen(search(space, max_deviations), dict(space.tallies), space.last)


@pytest.mark.parametrize(("name", "is_warm"), [("P2", True), ("one broker", False)])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_slices_together_are_the_whole_search(name: str, is_warm: bool, count: int) -> None:
    space = space_of(find_scenario(name, is_warm=is_warm))
    strata = strata_of(space.budgets, 2)
    whole = seen_by(space, 2, strata)
    searched = whole.searched
    parts = [seen_by(space, 2, share) for share in shares_of(strata, count)]
    assert len(parts) == min(count, len(strata))
    assert min([part.searched.states for part in parts]) < searched.states
    together = put_together(parts, space.budgets, 2)
    assert together == put_together([whole], space.budgets, 2)
    assert together.searched == searched
    assert put_together([*parts[::-1], *parts[:2]], space.budgets, 2) == together


def test_strata_are_all_ways_to_spend_so_much() -> None:
    assert strata_of((1, 2), 0) == [(1, 2)]
    assert strata_of((1, 2), 2) == [(1, 0), (0, 1)]
    assert strata_of((1, 2), 3) == strata_of((1, 2), 9) == [(0, 0)]


def test_shares_are_neighbours_and_all_there_is() -> None:
    strata = strata_of((1, 1, 1, 2, 1), 4)
    assert len(strata) == 11
    for count in (1, 2, 4, 20):
        shares = shares_of(strata, count)
        assert sorted([left for share in shares for left in share]) == sorted(strata)
        assert shares[0][0][-1] < shares[-1][-1][-1]  # what is named last tells them apart first
        assert min(map(len, shares)) == len(strata) // min(count, 11)


@pytest.mark.parametrize(("count", "complete"), [(2, 0), (5, 1)])
def test_without_one_of_its_slices_a_search_is_complete_as_far_as_the_others_saw_all(count: int, complete: int) -> None:
    space = space_of(find_scenario("P2"))
    parts = [seen_by(space, 2, share) for share in shares_of(strata_of(space.budgets, 2), count)]
    assert put_together(parts, space.budgets, 2).searched.complete == 2
    left_out = put_together(parts[1:], space.budgets, 2, "interrupted").searched
    assert (left_out.stopped_by, left_out.complete) == ("interrupted", complete)


def test_the_first_of_what_is_broken_is_the_first_of_the_whole_search() -> None:
    """By two deviations, in strata that different slices go through: which is first goes by the way, not by the slice."""
    space = space_of(find_scenario("P2", is_warm=False, behaves_like="librdkafka"))
    strata = strata_of(space.budgets, 2)
    whole = put_together([seen_by(space, 2, strata)], space.budgets, 2).searched
    assert whole.stopped_by == BROKEN
    for count in (2, 4, len(strata)):
        parts = [seen_by(space, 2, share) for share in shares_of(strata, count)]
        assert sum(bool(part.searched.found) for part in parts) >= 1
        together = put_together(parts[::-1], space.budgets, 2).searched
        assert (together.found, together.stopped_by) == (whole.found, BROKEN)


def found_by_way(path: tuple[int, ...], stopped_by: str = BROKEN) -> SliceSeen:
    """A slice that ended with what it found this way."""
    way = Found(1, sum([which > 0 for which in path]), 0, path)
    found, cycle = ({"H2": way}, None) if stopped_by == BROKEN else ({}, way)
    return SliceSeen(Searched(9, 9, 9, (9,), 0, 0, cycle, found, stopped_by), {}, ((0,),))


def test_of_two_that_are_found_the_one_that_a_whole_search_comes_to_first_counts() -> None:
    """It goes along a benign run and comes to the end of it first; then to what deviates from its first state."""
    ways = [(0, 0), (3,), (3, 0), (0, 2), (0, 0, 1), (3, 0, 1), (0, 2, 2)]
    for index, way in enumerate(ways):
        parts = [found_by_way(later) for later in (*ways[:index:-1], way)]
        assert put_together(parts, (9,), 2).searched.path == way


def test_a_run_without_end_that_ended_a_slice_comes_before_what_is_found_later() -> None:
    endless = put_together([found_by_way((0, 2)), found_by_way((1, 0), ENDLESS)], (9,), 1).searched
    assert (endless.stopped_by, endless.found, endless.cycle) == (ENDLESS, {}, Found(1, 1, 0, (1, 0)))
    met = put_together([found_by_way((0, 2)), found_by_way((1, 0), "")], (9,), 1).searched
    assert (met.stopped_by, met.path, met.cycle) == (BROKEN, (0, 2), None)


def test_of_a_stratum_that_one_saw_in_part_and_another_as_a_whole_the_whole_counts() -> None:
    part, whole = Tally(), Tally()
    part.states, part.steps, whole.states, whole.steps = 5, 6, 9, 12
    seen = [found_by_way((1,))._replace(tallies={(0,): tally}) for tally in (part, whole)]
    for slices in (seen, seen[::-1]):
        together = put_together(slices, (1,), 1).searched
        assert (together.states, together.transitions) == (9, 12)


def numbers_of(found: object) -> tuple[object, ...]:
    assert isinstance(found, Proof)
    seen = found.searched
    return (seen.states, seen.levels, seen.transitions, seen.finals, seen.complete, found.events, found.marks)


def test_two_processes_prove_what_one_proves() -> None:
    assert numbers_of(explore("P2", 3, jobs=2)) == numbers_of(explore("P2", 3))


def test_any_executor_will_do() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert numbers_of(explore("one broker", 4, executor=executor)) == numbers_of(explore("one broker", 4))


def test_slices_that_reach_a_bound_prove_what_they_saw_and_say_so() -> None:
    with ThreadPoolExecutor(2) as executor:
        found = explore("P2", 3, max_states=300, executor=executor)
    assert isinstance(found, Proof)
    assert (found.held, found.complete, found.searched.stopped_by) == (False, 1, "states")
    assert "within 1 deviations (of 3: stopped by states)" in found.report()


def test_a_slice_whose_worker_died_is_done_again_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "alive"
    marker.write_text(str(os.getpid()))
    monkeypatch.setenv(MARKER, str(marker))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    plants = ["test_slices:dies_once"]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = explore("one broker", 4, executor=executor, plants=plants)
    assert not marker.exists()
    assert numbers_of(found) == numbers_of(explore("one broker", 4))


def test_slices_find_what_a_replaced_rule_breaks_and_the_world_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    scenario = find_scenario("one broker", budgets=(("crash", 1), ("reply_lost", 1)))
    plants = ["test_slices:nothing_is_a_duplicate"]
    alone = explore(scenario, 3, plants=plants)
    assert isinstance(alone, Counterexample)
    assert (alone.promise, alone.excused) == ("H14", False)
    assert isinstance(explore(scenario, 3), Proof)


def test_a_counterexample_beyond_the_first_levels_is_the_same_from_any_number_of_workers() -> None:
    scenario = find_scenario("P2", is_warm=False, behaves_like="librdkafka")
    with ThreadPoolExecutor(1) as executor:
        one = explore(scenario, 2, executor=executor)
    two = explore(scenario, 2, jobs=2)
    assert isinstance(one, Counterexample)
    assert isinstance(two, Counterexample)
    assert (one.promise, len(one.deviations)) == ("H5", 2)
    assert two.literal == one.literal
    alone = explore(scenario, 2)
    assert isinstance(alone, Counterexample)
    assert alone.literal == one.literal


@pytest.mark.parametrize("jobs", [0, -1, True, 5_000])
def test_a_number_of_jobs_that_cannot_be_is_refused(jobs: int) -> None:
    with pytest.raises(RequestError, match="jobs must be from 1 to 1024"):
        explore("P2", 3, jobs=jobs)


def test_a_rule_that_is_not_there_is_refused_before_anybody_works() -> None:
    with pytest.raises(RequestError, match="no_such_module"):
        explore("P2", 3, jobs=2, plants=["no_such_module:rule"])
