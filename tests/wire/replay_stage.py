"""A recorded conversation said again to a door: the same bytes on as many connections, the answers beside the real ones."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from kio.index import load_request_schema
from kio.serial import entity_reader
from wire_stage import METADATA, PRODUCE, frames, response

from eventlog import Cluster
from eventlog.codec import open_batch
from eventlog.values import TRANSACTIONAL, RecordBatch
from eventlog.wire.door import Door
from eventlog.wire.topics import uuid_of
from eventlog.wire.versions import APIS

CREATE_TOPICS = 19
ANSWER_S = 20
PARTITIONS = 4
"""The real broker's `num.partitions`."""


class Exchange(NamedTuple):
    """One request, what it says, what the real broker answered and what ours did."""

    frame: dict[str, Any]
    asked: Any
    real: Any
    ours: Any

    @property
    def name(self) -> str:
        return f"{self.frame['n']}: {self.frame['api']} v{self.frame['version']}"


def request_of(frame: dict[str, Any]) -> Any:
    """The recorded request, read by kio."""
    data = bytes.fromhex(frame["request"])
    kind = load_request_schema(frame["api_key"], frame["version"])
    start = 10 + max(0, int.from_bytes(data[8:10], "big", signed=True)) + kind.__flexible__
    return entity_reader(kind)(data, start)[0]


def batches_of(asked: Any) -> Iterator[RecordBatch]:
    """The batches of a produce request."""
    for topic in asked.topic_data:
        for each in topic.partition_data:
            batch = open_batch(each.records)
            assert isinstance(batch, RecordBatch)
            yield batch


def begins_at_ms(name: str) -> int:
    """When the conversation took place, by its latest record."""
    times = [
        batch.max_timestamp_ms
        for frame in frames(name)
        if frame["api_key"] == PRODUCE
        for batch in batches_of(request_of(frame))
    ]
    return max(times, default=1_700_000_000_000)


def is_served(frame: dict[str, Any]) -> bool:
    api = APIS.get(frame["api_key"])
    return api is not None and api.lowest <= frame["version"] <= api.highest


def is_transactional(frame: dict[str, Any], asked: Any) -> bool:
    if frame["api_key"] == PRODUCE:
        return any(batch.attributes & TRANSACTIONAL for batch in batches_of(asked))
    return bool(getattr(asked, "transactional_id", None))


class Replay:
    """A door of one broker, as the real one had, and a socket for each recorded connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cluster = Cluster(brokers=1, record=False)
        self.loop = asyncio.new_event_loop()
        options: dict[str, Any] = {"clock": "manual", "begins_at_ms": begins_at_ms(name), "record": False}
        options["default_partitions"] = PARTITIONS
        self.door = Door(self.cluster, **options)
        self.loop.run_until_complete(self.door.open())
        self.sockets: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self.names: dict[bytes, str] = {}
        # Partitions that a transaction wrote to: "orders-0".
        self.tainted: dict[str, None] = {}

    def close(self) -> None:
        for _, writer in self.sockets.values():
            writer.close()
        self.loop.run_until_complete(self.door.close())
        self.loop.close()

    def exchanges(self) -> Iterator[Exchange]:
        """Every request that a broker without groups and transactions can answer, in order."""
        for frame in frames(self.name):
            asked = request_of(frame)
            real = None
            if frame["response"] is not None:
                real = response(frame["api_key"], frame["version"], bytes.fromhex(frame["response"]))[1]
                self._learn(frame, real)
            if is_transactional(frame, asked):
                self._taint(frame, asked)
            elif is_served(frame):
                yield Exchange(frame, asked, real, self.loop.run_until_complete(self._said(frame)))

    def _learn(self, frame: dict[str, Any], real: Any) -> None:
        """Topic ids of the real broker, by name."""
        if frame["api_key"] in (METADATA, CREATE_TOPICS):
            for topic in real.topics:
                if getattr(topic, "topic_id", None) is not None and topic.name:
                    self.names[topic.topic_id.bytes] = topic.name

    def _taint(self, frame: dict[str, Any], asked: Any) -> None:
        if frame["api_key"] == PRODUCE:
            for topic in asked.topic_data:
                for each in topic.partition_data:
                    self.tainted[f"{self.topic_of(topic)}-{each.index}"] = None

    def topic_of(self, topic: Any) -> str:
        """The name of a topic in an entity, there or here."""
        name: str | None = getattr(topic, "name", None) or getattr(topic, "topic", None)
        if name is not None:
            return name
        ours = {uuid_of(known.topic_id): name for name, known in self.cluster._world.controller.image.topics.items()}
        return {**ours, **self.names}[topic.topic_id.bytes]

    async def _said(self, frame: dict[str, Any]) -> Any:
        """Our answer to the recorded bytes; None where the recording has none. Topic ids are those of our topics."""
        data = bytes.fromhex(frame["request"])
        known = self.cluster._world.controller.image.topics
        for real_id, topic in self.names.items():
            if topic in known:
                data = data.replace(real_id, uuid_of(known[topic].topic_id))
        number = frame["conn"]
        if number not in self.sockets:
            host, port = self.door.endpoint(1)
            self.sockets[number] = await asyncio.open_connection(host, port, limit=1 << 26)
        reader, writer = self.sockets[number]
        writer.write(len(data).to_bytes(4, "big") + data)
        if frame["response"] is None:
            return None
        length = int.from_bytes(await asyncio.wait_for(reader.readexactly(4), ANSWER_S), "big")
        ours = await reader.readexactly(length)
        return response(frame["api_key"], frame["version"], ours)[1]


def plain(entity: Any) -> Any:
    """An entity as mappings, lists and numbers."""
    if is_dataclass(entity):
        return {field.name: plain(getattr(entity, field.name)) for field in fields(entity)}
    if isinstance(entity, tuple):
        return [plain(each) for each in entity]
    if isinstance(entity, datetime.timedelta | datetime.datetime):
        return str(entity)
    return entity


def differences(real: Any, ours: Any, path: str = "") -> Iterator[str]:
    """Where two plain values part: "path: theirs, ours"."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for name in {**real, **ours}:
            yield from differences(real.get(name), ours.get(name), f"{path}.{name}")
    elif isinstance(real, list) and isinstance(ours, list) and len(real) == len(ours):
        for index, (one, other) in enumerate(zip(real, ours, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif real != ours:
        yield f"{path}: {real!r} there, {ours!r} here"
