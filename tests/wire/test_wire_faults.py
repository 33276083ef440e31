"""Each fault does what it says, to whom it says, as often as it says; and it tells."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from wire_stage import FETCH, METADATA, PRODUCE, RawClient, fetched, produced, request, response

from eventlog import Cluster
from eventlog.codec import encode_batch
from eventlog.errors import RequestError, UnknownOutcomeError
from eventlog.values import Record, record_batch
from eventlog.wire import listen
from eventlog.wire.fixtures import EventlogKafka

BATCH = encode_batch(record_batch((Record(None, b"a", 1_700_000_000_000),)))


@pytest.fixture
def kafka(eventlog_kafka: EventlogKafka) -> EventlogKafka:
    eventlog_kafka.cluster.create_topic("orders", 2)
    return eventlog_kafka


def connected(kafka: EventlogKafka, partition: int = 0, timeout_s: float = 10) -> RawClient:
    host, port = kafka.door.endpoint(kafka.cluster.leader("orders", partition))
    return RawClient(f"{host}:{port}", timeout_s)


def produce(client: RawClient, partition: int = 0) -> Any:
    answer = client.ask(PRODUCE, 9, **produced("orders", BATCH, partition))
    return answer.responses[0].partition_responses[0]


def send(client: RawClient, partition: int = 0) -> None:
    client.send(request(PRODUCE, 9, 1, **produced("orders", BATCH, partition)))


def test_a_lost_reply_was_written_and_breaks_the_connection(kafka: EventlogKafka) -> None:
    kafka.faults.lose_reply("Produce")
    with connected(kafka) as client:
        send(client)
        assert client.is_ended()
    assert kafka.values("orders", 0) == [b"a"]


def test_a_lost_request_was_not_written(kafka: EventlogKafka) -> None:
    kafka.faults.lose_request("Produce")
    with connected(kafka) as client:
        send(client)
        assert client.is_ended()
    assert kafka.values("orders", 0) == []


def test_a_reply_that_hangs_leaves_the_connection_open_and_silent(kafka: EventlogKafka) -> None:
    kafka.faults.lose_reply("Produce", hang=True)
    with connected(kafka, timeout_s=0.2) as client:
        send(client)
        send(client)
        with pytest.raises(TimeoutError):
            client.receive()
    assert kafka.values("orders", 0) == [b"a"]


def test_a_delayed_answer_comes_later(kafka: EventlogKafka) -> None:
    kafka.faults.delay(50, "Produce")
    with connected(kafka) as client:
        before_ms = kafka.cluster.now_ms
        assert produce(client).error_code == 0
        assert kafka.cluster.now_ms - before_ms >= 50


@pytest.mark.parametrize(("before", "written"), [(False, [b"a"]), (True, [])])
def test_what_is_held_waits_until_it_is_released(kafka: EventlogKafka, before: bool, written: list[bytes]) -> None:
    held = kafka.faults.hold("Produce", before=before)
    with connected(kafka) as client:
        send(client)
        held.wait(1)
        assert kafka.values("orders", 0) == written
        held.release()
        assert response(PRODUCE, 9, client.receive())[1].responses[0].partition_responses[0].error_code == 0
    assert kafka.values("orders", 0) == [b"a"]


@pytest.mark.parametrize(("apply", "written"), [(False, []), (True, [b"a"])])
def test_an_error_is_answered_with_or_without_doing_it(kafka: EventlogKafka, apply: bool, written: list[bytes]) -> None:
    kafka.faults.error("NOT_ENOUGH_REPLICAS_AFTER_APPEND", "Produce", apply=apply)
    with connected(kafka) as client:
        assert produce(client).error_code == 20
        assert kafka.values("orders", 0) == written
        assert produce(client).error_code == 0


@pytest.mark.parametrize(
    ("api", "key"), [("Fetch", FETCH), ("Metadata", METADATA), ("ListOffsets", 2), ("InitProducerId", 22)]
)
def test_every_api_can_be_told_to_fail(kafka: EventlogKafka, api: str, key: int) -> None:
    kafka.faults.error(29, api)
    asked = {
        FETCH: fetched("orders", 0),
        METADATA: {"topics": [{"name": "orders"}]},
        2: {"replica_id": -1, "topics": [{"name": "orders", "partitions": [{"partition_index": 0, "timestamp": -1}]}]},
        22: {"transaction_timeout": 1, "producer_id": -1, "producer_epoch": -1},
    }[key]
    with connected(kafka) as client:
        assert "29" in str(client.ask(key, 4, **asked)) or "topic_authorization_failed" in str(
            client.ask(key, 4, **asked)
        )


@pytest.mark.parametrize(("at", "written"), [("before", []), ("after", [b"a"]), ("middle", [b"a"])])
def test_a_connection_ends_where_it_was_told_to(kafka: EventlogKafka, at: str, written: list[bytes]) -> None:
    kafka.faults.disconnect(at, "Produce")
    with connected(kafka) as client:
        send(client)
        torn = client.socket.recv(4)
        assert (torn != b"") is (at == "middle")
        if torn:
            rest = b"".join(iter(lambda: client.socket.recv(4096), b""))
            assert 0 < len(rest) < int.from_bytes(torn, "big")
    assert kafka.values("orders", 0) == written


def test_a_request_that_is_done_twice_is_written_twice_and_answered_once(kafka: EventlogKafka) -> None:
    kafka.faults.duplicate("Produce")
    with connected(kafka) as client:
        assert produce(client).base_offset == 0
        assert produce(client).base_offset == 2


def test_a_broker_that_crashes_refuses_connections_and_listens_again_at_its_port(kafka: EventlogKafka) -> None:
    leader = kafka.cluster.leader("orders")
    host, port = kafka.door.endpoint(leader)
    kafka.faults.crash(leader)
    with pytest.raises(ConnectionRefusedError):
        RawClient(f"{host}:{port}")
    kafka.faults.restart(leader)
    with RawClient(f"{host}:{port}") as client:
        assert client.ask(18, 0).error_code == 0


def test_another_broker_leads_when_told_and_the_old_one_says_so(kafka: EventlogKafka) -> None:
    old = kafka.cluster.leader("orders")
    new = next(each for each in (1, 2, 3) if each != old)
    with connected(kafka) as client:
        kafka.faults.move_leader("orders", 0, new)
        answer = client.ask(PRODUCE, 10, **produced("orders", BATCH))
        refused = answer.responses[0].partition_responses[0]
        assert (refused.error_code, refused.current_leader.leader_id) == (6, new)
        assert [(each.node_id, each.port) for each in answer.node_endpoints] == [(new, kafka.door.endpoint(new)[1])]


def test_a_follower_that_is_put_out_of_sync_comes_back_when_it_may(kafka: EventlogKafka) -> None:
    follower = next(each for each in kafka.cluster.in_sync_replicas("orders") if each != kafka.cluster.leader("orders"))
    shrunk = kafka.faults.shrink_in_sync_replicas("orders", 0, follower)
    assert follower not in kafka.cluster.in_sync_replicas("orders")
    shrunk.remove()
    kafka.cluster.wait_for(lambda: follower in kafka.cluster.in_sync_replicas("orders"))


def test_only_the_requests_that_were_chosen_are_struck(kafka: EventlogKafka) -> None:
    kafka.faults.error(7, "Produce", topic="orders", partition=1)
    kafka.faults.error(7, "Produce", client_id="somebody else", may_be_unused=True)
    kafka.faults.error(7, "Produce", when=lambda call: call.version == 3, may_be_unused=True)
    kafka.faults.error(7, broker=99, may_be_unused=True)
    with connected(kafka) as client:
        assert produce(client).error_code == 0
        chosen = kafka.faults.error(7, "Produce", when=lambda call: call.version == 9 and call.asked.acks == -1)
        assert [produce(client).error_code for _ in range(2)] == [7, 0]
        assert chosen.hits == 1
    with connected(kafka, 1) as client:
        assert [produce(client, 1).error_code for _ in range(2)] == [7, 0]


def test_a_fault_strikes_as_often_as_it_was_told(kafka: EventlogKafka) -> None:
    twice = kafka.faults.error(7, "Produce", count=2)
    with connected(kafka) as client:
        assert [produce(client).error_code for _ in range(3)] == [7, 7, 0]
        always = kafka.faults.error(7, "Produce", count=None)
        assert [produce(client).error_code for _ in range(3)] == [7, 7, 7]
        always.remove()
        assert produce(client).error_code == 0
    assert (twice.hits, always.hits) == (2, 3)


def test_by_chance_the_same_requests_are_struck_in_every_run(kafka: EventlogKafka) -> None:
    runs = []
    with connected(kafka) as client:
        for seed in (1, 1, 2):
            by_chance = kafka.faults.error(7, "Produce", count=None, probability=0.5, seed=seed)
            runs.append([produce(client).error_code == 7 for _ in range(30)])
            by_chance.remove()
    assert runs[0] == runs[1] != runs[2]
    assert 5 < sum(runs[0]) < 25


def test_who_waits_for_a_fault_is_told_when_it_struck(kafka: EventlogKafka) -> None:
    lost = kafka.faults.lose_request("Produce", count=2)
    clients = [connected(kafka) for _ in range(2)]
    threading.Timer(0.01, lambda: [send(client) for client in clients]).start()
    lost.wait(2)
    assert lost.hits == 2
    with pytest.raises(UnknownOutcomeError, match="LostRequest of Produce: 2 hits"):
        lost.wait(3, timeout_s=0.01)
    for client in clients:
        client.socket.close()


def test_a_fault_that_never_struck_is_an_error_at_the_end() -> None:
    cluster = Cluster(brokers=1)
    with (
        pytest.raises(RequestError, match="never struck: <LostReply of Produce topic='orders': 0 hits>"),
        listen(cluster) as door,
    ):
        door.faults.lose_reply("Produce", topic="orders")


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda faults: faults.lose_reply("Produced"), "no API 'Produced'"),
        (lambda faults: faults.error("NO_SUCH"), "no error 'NO_SUCH'"),
        (lambda faults: faults.disconnect("sometimes"), "not 'sometimes'"),
        (lambda faults: faults.delay(5, topics="orders"), "'topics' chooses no request"),
        (lambda faults: faults.delay(5, count=0), "count must be"),
        (lambda faults: faults.delay(5, probability=2), "probability must be"),
        (lambda faults: faults.shrink_in_sync_replicas("orders", 0, 9), "no follower in sync"),
    ],
)
def test_a_mistake_is_told_at_once(kafka: EventlogKafka, mistake: Any, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        mistake(kafka.faults)


def test_faults_need_a_cluster_that_listens() -> None:
    with Cluster(brokers=1) as cluster:
        with pytest.raises(RequestError, match="doesn't listen"):
            _ = cluster.faults
        with listen(cluster) as door:
            assert cluster.faults is door.faults
