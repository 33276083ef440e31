"""Seven scenes, each at most 14 steps: what can go wrong between writing and knowing that it was written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from eventlog.clients import Producer
from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.views.film import Film, watch
from eventlog.views.making import sheet_of
from eventlog.views.sheet import Sheet

MOST_STEPS: Final = 14


class Take(NamedTuple):
    """One run of a scene: its film, where the picture begins and ends, and how it is framed."""

    film: Film
    start: int
    end: int
    options: dict[str, Any]


class Scene(NamedTuple):
    """`takes` are run anew each time, one or two (side by side) of (title, how)."""

    name: str
    title: str
    question: str
    takes: tuple[tuple[str, Callable[[], Take]], ...]

    def sheets(self) -> tuple[Sheet, ...]:
        """One sheet, or two to lay beside each other."""
        found = []
        for title, act in self.takes:
            film, start, end, options = act()
            found.append(sheet_of(film, start, end, title=title, most_rows=MOST_STEPS, **options))
        return tuple(found)


ALONE: Final[dict[str, Any]] = {"linger_ms": 0, "batch_size": 0}


def _stage(brokers: int = 3, **settings: Any) -> Film:
    cluster = Cluster(brokers, min_insync_replicas=min(2, brokers), checks="full", **settings)
    film = watch(cluster)
    cluster.create_topic("orders")
    return film


def _take(film: Film, start: int, **options: Any) -> Take:
    return Take(film, start, len(film.cluster.recorder.events), options)


def _now(film: Film) -> int:
    return len(film.cluster.recorder.events)


def _begun(film: Film, **settings: Any) -> tuple[Producer, int]:
    """A writer whose first record, m0, is written, and where the picture begins."""
    writer = film.cluster.producer("writer", request_timeout_ms=1000, **settings, **ALONE)
    writer.send("orders", "m0")
    writer.flush()
    return writer, _now(film)


def _lost_acknowledgement() -> Take:
    film = _stage()
    cluster = film.cluster
    writer, start = _begun(film)
    cluster.lose_next_ack()
    writer.send("orders", "m1")
    writer.flush()
    cluster.advance(600)
    return _take(film, start)


def _mirror(idempotence: bool) -> Take:
    film = _stage()
    cluster = film.cluster
    writer, start = _begun(film, enable_idempotence=idempotence)
    cluster.lose_next_ack()
    for number in range(1, 6):
        writer.send("orders", f"m{number}")
    writer.flush()
    cluster.advance(600)
    return _take(film, start, moments=(-1,))


def _plain() -> Take:
    return _mirror(False)


def _idempotent() -> Take:
    return _mirror(True)


def _failover() -> Take:
    film = _stage()
    cluster = film.cluster
    writer, start = _begun(film)
    cluster.lose_next_ack()
    writer.send("orders", "m1")
    cluster.advance(20)
    cluster.crash(1)
    cluster.wait_for(lambda: cluster.leader("orders") == 2)
    cluster.cut(2, 3)
    cluster.advance(2500)
    cluster.heal(2, 3)
    writer.flush()
    return _take(film, start, with_replication=True, moments=(2, 10, 12))


def _order() -> Take:
    film = _stage()
    cluster = film.cluster
    writer, start = _begun(film)
    cluster.lose_next_request()
    for number in range(1, 6):
        writer.send("orders", f"m{number}")
    writer.flush()
    cluster.advance(600)
    return _take(film, start, moments=(-1,))


def _zombie() -> Take:
    """A late copy of an epoch that is over."""
    film = _stage(1, deviations=[("writer produces orders-0 @1 try 0", 1, "delay", "writer>broker-1", 4000)])
    cluster = film.cluster
    writer, start = _begun(film, delivery_timeout_ms=1050)
    writer.send("orders", "m1")
    cluster.advance(1500)
    writer.send("orders", "m2")
    cluster.advance(4000)
    return _take(film, start, moments=(-2, -1))


def _five_in_the_bag(snapshot_batches: int) -> Take:
    film = _stage(1, producer_snapshot_batches=snapshot_batches)
    cluster = film.cluster
    writer = cluster.producer("writer", **ALONE)
    start = _now(film)
    cluster.lose_next_ack()
    writer.send("orders", "m1")
    writer.send("orders", "m2")
    cluster.advance(500)
    cluster.crash(1)
    cluster.restart(1)
    writer.flush()
    return _take(film, start)


def _unknown_producer(first_sequence: str) -> Take:
    film = _stage(
        1,
        unknown_producer_first_sequence=first_sequence,
        deviations=[("writer produces orders-0 @0 try 0", 1, "append_fails", "broker-1", 0)],
    )
    cluster = film.cluster
    writer = cluster.producer("writer", request_timeout_ms=1000, delivery_timeout_ms=1200, **ALONE)
    start = _now(film)
    writer.send("orders", "m0")
    writer.send("orders", "m1")
    writer.flush()
    return _take(film, start)


def _wrap() -> Take:
    film = _stage()
    cluster = film.cluster
    writer, start = _begun(film, initial_sequence=2147483646)
    cluster.lose_next_ack()
    writer.send("orders", "m1")
    writer.send("orders", "m2")
    writer.flush()
    cluster.advance(600)
    return _take(film, start)


SCENES: Final[dict[str, Scene]] = {
    scene.name: scene
    for scene in (
        Scene(
            "lost-ack",
            "The answer is lost, the writer tries again, and the copy is recognised",
            "The writer never learned that m1 was written. What does the broker do with the second one?",
            (("A lost answer, a retry, one record", _lost_acknowledgement),),
        ),
        Scene(
            "mirror",
            "Five in flight and one stalled answer: a plain writer beside an idempotent one",
            "Both writers meet the same stall. Which log has each event once, and in order?",
            (("plain writer", _plain), ("idempotent writer", _idempotent)),
        ),
        Scene(
            "failover",
            "The leader dies between writing and answering",
            "The new leader never saw the first try. How can it know, and why does it wait before it says so?",
            (("The duplicate waits for the high watermark", _failover),),
        ),
        Scene(
            "order",
            "Five are in flight and the first is lost: order is restored",
            "Nothing of the five arrived. In which order do they end up in the log?",
            (("The first of five is lost", _order),),
        ),
        Scene(
            "zombie",
            "A batch of an older epoch arrives late, and is fenced",
            "The writer gave m1 up and said so. What keeps the late m1 out of the log?",
            (("A late batch of a past epoch", _zombie),),
        ),
        Scene(
            "restart-hole",
            "Kafka's first hole: a restarted broker remembers one batch of five",
            "One switch apart: what does a snapshot of producers keep?",
            (
                ("as in Kafka: snapshot of 1 batch", lambda: _five_in_the_bag(1)),
                ("snapshot of 5 batches", lambda: _five_in_the_bag(5)),
            ),
        ),
        Scene(
            "first-batch-hole",
            "Kafka's second hole: an unknown producer may begin anywhere",
            "One switch apart: which first sequence does a broker take from a producer it does not know?",
            (
                ("as in Kafka: any first sequence", lambda: _unknown_producer("any")),
                ("an unknown producer must begin with 0", lambda: _unknown_producer("zero")),
            ),
        ),
        Scene(
            "wrap",
            "The sequence wraps to 0 after 2147483647",
            "A sequence has 31 bits. Is the batch after the highest one still the next one?",
            (("After 2147483647 comes 0", _wrap),),
        ),
    )
}


NUMBERS: Final = dict(zip(("1", "2", "3", "4", "5", "6", "6b", "7"), SCENES, strict=True))
"""The two holes are one scene with two pictures."""


def find_scene(name: str | int) -> Scene:
    """The scene of that name or number. Raises RequestError for an unknown one."""
    wanted = str(name).strip().lower()
    wanted = NUMBERS.get(wanted, wanted)
    if wanted in SCENES:
        return SCENES[wanted]
    known = ", ".join([f"{number} {known}" for number, known in NUMBERS.items()])
    raise RequestError(f"there is no scene {str(name)[:40]!r}; the scenes are: {known}")
