"""The pytest plugin: fixtures, a marker, three options, and what is said of a run.

Loaded with every pytest where this package is installed, so it loads nothing before somebody asks for a cluster.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import pytest

from eventlog.testing.kafka import KAFKA_MARKER, _eventlog_kafka_once, eventlog_kafka, eventlog_kafka_session

if TYPE_CHECKING:
    from eventlog.cluster import Cluster

__all__ = ["_eventlog_kafka_once", "eventlog_kafka", "eventlog_kafka_session"]  # fixtures are found by their names here

RUNNING: Final = pytest.StashKey[pytest.Item]()
MADE: Final = pytest.StashKey["Made"]()
MARKER: Final = (
    'eventlog(brokers=3, faults={"lost_ack"}, seed=0, **settings): how the clusters of this test are made, see '
    "eventlog.Cluster"
)
MOST_STORY_LINES: Final = 20
MOST_PRINTED_LINES: Final = 3


class Made:
    """The clusters of one test: those still in use, and the newest that has faults."""

    def __init__(self) -> None:
        self.clusters: WeakSet[Cluster] = WeakSet()
        self.with_faults: Cluster | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("eventlog")
    group.addoption(
        "--eventlog-replay", metavar="LITERAL", help="run the selected test once, with the faults of this run"
    )
    group.addoption("--eventlog-seed", type=int, metavar="N", help="another seed for chaos tests and clusters")
    group.addoption("--eventlog-runs", type=int, metavar="N", help="so many runs of each chaos test")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", KAFKA_MARKER)
    runs = config.getoption("eventlog_runs")
    if runs is not None and runs < 1:
        raise pytest.UsageError(f"--eventlog-runs must be 1 or more, not {runs}")


# --- fixtures -----------------------------------------------------------------------------------------------------


@pytest.fixture
def eventlog_cluster(request: pytest.FixtureRequest) -> Cluster:
    """A fresh, deterministic cluster; `@pytest.mark.eventlog(...)` says which."""
    return _make(request.node, {})


@pytest.fixture(scope="session")
def eventlog_clusters(request: pytest.FixtureRequest) -> Callable[..., Cluster]:
    """Makes a fresh cluster at each call, `eventlog_clusters(brokers=1)`; they are closed when the test is over. Right
    under `@given`, where a fixture is made once for all examples."""
    config = request.config

    def make(**settings: Any) -> Cluster:
        return _make(config.stash[RUNNING], settings)

    return make


def _make(item: pytest.Item, settings: dict[str, Any]) -> Cluster:
    from eventlog.cluster import Cluster
    from eventlog.errors import RequestError
    from eventlog.sim.literal import read_literal
    from eventlog.testing.fault_groups import CLIENT_CRASH, fault_kinds

    marker = item.get_closest_marker("eventlog")
    if marker is not None and marker.args:
        pytest.fail(f"@pytest.mark.eventlog takes keywords only: {MARKER}", pytrace=False)
    marked = {} if marker is None else marker.kwargs
    given = {**marked, **settings}
    faults = given.pop("faults", None)
    seed = item.config.getoption("eventlog_seed")
    if seed is not None:
        given["seed"] = seed
    literal = item.config.getoption("eventlog_replay")
    try:
        kinds = None if faults is None else fault_kinds(faults)
        if kinds is not None and CLIENT_CRASH in kinds:
            raise RequestError("client_crash needs somebody who starts a process again: use @chaos_test for it")
        if kinds is not None and literal:
            scenario, deviations = read_literal(literal)
            cluster = Cluster(**{**given, **scenario}, deviations=deviations)
        else:
            cluster = Cluster(**given, faults=kinds)
    except (TypeError, ValueError) as error:
        if settings:
            raise  # the traceback says where the factory was called
        said = ", ".join([f"{name}={value!r}" for name, value in marked.items()])
        raise pytest.fail.Exception(
            f"no cluster can be made as @pytest.mark.eventlog({said}) says; it takes brokers, faults, seed, and settings "
            f"of the brokers: {error}",
            pytrace=False,
        ) from None
    made = item.stash.setdefault(MADE, Made())
    made.clusters.add(cluster)
    if faults is not None:
        made.with_faults = cluster
    return cluster


# --- around each test ---------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[RUNNING] = item


def pytest_runtest_teardown(item: pytest.Item) -> None:
    if MADE in item.stash:
        for cluster in item.stash[MADE].clusters:
            cluster.close()
        del item.stash[MADE]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call" and call.excinfo is not None and report.failed:
        chaos = sys.modules.get("eventlog.testing.chaos")
        if chaos is not None and isinstance(call.excinfo.value, chaos.ChaosFailure):
            _shorten(report, call.excinfo)
        elif MADE in item.stash:
            cluster = item.stash[MADE].with_faults
            if cluster is not None:
                report.sections.append(("eventlog", _story_of(item, cluster)))
    return report


def _shorten(report: pytest.TestReport, failure: pytest.ExceptionInfo[Any]) -> None:
    """The story in place of a traceback, on one screen: of what two hundred runs have printed, the last."""
    told = report.longrepr = failure.getrepr(style="value", chain=False)
    if told.reprcrash is not None:
        told.reprcrash.message = failure.value.what
    for number, (name, text) in enumerate(report.sections):
        lines = text.splitlines()
        if len(lines) > MOST_PRINTED_LINES:
            left = f"... {len(lines) - MOST_PRINTED_LINES} lines of this and earlier runs ..."
            report.sections[number] = (name, "\n".join([left, *lines[-MOST_PRINTED_LINES:]]))


def _story_of(item: pytest.Item, cluster: Cluster) -> str:
    """What a cluster with faults has to say when its test failed."""
    literal = cluster.literal
    told = cluster.story().splitlines()
    if len(told) > MOST_STORY_LINES:
        told = [told[0], f"  ... {len(told) - MOST_STORY_LINES} lines ...", *told[1 - MOST_STORY_LINES :]]
    verdict = "" if cluster._closed else f"the checker: {cluster.check().sentence()}"
    again = f'see it again: pytest "{item.nodeid}" --eventlog-replay="{literal}"'
    return "\n".join([*told, *([verdict] if verdict else []), again])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.get_verbosity() < 1:
        return
    said = [
        f"{report.nodeid}: {value}"
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for name, value in report.user_properties
        if name == "eventlog"
    ]
    if said:
        terminalreporter.section("eventlog")
        for line in said:
            terminalreporter.write_line(line)
