"""What came in is written down, and the same happens again without a socket."""

from __future__ import annotations

from typing import Any

import pytest
from wire_clients import AioKafka, Confluent
from wire_stage import PRODUCE, RawClient

from eventlog import Cluster
from eventlog.errors import RequestError
from eventlog.wire import listen


def prepared() -> Cluster:
    cluster = Cluster(brokers=3)
    cluster.create_topic("orders")
    return cluster


def told(cluster: Cluster) -> list[Any]:
    return [(known.offset, known.record.value) for known in cluster.records("orders")]


@pytest.mark.parametrize("client", [Confluent, AioKafka], ids=lambda client: client.name)
def test_a_run_with_a_real_client_is_repeated_event_by_event(client: Any) -> None:
    cluster = prepared()
    with listen(cluster) as door:
        door.faults.lose_reply("Produce")
        door.faults.crash_after("Produce")
        door.faults.delay(20, "Metadata")
        client.write(door.bootstrap, "orders", [b"%d" % number for number in range(50)], True)
        cluster.restart(1)
        producer = cluster.producer()
        assert producer.send("orders", b"from inside").offset == 50
        followers = [each for each in cluster.in_sync_replicas("orders") if each != cluster.leader("orders")]
        shrunk = door.faults.shrink_in_sync_replicas("orders", 0, followers[0])
        assert followers[0] not in cluster.in_sync_replicas("orders")
        client.write(door.bootstrap, "orders", [b"last"], True)
        shrunk.remove()
        client.read(door.bootstrap, "orders", 52)
    again = prepared()
    assert door.recording is not None
    door.recording.replay(again)
    assert told(again) == told(cluster)
    assert again.trace_digest() == cluster.trace_digest()
    assert len(told(again)) == 52


def test_every_request_is_written_down_with_what_it_says() -> None:
    with prepared() as cluster, listen(cluster) as door:
        Confluent.write(door.bootstrap, "orders", [b"a", b"b"], False)
        (produced,) = [request for request in door.requests if request.api == "Produce"]
        assert produced.broker_id == cluster.leader("orders")
    assert [str(each) for each in produced.topic_partitions] == ["orders-0"]
    assert produced.asked.partitions[0].batch.record_count == 2
    assert produced.client_id == "rdkafka"


def test_a_recording_is_not_replayed_by_a_cluster_that_has_a_past_of_its_own() -> None:
    with prepared() as cluster:
        with listen(cluster) as door:
            pass
        assert door.recording is not None
        cluster.advance(1)
        with pytest.raises(RequestError, match="as the other was"):
            door.recording.replay(cluster)


def test_a_door_without_a_recording_keeps_no_request() -> None:
    with prepared() as cluster, listen(cluster, record=False) as door:
        with RawClient(door.bootstrap.split(",")[0]) as client:
            client.ask(18, 0)
        with pytest.raises(RequestError, match="record=False"):
            _ = door.requests
    assert PRODUCE == 0
