"""Oracles: what a user's code promised, held against the log and against what came of it.

Each takes the cluster, lets it recover from every fault, and raises an `OracleFailure` that names the event, the faults
before it, and what to do. *Events* are the values that were written (bytes or text), or whatever `event_of(record)`
makes of a record: an id in its JSON, its key.

```python
exactly_once(cluster, "orders", [b"order-1", b"order-2"])
effectively_once(cluster, [1, 2], applied=[row.id for row in database])
```

Not here: what the broker itself promises; `cluster.check()` judges that, and every run of a `chaos_test` ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from eventlog.check import history as rows
from eventlog.clients import Delivery
from eventlog.cluster import Cluster
from eventlog.messages.user_api import ConsumedRecord
from eventlog.testing.advice import advice_for
from eventlog.testing.mortal import MortalCluster
from eventlog.values import Record

EventOf = Callable[[Record], Any]

MOST_NAMED: Final = 3


def value_of(record: Record) -> Any:
    """The event of a record when nobody says otherwise: its value."""
    return record.value


class OracleFailure(AssertionError):
    """What was promised and is not so. `event`: the user's; `faults`: what struck before; `fix`: the advice's name."""

    def __init__(self, what: str, event: Any, faults: tuple[str, ...], fix: str) -> None:
        self.what = what
        self.event = event
        self.faults = faults
        self.fix = fix
        super().__init__("\n".join([what, f"after: {', '.join(faults) or 'no fault'}", *advice_for((fix,))]))


class DeliveredTwice(OracleFailure):
    """An event stands in the log more than once, or was applied more than once."""


class Missing(OracleFailure):
    """An event is not where it must be."""


class Unexpected(OracleFailure):
    """Something is there that nobody asked for."""


class OutOfOrder(OracleFailure):
    """An event stands behind a younger one of its key."""


def exactly_once(cluster: Cluster, topic: str, events: Iterable[Any], event_of: EventOf = value_of) -> None:
    """Every one of `events` stands in the topic once, and nothing else does."""
    __tracebackhide__ = True
    log = _Log(cluster, topic, event_of)
    wanted = _known(events)
    for event, places in log.places.items():
        if event not in wanted:
            what = f"event {event!r} stands in {topic!r}, and nobody asked for it: {log.where(event)}"
            raise Unexpected(what, event, log.faults, "not expected")
        if len(places) > 1:
            raise DeliveredTwice(
                f"event {event!r} stands in {topic!r} {len(places)} times: {log.where(event)}",
                event,
                log.faults,
                log.why_twice(event),
            )
    log.check_there(wanted, "never written", "was never written")


def effectively_once(cluster: Cluster, events: Iterable[Any], applied: Iterable[Any]) -> None:
    """Every one of `events` had its effect once, however often it stands in the log. `applied` names what the effects
    say: an event for each, in any order."""
    __tracebackhide__ = True
    cluster.recover()
    faults = faults_of(cluster)
    wanted = _known(events)
    counts: dict[Any, int] = {}
    for event in map(_plain, applied):
        counts[event] = counts.get(event, 0) + 1
    for event, count in counts.items():
        if event not in wanted:
            raise Unexpected(f"event {event!r} was applied, and nobody asked for it", event, faults, "not expected")
        if count > 1:
            raise DeliveredTwice(f"event {event!r} was applied {count} times", event, faults, "applied twice")
    for event in wanted:
        if event not in counts:
            raise Missing(f"event {event!r} was never applied", event, faults, "never applied")


def ordered_per_key(cluster: Cluster, topic: str, events: Iterable[Any], event_of: EventOf = value_of) -> None:
    """In the topic, the events of one key stand in the order of `events`; copies count, too."""
    __tracebackhide__ = True
    log = _Log(cluster, topic, event_of)
    order = {event: number for number, event in enumerate(_known(events))}
    newest: dict[Any, Any] = {}
    for found in log.records:
        event = _plain(event_of(found.record))
        if event not in order:
            continue
        before = newest.get(found.record.key)
        if before is not None and order[event] < order[before]:
            raise OutOfOrder(
                f"event {event!r} of key {found.record.key!r} stands behind {before!r}, which is younger: "
                f"{log.where(before)}, and {log.where(event)}",
                event,
                log.faults,
                "out of order",
            )
        newest[found.record.key] = event


def no_loss(cluster: Cluster, topic: str, acknowledged: Iterable[Any], event_of: EventOf = value_of) -> None:
    """What was acknowledged is in the topic. `acknowledged`: events, or the `Delivery`s of which those that succeeded
    count."""
    __tracebackhide__ = True
    log = _Log(cluster, topic, event_of)
    numbers = {found.record.send_number: None for found in log.records}
    events = []
    for one in acknowledged:
        if not isinstance(one, Delivery):
            events.append(one)
        elif one.done and one.error is None and one.topic == topic and one.number not in numbers:
            what = f"send {one.number} of {one._producer.name} was acknowledged at {one!r}, and is not in {topic!r}"
            raise Missing(what, one, log.faults, "acknowledged and lost")
    log.check_there(_known(events), "acknowledged and lost", "was acknowledged, and is not there")


def outbox_drained(
    cluster: Cluster, topic: str, outbox: Iterable[tuple[Any, Any]], event_of: EventOf = value_of
) -> None:
    """Every row of an outbox is written and marked. `outbox`: (event, whether it is marked as published)."""
    __tracebackhide__ = True
    log = _Log(cluster, topic, event_of)
    kept = [(_plain(event), bool(is_marked)) for event, is_marked in outbox]
    for event, is_marked in kept:
        if event not in log.places:
            state = "is marked as published" if is_marked else "waits in the outbox"
            raise Missing(f"event {event!r} {state}, and is not in {topic!r}", event, log.faults, "never written")
    for event, is_marked in kept:
        if not is_marked:
            what = f"event {event!r} is in {topic!r} ({log.where(event)}), and the outbox does not know"
            raise Missing(what, event, log.faults, "not marked")


# --- inside -------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    partition: int
    offset: int
    send_number: int


class _Log:
    """The committed log of one topic, once everything has healed."""

    def __init__(self, cluster: Cluster, topic: str, event_of: EventOf) -> None:
        cluster.recover()
        self.cluster = cluster
        self.topic = topic
        self.records: list[ConsumedRecord] = cluster.records(topic)
        self.places: dict[Any, list[_Place]] = {}
        for found in self.records:
            place = _Place(found.topic_partition.partition, found.offset, found.record.send_number)
            self.places.setdefault(_plain(event_of(found.record)), []).append(place)

    @property
    def faults(self) -> tuple[str, ...]:
        return faults_of(self.cluster)

    def senders(self, event: Any) -> list[str]:
        """Who sent each copy; "somebody" where the history doesn't say."""
        names = {row.send_number: row.producer for row in self.cluster.recorder.history.of(rows.Sent)}
        return [names.get(place.send_number, "somebody") for place in self.places[event]]

    def where(self, event: Any) -> str:
        """`offset 0 (send 0 of relay) and offset 2 (send 1 of relay.2)`"""
        said = [
            f"{self.topic}-{partition} offset {offset} (send {send_number} of {sender})"
            for (partition, offset, send_number), sender in zip(self.places[event], self.senders(event), strict=True)
        ]
        return _listed(said)

    def why_twice(self, event: Any) -> str:
        places = self.places[event]
        if len({place.send_number: None for place in places}) == 1:
            return "written twice by a plain producer"
        if len(dict.fromkeys(self.senders(event))) == 1:
            return "sent twice"
        died = isinstance(self.cluster, MortalCluster) and self.cluster.deaths
        return "written twice after a crash" if died else "written twice by two producers"

    def check_there(self, wanted: Iterable[Any], fix: str, said: str) -> None:
        __tracebackhide__ = True
        missing = [event for event in wanted if event not in self.places]
        if missing:
            others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            what = f"event {missing[0]!r}{others} {said}: {self.topic!r} has {len(self.records)} records"
            raise Missing(what, missing[0], self.faults, fix)


def faults_of(cluster: Cluster) -> tuple[str, ...]:
    """What went wrong in this cluster, in words: `reply_lost on broker-1>writer`."""
    found = [f"{known.fault} on {known.target} at {known.event!r}" for known in cluster.deviations]
    if isinstance(cluster, MortalCluster):
        found += [f"client_crash at crash point {point!r}" for _, _, point in cluster.deaths]
    return tuple(found)


def _plain(event: Any) -> Any:
    """Text and bytes are the same event."""
    return event.encode() if isinstance(event, str) else event


def _known(events: Iterable[Any]) -> dict[Any, None]:
    return dict.fromkeys(map(_plain, events))


def _listed(said: list[str]) -> str:
    if len(said) > MOST_NAMED:
        return f"{', '.join(said[:MOST_NAMED])} and {len(said) - MOST_NAMED} more"
    return " and ".join(said)
