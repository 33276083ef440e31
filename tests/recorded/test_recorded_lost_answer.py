"""One lost answer, with idempotence and without; and what a failover costs a producer that writes all the time.

Recorded with kafka-clients 4.3.1 and librdkafka, one record a batch, acks=all: m0 is acknowledged, m1 to m20 follow.
`closed`: the first answer is thrown away and the connection closed, when so many were appended. `stalled`: the first
answer and all behind it never come, and the client times out.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from recorded_run import Run, at, names, numbered

from eventlog.messages import CONTROLLER

JAVA, LIBRDKAFKA = "java", "librdkafka"
STALLED = 0
CELLS = pytest.mark.parametrize(
    ("client", "in_flight", "closed_at"),
    [
        (JAVA, 1, 1),
        (JAVA, 5, 1),
        (JAVA, 5, 2),
        (JAVA, 5, 3),
        (JAVA, 1, STALLED),
        (JAVA, 5, STALLED),
        (LIBRDKAFKA, 1, 1),
        (LIBRDKAFKA, 5, 3),
        (LIBRDKAFKA, 1, STALLED),
        (LIBRDKAFKA, 5, STALLED),
    ],
)


def lost_answer(client: str, in_flight: int, closed_at: int, idempotence: bool) -> Run:
    """`closed_at`: how many of those in flight are appended when the connection is closed; 0: it stalls."""
    it = Run(client, in_flight, idempotence=idempotence, request_timeout_ms=4_000)
    it.acknowledged("m0")
    if closed_at == STALLED:
        it.cluster.lose_next_ack(it.producer)
    else:
        it.hold_answers(1)
    it.send(*names(1, 20))
    if closed_at != STALLED:
        it.wait_appended(1 + closed_at, 1)
        it.close_connection(1)
    it.settle()
    return it


@CELLS
def test_a_plain_producer_repeats_what_was_in_flight_in_its_clients_order(
    client: str, in_flight: int, closed_at: int
) -> None:
    """4, the column "plain": Java puts each failed batch back at the front, librdkafka keeps the order."""
    it = lost_answer(client, in_flight, closed_at, idempotence=False)
    appended = closed_at or in_flight
    again = names(1, in_flight)
    if client == JAVA:
        again.reverse()
    assert it.contents() == ["m0", *names(1, appended), *again, *names(in_flight + 1, 20)]
    assert it.duplicates() == appended
    assert all(heard.isdigit() for heard in it.told().values())
    it.assert_offsets_true()
    assert it.broken() == {}


@CELLS
def test_an_idempotent_producer_repeats_nothing(client: str, in_flight: int, closed_at: int) -> None:
    """4, the column "idempotent": offsets 0 to 20 in order, epoch 0 throughout."""
    it = lost_answer(client, in_flight, closed_at, idempotence=True)
    assert it.log() == numbered(0, 0, names(0, 20))
    assert it.told() == at(0, names(0, 20))
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 0, 0)
    assert it.producer.retries >= in_flight
    assert it.excused() == {}


@pytest.mark.parametrize(
    ("how", "session_ms", "shortest_ms", "longest_ms"),
    [("killed", 3_000, 3_000, 5_000), ("killed", 9_000, 9_000, 11_700), ("clean", 3_000, 10, 1_400)],
)
@pytest.mark.parametrize("client", [JAVA, LIBRDKAFKA])
def test_a_failover_loses_nothing_repeats_nothing_and_is_as_long_as_the_session(
    client: str, how: str, session_ms: int, shortest_ms: int, longest_ms: int
) -> None:
    """5: a record every 10 ms; the leader is killed or stopped, restarted, in sync again; three rounds."""
    it = Run(client, broker={"broker_session_timeout_ms": session_ms})
    it.acknowledged("m0")
    sent = 1

    def write_for(span_ms: int) -> None:
        nonlocal sent
        for _ in range(span_ms // 10):
            it.send(f"m{sent}")
            sent += 1
            it.cluster.advance(10)

    for _ in range(3):
        write_for(500)
        leader = it.cluster.leader("t")
        began_ms = it.cluster.elapsed_ms
        if how == "killed":
            it.cluster.crash(leader)
        else:
            it.cluster.stop(leader)
        write_for(session_ms + 2_500)
        assert it.cluster.leader("t") != leader
        it.cluster.restart(leader)
        write_for(1_500)
        it.wait_in_sync()
        heard = sorted(ms for ms in it.heard_ms.values() if ms >= began_ms - 20)
        silence_ms = max(later - earlier for earlier, later in pairwise(heard))
        assert shortest_ms <= silence_ms <= longest_ms
    it.settle()
    everything = names(0, sent - 1)
    assert it.contents() == everything
    assert it.told() == at(0, everything)
    assert (it.epoch(), it.producer.epoch_bumps) == (0, 0)
    assert it.excused() == {}


@pytest.mark.parametrize("client", [JAVA, LIBRDKAFKA])
def test_a_new_leader_that_hears_of_it_last_answers_6_for_a_moment_and_then_all_is_as_it_should_be(client: str) -> None:
    """1: metadata names the new leader some milliseconds before that broker acts as leader."""
    it = Run(client)
    it.acknowledged("m0")
    it.hold_answers(1)
    it.send(*names(1, 5))
    it.wait_appended(6)
    it.cluster.cut_one_way(CONTROLLER, 2)
    it.cluster.crash(1)
    it.let_answers(1)
    it.until(lambda: it.refused_as_not_leader(2) > 0)
    assert it.cluster.leader("t") == 2
    assert not it.leads(2)
    it.world.heal_one_way(CONTROLLER, "broker-2")
    it.settle()
    assert it.log() == numbered(0, 0, names(0, 5))
    assert it.told() == at(0, names(0, 5))
    assert it.epoch() == 0
    assert it.excused() == {}
