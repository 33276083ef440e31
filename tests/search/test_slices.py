"""A search in slices is the search itself: whoever did them, in which process, and however often."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import pytest

from eventlog.errors import RequestError
from eventlog.exploring import Counterexample, Proof, explore, space_of
from eventlog.scenarios import find_scenario
from eventlog.sim.search import Part, search
from eventlog.sim.slices import Ledger, put_together

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


@pytest.mark.parametrize(("name", "is_warm"), [("P2", True), ("one broker", False)])
@pytest.mark.parametrize("level", [1, 2])
def test_slices_together_are_the_whole_search(name: str, is_warm: bool, level: int) -> None:
    scenario = find_scenario(name, is_warm=is_warm)
    whole = Ledger(space_of(scenario), is_digested=True)
    searched = search(whole, 2)
    parts = []
    for number in range(5):
        ledger = Ledger(space_of(scenario), is_digested=True)
        parts.append(ledger.seen(search(ledger, 2, part=Part(level, number, 5))))
    assert max([part.searched.states for part in parts]) < searched.states
    together = put_together(parts)
    assert together.searched.levels == searched.levels
    assert together.searched.transitions == searched.transitions
    assert together.searched.finals == searched.finals
    assert together.events == sum(whole.events)
    assert together.marks == whole.counts()
    assert put_together([*parts, *parts[:2]]) == together
    assert put_together([whole.seen(searched)]).searched.states == len(set(whole.digests)) == searched.states


def numbers_of(found: object) -> tuple[object, ...]:
    assert isinstance(found, Proof)
    seen = found.searched
    return (seen.states, seen.levels, seen.transitions, seen.finals, seen.complete, found.events, found.marks)


def test_two_processes_prove_what_one_proves() -> None:
    assert numbers_of(explore("P2", 3, jobs=2)) == numbers_of(explore("P2", 3))


def test_any_executor_will_do() -> None:
    with ThreadPoolExecutor(2) as executor:
        assert numbers_of(explore("one broker", 4, executor=executor)) == numbers_of(explore("one broker", 4))


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


@pytest.mark.parametrize("jobs", [0, -1, True, 5_000])
def test_a_number_of_jobs_that_cannot_be_is_refused(jobs: int) -> None:
    with pytest.raises(RequestError, match="jobs must be from 1 to 1024"):
        explore("P2", 3, jobs=jobs)


def test_a_rule_that_is_not_there_is_refused_before_anybody_works() -> None:
    with pytest.raises(RequestError, match="no_such_module"):
        explore("P2", 3, jobs=2, plants=["no_such_module:rule"])
