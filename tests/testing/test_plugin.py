"""The pytest plugin: fixtures, marker, options, and what is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest
from chaos_stage import run_pytest

pytest_plugins = ["pytester"]

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


def test_fixtures_are_fresh_marked_right_under_given_and_closed(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, USUAL, "-vv", "-W", "error", "--strict-markers")
    assert code == 0, told
    assert "7 passed" in told
    (said,) = re.findall(r"test_chaos\[2\]: (12 runs held: .*)", told)
    assert re.search(r"failover in \d+", said)
    assert re.search(r"duplicate recognised in \d+", said)


def test_with_the_option_every_passing_test_says_what_it_saw(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, USUAL, "-rP", "-k", "test_chaos", "--eventlog-runs", "5", "--eventlog-seed", "2")
    assert code == 0, told
    assert told.count("5 runs held: ") == 2


FAILING = """
    import logging
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
            print("this run wrote", 9)
            logging.getLogger("shop").warning("one more")
        cluster.recover()
        found = [record.record.value for record in cluster.records("orders")]
        assert found == [b"x" * 300] * len(sends)

    @pytest.mark.eventlog(faults={{"lost_ack", "lost_request"}}, seed=6)
    def test_fixture(eventlog_cluster):
        eventlog_cluster.create_topic("orders")
        producer = eventlog_cluster.producer(linger_ms=0)
        for _ in range(50):
            producer.send("orders", b"x").offset
        assert not eventlog_cluster.deviations
"""
HERE = str(Path(__file__).parent)


def screens_of(told: str) -> dict[str, str]:
    """What is shown of each failing test, its title among it."""
    parts = re.split(r"^(?:_+ (\w+) _+|=+ (?:short test summary info) =+)$", told, flags=re.MULTILINE)
    return {name or "summary": text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def test_a_failure_fits_one_screen_and_says_what_to_do(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, FAILING.format(here=HERE))
    assert code == 1
    screens = screens_of(told)
    for name in ("test_relay", "test_many"):
        lines = screens[name].splitlines()
        assert 20 <= len(lines) <= 50
        assert max(map(len, lines)) <= 120
        for words in ("What it takes:", "What happened (ms):", "What to do:", "See it again:", "; seed 0)"):
            assert words in screens[name]
    relay, many, fixture, summary = [screens[name] for name in ("test_relay", "test_many", "test_fixture", "summary")]
    assert "DeliveredTwice: event b'order-1' stands in 'orders' 2 times" in relay
    assert 'in each_order_once: exactly_once(cluster, "orders", ORDERS)' in relay
    assert "THE PROCESS DIES at crash point after_publish" in relay
    # Of what hundreds of runs have printed, the last.
    assert many.count("this run wrote 9") == 3
    assert many.count("one more") == 3
    assert "the checker: Held" in fixture
    assert "FAILED test_it.py::test_relay - DeliveredTwice: event b'order-1' stands in 'orders' 2 times" in summary
    assert summary.count("FAILED test_it.py::test_") == 3


def test_what_the_screen_says_repeats_the_failure_in_another_process(pytester: pytest.Pytester) -> None:
    _, told = run_pytest(pytester, FAILING.format(here=HERE), "-k", "relay or fixture")
    screens = screens_of(told)
    for name in ("test_relay", "test_fixture"):
        command = screens[name][screens[name].index("pytest ") :].strip()
        again = command.replace("pytest", f"{quote(sys.executable)} -m pytest -p no:cacheprovider", 1)
        environment = {**os.environ, "PYTHONHASHSEED": "random", "COLUMNS": "120"}
        done = subprocess.run(again, shell=True, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 1, done.stderr
        told_again = screens_of(done.stdout)[name]
        assert command in told_again
        if name == "test_relay":
            assert "test_relay fails (replayed; seed 0)" in told_again.replace("each_order_once", name)
            assert told_again.splitlines()[2:] == screens[name].splitlines()[2:]


def test_what_cannot_be_is_said(pytester: pytest.Pytester) -> None:
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

    @pytest.mark.eventlog(broker=1)
    def test_five(eventlog_cluster): ...

    @pytest.mark.eventlog(brokers="all of them")
    def test_six(eventlog_cluster): ...

    @pytest.mark.eventlog(brokers=1)
    @chaos_test(faults={"lost_ack"})
    def test_seven(cluster): ...
    """
    code, told = run_pytest(pytester, source, "--eventlog-replay", "{}")
    assert code == 1
    for words in (
        "unknown fault 'nothing'; the groups are:",
        "use @chaos_test for it",
        "@pytest.mark.eventlog takes keywords only",
        "this is not a run's literal",
        "@pytest.mark.eventlog(broker=1) says; it takes brokers, faults, seed, and settings of the brokers: "
        "unknown setting 'broker'; the known ones are:",
        "as @pytest.mark.eventlog(brokers='all of them') says",
        "give to chaos_test(...) what the mark says",
    ):
        assert words in told
    assert "def _make" not in told  # the user's mistake, not a place in here
    code, told = run_pytest(pytester, source, "--eventlog-runs", "0")
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
    kit = ["eventlog", "eventlog.testing", "eventlog.testing.kafka", "eventlog.testing.plugin"]
    assert done.stdout.strip() == str(kit), done.stderr
