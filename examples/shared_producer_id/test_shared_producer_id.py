"""What was acknowledged must be in the log, whichever worker sent it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from workers import TOPIC, OwnProducers, SharedProducer

from eventlog import Cluster
from eventlog.testing.hypothesis_support import walks

SETTINGS = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, phases=(Phase.generate, Phase.shrink)
)


def nothing_acknowledged_is_missing(service_class: type[SharedProducer]) -> Callable[[], None]:
    """The user's test, of either version."""

    @settings(SETTINGS)
    @given(starts_up=st.booleans(), handled_by=st.lists(st.integers(0, 1), max_size=6))
    @walks(10, faults={"reply_lost", "disconnect", "election"}, min_insync_replicas=2)
    def test(cluster: Cluster, starts_up: bool, handled_by: list[int]) -> None:
        cluster.create_topic(TOPIC)
        service = service_class(cluster)
        if starts_up:
            service.start_up()
        service.fork(2)
        deliveries = {b"event %d" % n: service.handle(worker, b"event %d" % n) for n, worker in enumerate(handled_by)}
        cluster.recover()
        acknowledged = [event for event, delivery in deliveries.items() if delivery.error is None]
        found = [record.record.value for record in cluster.records(TOPIC)]
        missing = [event for event in acknowledged if event not in found]
        assert not missing, f"acknowledged, and not in the log: {missing}"

    return test


def test_a_producer_copied_into_two_workers_loses_what_it_acknowledges() -> None:
    with pytest.raises(AssertionError, match="acknowledged, and not in the log") as caught:
        nothing_acknowledged_is_missing(SharedProducer)()
    # Two workers, one event each, and a parent that had sent before it forked: less does not do it.
    assert "starts_up=True" in "\n".join(caught.value.__notes__)
    assert "handled_by=[0, 1]" in "\n".join(caught.value.__notes__)


def test_with_a_producer_of_its_own_each_worker_keeps_its_word() -> None:
    nothing_acknowledged_is_missing(OwnProducers)()
