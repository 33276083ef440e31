"""The small scenario of these tests: one or two topics, a few sends, faults now and then."""

from __future__ import annotations

from typing import Any

from eventlog import Cluster, InvariantViolation
from eventlog.check import BROKEN, Verdict
from eventlog.sim.faults import Deviation, FaultPlan, fault_plan
from eventlog.sim.literal import read_literal
from eventlog.values import chance
from eventlog.values.faults import USUAL_FAULTS

PLAN = fault_plan(None, 12)
# Chaos that nothing may excuse: no disk loses anything, and nothing is deleted that could explain what happened.
LOSING = ("crash_losing_tail", "crash_wiped", "unclean_election", "log_start_moved")
KEEPING_DISKS = fault_plan(tuple(name for name in USUAL_FAULTS if name not in LOSING), 12)
SETTINGS: dict[str, Any] = {
    "min_insync_replicas": 2,
    "broker_session_timeout_ms": 1_500,
    "replica_lag_time_max_ms": 600,
    "replica_fetch_backoff_ms": 100,
}


def begun(
    seed: int,
    checks: str = "off",
    deviations: tuple[Deviation, ...] | None = None,
    writers: int = 1,
    plan: FaultPlan = PLAN,
) -> Cluster:
    """A cluster with a topic and writers. Faults fall from here on: those of the seed, or `deviations`."""
    faults = None if deviations is not None else plan
    cluster = Cluster(3, seed, faults=faults, deviations=deviations, checks=checks, **SETTINGS)
    for number in range(writers):
        cluster.producer(f"writer-{number}", linger_ms=0, batch_size=0, request_timeout_ms=400, retry_backoff_ms=50)
    cluster.create_topic("events")
    return cluster


def written(cluster: Cluster, seed: int, sends: int = 10) -> Cluster:
    """Send with pauses in between, then undo the faults and let everything come to its end."""
    producers = list(cluster._clients.values())
    for number in range(sends):
        luck = chance(seed, f"send {number}")
        producers[luck % len(producers)].send("events", b"%d" % number)
        if luck >> 8 & 3 == 0:
            cluster.advance(1 + (luck >> 16) % 900)
    cluster.advance(1_000)
    cluster.recover()
    return cluster


def small_run(
    seed: int, checks: str = "off", deviations: tuple[Deviation, ...] | None = None, sends: int = 10, writers: int = 1
) -> Cluster:
    return written(begun(seed, checks, deviations, writers), seed, sends)


def judged(cluster: Cluster) -> Verdict:
    """The verdict on a run that came to its end."""
    return cluster.check()


def find_fault_in(seed: int, sends: int = 10, writers: int = 1) -> str | None:
    """What is wrong with one walk, with its literal; None when nothing is."""
    cluster = begun(seed, "full", writers=writers, plan=KEEPING_DISKS)
    try:
        verdict = judged(written(cluster, seed, sends))
    except InvariantViolation as violation:
        return f"seed {seed}, {cluster.literal}\n{violation}"
    # A first batch that was refused before a later one was accepted can't be written any more: Kafka's own hole. And a
    # batch that is in the log although its answer was an error is no longer recognised once five others are behind it:
    # an acknowledged one between them has made room for a sixth.
    lied_to = any(deviation.fault == "error_after_append" for deviation in cluster.deviations)
    may_fail = verdict.promise("H4").excused > 0 or lied_to
    stuck = cluster._world.find_unrecovered()
    if verdict.held and not stuck and not verdict.counts.unresolved and (may_fail or not verdict.counts.failed):
        return None
    return f"{stuck} seed {seed}, {cluster.literal}\n{[result.promise for result in verdict.of(BROKEN)]}\n{verdict.report()}"


def deviations_of(cluster: Cluster) -> tuple[Deviation, ...]:
    """By way of the literal, as a reader of a failure would get them."""
    return read_literal(cluster.literal)[1]


__all__ = ["KEEPING_DISKS", "PLAN", "begun", "deviations_of", "find_fault_in", "judged", "small_run", "written"]
