"""The oracles: each passes where it should, and each failure names the event, the fault and the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventlog import Cluster
from eventlog.testing import OracleFailure, effectively_once, exactly_once, no_loss, ordered_per_key, outbox_drained
from eventlog.testing.advice import ADVICE


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(min_insync_replicas=2) as cluster:
        cluster.create_topic("t")
        yield cluster


def send(cluster: Cluster, *values: str, name: str = "", key: str = "k", **settings: Any) -> list[Any]:
    producer = cluster.producer(name, linger_ms=0, **settings)
    deliveries = [producer.send("t", value, key=key) for value in values]
    producer.flush()
    return deliveries


def failure(oracle: Callable[..., None], *args: Any, **kwargs: Any) -> OracleFailure:
    with pytest.raises(OracleFailure) as caught:
        oracle(*args, **kwargs)
    assert caught.value.fix in ADVICE
    assert ADVICE[caught.value.fix].split(". ")[0][:40] in " ".join(str(caught.value).split())
    return caught.value


def test_what_is_right_passes(cluster: Cluster) -> None:
    deliveries = send(cluster, "a", "b", "c")
    exactly_once(cluster, "t", ["a", b"b", "c"])
    effectively_once(cluster, [1, 2], [2, 1])
    ordered_per_key(cluster, "t", ["a", "b", "c"])
    no_loss(cluster, "t", deliveries)
    no_loss(cluster, "t", ["a", "c"])
    outbox_drained(cluster, "t", [("a", 1), ("b", True)])


def test_an_oracle_lets_the_cluster_recover_first(cluster: Cluster) -> None:
    send(cluster, "a")
    for broker_id in (1, 2, 3):
        cluster.crash(broker_id)
    exactly_once(cluster, "t", ["a"])


def test_an_event_is_what_the_test_says_it_is(cluster: Cluster) -> None:
    send(cluster, "a:1", "b:1")
    exactly_once(cluster, "t", ["a", "b"], event_of=lambda record: record.value.split(b":")[0])
    assert failure(exactly_once, cluster, "t", [b"k"], event_of=lambda record: record.key).fix == "sent twice"


def test_a_plain_producers_copy_is_named_with_its_fault(cluster: Cluster) -> None:
    cluster.lose_next_ack()
    send(cluster, "a", name="plain", enable_idempotence=False)
    failed = failure(exactly_once, cluster, "t", ["a"])
    assert failed.event == b"a"
    assert failed.what == (
        "event b'a' stands in 't' 2 times: t-0 offset 0 (send 0 of plain) and t-0 offset 1 (send 0 of plain)"
    )
    assert failed.fix == "written twice by a plain producer"
    assert failed.faults[0].startswith("reply_lost on broker-")
    assert f"after: {failed.faults[0]}" in str(failed)


def test_a_copy_by_a_second_producer_and_a_second_send_have_fixes_of_their_own(cluster: Cluster) -> None:
    send(cluster, "a")
    send(cluster, "a")
    assert failure(exactly_once, cluster, "t", ["a"]).fix == "written twice by two producers"
    send(cluster, "b", "b")
    assert failure(exactly_once, cluster, "t", ["b"], event_of=lambda record: record.value[-1:]).fix


def test_what_is_missing_and_what_nobody_asked_for(cluster: Cluster) -> None:
    send(cluster, "a", "x")
    assert failure(exactly_once, cluster, "t", ["a"]).fix == "not expected"
    missing = failure(exactly_once, cluster, "t", ["a", "x", "b", "c"])
    assert (missing.event, missing.fix) == (b"b", "never written")
    assert missing.what == "event b'b' (and 1 more) was never written: 't' has 2 records"


def test_effects_are_counted(cluster: Cluster) -> None:
    assert failure(effectively_once, cluster, [1, 2], [1, 2, 1]).what == "event 1 was applied 2 times"
    assert failure(effectively_once, cluster, [1, 2], [1]).fix == "never applied"
    assert failure(effectively_once, cluster, [1], [1, 3]).fix == "not expected"


def test_an_event_behind_a_younger_one_of_its_key(cluster: Cluster) -> None:
    send(cluster, "2", key="a")
    send(cluster, "1", key="b")
    ordered_per_key(cluster, "t", ["1", "2", "3"])
    send(cluster, "1", key="a")
    failed = failure(ordered_per_key, cluster, "t", ["1", "2", "3"])
    assert failed.event == b"1"
    assert "of key b'a' stands behind b'2', which is younger" in failed.what


def test_what_was_acknowledged_and_is_gone(cluster: Cluster) -> None:
    (delivery,) = send(cluster, "a")
    cluster.delete_records("t")
    assert failure(no_loss, cluster, "t", [delivery]).fix == "acknowledged and lost"
    assert failure(no_loss, cluster, "t", ["a"]).event == b"a"


def test_what_failed_was_never_acknowledged(cluster: Cluster) -> None:
    cluster.lose_next_request()
    deliveries = send(cluster, "a", retries=0, enable_idempotence=False)
    assert deliveries[0].error is not None
    no_loss(cluster, "t", deliveries)


def test_an_outbox_and_its_log_agree(cluster: Cluster) -> None:
    send(cluster, "a")
    assert failure(outbox_drained, cluster, "t", [("a", 1), ("b", 1)]).what.startswith("event b'b' is marked")
    assert failure(outbox_drained, cluster, "t", [("b", 0)]).what.startswith("event b'b' waits in the outbox")
    assert failure(outbox_drained, cluster, "t", [("a", 0)]).fix == "not marked"
