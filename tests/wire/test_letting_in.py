"""Who can't be let in is the only one who notices, and is counted."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from wire_stage import API_VERSIONS, RawClient, header

from eventlog import Cluster
from eventlog.wire import listen
from eventlog.wire.door import RETRY_S, Door


@pytest.fixture
def door() -> Iterator[Door]:
    with Cluster(brokers=1) as cluster, listen(cluster) as door:
        yield door


def test_a_client_that_left_before_he_was_let_in_is_forgotten(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    let_in = door.loop.connect_accepted_socket
    failing = [OSError(errno.EINVAL, "he left")] * 3

    async def fails_at_first(*rest: Any, **more: Any) -> Any:
        if failing:
            raise failing.pop()
        return await let_in(*rest, **more)

    monkeypatch.setattr(door.loop, "connect_accepted_socket", fails_at_first)
    for _ in range(3):
        with RawClient(door.bootstrap) as client:
            assert client.is_ended()
    with RawClient(door.bootstrap) as client:
        assert client.ask(API_VERSIONS, 0).error_code == 0
    assert door.refused == {f"[Errno {errno.EINVAL}] he left": 3}
    assert not door._joining
    assert not caplog.records


def test_what_should_never_fail_at_the_door_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*rest: Any, **more: Any) -> Any:
        raise ZeroDivisionError("no such thing")

    def lets_nobody_in() -> None:
        with Cluster(brokers=1) as cluster, listen(cluster) as door:
            monkeypatch.setattr(door.loop, "connect_accepted_socket", fails)
            with RawClient(door.bootstrap) as client:
                assert client.is_ended()

    with pytest.raises(ZeroDivisionError, match="no such thing"):
        lets_nobody_in()


def test_without_a_file_to_be_had_those_inside_go_on_and_the_others_wait(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    later: list[tuple[Any, ...]] = []
    accept, call_later = door._accept, door.loop.call_later

    def noted(delay_s: float, *what: Any) -> Any:
        return later.append(what) if delay_s == RETRY_S else call_later(delay_s, *what)

    monkeypatch.setattr(door, "_accept", lambda *rest: (tries.append(1), accept(*rest)))
    monkeypatch.setattr(door.loop, "call_later", noted)
    door.hand_over(door._stop_listening, 1)  # it listens again at once, and every try is seen
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with RawClient(door.bootstrap) as inside:
        assert inside.ask(API_VERSIONS, 0).error_code == 0
        with socket.socket() as outside:
            tries.clear()
            taken = os.dup(0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken + 1, hard))
            try:
                host, _, port = door.bootstrap.partition(":")
                outside.connect((host, int(port)))
                for _ in range(50):
                    assert inside.ask(API_VERSIONS, 0).error_code == 0
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                os.close(taken)
            assert len(tries) == len(later) == 1
            assert list(door.refused.values()) == [1]
            door.hand_over(*later[0])
            outside.sendall((10).to_bytes(4, "big") + header(API_VERSIONS, 0, 1, None))
            assert len(outside.recv(4)) == 4
