"""The main job: real events, written twice under the same faults, by a plain and by an idempotent writer, and judged.

`read_events` turns lines into events; `Job` says how they are written; `run` writes them once with one writer and
returns what became of them. The command line and the notebook both stand on it.

Faults are drawn by the name of what they strike (writer, partition, record, try), so both writers meet the same ones for
as long as they do the same things.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources
from typing import Any, Final, NamedTuple

from eventlog.check import Verdict
from eventlog.clients import Producer
from eventlog.cluster import Cluster
from eventlog.errors import FatalError, RequestError
from eventlog.messages import Envelope
from eventlog.messages.broker_api import ProduceReply, ProduceRequest
from eventlog.messages.user_api import ConsumedRecord
from eventlog.sim.faults import Deviation, FaultPlan, FaultRate, fault_plan
from eventlog.sim.literal import run_literal
from eventlog.sim.trace import is_of_the_story, ladder, story_actors
from eventlog.values import USUAL_FAULTS, RecordBatch

SAMPLE: Final = "departures"
SAMPLE_KEY: Final = "key"
SAMPLE_TIME: Final = "scheduled"
TOPIC: Final = "events"
WRITER: Final = "writer"
PLAIN: Final = "plain"
IDEMPOTENT: Final = "idempotent"
INTERVAL_MS: Final = 1_000
"""Time between events that carry no time of their own, before it is squeezed."""


class Event(NamedTuple):
    """`at_ms`: after the first event, not yet squeezed."""

    at_ms: int
    key: bytes | None
    value: bytes


class Events(NamedTuple):
    """What was read. `skipped` lines were broken and left out; `digest` tells two inputs apart."""

    events: tuple[Event, ...]
    skipped: int
    digest: str


def sample_lines() -> list[bytes]:
    """The bundled sample: 842 departures from New York on 1 January 2013, as JSON lines."""
    return resources.files("eventlog").joinpath("data/departures.jsonl").read_bytes().splitlines()


def read_events(
    lines: Iterable[bytes],
    key_field: str | None = None,
    time_field: str | None = None,
    skip_bad: bool = False,
    name: str = "the input",
) -> Events:
    """Events from JSON lines (when the first line is an object) or from plain lines, one each, blank ones left out.

    `key_field` and `time_field` name fields of JSON lines; a time is ISO 8601, or a number of seconds or milliseconds
    since 1970. Raises RequestError with the line's number and text; with `skip_bad` such lines are counted instead.
    """
    digest = sha256()
    found: list[tuple[int | None, bytes | None, bytes]] = []
    skipped = 0
    is_json: bool | None = None
    for number, line in enumerate(lines, 1):
        digest.update(line + b"\n")
        text = line.strip()
        if not text:
            continue
        if is_json is None:
            is_json = text.startswith(b"{") or key_field is not None or time_field is not None
        try:
            found.append(_read_line(text, is_json, key_field, time_field))
        except ValueError as error:
            if not skip_bad:
                shown = text[:80].decode("utf-8", "backslashreplace") + ("..." if len(text) > 80 else "")
                raise RequestError(f"{name}, line {number}: {error}: {shown}") from None
            skipped += 1
    if not found:
        raise RequestError(f"{name} has no events in it" + (f" ({skipped} broken lines)" if skipped else ""))
    times = [at_ms for at_ms, _, _ in found if at_ms is not None]
    start_ms = min(times) if times else 0
    events = [
        Event(index * INTERVAL_MS if at_ms is None else at_ms - start_ms, key, value)
        for index, (at_ms, key, value) in enumerate(found)
    ]
    events.sort(key=lambda event: event.at_ms)
    return Events(tuple(events), skipped, digest.hexdigest()[:16])


def _read_line(
    text: bytes, is_json: bool, key_field: str | None, time_field: str | None
) -> tuple[int | None, bytes | None, bytes]:
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"this is not UTF-8 (byte {error.start + 1})") from None
    if not is_json:
        return (None, None, text)
    try:
        value = json.loads(decoded)
    except (ValueError, RecursionError):
        raise ValueError("this is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("a JSON object was expected")
    key, at_ms = None, None
    if key_field is not None:
        if key_field not in value:
            raise ValueError(f"there is no field {key_field!r} for the key")
        held = value[key_field]
        key = None if held is None else (held if isinstance(held, str) else json.dumps(held)).encode()
    if time_field is not None:
        if time_field not in value:
            raise ValueError(f"there is no field {time_field!r} for the time")
        at_ms = _read_time(value[time_field], time_field)
    return (at_ms, key, text)


def _read_time(value: Any, field: str) -> int:
    if isinstance(value, str):
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"field {field!r} is no ISO 8601 time") from None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return round(when.timestamp() * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return round(value if abs(value) > 1e11 else value * 1000)
    raise ValueError(f"field {field!r} holds no time")


@dataclass(frozen=True, slots=True)
class Job:
    """How events are written. `acks` is the plain writer's; an idempotent one always waits for all."""

    source: str = SAMPLE
    digest: str = ""
    key_field: str | None = SAMPLE_KEY
    time_field: str | None = SAMPLE_TIME
    skip_bad: bool = False
    speed: float = 60.0
    faults: tuple[str, ...] = USUAL_FAULTS
    fault_scale: int = 1
    seed: int = 0
    brokers: int = 3
    partitions: int = 3
    acks: int = -1
    min_insync_replicas: int = 2
    max_in_flight: int = 5
    producer_snapshot_batches: int = 1
    unknown_producer_first_sequence: str = "any"
    behaves_like: str = "java"

    def check(self) -> None:
        """Raise RequestError where a setting is out of its range."""
        if not self.speed > 0 or self.speed > 1e9:
            raise RequestError(f"speed must be above 0 and at most 1e9, not {self.speed}")
        if not 1 <= self.partitions <= 1_000:
            raise RequestError(f"partitions must be from 1 to 1000, not {self.partitions}")
        if not 1 <= self.brokers <= 32:
            raise RequestError(f"brokers must be from 1 to 32, not {self.brokers}")
        if self.min_insync_replicas > min(3, self.brokers):
            raise RequestError(
                f"min_insync_replicas ({self.min_insync_replicas}) must be at most the {min(3, self.brokers)} replicas "
                "of a partition: else nothing can ever be acknowledged"
            )
        if self.acks not in (-1, 0, 1):
            raise RequestError(f"acks must be all, 0 or 1, not {self.acks}")
        self.plan()

    def plan(self) -> FaultPlan:
        return fault_plan(self.faults, self.fault_scale)


class Outcome(NamedTuple):
    """What became of one writer's events. `cluster` still holds its history and trace.

    `producers` are more than one where one was finished by an error, as librdkafka's can be: another went on.
    """

    writer: str
    cluster: Cluster
    producers: tuple[Producer, ...]
    verdict: Verdict
    virtual_ms: int
    literal: str

    @property
    def retries(self) -> int:
        return sum(producer.retries for producer in self.producers)

    @property
    def duplicates_recognised(self) -> int:
        return self.cluster.recorder.duplicates_recognised

    @property
    def failovers(self) -> int:
        return self.cluster.recorder.failovers

    @property
    def epoch_bumps(self) -> int:
        return sum(producer.epoch_bumps for producer in self.producers)

    def log(self) -> list[ConsumedRecord]:
        """The committed log, partition by partition."""
        return self.cluster.records(TOPIC)


def run(
    job: Job,
    events: tuple[Event, ...],
    writer: str = IDEMPOTENT,
    deviations: tuple[Deviation, ...] | None = None,
    progress: Callable[[int], None] | None = None,
    checks: str = "cheap",
    began: Callable[[Cluster], None] | None = None,
) -> Outcome:
    """Write `events` with one writer under the job's faults (or exactly `deviations`), recover, and judge.

    `progress` is told how many events were sent, now and then; `began` is given the cluster before anything is. O(events).
    """
    if writer not in (PLAIN, IDEMPOTENT):
        raise RequestError(f"a writer is {PLAIN!r} or {IDEMPOTENT!r}, not {writer!r}")
    job.check()
    cluster = Cluster(
        job.brokers,
        job.seed,
        faults=job.plan() if deviations is None else None,
        deviations=deviations,
        checks=checks,
        min_insync_replicas=job.min_insync_replicas,
        producer_snapshot_batches=job.producer_snapshot_batches,
        unknown_producer_first_sequence=job.unknown_producer_first_sequence,
    )
    if began is not None:
        began(cluster)
    is_idempotent = writer == IDEMPOTENT
    settings = {
        "enable_idempotence": is_idempotent,
        "acks": -1 if is_idempotent else job.acks,
        "max_in_flight": job.max_in_flight,
        "behaves_like": job.behaves_like,
    }
    producers = [cluster.producer(WRITER, **settings)]
    cluster.create_topic(TOPIC, job.partitions)
    start_ms = cluster.now_ms
    sent = 0
    for at_ms, key, value in events:
        due_ms = start_ms + round(at_ms / job.speed)
        if due_ms > cluster.now_ms:
            cluster.advance(due_ms - cluster.now_ms)
        try:
            producers[-1].send(TOPIC, value, key)
        except FatalError:
            producers.append(cluster.producer(f"{WRITER}-{len(producers) + 1}", **settings))
            producers[-1].send(TOPIC, value, key)
        sent += 1
        if progress is not None and sent % 20 == 0:
            progress(sent)
    cluster.recover()
    virtual_ms = cluster.now_ms - start_ms
    literal = literal_of(job, writer, cluster)
    verdict = cluster.check(literal=literal)
    if progress is not None:
        progress(sent)
    return Outcome(writer, cluster, tuple(producers), verdict, virtual_ms, literal)


def literal_of(job: Job, writer: str, cluster: Cluster) -> str:
    """The run as a literal that `eventlog replay` takes."""
    return run_literal({"writer": writer, **asdict(job)}, cluster.deviations)


def job_of(scenario: dict[str, Any]) -> tuple[Job, str]:
    """(job, writer) of a literal's scenario. Raises RequestError for one that is no job."""
    known = [field.name for field in fields(Job)]
    values = dict(scenario)
    writer = values.pop("writer", None)
    if writer not in (PLAIN, IDEMPOTENT) or "source" not in values:
        raise RequestError(
            "this literal is of a program's own cluster: replay it with Cluster(deviations=...) in there"
        )
    for name in values:
        if name not in known:
            raise RequestError(f"the literal has an unknown setting {name!r}; a job has: {', '.join(known)}")
    default = Job()
    for name, value in values.items():
        expected = getattr(default, name)
        if name in ("key_field", "time_field"):
            fits = value is None or isinstance(value, str)
        elif name == "faults":
            fits = isinstance(value, tuple | list) and all(isinstance(fault, str) for fault in value)
        elif name == "speed":
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            fits = type(value) is type(expected)
        if not fits:
            raise RequestError(f"the literal's setting {name!r} can't be {value!r}")
    if "faults" in values:
        values["faults"] = tuple(values["faults"])
    job = replace(default, **values)
    job.check()
    return job, str(writer)


def story(outcome: Outcome, lines: int = 40) -> str:
    """The ladder around the first duplicate: written (plain) or recognised (idempotent). Empty when there was none.

    Ends with a line that says where the event stands in the log.
    """
    events = outcome.cluster.recorder.events
    wanted = _first_repeated(outcome)
    if wanted is None:
        return ""
    topic_partition, send_number = wanted
    first = last = -1
    for index, (_, _, what) in enumerate(events):
        if isinstance(what, Envelope) and isinstance(what.message, ProduceRequest):
            for part in what.message.partitions:
                batch = part.batch
                records = batch.records if isinstance(batch, RecordBatch) else b""
                if part.topic_partition == topic_partition and isinstance(records, tuple):
                    if any(record.send_number == send_number for record in records):
                        first = index if first < 0 else first
                        last = index
    # The fault that began it may have struck something sent before on the same connection.
    causes = [index for index in range(last) if isinstance(events[index][2], Deviation)]
    about = [
        event
        for event in events[min([first, *causes[-1:]]) : last + 30]
        if is_of_the_story(event[2]) and _is_about(event[2], topic_partition)
    ]
    places = [found.offset for found in outcome.log() if found.record.send_number == send_number]
    noun = "offset" if len(places) == 1 else "offsets"
    ending = f"Event {send_number} stands in {topic_partition} at {noun} {' and '.join(map(str, sorted(places)))}."
    if len(about) > lines:
        left_out = len(about) - lines
        half = lines // 2
        head = ladder(about[:half], story_actors(about), events[0][1])
        tail = ladder(about[-half:], story_actors(about), events[0][1]).split("\n", 1)[1]
        return f"{head}\n          ... {left_out} events are left out ...\n{tail}\n{ending}"
    return f"{ladder(about, story_actors(about), events[0][1])}\n{ending}"


def _is_about(what: Any, topic_partition: Any) -> bool:
    if not isinstance(what, Envelope):
        return True
    message = what.message
    if isinstance(message, ProduceRequest | ProduceReply):
        return any(part.topic_partition == topic_partition for part in message.partitions)
    own = getattr(message, "topic_partition", None)
    return own is None or own == topic_partition


def _first_repeated(outcome: Outcome) -> tuple[Any, int] | None:
    if outcome.writer == PLAIN:
        seen: dict[int, None] = {}
        for known in sorted(outcome.log(), key=lambda record: (record.topic_partition, record.offset)):
            if known.record.send_number in seen:
                return (known.topic_partition, known.record.send_number)
            seen[known.record.send_number] = None
        return None
    log = {(record.topic_partition, record.offset): record.record.send_number for record in outcome.log()}
    for _, _, what in outcome.cluster.recorder.events:
        if isinstance(what, Envelope) and isinstance(what.message, ProduceReply):
            for reply in what.message.partitions:
                if reply.log_append_time_ms >= 0 and (reply.topic_partition, reply.base_offset) in log:
                    return (reply.topic_partition, log[(reply.topic_partition, reply.base_offset)])
    return None


def log_lines(outcome: Outcome) -> Iterator[str]:
    """The committed log as JSON lines."""
    for topic_partition, offset, leader_epoch, record in outcome.log():
        value = record.value or b""
        yield json.dumps(
            {
                "partition": topic_partition.partition,
                "offset": offset,
                "leader_epoch": leader_epoch,
                "event": record.send_number,
                "key": None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
                "value": value.decode("utf-8", "backslashreplace"),
            },
            separators=(",", ":"),
        )


__all__ = ["Event", "Events", "FaultRate", "Job", "Outcome", "read_events", "run", "sample_lines"]
