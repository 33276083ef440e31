"""Faults from another process: by HTTP, as another language would ask for them."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from wire_stage import PRODUCE, RawClient, produced, request

from eventlog import Cluster
from eventlog.codec import encode_batch
from eventlog.errors import RequestError
from eventlog.values import Record, record_batch
from eventlog.wire.control import VERBS, controlled
from eventlog.wire.door import Door
from eventlog.wire.faults import Faults
from eventlog.wire.listening import serve

BATCH = encode_batch(record_batch((Record(None, b"a", 1_700_000_000_000),)))


class Controlled:
    """A door with a control, in a thread of its own as `eventlog serve` is in a process of its own."""

    def __init__(self, door: Door, port: int) -> None:
        self.door = door
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = None if body is None else json.dumps(body).encode()
        asked = Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        with pytest.raises(HTTPError) as why:
            self.ask(method, path, body, **headers)
        with why.value as answer:
            return answer.code, json.load(answer)["error"]

    def leader(self) -> RawClient:
        host, port = self.door.endpoint(self.door.cluster.leader("orders"))
        return RawClient(f"{host}:{port}")


@pytest.fixture
def control() -> Iterator[Controlled]:
    made: list[Controlled] = []
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        cluster = Cluster(brokers=3)
        cluster.create_topic("orders")
        async with serve(cluster, record=False, kept_requests=2) as door, controlled(door) as port:
            made.append(Controlled(door, port))
            ready.set()
            await asyncio.to_thread(over.wait)
            door.faults.clear()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    ready.wait(10)
    yield made[0]
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def test_a_fault_is_asked_for_and_waited_for(control: Controlled) -> None:
    lost = control.ask("POST", "/lose_reply", {"api": "Produce", "topic": "orders"})
    assert (lost["id"], lost["hits"], lost["left"]) == (1, 0, 1)
    with control.leader() as client:
        client.send(request(PRODUCE, 9, 1, **produced("orders", BATCH)))
        assert client.is_ended()
    assert control.ask("GET", "/faults/1?hits=1")["hits"] == 1
    assert control.ask("GET", "/faults")[0]["left"] == 0
    assert len(control.door.cluster.records("orders")) == 1


def test_what_is_held_is_released_and_what_is_removed_strikes_no_more(control: Controlled) -> None:
    control.ask("POST", "/hold", {"api": "Produce"})
    removed = control.ask("POST", "/error", {"code": 7, "api": "Produce", "count": None})
    control.ask("DELETE", f"/faults/{removed['id']}")
    with control.leader() as client:
        client.send(request(PRODUCE, 9, 1, **produced("orders", BATCH)))
        assert control.ask("GET", "/faults/1?hits=1&timeout_s=5")["hits"] == 1
        control.ask("POST", "/faults/1/release")
        assert client.receive()
    assert control.ask("GET", "/faults/2")["hits"] == 0


def test_brokers_crash_come_back_and_lead(control: Controlled) -> None:
    leader = control.door.cluster.leader("orders")
    new, follower = [each for each in (1, 2, 3) if each != leader]
    control.ask("POST", "/move_leader", {"topic": "orders", "partition": 0, "broker_id": new})
    assert control.door.cluster.leader("orders") == new
    shrunk = control.ask(
        "POST", "/shrink_in_sync_replicas", {"topic": "orders", "partition": 0, "without_broker_id": follower}
    )
    assert follower not in control.door.cluster.in_sync_replicas("orders")
    control.ask("DELETE", f"/faults/{shrunk['id']}")
    control.ask("POST", "/crash", {"broker_id": leader})
    with pytest.raises(ConnectionRefusedError):
        RawClient(":".join(map(str, control.door.endpoint(leader))))
    control.ask("POST", "/restart", {"broker_id": leader})
    RawClient(":".join(map(str, control.door.endpoint(leader)))).socket.close()


def test_the_latest_requests_are_told_with_their_fields(control: Controlled) -> None:
    with control.leader() as client:
        for _ in range(2):
            client.ask(PRODUCE, 9, **produced("orders", BATCH))
        client.ask(18, 0)
    told = control.ask("GET", "/requests")
    assert [each["api"] for each in told] == ["Produce", "ApiVersions"]  # two are kept
    (known,) = control.ask("GET", "/requests?api=Produce")
    assert (known["client_id"], known["version"]) == ("raw", 9)
    assert known["asked"]["partitions"][0]["topic_partition"] == {"topic": "orders", "partition": 0}
    assert control.ask("GET", "/cluster")["bootstrap"] == control.door.bootstrap


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "said"),
    [
        ("POST", "/lose_answer", {}, 404, "POST /lose_reply"),
        ("POST", "/clear", {}, 404, "there is no POST /clear"),
        ("GET", "/faults/9", None, 404, "there is no GET"),
        ("POST", "/lose_reply", {"api": "Produced"}, 400, "no API 'Produced'"),
        ("POST", "/lose_reply", {"when": "x"}, 400, "it is a function"),
        ("POST", "/lose_reply", [1], 400, "must be a JSON object"),
        ("POST", "/crash", {}, 400, "broker_id"),
        ("POST", "/lose_reply", {"client_id": "x" * 70_000}, 400, "at most 65536"),
    ],
)
def test_a_mistake_is_told(control: Controlled, method: str, path: str, body: Any, code: int, said: str) -> None:
    found, error = control.refused(method, path, body)
    assert found == code
    assert said in error


def test_waiting_ends_and_no_browser_is_served(control: Controlled) -> None:
    control.ask("POST", "/delay", {"by_ms": 5})
    assert control.refused("GET", "/faults/1?hits=1&timeout_s=0.01")[0] == 408
    assert control.refused("POST", "/faults/1/release", {})[0] == 400
    assert control.refused("POST", "/crash", {"broker_id": 1}, Origin="http://example.com")[0] == 403


def test_garbage_at_the_control_hurts_nobody(control: Controlled) -> None:
    for garbage in (b"\r\n\r\n", b"GET\r\n\r\n", bytes(70_000), b"POST /crash HTTP/1.1\r\nContent-Length: -1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", control.port), 10) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1000).startswith((b"HTTP/1.1 400", b""))
    assert control.ask("GET", "/faults") == []
    assert control.door.failure is None


def test_a_port_that_is_taken_is_told() -> None:
    async def run(port: int) -> None:
        async with serve(Cluster(brokers=1)) as door, controlled(door, port):
            pass

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RequestError, match="the control can't listen at port"):
            asyncio.run(run(taken.getsockname()[1]))


def test_every_verb_is_a_method_of_the_faults() -> None:
    assert all(callable(getattr(Faults, verb)) for verb in VERBS)
