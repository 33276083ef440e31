"""A third hole, which a campaign of this project found first and a real Kafka 4.3.1 then showed.

`max.in.flight.requests.per.connection` is 5 for each connection, and a broker remembers five batches. A partition moves
while five requests hang, appended but unanswered, on the connection to its old leader, which lives: newer batches go to
the new leader at once and push the older ones out of its memory. When those are retried they are out of order; the first
waits for its delivery timeout, then the partition is unresolved, the producer raises its epoch and writes the others
again. It tells the application that the first one failed, which is in the log, and of the copies nothing.

Recorded with kafka-clients 4.3.1 and three brokers (defaults but for the columns; one record a batch; the old leader's
answers thrown away, its connection left open; leadership moved by a preferred election):

| between m1..m5 | delivery timeout | held | later | written twice | told of a time-out though in the log |
|---|---|---|---|---|---|
| 1,000 ms | 120 s | m1..m5 | 5 | m2 m3 m4 m5 (2 of 2 runs) | m1 |
| 1,000 ms | 30 s | m1..m5 | 5 | m2 m3 m4 m5 (2 of 2) | m1 |
| 1,000 ms | 30 s | m1..m5 | 2 | m2 m3 m4 m5 | m1 |
| 500 ms | 30 s | m1..m5 | 1 | none | m1 |
| 500 ms | 30 s | m1..m5 | 0 | none | none |
| 1,000 ms | 30 s | m1 m2, two in flight | 5 | m2 | m1 |
| 500 ms | 30 s | m1, one in flight | 5, queued | none | none |
| 100 ms | 30 s | m1..m5 | 5 | none | m1 m2 m3 m4 m5 (3 of 3) |
| 10 ms | 30 s | m1..m5 | 5 | none | m1 m2 m3 m4 m5 |

At 500 ms and with two or more later records four or three of them were written twice, as the retry's back-off fell.
"""

from __future__ import annotations

import pytest

from eventlog import Cluster
from eventlog.check import EXCUSED, HELD
from eventlog.errors import UnknownOutcomeError

HELD_BACK = ("m1", "m2", "m3", "m4", "m5")


def played(
    spacing_ms: int, delivery_timeout_ms: int, held: int, later: int, in_flight: int = 5, moves: bool = True
) -> tuple[Cluster, list[str], list[str]]:
    """The cluster at the end, the log, and what was told to have failed."""
    cluster = Cluster(brokers=3, min_insync_replicas=2)
    cluster.create_topic("t", 1)
    writer = cluster.producer(
        "writer",
        linger_ms=0,
        batch_size=0,
        max_in_flight=in_flight,
        delivery_timeout_ms=delivery_timeout_ms,
        request_timeout_ms=30_000 if delivery_timeout_ms == 120_000 else 10_000,
    )
    sends = [writer.send("t", "m0", partition=0)]
    assert sends[0].offset == 0
    cluster.lose_next_ack()
    for number in range(1, held + 1):
        sends.append(writer.send("t", f"m{number}", partition=0))
        cluster.advance(spacing_ms)
    if moves:
        cluster.elect("t", 0, 2)
    cluster.create_partitions("t", 2)  # a send there makes the client ask for metadata, and so hear of the new leader
    writer.send("t", "elsewhere", partition=1)
    cluster.advance(100)
    for number in range(held + 1, held + 1 + later):
        sends.append(writer.send("t", f"m{number}", partition=0))
        cluster.advance(100)
    writer.flush()
    failed = []
    for number, send in enumerate(sends):
        try:
            send.offset  # noqa: B018
        except UnknownOutcomeError:
            failed.append(f"m{number}")
    return cluster, [found.record.value.decode() for found in cluster.records("t", 0)], failed


@pytest.mark.parametrize(
    ("spacing_ms", "delivery_timeout_ms", "held", "later", "in_flight", "copies", "failed"),
    [
        (1_000, 120_000, 5, 5, 5, ["m2", "m3", "m4", "m5"], ["m1"]),
        (1_000, 30_000, 5, 5, 5, ["m2", "m3", "m4", "m5"], ["m1"]),
        (1_000, 30_000, 5, 2, 5, ["m2", "m3", "m4", "m5"], ["m1"]),
        (500, 30_000, 5, 1, 5, [], ["m1"]),
        (500, 30_000, 5, 0, 5, [], []),
        (1_000, 30_000, 2, 5, 2, ["m2"], ["m1"]),
        (100, 30_000, 5, 5, 5, [], list(HELD_BACK)),
        (10, 30_000, 5, 5, 5, [], list(HELD_BACK)),
    ],
)
def test_what_a_new_leader_was_sent_meanwhile_decides_what_is_written_twice(
    spacing_ms: int,
    delivery_timeout_ms: int,
    held: int,
    later: int,
    in_flight: int,
    copies: list[str],
    failed: list[str],
) -> None:
    cluster, log, told = played(spacing_ms, delivery_timeout_ms, held, later, in_flight)
    once = [f"m{number}" for number in range(held + later + 1)]
    assert log == once + copies
    assert told == failed
    verdict = cluster.check()
    assert verdict.held
    for promise in ("H2", "H3"):
        result = verdict.promise(promise)
        assert (result.status, result.places) == (EXCUSED if copies else HELD, len(copies))
        assert result.why == ("more in flight than remembered" if copies else "")


def test_with_one_in_flight_nothing_is_sent_past_the_one_that_hangs() -> None:
    cluster, log, told = played(500, 30_000, 1, 5, in_flight=1)
    assert (log, told) == ([f"m{number}" for number in range(7)], [])
    assert cluster.check().promise("H2").status == HELD


def test_without_a_move_the_old_leader_recognises_all_that_hung() -> None:
    cluster, log, told = played(500, 30_000, 5, 5, moves=False)
    assert (log, told) == ([f"m{number}" for number in range(11)], [])
    assert cluster.check().promise("H2").status == HELD
