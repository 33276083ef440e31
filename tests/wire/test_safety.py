"""Whatever comes in, only who sent it notices."""

from __future__ import annotations

import gc
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

import crc32c
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire_stage import (
    API_VERSIONS,
    FETCH,
    METADATA,
    PRODUCE,
    RawClient,
    conversations,
    fetched,
    frames,
    produced,
    request,
    response,
)

from eventlog import Cluster
from eventlog.codec import encode_batch
from eventlog.errors import RequestError
from eventlog.values import Record, record_batch
from eventlog.wire import listen
from eventlog.wire.door import Door

NOW_MS = 1_700_000_000_000
BATCH = encode_batch(record_batch((Record(None, b"a", NOW_MS),)))


@pytest.fixture
def door() -> Iterator[Door]:
    with Cluster(brokers=1) as cluster:
        cluster.create_topic("orders")
        with listen(cluster) as door:
            yield door


@pytest.fixture
def bystander(door: Door) -> Iterator[RawClient]:
    """Somebody else, who must not notice."""
    with RawClient(door.bootstrap) as client:
        assert client.ask(API_VERSIONS, 0).error_code == 0
        yield client
        assert client.ask(API_VERSIONS, 0).error_code == 0


def length(number: int) -> bytes:
    return number.to_bytes(4, "big", signed=True)


@pytest.mark.parametrize(
    "garbage",
    [
        length(-1),
        length(0),
        length(2**31 - 1),
        length(104_857_601),
        length(4) + b"\xff" * 4,
        length(8) + b"\x00" * 8,
        length(100) + Random(6).randbytes(100),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
        length(14) + bytes.fromhex("0003 000c 00000001 0003 ff ff ff 00"),
        length(18) + bytes.fromhex("0003 000c 00000001 ffff 00 ff ff ff ff 0f 00 00 00"),
        length(60) + bytes.fromhex("0000 0009 00000001 ffff 00") + b"\x7f" * 49,
        length(21) + bytes.fromhex("0013 0007 00000001 ffff 00 ff ff ff ff 0f 00 00 00 00 00"),
        length(19) + bytes.fromhex("0013 0004 00000001 ffff 7f ff ff ff 00 00 00 00 00"),
    ],
    ids=[
        *("length -1", "length 0", "length 2 GB", "length above 100 MB", "header cut off", "empty header", "noise"),
        *("HTTP", "TLS", "lengths that overflow", "array of a billion", "produce of sevens"),
        *("four billion topics", "two billion topics"),
    ],
)
def test_garbage_ends_the_connection_that_it_came_on(door: Door, bystander: RawClient, garbage: bytes) -> None:
    with RawClient(door.bootstrap) as client:
        client.socket.sendall(garbage)
        assert client.is_ended()


def test_what_follows_a_request_is_passed_over_as_by_kafka(door: Door) -> None:
    with RawClient(door.bootstrap) as client:
        for key, version, fields in ((METADATA, 12, {"topics": None}), (FETCH, 12, fetched("orders", 0))):
            client.send(request(key, version, 5, **fields) + b"\0\0\xff")
            assert response(key, version, client.receive())[0] == 5


def test_every_request_cut_off_anywhere_ends_its_connection(door: Door, bystander: RawClient) -> None:
    shortest: dict[bytes, bytes] = {}
    for frame in sorted(CAPTURED, key=len, reverse=True):
        shortest[frame[:2]] = frame
    for frame in shortest.values():
        for size in range(1, len(frame)):
            with RawClient(door.bootstrap) as client:
                client.send(frame[:size])
                assert client.is_ended()
    assert door.failure is None


def test_a_frame_above_the_limit_is_refused_before_it_is_read() -> None:
    with Cluster(brokers=1) as cluster, listen(cluster, max_frame_bytes=1000) as door:
        with RawClient(door.bootstrap) as client:
            client.socket.sendall(length(1001))
            assert client.is_ended()
        with RawClient(door.bootstrap) as client:
            assert client.ask(API_VERSIONS, 0).error_code == 0


def test_a_client_that_dies_in_the_middle_of_a_frame_is_forgotten(door: Door, bystander: RawClient) -> None:
    for _ in range(20):
        client = RawClient(door.bootstrap)
        client.socket.sendall(length(1000) + bytes(500))
        client.socket.close()
    door.cluster.wait_for(lambda: len(door.connections) == 1)


def test_half_open_connections_hold_nobody_up(door: Door, bystander: RawClient) -> None:
    silent = [RawClient(door.bootstrap.split(",")[0]) for _ in range(50)]
    for number, client in enumerate(silent):
        client.socket.sendall((b"", length(1000)[:2], length(1000) + bytes(500))[number % 3])
    while len(door.connections) < 51:
        assert bystander.ask(API_VERSIONS, 0).error_code == 0
    for client in silent:
        client.socket.shutdown(socket.SHUT_WR)
    assert all(client.is_ended() for client in silent)
    for client in silent:
        client.socket.close()


def test_a_client_that_dies_while_it_waits_is_forgotten(door: Door, bystander: RawClient) -> None:
    client = RawClient(door.bootstrap)
    client.send(request(FETCH, 12, 1, **fetched("orders", 0, max_wait_ms=600_000)))
    broker = door.world.find_broker(1)
    assert broker is not None
    door.cluster.wait_for(lambda: len(broker.waiting.fetches) == 1)
    client.socket.close()
    door.cluster.wait_for(lambda: not broker.waiting.fetches)
    assert not door.visitors.answers


def counted(count: int, last_offset_delta: int) -> bytes:
    """The batch, with other numbers of records and a right checksum."""
    data = bytearray(BATCH)
    data[23:27], data[57:61] = length(last_offset_delta), length(count)
    data[17:21] = crc32c.crc32c(bytes(data[21:])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (counted(2, 1), 87),
        (counted(2, 0), 87),
        (counted(1, 7), 87),
        (counted(-1, 0), 87),
        (counted(2**31 - 1, 2**31 - 2), 87),
        (BATCH[:-1] + b"!", 2),
        (BATCH[:16] + b"\x01" + BATCH[17:], 87),
        (BATCH[:16] + b"\x00" + BATCH[17:], 87),
        (BATCH[:16] + b"\x09" + BATCH[17:], 2),
        (BATCH + BATCH, 87),
        (BATCH[:20], 87),
        (b"", 87),
        (encode_batch(record_batch((Record(None, bytes(1_100_000), NOW_MS),))), 10),
    ],
    ids=[
        "counts 2",
        "counts 2 of 1",
        "ends at 7",
        "counts -1",
        "counts 2^31",
        "checksum",
        "magic 1",
        "magic 0",
        "magic 9",
        "two",
        "torn",
        "empty",
        "too large",
    ],
)
def test_a_batch_that_is_none_is_refused_as_kafka_does(bystander: RawClient, data: bytes, error: int) -> None:
    answer = bystander.ask(PRODUCE, 9, **produced("orders", data))
    assert answer.responses[0].partition_responses[0].error_code == error


def test_a_reader_that_does_not_read_costs_one_answer(door: Door, bystander: RawClient) -> None:
    big = encode_batch(record_batch(tuple([Record(None, bytes(1000), NOW_MS)] * 1000)))
    for _ in range(10):
        bystander.ask(PRODUCE, 9, **produced("orders", big))
    with RawClient(door.bootstrap) as slow:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = fetched("orders", 0)
        asked["topics"][0]["partitions"][0]["partition_max_bytes"] = 1 << 24
        for number in range(50):
            slow.send(request(FETCH, 12, number, **asked))
        door.cluster.wait_for(lambda: any(each.kept_bytes for each in door.connections.values()))
        begun = [request for request in door.requests if request.api == "Fetch"]
        assert len(begun) <= 2
        assert max(each.kept_bytes for each in door.connections.values()) < 11_000_000


def test_a_thousand_connections_at_once_are_served(door: Door) -> None:
    clients = [RawClient(door.bootstrap) for _ in range(1000)]
    for client in clients:
        client.send(request(METADATA, 9, 1, topics=[]))
    assert all(client.receive() for client in clients)
    for client in clients:
        client.socket.close()
    door.cluster.wait_for(lambda: not door.connections)


def test_a_hundred_partitions_and_fifty_clients_work(door: Door) -> None:
    door.cluster.create_topic("wide", 100)
    failed: list[Any] = []

    def write(number: int) -> None:
        with RawClient(door.bootstrap) as client:
            for partition in (number, number + 50):
                answer = client.ask(PRODUCE, 9, **produced("wide", BATCH, partition))
                if answer.responses[0].partition_responses[0].error_code:
                    failed.append(answer)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(door.cluster.records("wide")) == 100


def test_who_waits_for_records_wakes_nobody_before_his_time_is_over(door: Door) -> None:
    clients = [RawClient(door.bootstrap) for _ in range(20)]
    for client in clients:
        client.send(request(FETCH, 12, 1, **fetched("orders", 0, max_wait_ms=600_000)))
    broker = door.world.find_broker(1)
    assert broker is not None
    door.cluster.wait_for(lambda: len(broker.waiting.fetches) == 20)
    assert door.world.next_event_ms() == broker.timers["fetch"]
    assert broker.timers["fetch"] - door.cluster.now_ms > 500_000
    for client in clients:
        client.socket.close()


def test_it_ends_at_once_and_leaves_nothing_open() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cluster = Cluster(brokers=3)
        threads = threading.active_count()
        with listen(cluster) as door:
            clients = [RawClient(address) for address in door.bootstrap.split(",") for _ in range(10)]
            for client in clients:
                client.send(request(FETCH, 12, 1, **fetched("orders", 0, max_wait_ms=600_000)))
            door.faults.hold("Metadata", may_be_unused=True)
        assert threading.active_count() == threads
        for client in clients:
            client.socket.close()
        del door, clients, client
        gc.collect()


def test_it_listens_on_this_machine_alone_unless_told_otherwise(door: Door) -> None:
    assert {known.getsockname()[0] for known in door._listeners.values()} == {"127.0.0.1"}


def test_a_port_that_is_taken_is_told_and_nothing_stays_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        cluster = Cluster(brokers=1)
        with pytest.raises(RequestError, match=f"can't listen at port {port}"), listen(cluster, port=port):
            pass
        with listen(cluster) as door:
            assert door.bootstrap


CAPTURED = [bytes.fromhex(each["request"]) for name in conversations() for each in frames(name)]
EXAMPLES = int(os.environ.get("EVENTLOG_FUZZ_EXAMPLES", "300"))
"""20,000 of them take about a minute."""

damages = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from((0, 1, 0x7F, 0x80, 0xFF))), max_size=8)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=st.sampled_from(CAPTURED), damage=damages, kept=st.one_of(st.just(1.0), st.floats(0.01, 1)))
def test_captured_frames_with_damage_never_break_more_than_their_connection(
    door: Door, frame: bytes, damage: list[tuple[float, int]], kept: float
) -> None:
    damaged = bytearray(frame)
    for where, value in damage:
        damaged[int(where * len(damaged))] = value
    del damaged[max(1, int(kept * len(damaged))) :]
    with RawClient(door.bootstrap, timeout_s=5) as client, suppress(OSError):
        client.send(bytes(damaged))
        client.socket.shutdown(socket.SHUT_WR)
        while client.receive():
            pass
    assert door.failure is None, door.failure
