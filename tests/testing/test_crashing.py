"""Crash points: who dies, what is lost with it, and who starts again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from eventlog import Cluster, FatalError, UnknownOutcomeError
from eventlog.codec import decode_records
from eventlog.sim.choices import Replay
from eventlog.sim.faults import Deviation
from eventlog.testing import SimulatedCrash, maybe_crash, supervise
from eventlog.testing.chaos_run import MOST_RESTARTS, ChaosRun, Ran
from eventlog.testing.mortal import MortalCluster


def crash_at(point: str, nth: int = 1) -> Deviation:
    return Deviation(f"crash point {point}", nth, "client_crash", "process", 0)


def run(body: Callable[[MortalCluster], object], *crashes: Deviation) -> Ran:
    cluster = MortalCluster(checks="full")
    cluster.create_topic("orders")
    cluster.advance(1_000)
    ran = ChaosRun(cluster, Replay(crashes)).call(lambda: body(cluster))
    if ran.error is not None:
        raise ran.error
    return ran


def values(cluster: Cluster) -> list[bytes | None]:
    log = next(log for log in cluster._world.brokers()[0].replicas.values()).log
    batches = log.read(0, log.high_watermark, 2**31)
    return [record.value for batch in batches for record in decode_records(batch)]


def test_outside_of_a_chaos_run_nothing_happens() -> None:
    maybe_crash("anywhere")
    assert supervise(lambda: maybe_crash("here") or 7) == 7


def test_outside_of_a_supervised_process_nobody_dies() -> None:
    ran = run(lambda cluster: maybe_crash("here"), crash_at("here"))
    assert ran.deviations == ()
    assert ran.points == {}


def test_a_process_is_started_again_until_it_comes_to_its_end() -> None:
    lives: list[str] = []

    def process(name: str, *, ending: str) -> str:
        lives.append(name)
        maybe_crash("first")
        maybe_crash("second")
        return name + ending

    ran = run(
        lambda cluster: lives.append(supervise(process, "a", ending="!")), crash_at("first", 2), crash_at("second")
    )
    assert lives == ["a", "a", "a", "a!"][:1] + ["a"] * 2 + ["a!"]
    assert [point for _, _, point in ran.cluster.deaths] == ["second", "first"]
    assert ran.points == {"first": 3, "second": 2}


def test_a_crash_is_no_exception_that_code_handles() -> None:
    handled: list[str] = []

    def process() -> None:
        try:
            maybe_crash("here")
        except Exception:
            handled.append("exception")
        handled.append("end")

    run(lambda cluster: supervise(process), crash_at("here"))
    assert handled == ["end"]
    assert not issubclass(SimulatedCrash, Exception)


def test_who_swallows_a_crash_is_dead_all_the_same() -> None:
    lives: list[int] = []

    def process(cluster: Cluster) -> None:
        lives.append(1)
        producer = cluster.producer("writer")
        try:
            maybe_crash("here")
        except BaseException:
            with pytest.raises(FatalError):
                producer.send("orders", b"from beyond")
            with pytest.raises(SimulatedCrash):
                maybe_crash("another")

    ran = run(lambda cluster: supervise(process, cluster), crash_at("here"))
    assert len(lives) == 2
    assert values(ran.cluster) == []


def test_what_waited_in_the_process_dies_with_it_and_what_was_sent_arrives() -> None:
    left: list[object] = []

    def process(cluster: Cluster) -> None:
        if left:
            return
        producer = cluster.producer("writer", linger_ms=1_000)
        producer.send("orders", b"early").offset  # noqa: B018
        under_way = producer.send("orders", b"on its way")
        cluster.advance(1_001)
        waiting = producer.send("orders", b"waits")
        left.extend([under_way, waiting])
        maybe_crash("here")

    ran = run(lambda cluster: supervise(process, cluster), crash_at("here"))
    assert values(ran.cluster) == [b"early", b"on its way"]
    for delivery in left:
        with pytest.raises(UnknownOutcomeError, match="died at crash point 'here'"):
            delivery.offset  # type: ignore[attr-defined] # noqa: B018


def test_the_checker_holds_no_death_against_the_cluster() -> None:
    def process(cluster: Cluster) -> None:
        producer = cluster.producer("writer", linger_ms=1_000)
        reader = cluster.consumer(("orders", 0), name="reader")
        producer.send("orders", b"one")
        cluster.advance(1_001)
        producer.send("orders", b"two")
        reader.poll()
        maybe_crash("here")

    ran = run(lambda cluster: supervise(process, cluster), crash_at("here"))  # raises what is broken
    assert ran.cluster.client_names == ("writer", "reader", "writer.2", "reader.2")


def test_only_the_process_itself_dies() -> None:
    def process(cluster: Cluster) -> None:
        cluster.producer("inner").send("orders", b"inner").offset  # noqa: B018
        maybe_crash("here")

    def body(cluster: Cluster) -> None:
        outer = cluster.producer("outer")
        supervise(process, cluster)
        outer.send("orders", b"outer").offset  # noqa: B018

    ran = run(body, crash_at("here"))
    assert values(ran.cluster) == [b"inner", b"inner", b"outer"]


def test_links_of_the_dead_may_be_cut() -> None:
    def process(cluster: Cluster) -> None:
        if "writer" in cluster._clients:
            return
        producer = cluster.producer("writer", linger_ms=0)
        producer.send("orders", b"one").offset  # noqa: B018
        producer.send("orders", b"two")
        cluster.advance(1)
        maybe_crash("here")

    ran = run(
        lambda cluster: supervise(process, cluster),
        crash_at("here"),
        Deviation("writer produces orders-0 @1 try 0", 1, "cut", "writer<>broker-1", 15_000),
    )
    assert [known.fault for known in ran.deviations] == ["cut", "client_crash"]


def test_a_process_that_always_dies_is_given_up() -> None:
    crashes = [crash_at("here", nth) for nth in range(1, MOST_RESTARTS + 2)]
    with pytest.raises(AssertionError, match=f"died {MOST_RESTARTS + 1} times"):
        run(lambda cluster: supervise(maybe_crash, "here"), *crashes)


def test_an_error_of_the_process_is_not_a_crash() -> None:
    def process() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(lambda cluster: supervise(process))
