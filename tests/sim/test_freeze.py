from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sim_runs import SETTINGS, begun
from thawed import digest_of, rest_of

from eventlog import Cluster
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Recorder
from eventlog.sim.world import World

HERE = Path(__file__).parent
SENDS = 6
LASTS_MS = 2_500


def frozen_at_every_event(seed: int) -> tuple[list[tuple[Any, int]], list[str]]:
    """(frozen world, until when) before each event of a run, and the digest of what came after each."""
    cluster = begun(seed)
    producer = next(iter(cluster._clients.values()))
    for number in range(SENDS):
        producer.send("events", b"%d" % number)
    world, recorder = cluster._world, cluster.recorder
    until_ms = world.now_ms + LASTS_MS
    moments: list[tuple[Any, int]] = []
    while True:
        moments.append(((world.freeze(), until_ms), len(recorder.events)))
        if not world.step(until_ms):
            break
    events = recorder.events
    return [moment for moment, _ in moments], [digest_of(events[start:]) for _, start in moments]


def test_a_world_frozen_at_any_event_goes_on_the_same_in_another_process(tmp_path: Path) -> None:
    moments: list[tuple[Any, int]] = []
    expected: list[str] = []
    for seed in range(20):
        found, digests = frozen_at_every_event(seed)
        moments += found
        expected += digests
    assert len(set(expected)) > len(expected) // 2
    halves = [(moments[::2], expected[::2]), (moments[1::2], expected[1::2])]
    processes = []
    for index, (part, _) in enumerate(halves):
        path = tmp_path / f"worlds-{index}"
        path.write_bytes(pickle.dumps(part))
        environment = {**os.environ, "PYTHONHASHSEED": str(7 + index), "PYTHONPATH": str(HERE.parents[1])}
        command = [sys.executable, "thawed.py", str(path)]
        processes.append(subprocess.Popen(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, text=True))
    for process, (_, digests) in zip(processes, halves, strict=True):
        assert process.communicate()[0].split() == digests


def test_freezing_changes_nothing() -> None:
    for seed in range(3):
        _, digests = frozen_at_every_event(seed)
        cluster = begun(seed)
        producer = next(iter(cluster._clients.values()))
        for number in range(SENDS):
            producer.send("events", b"%d" % number)
        start = len(cluster.recorder.events)
        cluster._world.run_until(cluster.now_ms + LASTS_MS)
        assert digest_of(cluster.recorder.events[start:]) == digests[0]


def test_a_thawed_world_freezes_to_the_same_value() -> None:
    found, _ = frozen_at_every_event(5)
    for frozen, _ in found[::5]:
        assert World.thaw(frozen, Recorder()).freeze() == frozen


@pytest.mark.parametrize(
    ("fault", "target"),
    [
        ("cut", "broker-1<>broker-2"),
        ("pause", "broker-2"),
        ("isolate", "broker-2"),
        ("crash", "broker-2"),
        ("slow_follower", "broker-2"),
        ("stuck_fetcher", "broker-2"),
        ("clean_restart", "broker-2"),
        ("split", "1,2|3+controller"),
        ("controller_paused", "controller"),
        ("metadata_delay", "broker-2"),
        ("power_cut", "broker-1,broker-2,broker-3"),
        ("unclean_election", "events-0>broker-3"),
    ],
)
def test_a_world_is_frozen_with_its_faults(fault: str, target: str) -> None:
    cluster = Cluster(3, **SETTINGS)
    producer = cluster.producer(linger_ms=0)
    cluster.create_topic("events")
    producer.send("events", b"first").offset  # noqa: B018
    cluster._world.strike_now(Deviation("by hand", 1, fault, target, 3_000))
    producer.send("events", b"second")
    cluster.advance(3)
    frozen, start = cluster._world.freeze(), len(cluster.recorder.events)
    until_ms = cluster.now_ms + 5_000
    cluster._world.run_until(until_ms)
    assert rest_of(frozen, until_ms) == digest_of(cluster.recorder.events[start:])
