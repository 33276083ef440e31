from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sim_runs import PLAN, deviations_of, judged, small_run

HERE = Path(__file__).parent
SEEDS = 1_000


def start(checks: str, hash_seed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(HERE.parents[1])}
    command = [sys.executable, "digests.py", checks, str(SEEDS)]
    return subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_thousand_seeds_give_the_same_traces_in_another_process_with_other_hashes_and_with_checks_on() -> None:
    processes = [start("off", "1"), start("full", "2")]
    digests = [process.communicate()[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert len(digests[0]) == 64
    assert digests[0] == digests[1]


def test_these_runs_are_not_all_benign_and_not_all_alike() -> None:
    runs = [small_run(seed) for seed in range(100)]
    assert len({run.trace_digest() for run in runs}) == 100
    struck = {deviation.fault for run in runs for deviation in run.deviations}
    assert len(struck) >= len(PLAN.names) - 3
    assert sum(run.recorder.duplicates_recognised for run in runs) > 10
    assert sum(run.recorder.failovers for run in runs) > 10


@pytest.mark.parametrize("tens", range(5))
def test_the_deviations_of_a_run_repeat_it_exactly(tens: int) -> None:
    for seed in range(10 * tens, 10 * tens + 10):
        seeded = small_run(seed)
        replayed = small_run(seed, deviations=deviations_of(seeded))
        assert replayed.trace_digest() == seeded.trace_digest(), seeded.literal
        assert replayed.replayed is not None
        assert replayed.replayed.unused == ()
        assert replayed.literal == seeded.literal


def test_a_run_without_one_of_its_deviations_still_runs_and_keeps_its_promises() -> None:
    for seed in range(8):
        deviations = deviations_of(small_run(seed))
        for left_out in range(len(deviations)):
            shorter = small_run(seed, "full", deviations[:left_out] + deviations[left_out + 1 :])
            assert shorter.replayed is not None
            taken = len(deviations) - 1 - len(shorter.replayed.unused)
            assert len(shorter.deviations) == taken
            assert judged(shorter).held, shorter.literal


def test_a_run_without_any_deviation_is_the_benign_one() -> None:
    benign = small_run(3, deviations=())
    assert benign.deviations == ()
    assert [record.record.send_number for record in benign.records("events")] == list(range(10))


def test_watching_or_not_changes_nothing() -> None:
    for seed in range(10):
        assert len({small_run(seed, checks).trace_digest() for checks in ("off", "cheap", "full")}) == 1
