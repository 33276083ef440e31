"""The events of one key must be in the log in the order in which they were added."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from batcher import TOPIC, Batcher, ReorderingBatcher
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from eventlog import Cluster
from eventlog.testing import strategies
from eventlog.testing.hypothesis_support import walks

SETTINGS = settings(
    max_examples=25, deadline=None, derandomize=True, database=None, phases=(Phase.generate, Phase.shrink)
)


def each_key_keeps_its_order(batcher_class: type[ReorderingBatcher]) -> Callable[[], None]:
    """The user's test, of either version."""

    @settings(SETTINGS)
    @given(keys=st.lists(strategies.keys(with_none=False), max_size=6), size=st.integers(1, 3))
    @walks(10, faults={"reply_lost", "disconnect", "election"}, min_insync_replicas=2)
    def test(cluster: Cluster, keys: list[bytes], size: int) -> None:
        cluster.create_topic(TOPIC)
        batcher = batcher_class(cluster, size)
        for number, key in enumerate(keys):
            batcher.add(key, b"%d" % number)
        batcher.run()
        cluster.recover()
        for key in keys:
            added = [b"%d" % number for number, other in enumerate(keys) if other == key]
            written = [found.record.value for found in cluster.records(TOPIC) if found.record.key == key]
            first_copies = list(dict.fromkeys(written))
            assert first_copies == added, f"key {key!r}: added {added}, written {written}"

    return test


def test_a_batcher_that_puts_failed_events_back_at_the_end_reorders_them() -> None:
    with pytest.raises(AssertionError, match="key b'a': added") as caught:
        each_key_keeps_its_order(ReorderingBatcher)()
    # Two events of one key, one a batch, and a single fault: less does not do it.
    notes = "\n".join(caught.value.__notes__)
    assert "keys=[b'a', b'a']" in notes
    assert "size=1" in notes


def test_a_batcher_that_leaves_retries_to_an_idempotent_producer_keeps_the_order() -> None:
    each_key_keeps_its_order(Batcher)()
