"""The hunt: small runs under many faults, judged at every step and once more at their end.

A hunt knows nothing of the bugs. For each seed it writes with two idempotent writers, then with a plain one, and looks
at five things: the promises checked at every step, the verdict on the history, sends that fail though nothing justifies
it, sends without an end, and its own count of copies in the log against the checker's.
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from eventlog import Cluster, InvariantViolation
from eventlog.check import BROKEN, Verdict
from eventlog.sim.faults import FaultPlan, FaultRate
from eventlog.values import FAULTS, chance

SEEDS = range(20)
SENDS = 48
TOPIC = "events"
PARTITIONS = 2

# Per million, and at most so often: about one fault to every six sends, with elections and crashes near lost answers.
PLAN = FaultPlan(
    tuple(
        (name, rates[name])
        for rates in (
            {
                "request_lost": FaultRate(20_000, 3),
                "reply_lost": FaultRate(60_000, 6),
                "delay": FaultRate(30_000, 6),
                "disconnect": FaultRate(30_000, 5),
                "cut": FaultRate(15_000, 3),
                "cut_one_way": FaultRate(15_000, 3),
                "isolate": FaultRate(25_000, 3),
                "crash": FaultRate(25_000, 4),
                "pause": FaultRate(10_000, 1),
                "client_timeout": FaultRate(20_000, 3),
                "election": FaultRate(40_000, 8),
                "slow_follower": FaultRate(15_000, 3),
            },
        )
        for name in FAULTS
        if name in rates
    )
)


class Notice(NamedTuple):
    """What gave a bug away: the promise or the sign, on which seed, after how many seconds, and in what words."""

    by: str
    seed: int
    seconds: float
    words: str


def run(seed: int, idempotent: bool) -> Cluster:
    """One run, written and recovered. Raises InvariantViolation when a promise breaks on the way."""
    cluster = Cluster(
        3,
        seed,
        faults=PLAN,
        checks="full",
        min_insync_replicas=2,
        broker_session_timeout_ms=1_500,
        replica_lag_time_max_ms=300,
        replica_fetch_backoff_ms=100,
    )
    names = ("left", "right") if idempotent else ("plain",)
    producers = [
        cluster.producer(
            name,
            enable_idempotence=idempotent,
            acks=-1,
            linger_ms=0,
            batch_size=0,
            request_timeout_ms=400,
            delivery_timeout_ms=100_000,
            retry_backoff_ms=50,
        )
        for name in names
    ]
    cluster.create_topic(TOPIC, PARTITIONS)
    for number in range(SENDS):
        luck = chance(seed, f"send {number}")
        producers[luck % len(producers)].send(TOPIC, b"%d" % number, partition=(luck >> 8) % PARTITIONS)
        if (luck >> 16) % 4 == 0:
            cluster.advance(1 + (luck >> 24) % 1_200)
    cluster.recover(200_000)
    return cluster


def find_sign(seed: int, idempotent: bool) -> tuple[str, str] | None:
    """(what is wrong, in words) with one run, or None."""
    try:
        cluster = run(seed, idempotent)
    except InvariantViolation as violation:
        return (violation.promise, str(violation))
    verdict = cluster.check()
    if not verdict.held:
        broken = verdict.of(BROKEN)
        return (broken[0].promise, verdict.report() + "\n" + cluster.literal)
    return find_miscount(cluster, verdict) or find_failure(cluster, verdict)


def find_miscount(cluster: Cluster, verdict: Verdict) -> tuple[str, str] | None:
    """The checker says another number of copies than one finds by counting."""
    written = [record.record.send_number for record in cluster.records(TOPIC)]
    copies = len(written) - len(set(written))
    if copies == verdict.counts.duplicated:
        return None
    return ("count of copies", f"{copies} copies are in the log, the checker counts {verdict.counts.duplicated}")


def find_failure(cluster: Cluster, verdict: Verdict) -> tuple[str, str] | None:
    """A send that failed or has no end, though every fault was over long before its time was.

    One failure is Kafka's own: the first batch of a producer was refused and a later one accepted as its first.
    """
    bad = verdict.counts.unresolved + (0 if verdict.promise("H4").excused else verdict.counts.failed)
    return ("spurious failure", f"{bad} sends were not acknowledged\n{cluster.literal}") if bad else None


def hunt() -> Notice | None:
    """The first sign of anything wrong, or None when every seed is clean."""
    start = perf_counter()
    for seed in SEEDS:
        for idempotent in (True, False):
            sign = find_sign(seed, idempotent)
            if sign is not None:
                return Notice(sign[0], seed, perf_counter() - start, sign[1])
    return None
