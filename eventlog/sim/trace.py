"""The trace as text: JSON lines, a digest, a sentence for each event, and the ladder.

The ladder has a column for each machine, time runs down, an arrow is a message that arrived. It is made for a person,
so only what tells the story is drawn: produce, its answer, replication, elections and faults.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Disconnected, Envelope, Timer
from eventlog.messages.broker_api import FetchReply, FetchRequest, InitProducerIdReply, ProduceReply, ProduceRequest
from eventlog.messages.controller_api import FetchMetadataReply, PartitionRecord
from eventlog.messages.user_api import USER, SendsResolved
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Ended, Event
from eventlog.values import FAULTS, RecordBatch, Unreadable

NONE = ErrorCode.NONE


def trace_lines(events: Iterable[Event]) -> Iterator[str]:
    """The trace as JSON lines: number, time, and the whole of what happened."""
    for number, at_ms, what in events:
        if isinstance(what, Envelope):
            connection = what.connection
            row: dict[str, Any] = {
                "event": number,
                "at_ms": at_ms,
                "from": what.source,
                "to": what.destination,
                "connection": f"{connection.purpose} {connection.number}" if connection.client else "",
                "kind": type(what.message).__name__,
                "message": repr(what.message),
            }
        elif isinstance(what, Deviation):
            row = {"event": number, "at_ms": at_ms, "fault": what.fault, "deviation": list(what)}
        else:
            row = {"event": number, "at_ms": at_ms, "fault_ended": what[0], "targets": list(what[1])}
        yield json.dumps(row, separators=(",", ":"))


def trace_digest(events: Iterable[Event]) -> str:
    """SHA-256 over every event with all it contains; equal runs have equal digests on every machine."""
    digest = sha256()
    for number, at_ms, what in events:
        digest.update(f"{number} {at_ms} {what!r}\n".encode())
    return digest.hexdigest()


def _batch_text(batch: RecordBatch | Unreadable, who: str = "") -> str:
    if isinstance(batch, Unreadable):
        return "unreadable bytes"
    last = batch.record_count - 1
    if batch.producer_id < 0:
        numbers = batch.records
        if isinstance(numbers, tuple) and numbers and numbers[0].send_number >= 0:
            first = numbers[0].send_number
            return f"records {first}..{first + last}" if last else f"record {first}"
        return f"{batch.record_count} records"
    span = f"{batch.base_sequence}..{batch.last_sequence}" if last else f"{batch.base_sequence}"
    return f"producer {batch.producer_id}/{batch.producer_epoch} sequence {span}"


_ENDINGS = {"restart": "starts again", "stop": "has stopped in order"}


def describe(what: Any) -> str:
    """One event in a sentence."""
    if isinstance(what, Deviation):
        return f"FAULT {what.fault} on {what.target}: {FAULTS[what.fault].what}"
    if isinstance(what, Ended):
        done, targets = what[0], " ".join(what[1])
        return f"{targets} {_ENDINGS[done]}" if done in _ENDINGS else f"over: {done} {targets}"
    source, destination, _, _, message = what
    who = f"{source} -> {destination}: "
    if isinstance(message, ProduceRequest):
        parts = [f"{wanted.topic_partition} {_batch_text(wanted.batch)}" for wanted in message.partitions]
        attempt = message.partitions[0].attempt
        return f"{who}produce {', '.join(parts)}" + (f" (try {attempt + 1})" if attempt else "")
    if isinstance(message, ProduceReply):
        return who + ", ".join([_reply_text(reply) for reply in message.partitions])
    if isinstance(message, FetchRequest):
        parts = [f"{wanted.topic_partition} from {wanted.fetch_offset}" for wanted in message.partitions]
        return f"{who}fetch {', '.join(parts)}"
    if isinstance(message, FetchReply):
        return who + ", ".join([_fetched_text(reply) for reply in message.partitions])
    if isinstance(message, FetchMetadataReply):
        # Who was away hears of every change at once; the last one of a partition is what counts.
        changes = {record.topic_partition: record for record in message.records if isinstance(record, PartitionRecord)}
        parts = [
            f"{record.topic_partition} led by {_leader(record.leader_id)} in epoch {record.leader_epoch}, "
            f"in sync {list(record.in_sync_replicas)}"
            + (f", eligible {list(record.eligible_leader_replicas)}" if record.eligible_leader_replicas else "")
            for record in changes.values()
        ]
        return f"{who}metadata{': ' if parts else ''}{'; '.join(parts)}"
    if isinstance(message, SendsResolved):
        if message.error is NONE:
            where = f"at {message.base_offset}" if message.base_offset >= 0 else "without an offset"
            return f"{who}{len(message.records)} acknowledged {where}"
        return f"{who}{len(message.records)} failed: {message.error.name}"
    if isinstance(message, Timer):
        if message.name.startswith("request broker-"):
            return f"{source}: no answer from {message.name.removeprefix('request ')} in time"
        return f"{source}: timer {message.name!r} runs out"
    if isinstance(message, Disconnected):
        if source == what.connection.client:
            return f"{who}gives the connection up"
        return f"{who}{'connection refused' if message.refused else 'connection lost'}"
    if isinstance(message, InitProducerIdReply):
        got = f"producer id {message.producer_id}" if message.error is NONE else message.error.name
        return f"{who}{got}"
    return f"{who}{type(message).__name__}"


def _leader(leader_id: int) -> str:
    return "nobody" if leader_id < 0 else f"broker-{leader_id}"


def _reply_text(reply: Any) -> str:
    if reply.error is not NONE:
        return f"{reply.topic_partition} {reply.error.name}"
    if reply.log_append_time_ms >= 0:
        return f"{reply.topic_partition} DUPLICATE, it is at {reply.base_offset} already"
    return f"{reply.topic_partition} written at {reply.base_offset}"


def _fetched_text(reply: Any) -> str:
    if reply.error is not NONE:
        return f"{reply.topic_partition} {reply.error.name}"
    if reply.diverging_epoch >= 0:
        return f"{reply.topic_partition} your log parts from mine at {reply.diverging_end_offset}"
    if not reply.batches:
        return f"{reply.topic_partition} high watermark {reply.high_watermark}"
    first, last = reply.batches[0], reply.batches[-1]
    return f"{reply.topic_partition} {first.base_offset}..{last.last_offset}, high watermark {reply.high_watermark}"


_STORY = (ProduceRequest, ProduceReply, FetchReply, FetchMetadataReply, SendsResolved, Disconnected)


def is_of_the_story(what: Any, with_replication: bool = False) -> bool:
    """Is this event worth a line to a person?"""
    if not isinstance(what, Envelope):
        return True
    message = what.message
    if isinstance(message, FetchReply):
        diverges = any(reply.diverging_epoch >= 0 for reply in message.partitions)
        return diverges or (with_replication and any(reply.batches for reply in message.partitions))
    if isinstance(message, FetchMetadataReply):
        return any(isinstance(record, PartitionRecord) for record in message.records)
    if isinstance(message, Disconnected):
        return what.connection.purpose == "produce"
    if isinstance(message, Timer):
        return message.name.startswith("request broker-")
    return isinstance(message, _STORY)


def ladder(events: Iterable[Event], actors: tuple[str, ...], start_ms: int, width: int = 24) -> str:
    """The text picture: a column for each of `actors`, an arrow for each message between two of them.

    Times are milliseconds after `start_ms`. Lines are as wide as they need to be: about 12 + width * actors.
    """
    column = {actor: index for index, actor in enumerate(actors)}
    centre = {actor: 10 + index * width + width // 2 for actor, index in column.items()}
    total = 10 + width * len(actors)
    lines = [" " * 10 + "".join([actor.center(width) for actor in actors])]
    explained: dict[str, None] = {}
    for _, at_ms, what in events:
        stamp = f"{at_ms - start_ms:>8}  "
        if not isinstance(what, Envelope):
            text = describe(what)
            if isinstance(what, Deviation):
                if what.fault in explained:
                    text = text.partition(": ")[0]
                explained[what.fault] = None
            lines.append(f"{stamp}{text}")
            continue
        source, destination = what.source, what.destination
        text = describe(what).split(": ", 1)[-1]
        if destination == USER or source == destination or source not in column or destination not in column:
            line = _rails(centre, total)
            place = centre.get(source if source in column else destination, 10)
            lines.append(stamp + _overlay(line, place - 10, f"● {text}").rstrip())
            continue
        low, high = sorted((centre[source], centre[destination]))
        span = high - low - 1
        label = f" {text} " if len(text) + 2 <= span else ""
        body = label.center(span, "─")
        arrow = body[:-1] + "▶" if centre[source] < centre[destination] else "◀" + body[1:]
        line = _overlay(_rails(centre, total), low - 10 + 1, arrow)
        lines.append(stamp + (line.rstrip() if label else f"{line.rstrip()}  {text}"))
    return "\n".join(lines)


def _rails(centre: dict[str, int], total: int) -> str:
    line = [" "] * (total - 10)
    for place in centre.values():
        line[place - 10] = "│"
    return "".join(line)


def _overlay(line: str, at: int, text: str) -> str:
    return line[:at] + text + line[at + len(text) :]


def story_actors(events: Iterable[Event]) -> tuple[str, ...]:
    """The machines that take part, clients first, then brokers by name."""
    found: dict[str, None] = {}
    for _, _, what in events:
        if isinstance(what, Envelope):
            for name in (what.source, what.destination):
                if name not in (USER, CONTROLLER, "network", "admin"):
                    found[name] = None
    clients = [name for name in found if not name.startswith("broker-")]
    return (*clients, *sorted([name for name in found if name.startswith("broker-")]))
