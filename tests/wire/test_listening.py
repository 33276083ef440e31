"""How a cluster listens: where, in whose thread, and by which clock."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from wire_stage import API_VERSIONS, FETCH, PRODUCE, RawClient, fetched, produced, request, response

import eventlog
from eventlog import Cluster
from eventlog.codec import encode_batch
from eventlog.errors import RequestError, UnknownOutcomeError
from eventlog.values import Record, record_batch
from eventlog.wire import listen, serve
from eventlog.wire.versions import APIS

BATCH = encode_batch(record_batch((Record(None, b"a", 1_700_000_000_000),)))


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster(brokers=1) as cluster:
        cluster.create_topic("orders")
        yield cluster


def free_port(count: int) -> int:
    """The first of so many neighbours that nobody has."""
    for first in range(20_000, 60_000, count):
        taken: list[socket.socket] = []
        try:
            for port in range(first, first + count):
                taken.append(socket.socket())
                taken[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for each in taken:
                each.close()
    raise AssertionError("no ports are free")


def test_further_brokers_listen_at_the_next_ports() -> None:
    port = free_port(3)
    with Cluster(brokers=3) as cluster, eventlog.listen(cluster, port=port) as door:
        assert door.bootstrap == f"127.0.0.1:{port},127.0.0.1:{port + 1},127.0.0.1:{port + 2}"
        for address in door.bootstrap.split(","):
            with RawClient(address) as client:
                assert client.ask(API_VERSIONS, 0).error_code == 0


def test_a_cluster_listens_in_the_loop_that_runs(cluster: Cluster) -> None:
    async def scenario() -> Any:
        async with serve(cluster) as door:
            reader, writer = await asyncio.open_connection(*door.endpoint(1))
            frame = request(PRODUCE, 9, 1, **produced("orders", BATCH))
            writer.write(len(frame).to_bytes(4, "big") + frame)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
            writer.close()
            await writer.wait_closed()
            assert [known.record.value for known in cluster.records("orders")] == [b"a"]
            return response(PRODUCE, 9, answer)[1].responses[0].partition_responses[0]

    assert asyncio.run(scenario()).base_offset == 0


def test_one_thread_alone_touches_the_world(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: dict[int, None] = {}
    step = type(cluster._world).step

    def noted(self: Any, *rest: Any) -> bool:
        threads[threading.get_ident()] = None
        return step(self, *rest)

    monkeypatch.setattr(type(cluster._world), "step", noted)
    with listen(cluster) as door, RawClient(door.bootstrap) as client:
        client.ask(PRODUCE, 9, **produced("orders", BATCH))
        cluster.create_topic("more")
        cluster.producer().send("more", b"b")
        cluster.advance(10)
        assert list(threads) == [door.thread_id] != [threading.get_ident()]


def test_the_clock_on_the_wall_does_not_jump(cluster: Cluster) -> None:
    with listen(cluster) as door, RawClient(door.bootstrap) as client:
        began_ms = cluster.now_ms
        client.send(request(FETCH, 12, 1, **fetched("orders", 0, max_wait_ms=600_000)))
        with pytest.raises(UnknownOutcomeError):
            cluster.wait_for(lambda: False, timeout_ms=100)
        assert 100 <= cluster.now_ms - began_ms < 300_000


def test_a_manual_clock_jumps_to_what_somebody_waits_for_and_stands_still_otherwise(cluster: Cluster) -> None:
    with listen(cluster, clock="manual") as door, RawClient(door.bootstrap) as client:
        began_ms = cluster.now_ms
        for _ in range(3):
            assert client.ask(API_VERSIONS, 0).error_code == 0
        assert cluster.now_ms == began_ms
        client.ask(FETCH, 12, **fetched("orders", 0, max_wait_ms=600_000))
        assert cluster.now_ms - began_ms == 600_000
        cluster.advance(5_000)
        assert cluster.now_ms - began_ms == 605_000


def test_a_clock_or_a_size_that_cannot_be_is_told(cluster: Cluster) -> None:
    for options, said in (({"clock": "sand"}, "clock must be"), ({"default_partitions": 10_001}, "from 1 to 10000")):
        with pytest.raises(RequestError, match=said), listen(cluster, **options):
            pass


@pytest.mark.parametrize("api", APIS.values(), ids=lambda api: api.name)
def test_every_version_that_is_served_answers_an_empty_request_in_its_own_layout(cluster: Cluster, api: Any) -> None:
    with listen(cluster) as door:
        for version in range(api.lowest, api.highest + 1):
            with RawClient(door.bootstrap) as client:
                client.ask(api.key, version, acks=-1)
        assert {each.version for each in door.requests} == {*range(api.lowest, api.highest + 1)}
