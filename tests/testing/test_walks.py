"""`@walks`: inputs are Hypothesis's, faults are found and shrunk here, and the same failure is found again."""

from __future__ import annotations

import ast
import random
import re
import unittest
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, UnsatisfiedAssumption

from eventlog import Cluster, RequestError
from eventlog.sim.literal import read_literal
from eventlog.testing import Unrepeatable, hypothesis_support, maybe_crash, supervise
from eventlog.testing.forked import forked
from eventlog.testing.hypothesis_support import walks

SETTINGS = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
VALUES = st.lists(st.binary(max_size=2), min_size=1, max_size=4)


def write(cluster: Cluster, values: list[bytes], **producer_settings: Any) -> None:
    """Write `values` and let the cluster recover."""
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0, batch_size=0, **producer_settings)
    for value in values:
        writer.send("events", value, partition=0)
    writer.flush()
    cluster.recover()


def plainly_written(cluster: Cluster, values: list[bytes]) -> None:
    """A user's test that a lost answer makes fail."""
    write(cluster, values, enable_idempotence=False)
    assert len(cluster.records("events")) == len(values), "there are copies"


def failure_of(test: Callable[..., None], *args: Any) -> BaseException:
    with pytest.raises(AssertionError, match="there are copies") as caught:
        test(*args)
    return caught.value


def literal_in(failure: BaseException) -> str:
    (found,) = re.findall(r"replay=\[(.*?)\]\) and keep", "\n".join(failure.__notes__))
    return str(ast.literal_eval(found))


# --- what is found ----------------------------------------------------------------------------------------------------


def test_a_failing_walk_shrinks_to_the_least_inputs_and_the_least_faults() -> None:
    found = failure_of(SETTINGS(given(values=VALUES)(walks(20, faults=["delay", "reply_lost"])(plainly_written))))
    notes = "\n".join(found.__notes__)
    assert "plainly_written(\n    values=[b'']," in notes
    assert [deviation.fault for deviation in read_literal(literal_in(found))[1]] == ["reply_lost"]
    assert "1. reply_lost on broker-1>writer: the request was served" in notes
    assert 'at the event "answer: writer produces events-0 @0 try 0"' in notes
    assert "1 acknowledged at 1" in notes  # the ladder


def test_the_literal_of_a_failure_repeats_it() -> None:
    found = failure_of(walks(20, faults=["reply_lost", "disconnect"])(plainly_written), [b"a", b"b"])
    again = failure_of(walks(1, replay=literal_in(found))(plainly_written), [b"a", b"b"])
    assert literal_in(again) == literal_in(found)


def test_an_idempotent_writer_survives_the_same_faults() -> None:
    walked: list[tuple[str, ...]] = []

    @SETTINGS
    @given(values=VALUES)
    @walks(20, faults=["delay", "reply_lost", "crash", "election"], min_insync_replicas=2, producer_snapshot_batches=5)
    def test(cluster: Cluster, values: list[bytes]) -> None:
        write(cluster, values)
        assert [found.record.value for found in cluster.records("events")] == values
        walked.append(tuple([deviation.fault for deviation in cluster.deviations]))

    test()
    assert {1, 2, 3} <= {len(faults) for faults in walked}
    assert {fault for faults in walked for fault in faults} == {"delay", "reply_lost", "crash", "election"}


def test_every_walk_has_a_fresh_cluster_and_there_are_as_many_as_asked_for() -> None:
    clusters: list[Cluster] = []

    @walks(7, faults=["reply_lost", "crash"], brokers=2)
    def test(cluster: Cluster, values: list[bytes]) -> None:
        assert cluster.now_ms < 1_700_000_001_000
        clusters.append(cluster)
        write(cluster, values)

    test([b"a", b"b"])
    assert len({id(cluster) for cluster in clusters}) == len(clusters) == 7
    assert clusters[0].deviations == ()
    assert all(cluster.deviations for cluster in clusters[1:])
    assert repr(clusters[0]).startswith("<Cluster: 2 of 2")


def test_where_few_things_can_go_wrong_each_of_them_is_tried() -> None:
    seen: list[str] = []

    @walks(20, faults=["error_after_append"])
    def test(cluster: Cluster) -> None:
        write(cluster, [b"a", b"b", b"c"])
        seen.extend([deviation.event for deviation in cluster.deviations])

    test()
    assert {f"answer: writer produces events-0 @{number} try 0" for number in range(3)} <= set(seen)


def test_walks_depend_on_the_inputs_alone() -> None:
    def walked(values: list[bytes]) -> list[Any]:
        seen: list[Any] = []

        @walks(12)
        def test(cluster: Cluster, values: list[bytes]) -> None:
            write(cluster, values)
            seen.append(cluster.deviations)

        test(values)
        return seen

    assert walked([b"a", b"b"]) == walked([b"a", b"b"])
    assert walked([b"a", b"b"]) != walked([b"a", b"c"])


def test_what_failed_once_is_tried_first_from_then_on() -> None:
    runs: list[int] = [0]

    @walks(20, faults=["delay", "election", "reply_lost"])
    def test(cluster: Cluster, values: list[bytes]) -> None:
        runs[0] += 1
        plainly_written(cluster, values)

    first = failure_of(test, [b"a"])
    runs[0] = 0
    again = failure_of(test, [b"a", b"b"])
    assert runs[0] == 2  # without faults, then with these
    assert read_literal(literal_in(again))[1] == read_literal(literal_in(first))[1]


def test_a_test_that_fails_without_faults_says_so() -> None:
    @walks(20)
    def test(cluster: Cluster) -> None:
        raise ValueError("always")

    with pytest.raises(ValueError, match="always") as caught:
        test()
    assert caught.value.__notes__ == ["eventlog: it fails without any fault"]


def test_faults_that_the_body_asks_for_are_no_part_of_the_literal() -> None:
    @walks(20, faults=["election"])
    def test(cluster: Cluster) -> None:
        cluster.create_topic("events")
        cluster.lose_next_ack()
        cluster.producer("writer").send("events", b"x").offset  # noqa: B018 (waits)
        assert not [struck for struck in cluster.deviations if struck.fault == "election"], "there are copies"

    found = failure_of(test)
    assert [deviation.fault for deviation in read_literal(literal_in(found))[1]] == ["election"]


def test_what_differs_from_run_to_run_is_reported_as_such() -> None:
    coin = random.Random(4)

    @walks(50, faults=["delay"])
    def test(cluster: Cluster) -> None:
        write(cluster, [b"a"])
        assert not cluster.deviations or coin.random() < 0.9

    with pytest.raises(Unrepeatable, match="behaves differently in two identical runs"):
        test()


def test_a_process_may_die_at_its_crash_points() -> None:
    def relay(cluster: Cluster, marked: list[bytes]) -> None:
        producer = cluster.producer("relay")
        for value in [value for value in (b"a", b"b") if value not in marked]:
            producer.send("events", value).offset  # noqa: B018 (waits)
            maybe_crash("after_publish")
            marked.append(value)

    @walks(20, faults="client_crash")
    def test(cluster: Cluster) -> None:
        cluster.create_topic("events")
        supervise(relay, cluster, [])
        assert len(cluster.records("events")) == 2, "there are copies"

    found = failure_of(test)
    assert "client_crash: the process dies at crash point after_publish" in "\n".join(found.__notes__)
    assert "after_publish" in literal_in(found)


def test_a_fault_that_nobody_asked_for_does_not_take_the_place_of_another() -> None:
    @walks(20, faults=["crash"])
    def test(cluster: Cluster) -> None:
        write(cluster, [b"a"])
        assert not cluster.deviations, "there are copies"  # whatever strikes, a broken connection too

    assert [deviation.fault for deviation in read_literal(literal_in(failure_of(test)))[1]] == ["crash"]


def test_groups_of_faults_have_the_names_they_have_elsewhere() -> None:
    found = failure_of(walks(20, faults={"lost_ack"})(plainly_written), [b"a"])
    assert [deviation.fault for deviation in read_literal(literal_in(found))[1]] == ["reply_lost"]


# --- with Hypothesis --------------------------------------------------------------------------------------------------


def test_what_was_seen_is_told_to_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(hypothesis_support, "event", told.append)

    @SETTINGS
    @given(values=VALUES)
    @walks(10, faults=["reply_lost", "election"])
    def test(cluster: Cluster, values: list[bytes]) -> None:
        write(cluster, values)

    test()
    assert {"failover", "duplicate recognised", "fault: reply_lost", "fault: election"} == set(told)


@pytest.mark.parametrize("order", ["above", "below"])
def test_the_users_settings_and_examples_hold_wherever_they_stand(order: str) -> None:
    seen: list[list[bytes]] = []

    @walks(1)
    def test(cluster: Cluster, values: list[bytes]) -> None:
        seen.append(values)

    few = settings(SETTINGS, max_examples=3)
    if order == "above":
        few(given(values=VALUES)(example(values=[b"mine"])(test)))()
    else:
        given(values=VALUES)(few(example(values=[b"mine"])(test)))()
    assert seen[0] == [b"mine"]
    assert len(seen) == 4


def test_an_assumption_that_does_not_hold_is_no_failure() -> None:
    @walks(20, faults=["reply_lost"])
    def test(cluster: Cluster) -> None:
        write(cluster, [b"a"])
        if cluster.deviations:
            raise UnsatisfiedAssumption  # what assume() raises

    with pytest.raises(UnsatisfiedAssumption) as caught:
        test()
    assert not hasattr(caught.value, "__notes__")
    settings(SETTINGS, suppress_health_check=list(HealthCheck))(
        given(value=st.booleans())(walks(2)(lambda cluster, value: assume(value)))
    )()


@pytest.mark.parametrize("leave", [pytest.skip.Exception, unittest.SkipTest])
def test_skipping_is_no_failure(leave: type[BaseException]) -> None:
    @walks(2)
    def test(cluster: Cluster) -> None:
        raise leave("not here")

    with pytest.raises(leave) as caught:
        test()
    assert not hasattr(caught.value, "__notes__")


def test_pytests_own_failure_is_one() -> None:
    @walks(20, faults=["reply_lost"])
    def test(cluster: Cluster) -> None:
        write(cluster, [b"a"])
        if cluster.deviations:
            pytest.fail("by hand")

    with pytest.raises(pytest.fail.Exception, match="by hand") as caught:
        test()
    assert "What it takes" in caught.value.__notes__[0]


class TestMethods:
    @SETTINGS
    @given(values=VALUES)
    @walks(2)
    def test_a_method_can_be_walked_too(self, cluster: Cluster, values: list[bytes]) -> None:
        assert isinstance(self, TestMethods)
        write(cluster, values)


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"count": 0}, "count must be 1 or more"),
        ({"faults": ["meteorite"]}, "unknown fault 'meteorite'"),
        ({"replay": "{}"}, "not a run's literal"),
    ],
)
def test_an_impossible_request_for_walks_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        walks(**asked)(plainly_written)


def test_what_can_not_be_walked_is_refused_at_once() -> None:
    async def waits(cluster: Cluster) -> None: ...

    def lonely(values: list[bytes]) -> None: ...

    with pytest.raises(RequestError, match="waits is a coroutine"):
        walks(20)(waits)
    with pytest.raises(RequestError, match="lonely must take an argument called cluster"):
        walks(20)(lonely)


def test_an_input_that_the_test_does_not_take_is_hypothesis_own_error() -> None:
    @SETTINGS
    @given(others=VALUES)
    @walks(2)
    def test(cluster: Cluster, values: list[bytes]) -> None: ...

    with pytest.raises(InvalidArgument, match="others"):
        test()


# --- forking ----------------------------------------------------------------------------------------------------------


def test_a_forked_producer_has_its_parents_id_and_counts_on_from_there() -> None:
    with Cluster(brokers=1) as cluster:
        cluster.create_topic("events")
        parent = cluster.producer("parent")
        parent.send("events", b"before")
        child = forked(parent, "child")
        assert [found.record.value for found in cluster.records("events")] == [b"before"]
        assert child.send("events", b"child").offset == 1
        assert parent.send("events", b"parent").offset == 1  # taken for a retry of the child's
        assert [found.record.value for found in cluster.records("events")] == [b"before", b"child"]
