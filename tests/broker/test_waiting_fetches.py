"""Fetches that wait: each leaves at its own deadline, whoever has come and gone meanwhile."""

from __future__ import annotations

from random import Random

import pytest

from eventlog.broker.waiting_room import FEW, WaitingFetch, WaitingRoom
from eventlog.messages import Connection
from eventlog.messages.broker_api import FetchRequest

REQUEST = FetchRequest(-1, -1, 500, 1, 1_000, 0, ())


def fetch(client: int, deadline_ms: int, correlation_id: int = 0) -> WaitingFetch:
    return WaitingFetch(Connection(f"c{client}", "broker-1", "fetch", 0), correlation_id, REQUEST, deadline_ms)


@pytest.mark.parametrize("seed", range(20))
def test_overdue_are_those_whose_deadline_has_passed_by_connection(seed: int) -> None:
    random = Random(seed)
    room = WaitingRoom()
    for now_ms in range(0, 2_000, 3):
        each = fetch(random.randrange(30), random.choice((-1, now_ms + 1, now_ms + random.randrange(600))), now_ms)
        room.wait_for_records(each)
        if random.random() < 0.6:
            room.forget(random.choice(list(room.fetches)))
        if random.random() < 0.005:
            room = WaitingRoom.thaw(room.freeze(now_ms), now_ms)
        due = {each.connection: each for each in room.fetches.values() if 0 <= each.deadline_ms <= now_ms}
        assert room.take_overdue_fetches(now_ms) == [due[connection] for connection in sorted(due)]
        left = [each.deadline_ms for each in room.fetches.values() if each.deadline_ms >= 0]
        assert room.next_fetch_deadline_ms() == min(left, default=-1)


def test_deadlines_of_those_who_left_do_not_pile_up() -> None:
    room = WaitingRoom()
    for number in range(10_000):
        room.wait_for_records(fetch(number % 3, 600_000 + number))
        room.forget(Connection(f"c{number % 3}", "broker-1", "fetch", 0))
    assert len(room._deadlines) <= FEW + 1
