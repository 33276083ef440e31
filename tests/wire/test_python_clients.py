"""Unmodified clients with their own defaults: what they write is what they read, and what was asked to go wrong does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from wire_clients import CLIENTS

from eventlog import Cluster
from eventlog.wire import listen
from eventlog.wire.call import Call
from eventlog.wire.door import Door

TOPIC = "orders"


@pytest.fixture
def door() -> Iterator[Door]:
    with Cluster(brokers=3, record=False) as cluster:
        cluster.create_topic(TOPIC)
        with listen(cluster) as door:
            yield door


def in_log(door: Door) -> list[bytes]:
    return [known.record.value for known in door.cluster.records(TOPIC)]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("count", [20, 10_000])
def test_what_an_idempotent_producer_writes_is_read_once_and_in_order(door: Door, client: Any, count: int) -> None:
    values = [b"%d" % number for number in range(count)]
    assert client.write(door.bootstrap, TOPIC, values, True) == list(range(count))
    assert client.read(door.bootstrap, TOPIC, count) == values
    assert in_log(door) == values


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_topic_that_nobody_made_is_made_by_the_first_to_write_to_it(door: Door, client: Any) -> None:
    assert client.write(door.bootstrap, "new", [b"a"], False) == [0]
    assert len(door.cluster.records("new")) == 1


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_after_a_lost_acknowledgement_only_a_plain_producer_writes_twice(
    door: Door, client: Any, idempotent: bool
) -> None:
    lost = door.faults.lose_reply("Produce")
    offsets = client.write(door.bootstrap, TOPIC, [b"a"], idempotent)
    assert lost.hits == 1
    assert (offsets, in_log(door)) == (([0], [b"a"]) if idempotent else ([1], [b"a", b"a"]))


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
def test_when_the_leader_dies_with_the_acknowledgement_only_a_plain_producer_writes_twice(
    door: Door, client: Any, idempotent: bool
) -> None:
    """The retry goes to the next leader, who knows the batch."""
    leader = door.cluster.leader(TOPIC)
    crash = door.faults.crash_after("Produce")
    offsets = client.write(door.bootstrap, TOPIC, [b"a"], idempotent)
    assert crash.hits == 1
    assert (offsets, in_log(door)) == (([0], [b"a"]) if idempotent else ([1], [b"a", b"a"]))
    assert door.cluster.leader(TOPIC) != leader


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_under_load_two_leaders_die_and_every_value_is_there_once_and_in_order(door: Door, client: Any) -> None:
    values = [b"%0100d" % number for number in range(20_000)]
    requests: list[Call] = []

    def is_second_or_fourth(call: Call) -> bool:
        requests.append(call)
        return len(requests) in (2, 4)

    crash = door.faults.crash_after("Produce", count=2, when=is_second_or_fourth)
    assert client.write(door.bootstrap, TOPIC, values, True) == list(range(len(values)))
    assert crash.hits == 2
    assert client.read(door.bootstrap, TOPIC, len(values)) == values
    assert in_log(door) == values


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_values_that_the_client_compressed_are_read_as_they_were(door: Door, client: Any) -> None:
    values = [b"%d" % number * 50 for number in range(100)]
    for codec in client.codecs:
        topic = f"{TOPIC}-{codec}"
        client.write(door.bootstrap, topic, values, True, codec)
        assert client.read(door.bootstrap, topic, len(values)) == values


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_who_needs_a_group_or_a_transaction_is_told_so_and_does_not_hang(door: Door, client: Any) -> None:
    refusals = [client.join(door.bootstrap, TOPIC), client.transact(door.bootstrap)]
    group, transaction = [refusal.replace(" ", "").lower() for refusal in refusals]
    assert "groupauthorizationfailed" in group
    assert "transactionalidauthorizationfailed" in transaction
