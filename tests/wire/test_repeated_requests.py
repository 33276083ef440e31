"""Who asks the same again hears what is true now, under the number of the new request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from wire_stage import FETCH, METADATA, PRODUCE, RawClient, fetched, produced, request

from eventlog import Cluster
from eventlog.codec import encode_batch
from eventlog.values import Record, record_batch
from eventlog.wire import listen, serve
from eventlog.wire.connection import ClientConnection
from eventlog.wire.door import Door
from eventlog.wire.fetch import Fetch
from eventlog.wire.topics import uuid_of

BATCH = encode_batch(record_batch((Record(None, b"a", 1_700_000_000_000),)))


@pytest.fixture
def door() -> Iterator[Door]:
    with Cluster(brokers=1) as cluster:
        cluster.create_topic("orders")
        with listen(cluster) as door:
            yield door


@pytest.fixture
def client(door: Door) -> Iterator[RawClient]:
    with RawClient(door.bootstrap) as client:
        yield client


def answered(client: RawClient) -> tuple[int, int]:
    """(error, how many bytes of records) that a fetch of the first record gives."""
    partition = client.ask(FETCH, 12, **fetched("orders", 0)).responses[0].partitions[0]
    return (int(partition.error_code), len(partition.records or b""))


def test_the_same_fetch_again_is_read_and_written_once(
    door: Door, client: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    for name in ("read", "write"):
        known = getattr(Fetch, name)
        monkeypatch.setattr(Fetch, name, lambda *rest, name=name, known=known: (done.append(name), known(*rest))[1])
    assert [answered(client) for _ in range(5)] == [(0, 0)] * 5
    assert done == ["read", "write"]
    assert [request.correlation_id for request in door.requests] == [1, 2, 3, 4, 5]


def test_records_that_came_meanwhile_are_in_the_answer(door: Door, client: RawClient) -> None:
    assert answered(client) == answered(client) == (0, 0)
    with RawClient(door.bootstrap) as other:
        other.ask(PRODUCE, 9, **produced("orders", BATCH))
    assert answered(client) == answered(client) == (0, len(BATCH))


def test_an_error_on_command_is_not_what_is_remembered(door: Door, client: RawClient) -> None:
    assert answered(client) == (0, 0)
    door.faults.error("KAFKA_STORAGE_ERROR", "Fetch")
    assert [answered(client) for _ in range(3)] == [(56, 0), (0, 0), (0, 0)]


def test_a_topic_named_by_its_id_is_looked_up_again_when_topics_have_changed(door: Door, client: RawClient) -> None:
    topic_id = uuid_of(door.cluster._world.controller.image.topics["orders"].topic_id)

    def answer() -> int:
        asked = fetched("orders", 0, topic_id=topic_id)
        return int(client.ask(FETCH, 13, **asked).responses[0].partitions[0].error_code)

    assert (answer(), answer()) == (0, 0)
    door.cluster.delete_topic("orders")
    assert (answer(), answer()) == (100, 100)


def test_other_bytes_of_the_same_length_are_another_request(client: RawClient) -> None:
    asked = [client.ask(METADATA, 9, topics=[{"name": name}]).topics[0].name for name in ("aa", "bb", "bb", "cc")]
    assert asked == ["aa", "bb", "bb", "cc"]


def test_who_sends_a_hundred_requests_at_once_keeps_nobody_waiting_for_all_of_them() -> None:
    async def scenario() -> list[int]:
        with Cluster(brokers=1) as cluster:
            async with serve(cluster) as door:
                host, port = door.endpoint(1)
                asked = request(METADATA, 0, 1, topics=[])
                greedy, modest = [await asyncio.open_connection(host, port) for _ in range(2)]
                for (_, writer), count in ((greedy, 100), (modest, 1)):
                    writer.write((len(asked).to_bytes(4, "big") + asked) * count)
                await modest[0].readexactly(4)
                for _, writer in (greedy, modest):
                    writer.close()
                    await writer.wait_closed()
                return [each.connection for each in door.requests]

    greedy, modest = 1, 2
    begun = asyncio.run(scenario())
    assert begun[0] == greedy
    assert begun.index(modest) < 10


def test_nothing_is_answered_to_who_has_left(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    held = door.faults.hold("Metadata")
    asked = request(METADATA, 0, 1, topics=[])
    with RawClient(door.bootstrap) as client:
        client.socket.sendall((len(asked).to_bytes(4, "big") + asked) * 100)
        held.wait()
    held.release()
    door.cluster.wait_for(lambda: not door.connections)
    assert len(door.requests) < 50
    assert not caplog.records


def test_only_small_requests_are_remembered(door: Door, client: RawClient) -> None:
    large = encode_batch(record_batch((Record(None, bytes(5_000), 1_700_000_000_000),)))
    for data, is_remembered in ((BATCH, True), (large, False)):
        client.ask(PRODUCE, 9, **produced("orders", data))
        (connection,) = door.connections.values()
        assert isinstance(connection, ClientConnection)
        assert (connection._last is not None) == is_remembered


def test_who_waits_in_vain_is_woken_with_others_and_never_later_than_asked(door: Door) -> None:
    now_ms = door._clock_ms()
    ends: dict[int, None] = {}
    for asked_at_ms in range(now_ms - now_ms % 500, now_ms - now_ms % 500 + 500):
        door._clock_ms = lambda asked_at_ms=asked_at_ms: asked_at_ms  # type: ignore[method-assign]
        assert 375 < door.wait_ms(500) <= 500
        ends[asked_at_ms + door.wait_ms(500)] = None
    assert len(ends) == 4, "in each half second"
    assert [door.wait_ms(wait_ms) for wait_ms in (0, 1, 7)] == [0, 1, 7]
    door.clock = "manual"
    assert door.wait_ms(500) == 500
