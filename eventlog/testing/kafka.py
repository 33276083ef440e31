"""pytest fixtures for code that uses real Kafka clients. The door is loaded when the first test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from eventlog.wire.fixtures import EventlogKafka

KAFKA_MARKER: Final = (
    "eventlog_kafka(brokers=3, door={}, **settings): how the listening cluster of this test is made, see eventlog.Cluster; "
    "`door` has the arguments of eventlog.wire.listen"
)


@pytest.fixture
def eventlog_kafka(request: pytest.FixtureRequest) -> Iterator[EventlogKafka]:
    """A fresh cluster that real Kafka clients talk to: `.bootstrap`, `.cluster`, `.faults`."""
    from eventlog.wire.fixtures import fresh_kafka

    marker = request.node.get_closest_marker("eventlog_kafka")
    with fresh_kafka(**(marker.kwargs if marker is not None else {})) as kafka:
        yield kafka


@pytest.fixture(scope="session")
def _eventlog_kafka_once() -> Iterator[EventlogKafka]:
    from eventlog.wire.fixtures import fresh_kafka

    with fresh_kafka(record=False, door={"record": False}) as kafka:
        yield kafka


@pytest.fixture
def eventlog_kafka_session(_eventlog_kafka_once: EventlogKafka) -> Iterator[EventlogKafka]:
    """The session's cluster, for tests that keep apart by `topic()`, a name that no other test has."""
    from eventlog.wire.fixtures import one_test_of

    with one_test_of(_eventlog_kafka_once) as kafka:
        yield kafka
