"""A raw socket that speaks Kafka by kio: an independent opinion of what the bytes mean."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from kio.index import load_request_schema, load_response_schema
from kio.serial import entity_reader, entity_writer

from eventlog.wire.envelopes import build

CONVERSATIONS = Path(__file__).parent / "conversations"
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, INIT_PRODUCER_ID = 0, 1, 2, 3, 18, 22


def conversations() -> list[str]:
    """Names of the recorded ones."""
    return sorted(path.name.removesuffix(".jsonl.gz") for path in CONVERSATIONS.iterdir())


def frames(name: str) -> Iterator[dict[str, Any]]:
    with gzip.open(CONVERSATIONS / f"{name}.jsonl.gz", "rt") as lines:
        for line in lines:
            yield json.loads(line)


def header(key: int, version: int, correlation_id: int, client_id: str | None = "raw") -> bytes:
    kind = load_request_schema(key, version)
    head = b"".join(
        number.to_bytes(size, "big", signed=True) for number, size in ((key, 2), (version, 2), (correlation_id, 4))
    )
    name = b"\xff\xff" if client_id is None else len(client_id).to_bytes(2, "big") + client_id.encode()
    return head + name + (b"\x00" if kind.__flexible__ else b"")


def request(key: int, version: int, correlation_id: int, /, **values: Any) -> bytes:
    """A whole frame, without its length."""
    kind = load_request_schema(key, version)
    body = BytesIO()
    entity_writer(kind)(body, build(kind, values))
    return header(key, version, correlation_id) + body.getvalue()


def response(key: int, version: int, frame: bytes) -> tuple[int, Any]:
    """(correlation id, entity); the frame must end where the entity does."""
    kind = load_response_schema(key, version)
    start = 5 if kind.__flexible__ and key != API_VERSIONS else 4
    entity, size = entity_reader(kind)(frame, start)
    assert start + size == len(frame)
    return int.from_bytes(frame[:4], "big"), entity


class RawClient:
    """One connection. `ask` waits for the answer; `send` and `receive` are its halves."""

    def __init__(self, address: str, timeout_s: float = 10) -> None:
        host, _, port = address.partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.next_id = 1

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *why: object) -> None:
        self.socket.close()

    def send(self, frame: bytes) -> None:
        self.socket.sendall(len(frame).to_bytes(4, "big") + frame)

    def receive(self) -> bytes:
        """One frame. b"" when the connection has ended."""
        length = self._exactly(4)
        return self._exactly(int.from_bytes(length, "big")) if len(length) == 4 else b""

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not piece:
                return b""
            data += piece
        return data

    def ask(self, key: int, version: int, /, **values: Any) -> Any:
        number = self.next_id
        self.next_id += 1
        self.send(request(key, version, number, **values))
        correlation_id, entity = response(key, version, self.receive())
        assert correlation_id == number
        return entity

    def is_ended(self) -> bool:
        """The other side has closed it."""
        return self.receive() == b""


def produced(
    topic: str, data: bytes, partition: int = 0, acks: int = -1, topic_id: bytes | None = None
) -> dict[str, Any]:
    """The fields of a produce request with one batch."""
    named = {"topic_id": topic_id} if topic_id is not None else {"name": topic}
    return {
        "acks": acks,
        "timeout": 30_000,
        "topic_data": [{**named, "partition_data": [{"index": partition, "records": data}]}],
    }


def fetched(
    topic: str, offset: int, partition: int = 0, max_wait_ms: int = 0, topic_id: bytes | None = None, **more: Any
) -> dict[str, Any]:
    """The fields of a fetch request for one partition."""
    named = {"topic_id": topic_id} if topic_id is not None else {"topic": topic}
    wanted = {"partition": partition, "fetch_offset": offset, "partition_max_bytes": 1 << 20, **more}
    return {
        "replica_id": -1,
        "max_wait": max_wait_ms,
        "min_bytes": 1,
        "max_bytes": 1 << 24,
        "topics": [{**named, "partitions": [wanted]}],
    }
