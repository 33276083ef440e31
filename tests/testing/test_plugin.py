"""The pytest plugin, in processes of its own: fixtures, marker, options, and what is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from chaos_stage import run_pytest

USUAL = """
    import pytest
    from hypothesis import given, settings, strategies as st
    from eventlog import Cluster
    from eventlog.testing import chaos_test

    known = []

    def test_fresh_one(eventlog_cluster):
        assert eventlog_cluster.elapsed_ms == 0 or eventlog_cluster.deviations == ()
        eventlog_cluster.create_topic("t")
        known.append(eventlog_cluster)

    def test_fresh_two(eventlog_cluster):
        assert known[0]._closed
        assert known[0] is not eventlog_cluster
        eventlog_cluster.create_topic("t")
        known.append(eventlog_cluster)

    @pytest.mark.eventlog(brokers=1, seed=5, min_insync_replicas=1)
    def test_marked(eventlog_cluster, eventlog_clusters):
        assert "1 of 1 brokers" in repr(eventlog_cluster)
        assert "'seed': 5" in eventlog_cluster.literal
        assert "2 of 2 brokers" in repr(eventlog_clusters(brokers=2))

    @settings(max_examples=20, database=None, derandomize=True)
    @given(values=st.lists(st.binary(), min_size=1, max_size=3))
    def test_given(eventlog_clusters, values):
        cluster = eventlog_clusters()
        known.append(cluster)
        cluster.create_topic("t")
        producer = cluster.producer()
        assert [producer.send("t", value).offset for value in values] == list(range(len(values)))

    def test_closed_at_the_end():
        assert len(known) > 10
        assert all(cluster._closed for cluster in known)

    class TestInAClass:
        @pytest.fixture
        def topic(self):
            return "orders"

        @pytest.mark.parametrize("count", [1, 2])
        @chaos_test(faults={"lost_ack", "leader_failover"}, runs=12)
        def test_chaos(self, topic, eventlog_cluster, count, tmp_path, request):
            assert isinstance(self, TestInAClass) and list(tmp_path.iterdir()) == []
            (tmp_path / "left").touch()
            eventlog_cluster.create_topic(topic)
            producer = eventlog_cluster.producer()
            assert [producer.send(topic, b"x").offset for _ in range(count)] == list(range(count))
"""


def test_fixtures_are_fresh_marked_right_under_given_and_closed(tmp_path: Path) -> None:
    code, told = run_pytest(tmp_path, USUAL, "-vv", "-W", "error", "--strict-markers")
    assert code == 0, told
    assert "7 passed" in told
    (said,) = re.findall(r"test_chaos\[2\]: (12 runs held: .*)", told)
    assert re.search(r"failover in \d+", said)
    assert re.search(r"duplicate recognised in \d+", said)


def test_with_the_option_every_passing_test_says_what_it_saw(tmp_path: Path) -> None:
    code, told = run_pytest(tmp_path, USUAL, "-rP", "-k", "test_chaos", "--eventlog-runs", "5", "--eventlog-seed", "2")
    assert code == 0, told
    assert told.count("5 runs held: ") == 2


FAILING = """
    import sys
    sys.path.insert(0, {here!r})
    import pytest
    from chaos_stage import each_order_once
    from eventlog.testing import chaos_test

    test_relay = chaos_test(faults={{"lost_ack", "client_crash"}}, runs=50)(each_order_once)

    @chaos_test(faults={{"lost_ack", "leader_failover", "network_partition"}}, runs=200)
    def test_many(cluster):
        cluster.create_topic("orders")
        producers = [cluster.producer(enable_idempotence=False, linger_ms=0) for _ in range(3)]
        sends = [producer.send("orders", b"x" * 300) for producer in producers for _ in range(9)]
        for producer in producers:
            producer.flush()
        cluster.recover()
        found = [record.record.value for record in cluster.records("orders")]
        assert found == [b"x" * 300] * len(sends)

    @pytest.mark.eventlog(faults={{"lost_ack", "lost_request"}}, seed=11)
    def test_fixture(eventlog_cluster):
        eventlog_cluster.create_topic("orders")
        producer = eventlog_cluster.producer(linger_ms=0)
        for _ in range(200):
            producer.send("orders", b"x").offset
        assert not eventlog_cluster.deviations
"""
HERE = str(Path(__file__).parent)


def test_a_failure_fits_one_screen_says_what_to_do_and_is_repeated_by_its_literal(tmp_path: Path) -> None:
    code, told = run_pytest(tmp_path, FAILING.format(here=HERE))
    assert code == 1
    _, relay, rest = re.split(r"_+ (?:test_relay|test_many) _+\n", told)
    many, fixture, summary = re.split(r"_+ test_fixture _+\n|=+ short test summary info =+\n", rest)
    for screen in (relay, many):
        assert 15 <= len(screen.splitlines()) <= 40
        assert max(len(line) for line in screen.splitlines() if "--eventlog-replay" not in line) <= 118
        for words in ("What it takes:", "What happened (ms):", "What to do:", "See it again:", "; seed 0)"):
            assert words in screen
    assert "DeliveredTwice: event b'order-1' stands in 'orders' 2 times" in relay
    assert "THE PROCESS DIES at crash point after_publish" in relay
    assert "the checker: Held" in fixture
    assert summary.count("FAILED test_it.py::test_") == 3

    (again,) = re.findall(r'pytest (\S+) --eventlog-replay="(.*)"', relay)
    code, told = run_pytest(tmp_path, FAILING.format(here=HERE), "-k", "test_relay", "--eventlog-replay", again[1])
    assert code == 1
    assert "replayed, 0 of its 1 faults did not apply" in told
    assert relay.splitlines()[2:20] == re.split(r"_+ test_relay _+\n", told)[1].splitlines()[2:20]

    (again,) = re.findall(r'pytest "(\S+)" --eventlog-replay="(.*)"', fixture)
    code, told = run_pytest(tmp_path, FAILING.format(here=HERE), "-k", "test_fixture", "--eventlog-replay", again[1])
    assert code == 1
    assert again[1] in told


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    source = """
    import pytest
    from eventlog.testing import chaos_test

    @pytest.mark.eventlog(faults={"nothing"})
    def test_one(eventlog_cluster): ...

    @pytest.mark.eventlog(faults={"client_crash"})
    def test_two(eventlog_cluster): ...

    @pytest.mark.eventlog(3)
    def test_three(eventlog_cluster): ...

    @chaos_test(faults={"lost_ack"})
    def test_four(cluster): ...
    """
    code, told = run_pytest(tmp_path, source, "--eventlog-replay", "{}")
    assert code == 1
    for words in (
        "unknown fault 'nothing'; the groups are:",
        "use @chaos_test for it",
        "@pytest.mark.eventlog takes keywords only",
        "this is not a run's literal",
    ):
        assert words in told
    code, told = run_pytest(tmp_path, source, "--eventlog-runs", "0")
    assert code == 4
    assert "--eventlog-runs must be 1 or more, not 0" in told


def test_loading_the_plugin_loads_nothing_else() -> None:
    code = """
import sys, pytest
before = set(sys.modules)
import eventlog.testing.plugin
new = sorted(name for name in set(sys.modules) - before if name.startswith(("eventlog", "hypothesis")))
print([name for name in new if not name.startswith(("eventlog.values", "eventlog.errors"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['eventlog', 'eventlog.testing', 'eventlog.testing.plugin']", done.stderr
