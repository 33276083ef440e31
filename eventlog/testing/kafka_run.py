"""One run of a test of real clients: a fresh cluster that listens, a plan of faults, and what came of it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Final, NamedTuple

from eventlog.check import BROKEN, EXCUSED, NOT_PROMISED
from eventlog.check import history as rows
from eventlog.check.promises import LEADER_MOVED
from eventlog.errors import ErrorCode
from eventlog.sim.faults import Deviation
from eventlog.testing.chaos_run import Failure, caught, failure_of
from eventlog.testing.kafka_faults import PlannedFaults, plan_faults
from eventlog.wire.client_verdict import ClientsVerdict, Finding
from eventlog.wire.fixtures import EventlogKafka, fresh_kafka
from eventlog.wire.sightings import Fetched, Produced

YOURS: Final = (BROKEN, NOT_PROMISED)
BEHIND: Final = 1 << 62
"""Of what was seen at a place of the history, its row is the last."""
Line = tuple[bool, str]
"""Whether it is about what went wrong, and what there is to tell."""


class ClientsFailed(AssertionError):
    """The checker found something that the test shall not pass with. `verdict` has all of it."""

    def __init__(self, verdict: ClientsVerdict, found: list[Finding]) -> None:
        super().__init__(f"{found[0]}{f' And {len(found) - 1} more.' if len(found) > 1 else ''}")
        self.verdict = verdict
        self.found = found


class SentAgain(AssertionError):
    """Without faults no two sends were equal, and now some are: the application itself sent an event a second time."""

    def __init__(self, unchecked: str) -> None:
        super().__init__(f"sent again by the application, which it does not do without faults: {unchecked}")


class KafkaRan(NamedTuple):
    """A run that is over. `came`: how often each event came; `struck`: whom each fault struck; `lines`: what came to the
    door; `happened`: what is counted over all runs."""

    error: BaseException | None
    verdict: ClientsVerdict | None
    deviations: tuple[Deviation, ...]
    unused: tuple[Deviation, ...]
    came: dict[str, int]
    struck: dict[Deviation, str]
    lines: list[Line]
    happened: dict[str, object]

    @property
    def failure(self) -> Failure | tuple[str, ...] | None:
        """By what two failures are the same: the promises, or the exception and where it was raised."""
        if isinstance(self.error, ClientsFailed):
            return tuple(sorted({found.promise: None for found in self.error.found}))
        return None if self.error is None else failure_of(self.error)


def wrong(verdict: ClientsVerdict, strict: bool) -> list[Finding]:
    """The findings with which a test fails: broken promises; with `strict`, what its own settings never had promised."""
    return [
        found
        for found in verdict.findings
        if found.status == BROKEN or (strict and (found.status in YOURS or found.cause == LEADER_MOVED))
    ]


def play(
    body_of: Callable[[ExitStack, EventlogKafka], Callable[[], object]],
    deviations: tuple[Deviation, ...],
    strict: bool,
    settings: dict[str, Any],
) -> KafkaRan:
    """Run the test once."""
    __tracebackhide__ = True
    error: BaseException | None = None
    verdict: ClientsVerdict | None = None
    planned: PlannedFaults | None = None
    kafka: EventlogKafka | None = None
    try:
        with ExitStack() as made:
            kafka = made.enter_context(fresh_kafka(**settings))
            planned = plan_faults(kafka.faults, deviations)
            body = body_of(made, kafka)
            # Clients let the end of their own tasks escape.
            error = caught(partial(_finished, body), asyncio.CancelledError)
            planned.remove()
            verdict = kafka.judge()
    except Exception as why:
        error = error or why
    if error is None and verdict is not None:
        found = wrong(verdict, strict)
        error = ClientsFailed(verdict, found) if found else None
    came = {} if planned is None else planned.came
    struck = {} if planned is None else planned.applied
    unused = deviations if planned is None else planned.unused
    lines = [] if kafka is None else list(told_door(kafka, struck))
    happened: dict[str, object] = {known.fault: True for known in struck}
    if kafka is not None:
        recorder = kafka.cluster.recorder
        happened = {"failover": recorder.failovers, "duplicate recognised": recorder.duplicates_recognised, **happened}
    if verdict is not None:
        happened |= {f"{found.cause} (excused)": True for found in verdict.findings if found.status == EXCUSED}
        happened["not checkable"] = verdict.unchecked
    return KafkaRan(error, verdict, deviations, unused, came, struck, lines, happened)


def _finished(body: Callable[[], object]) -> None:
    __tracebackhide__ = True
    result = body()
    if inspect.iscoroutine(result):
        asyncio.run(result)


# --- what came to the door ------------------------------------------------------------------------------------------


def told_door(kafka: EventlogKafka, struck: dict[Deviation, str]) -> Iterator[Line]:
    """Each batch that came and what it was answered, what readers were given, faults and leaders, in order."""
    sightings = kafka.door.sightings
    assert sightings is not None
    told: list[tuple[int, int, int, bool, str]] = []
    known: dict[Any, None] = {}
    began_ms = min(
        [*[each.at_ms for each in sightings.produced], *[each.at_ms for each in sightings.fetched]], default=0
    )
    for produced in sightings.produced:
        told.append((produced.position, produced.number, produced.at_ms, False, _told_batch(produced, known)))
        if produced.error is not None:
            answered = (produced.answered_at, produced.answered_number, produced.answered_ms)
            told.append((*answered, False, _told_answer(produced)))
    told += [(each.position, each.number, each.at_ms, False, _told_fetch(each)) for each in sightings.fetched]
    leaders: dict[tuple[str, int], int] = {}
    for place, row in enumerate(kafka.cluster.recorder.history.rows):
        if isinstance(row, rows.Fault):
            where = f" of {row.target}" if row.target else ""
            about = f" ({row.event.removeprefix('at the door: ')})" if row.event.startswith("at the door: ") else ""
            told.append((place, BEHIND, row.at_ms, True, f"FAULT {row.fault}{where}{about}"))
        elif isinstance(row, rows.LeaderChanged):
            name = (row.topic, row.partition)
            if leaders.get(name, row.leader) != row.leader:
                who = f"broker {row.leader} leads" if row.leader >= 0 else "nobody leads"
                told.append((place, BEHIND, row.at_ms, True, f"{who} {row.topic}-{row.partition} from now on"))
            leaders[name] = row.leader
    for _, _, at_ms, is_important, text in sorted(told, key=lambda each: each[:2]):
        yield is_important, f"{max(0, at_ms - began_ms):>8}  {text}"


def _told_batch(produced: Produced, known: dict[Any, None]) -> str:
    batch = produced.batch
    who = batch.records[57:] if batch.producer_id < 0 and isinstance(batch.records, bytes) else None
    identity = (produced.topic_partition, batch.producer_id, batch.producer_epoch, batch.base_sequence, who)
    again = " again" if identity in known else ""
    known[identity] = None
    count = f"{batch.record_count} record{'s' if batch.record_count > 1 else ''}"
    whose = (
        f"producer id {batch.producer_id}, sequence {batch.base_sequence}"
        if batch.producer_id >= 0
        else "no producer id"
    )
    asks = "" if produced.acks else ", acks=0"
    return (
        f"{produced.client_id} > broker-{produced.broker_id}: Produce {produced.topic_partition}, {count}{again} "
        f"({whose}{asks})"
    )


def _told_answer(produced: Produced) -> str:
    told = (
        f"at offset {produced.base_offset}"
        if produced.error is ErrorCode.NONE
        else str(getattr(produced.error, "name", ""))
    )
    return f"{produced.client_id} < broker-{produced.broker_id}: {produced.topic_partition} {told}"


def _told_fetch(fetched: Fetched) -> str:
    count = sum(batch.record_count for batch in fetched.batches)
    return f"{fetched.client_id} < reads {fetched.topic_partition} from {fetched.fetch_offset}: {count} records"
