"""Campaigns: the merged result is that of one process, whoever did the slices, and whoever died of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import distributed
import pytest

from eventlog.campaigns import Campaign, Progress, campaign
from eventlog.errors import RequestError
from eventlog.exploring import Proof, explore
from eventlog.scenarios import find_scenario

HOLE = find_scenario("one broker", producer_snapshot_batches=1)
MARKER = "EVENTLOG_TEST_CAMPAIGN_DIES"

hunted = partial(campaign, [HOLE, "P2"], range(4), runs=15, excused=True, seeds_a_slice=1)


@contextmanager
def dies_once() -> Iterator[None]:
    """A rule that ends the first process that isn't the test's own and asks for it."""
    marker = Path(os.environ[MARKER])
    if marker.exists() and int(marker.read_text()) != os.getpid():
        marker.unlink()
        os._exit(1)
    yield


@contextmanager
def dies_always() -> Iterator[None]:
    """A rule that ends every process but the test's own."""
    if int(Path(os.environ[MARKER]).read_text()) != os.getpid():
        os._exit(1)
    yield


@contextmanager
def fails() -> Iterator[None]:
    """A rule that can't be replaced."""
    raise KeyError("no such rule")
    yield


@pytest.fixture(scope="module")
def here() -> Campaign:
    return hunted()


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    marker = tmp_path / "owner"
    marker.write_text(str(os.getpid()))
    monkeypatch.setenv(MARKER, str(marker))
    return marker


def test_every_seed_of_every_scenario_is_hunted_in_the_order_of_what_was_asked(here: Campaign) -> None:
    assert (here.slices, here.is_whole, here.errors) == (8, True, ())
    assert [(find.failure, find.seed) for find in here.finds] == [("H2 (excused)", seed) for seed in range(4)]
    assert here.runs == sum([find.run for find in here.finds]) + 4 * 15


def test_a_pool_of_processes_finds_the_same(here: Campaign) -> None:
    assert hunted(jobs=2) == here
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert hunted(executor=executor) == here


def test_a_dask_cluster_finds_and_proves_the_same(here: Campaign) -> None:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert hunted(executor=client.get_executor(pure=False)) == here
        proof, other = explore("P2", 2, executor=client.get_executor(pure=False)), explore("P2", 2)
    assert isinstance(proof, Proof)
    assert isinstance(other, Proof)
    numbers, others = [
        (one.searched.levels, one.searched.transitions, one.searched.finals, one.events, one.marks)
        for one in (proof, other)
    ]
    assert numbers == others


def test_a_slice_whose_worker_died_is_run_again_and_counted_once(here: Campaign, marker: Path) -> None:
    again = hunted(jobs=2, plants=[f"{__name__}:dies_once"])
    assert not marker.exists()
    assert again == here
    assert again.tried_again >= 1
    assert "run again" in again.report()


def test_a_slice_that_kills_every_worker_is_told_and_the_others_are_kept(marker: Path) -> None:
    lost = campaign(["one broker"], range(2), runs=2, jobs=2, seeds_a_slice=1, plants=[f"{__name__}:dies_always"])
    assert (lost.runs, len(lost.errors)) == (0, 2)
    assert "its worker died 3 times" in lost.report()


def test_an_error_of_the_work_itself_is_a_result_and_not_tried_again() -> None:
    done = campaign(["one broker"], range(2), runs=2, plants=[f"{__name__}:fails"])
    assert done.errors == (("one broker", (0, 1), "KeyError: 'no such rule'"),)
    assert (done.finds, done.runs, done.tried_again) == ((), 0, 0)


def test_two_threads_never_replace_a_rule_at_once(here: Campaign) -> None:
    with ThreadPoolExecutor(4) as executor:
        assert hunted(executor=executor) == here


def test_an_interrupt_gives_what_is_done() -> None:
    def interrupts(done: Progress) -> None:
        if done.done == 3:
            raise KeyboardInterrupt

    part = hunted(progress=interrupts)
    assert not part.is_whole
    assert [find.seed for find in part.finds] == [0, 1, 2]
    assert "; interrupted" in part.report()


def test_progress_counts_slices_runs_and_finds(here: Campaign) -> None:
    told: list[Progress] = []
    hunted(progress=told.append)
    assert [one.done for one in told] == list(range(1, 9))
    assert told[-1] == Progress(8, 8, here.runs, 4)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scenarios": ["P9"]}, "there is no scenario 'P9'"),
        ({"plants": ["nowhere:nothing"]}, "'nowhere:nothing' can't be imported"),
        ({"plants": ["eventlog.values:FAULTS"]}, "must name a function"),
        ({"explore": "eventlog.exploring"}, "'eventlog.exploring'"),
        ({"jobs": 0}, "jobs 0: these can't be"),
        ({"seeds_a_slice": 0}, "seeds_a_slice 0"),
        ({"runs": -1}, "runs -1"),
    ],
)
def test_what_no_worker_could_do_is_refused_before_any_is_asked(asked: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        campaign(**{"scenarios": ["P2"], "seeds": range(2), "runs": 1, **asked})  # type: ignore[arg-type]
