"""`@chaos_test`: what is run in which order, what counts as a failure, and what is said of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos_stage import ORDERS, each_order_once

from eventlog import Cluster, RequestError, RetriableError, UnknownOutcomeError
from eventlog.hunting import PORTFOLIO
from eventlog.log.producer_state import ProducerEntry
from eventlog.sim.literal import read_literal
from eventlog.testing import ChaosFailure, Unrepeatable, chaos_test, exactly_once, maybe_crash, supervise
from eventlog.testing.fault_groups import FAULT_GROUPS, fault_kinds
from eventlog.values import FAULTS


def failure_of(test: Callable[..., object], **given: Any) -> ChaosFailure:
    with pytest.raises(ChaosFailure) as caught:
        test(**given)
    return caught.value


def send_three(cluster: Cluster, **settings: Any) -> None:
    cluster.create_topic("orders")
    with cluster.producer("writer", **settings) as producer:
        for order in ORDERS:
            producer.send("orders", order)


# --- what is run --------------------------------------------------------------------------------------------------


def test_runs_come_in_order_of_faults_with_walks_between() -> None:
    counts: list[int] = []

    @chaos_test(faults={"lost_ack", "lost_request"}, runs=60)
    def test(cluster: Cluster) -> None:
        send_three(cluster)
        counts.append(len(cluster.deviations))

    test()
    assert len(counts) == 61  # the benign run is made twice
    assert counts[:2] == [0, 0]
    # Six of ten in order: no such run has fewer faults than the one before it.
    in_order = [count for number, count in enumerate(counts[2:]) if PORTFOLIO[number % 10] == "d"]
    assert in_order == sorted(in_order)
    assert in_order[0] == 1
    assert max(counts) >= 2


def test_the_same_test_has_the_same_runs() -> None:
    def literals() -> list[str]:
        seen: list[str] = []

        @chaos_test(runs=40)
        def test(cluster: Cluster) -> None:
            send_three(cluster)
            cluster.recover()
            seen.append(cluster.literal)

        test()
        return seen

    assert literals() == literals()


def test_no_run_in_order_is_made_twice() -> None:
    seen: list[Any] = []

    @chaos_test(faults={"lost_ack"}, runs=50)
    def test(cluster: Cluster) -> None:
        send_three(cluster)
        seen.append(cluster.deviations)

    test()
    singles = [run for run in seen[2:] if len(run) == 1]
    assert len(dict.fromkeys(singles)) > 5


def test_when_every_run_was_made_it_is_over(tmp_path: Path) -> None:
    deaths: list[int] = []

    @chaos_test(faults={"client_crash"}, runs=200)
    def test(cluster: Cluster) -> None:
        supervise(maybe_crash, "only")
        deaths.append(len(cluster.deaths))

    test()
    # The benign run twice; then a death, two and three in a row, and a few walks between.
    assert len(deaths) < 12
    assert {0, 1, 2, 3} <= set(deaths)


def test_at_most_so_many_faults_in_runs_in_order() -> None:
    counts: list[int] = []

    @chaos_test(faults={"lost_request"}, runs=40, max_deviations=1)
    def test(cluster: Cluster) -> None:
        send_three(cluster)
        counts.append(len(cluster.deviations))

    test()
    in_order = [count for number, count in enumerate(counts[2:]) if PORTFOLIO[number % 10] == "d"]
    assert set(in_order) == {1}


# --- what is new in each run --------------------------------------------------------------------------------------


def test_cluster_directory_and_factories_are_fresh_in_each_run(tmp_path: Path) -> None:
    clusters: list[Cluster] = []
    ended: list[int] = []

    def a_file(tmp_path: Path) -> Path:
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").write_text("x")
        return tmp_path / "file"

    def a_service(cluster: Cluster, file: Path) -> Iterator[str]:
        assert file.exists()
        assert cluster.elapsed_ms < 20
        yield "service"
        ended.append(1)

    @chaos_test(faults={"lost_ack"}, runs=10, fresh={"file": a_file, "service": a_service})
    def test(cluster: Cluster, service: str, number: int) -> None:
        assert (service, number) == ("service", 7)
        assert all(cluster is not known for known in clusters)
        clusters.append(cluster)
        send_three(cluster)

    test(tmp_path=tmp_path, number=7)
    assert len(clusters) == len(ended) == 11
    assert list(tmp_path.iterdir()) == []  # nothing is left of them


def test_a_topic_is_made_before_anything_goes_wrong() -> None:
    @chaos_test(faults={"crash", "election", "cut", "isolate"}, runs=60)
    def test(cluster: Cluster) -> None:
        for number in range(3):
            cluster.create_topic(f"topic-{number}")
        assert cluster.deviations == ()
        cluster.producer().send("topic-0", b"x").offset  # noqa: B018

    test()


# --- what fails ---------------------------------------------------------------------------------------------------


def test_a_mistake_is_found_shrunk_and_told(tmp_path: Path) -> None:
    test = chaos_test(faults={"client_crash", "lost_ack", "leader_failover"}, runs=50)(each_order_once)
    failed = failure_of(test, tmp_path=tmp_path)
    told = str(failed)
    assert "event b'order-1' stands in 'orders' 2 times" in told
    assert "(send 0 of relay) and orders-0 offset 1" in told
    assert "1. client_crash: the process dies at crash point after_publish" in told
    assert "2. " not in told
    assert "THE PROCESS DIES at crash point after_publish" in told
    assert "What to do:\n  The process died after it had written" in told
    assert failed.literal in told
    assert len(told.splitlines()) <= 40


def test_a_literal_repeats_the_failure_at_once(tmp_path: Path) -> None:
    failed = failure_of(chaos_test(faults={"client_crash"})(each_order_once), tmp_path=tmp_path)
    again = chaos_test(faults={"lost_ack"}, runs=1, replay=failed.literal)(each_order_once)
    told = str(failure_of(again, tmp_path=tmp_path))
    assert "(replayed; seed 0)" in told
    assert "event b'order-1' stands in 'orders' 2 times" in told


def test_two_faults_are_shrunk_to_the_one_that_counts() -> None:
    @chaos_test(faults={"lost_ack", "slow_network"}, runs=200, seed=5)
    def test(cluster: Cluster) -> None:
        send_three(cluster, enable_idempotence=False, linger_ms=0)
        cluster.recover()
        assert len(cluster.records("orders")) == 3

    told = str(failure_of(test))
    assert "assert 4 == 3" in told or "assert 5 == 3" in told or "assert 6 == 3" in told
    assert "  1. " in told
    assert "  2. " not in told


def test_a_test_that_fails_by_itself_is_told_so() -> None:
    @chaos_test()
    def test(cluster: Cluster) -> None:
        raise KeyError("config")

    told = str(failure_of(test))
    assert "KeyError: 'config'" in told
    assert "It takes no fault at all" in told


def test_an_error_that_escapes_is_a_failure_and_one_that_is_handled_is_none() -> None:
    def impatient(cluster: Cluster) -> None:
        cluster.create_topic("orders")
        producer = cluster.producer("writer", delivery_timeout_ms=3_000, request_timeout_ms=1_000, linger_ms=0)
        producer.send("orders", b"x").offset  # noqa: B018

    def careful(cluster: Cluster) -> None:
        try:
            impatient(cluster)
        except (UnknownOutcomeError, RetriableError):
            return

    told = str(failure_of(chaos_test(faults={"lost_request"})(impatient)))
    assert "RetriableError: producer writer on orders-0: 1 records expired" in told
    assert "let a RetriableError escape" in told
    chaos_test(faults={"lost_request"}, runs=30)(careful)()


def test_a_broken_promise_of_the_broker_is_a_failure_though_the_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProducerEntry, "find_duplicate", lambda entry, batch: None)
    told = str(failure_of(chaos_test(faults={"lost_ack"}, runs=50)(send_three)))
    assert "PromiseBroken: H2: Record 0 of producer 'writer' is in the log twice" in told
    assert "reply_lost" in told


def test_a_plain_pytest_fail_is_a_failure_and_a_skip_is_a_skip() -> None:
    def gives_up(cluster: Cluster) -> None:
        pytest.fail("no way")

    def passes(cluster: Cluster) -> None:
        pytest.skip("not today")

    assert "no way" in str(failure_of(chaos_test()(gives_up)))
    with pytest.raises(pytest.skip.Exception, match="not today"):
        chaos_test()(passes)()


# --- what differs by itself ---------------------------------------------------------------------------------------


def test_code_that_differs_between_two_identical_runs_is_called_that() -> None:
    runs: list[int] = []

    @chaos_test(faults={"lost_ack"})
    def test(cluster: Cluster) -> None:
        runs.append(1)
        cluster.create_topic("orders")
        producer = cluster.producer("writer")
        for _ in range(len(runs)):  # something an earlier run left behind
            producer.send("orders", b"x").offset  # noqa: B018

    with pytest.raises(Unrepeatable) as caught:
        test()
    told = str(caught.value)
    assert "behaves differently in two identical runs" in told
    assert "  second  " in told
    assert "Make what differs an input" in told


def test_a_failure_that_does_not_come_again_is_called_that() -> None:
    runs: list[int] = []

    @chaos_test(faults={"lost_ack"})
    def test(cluster: Cluster) -> None:
        runs.append(1)
        send_three(cluster)
        assert len(runs) != 5

    with pytest.raises(Unrepeatable, match=r"first   the test raised AssertionError at .*test_chaos_test\.py"):
        test()


def test_bytes_that_differ_are_no_difference() -> None:
    @chaos_test(faults={"lost_ack"}, runs=5)
    def test(cluster: Cluster) -> None:
        cluster.create_topic("orders")
        event = uuid.uuid4().bytes
        cluster.producer("writer").send("orders", event).offset  # noqa: B018
        exactly_once(cluster, "orders", [event])

    test()


# --- what can't be ------------------------------------------------------------------------------------------------


def test_what_cannot_be_is_said_where_it_stands() -> None:
    def takes_nothing(cluster: Cluster) -> None: ...

    async def waits(cluster: Cluster) -> None: ...

    def many(eventlog_clusters: Any) -> None: ...

    other = "{'eventlog': 1, 'scenario': {'chaos_test': 'other', 'seed': 0}, 'deviations': []}"
    for match, make in (
        ("unknown fault 'lost_acks'; the groups are: lost_ack,", lambda: chaos_test(faults={"lost_acks"})),
        ("runs must be 1 or more, not 0", lambda: chaos_test(runs=0)),
        ("max_deviations must be 1 or more", lambda: chaos_test(max_deviations=0)),
        ("with parentheses", lambda: chaos_test(takes_nothing)),  # type: ignore[arg-type]
        ("is a coroutine", lambda: chaos_test()(waits)),
        ("ask for that one", lambda: chaos_test()(many)),
        ("takes no argument 'db'", lambda: chaos_test(fresh={"db": dict})(takes_nothing)),
        ("give it to the one it was printed by", lambda: chaos_test(replay=other)(takes_nothing)),
        ("not of a chaos test", lambda: chaos_test(replay=Cluster().literal)(takes_nothing)),
        ("this version reads format 1", lambda: chaos_test(replay="{'eventlog': 2}")(takes_nothing)),
        ("when you call it yourself", lambda: chaos_test()(each_order_once)()),
        ("had an occasion: nothing was on its way", lambda: chaos_test(faults={"lost_ack"})(takes_nothing)()),
        ("no maybe_crash", lambda: chaos_test(faults={"client_crash"})(takes_nothing)()),
    ):
        with pytest.raises(RequestError, match=match.replace("(", r"\(")):
            make()


def test_every_group_stands_for_faults_that_there_are() -> None:
    for name, faults in FAULT_GROUPS.items():
        assert faults
        assert all(fault in FAULTS or fault == "client_crash" for fault in faults), name
    assert fault_kinds("lost_ack,crash") == ("reply_lost", "crash")
    assert fault_kinds(["crash", "leader_failover"]) == ("crash", "election")
    assert "unclean_election" not in fault_kinds(None)
    assert read_literal(Cluster().literal)[1] == ()
