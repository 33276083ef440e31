"""From a trace to rows: which events are worth a step, what each says, and which of them are one step together."""

from __future__ import annotations

import re
from typing import Final

from eventlog.check.history import Refused
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Connection, Disconnected, Envelope, Timer
from eventlog.messages.broker_api import FetchReply, ProducePartitionReply, ProduceReply, ProduceRequest
from eventlog.messages.controller_api import FetchMetadataReply, PartitionRecord
from eventlog.messages.user_api import SendsResolved
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Ended, Event
from eventlog.values import FAULTS, RecordBatch, TopicPartition
from eventlog.views.film import Film, Frame
from eventlog.views.sheet import (
    AGAIN,
    ARROW,
    BAD,
    BAND,
    FAULT,
    GOOD,
    LATE,
    LOST,
    NOTE,
    PLAIN,
    SOLID,
    Names,
    Row,
    span_text,
    value_text,
)
from eventlog.views.why import why_answered

NONE = ErrorCode.NONE
Asked = tuple[Connection, int]
_PRODUCES = re.compile(r"^(?:answer: )?(\S+) produces (\S+) @(-?\d+) try (\d+)$")

ENDINGS: Final = {
    "restart": "starts again",
    "stop": "has stopped in order",
    "resume": "wakes up",
    "rejoin": "is reachable again",
    "heal": "healed",
}
STRUCK: Final = {
    "crash": "crashes; its disk is kept",
    "crash_losing_tail": "crashes and loses what was not flushed",
    "crash_wiped": "crashes and loses its disk",
    "pause": "stands still",
    "isolate": "is cut off from the other brokers and the controller",
    "clean_restart": "stops in order and starts again",
    "append_fails": "has a disk that refuses the next batch",
    "error_after_append": "writes the batch, and answers with an error all the same",
    "stuck_fetcher": "lives, but fetches nothing",
    "slow_follower": "fetches late",
    "client_timeout": "gives up waiting",
}


class Reading:
    """One pass over a trace. `film` may be missing: then a reason says less."""

    def __init__(
        self, events: list[Event], film: Film | None, about: TopicPartition | None, with_replication: bool
    ) -> None:
        self.events = events
        self.film = film
        self.about = about
        self.with_replication = with_replication
        self.names = Names()
        self.written: dict[TopicPartition, int] = {}
        self.rows: list[Row] = []
        self._requests: dict[Asked, tuple[int, Envelope]] = {}
        self._tries: dict[tuple[str, TopicPartition, int], int] = {}
        self._said: dict[tuple[str, str, int], str] = {}
        self._held: dict[tuple[str, str, int, int], None] = {}
        self._refused: dict[str, str] = {}
        self._answered: dict[Asked, None] = {}
        self._told_metadata: dict[str, int] = {}
        self._partitions: dict[TopicPartition, None] = {}
        self._is_drawing = False

    def read(self, start: int, end: int) -> list[Row]:
        """The rows of events `start` to `end`; those before tell only who is who."""
        for index in range(end):
            self._is_drawing = index >= start
            _, at_ms, what = self.events[index]
            if isinstance(what, Deviation):
                self._fault(index, at_ms, what)
            elif isinstance(what, Ended):
                self._ended(index, at_ms, what)
            else:
                self._envelope(index, at_ms, what)
        return self.rows

    def _add(self, row: Row) -> None:
        if self._is_drawing:
            self.rows.append(row)

    # --- messages -------------------------------------------------------------------------------------------------

    def _envelope(self, index: int, at_ms: int, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, ProduceRequest):
            self._produce(index, at_ms, envelope, message)
        elif isinstance(message, ProduceReply):
            self._answer(index, at_ms, envelope, message)
        elif isinstance(message, SendsResolved):
            self._resolved(index, at_ms, envelope, message)
        elif isinstance(message, FetchReply):
            self._fetched(index, at_ms, envelope, message)
        elif isinstance(message, FetchMetadataReply):
            self._metadata(index, at_ms, envelope, message)
        elif isinstance(message, Timer):
            if message.name.startswith("request broker-"):
                broker = message.name.removeprefix("request ")
                label = f"no answer from {broker} in time"
                self._add(Row(NOTE, at_ms, "", (envelope.source,), label, tone=BAD, event=index, is_important=True))
        elif isinstance(message, Disconnected) and envelope.connection.purpose == "produce":
            self._disconnected(index, at_ms, envelope, message)

    def _concerns(self, topic_partition: TopicPartition) -> bool:
        return self.about is None or self.about == topic_partition

    def _produce(self, index: int, at_ms: int, envelope: Envelope, request: ProduceRequest) -> None:
        asked = (envelope.connection, envelope.correlation_id)
        is_second = asked in self._requests
        self._requests[asked] = (index, envelope)
        said, tries, late, end = [], 0, False, (PLAIN, "")
        for wanted in request.partitions:
            batch = wanted.batch
            if not isinstance(batch, RecordBatch):
                continue
            self.names.note(envelope.source, batch)
            if not self._concerns(wanted.topic_partition):
                continue
            self.written[wanted.topic_partition] = self.written.get(wanted.topic_partition, 0) + 1
            key = (envelope.source, wanted.topic_partition, wanted.first_record)
            newest = self._tries.get(key, -1)
            named = (envelope.source, str(wanted.topic_partition), wanted.first_record)
            late = late or wanted.attempt < newest or (*named, wanted.attempt) in self._held
            self._tries[key] = max(newest, wanted.attempt)
            tries = max(tries, wanted.attempt)
            text = self._batch_text(envelope.source, batch)
            self._said[named] = text
            said.append(text)
            if late:
                end = self._unheard(index, at_ms, envelope, wanted.topic_partition, batch)
        if not said:
            return
        style = LATE if late else AGAIN if tries or is_second else SOLID
        mark = {LATE: " (the late one)", AGAIN: " again"}.get(style, "")
        what = "a copy of " if is_second and not tries else ""
        row = Row(ARROW, at_ms, envelope.source, (envelope.destination,), f"{what}{', '.join(said)}{mark}", style)
        self._add(row._replace(tone=end[0], why=end[1], event=index, is_important=style != SOLID))

    def _unheard(
        self, index: int, at_ms: int, envelope: Envelope, topic_partition: TopicPartition, batch: RecordBatch
    ) -> tuple[str, str]:
        """What becomes of a late batch, whose answer nobody waits for: tone and sentence."""
        if self.film is None or not self._is_drawing:
            return PLAIN, ""
        broker = envelope.destination
        before = self._frame(index, broker, topic_partition)
        for refused in self.film.cluster.recorder.history:
            if isinstance(refused, Refused) and refused.at_ms == at_ms and refused[4:7] == batch[2:5]:
                reply = ProducePartitionReply(topic_partition, ErrorCode[refused.error])
                return BAD, f"refused, {refused.error}: {why_answered(broker, batch, reply, before, before)}"
        after = self._frame(index + 1, broker, topic_partition)
        if before is not None and after is not None and len(after.batches) == len(before.batches):
            written = before.find_batch(*batch[2:5])
            if written is not None:
                reply = ProducePartitionReply(topic_partition, NONE, written.base_offset, 0)
                return GOOD, f"DUPLICATE: {why_answered(broker, batch, reply, before, before)}; nobody waits for the answer"
        return PLAIN, ""

    def _batch_text(self, writer: str, batch: RecordBatch) -> str:
        what = self._values(batch)
        if batch.producer_id < 0:
            return what
        epoch = self.names.shown_epoch(writer, batch.producer_epoch)
        said = f", epoch {epoch}" if epoch >= 0 else ""
        return f"{what} · seq {span_text(batch.base_sequence, batch.last_sequence)}{said}"

    def _answer(self, index: int, at_ms: int, envelope: Envelope, message: ProduceReply) -> None:
        asked = (envelope.connection, envelope.correlation_id)
        is_second = asked in self._answered
        self._answered[asked] = None
        request_index, request = self._requests.get(asked, (index, None))
        for reply in message.partitions:
            if not self._concerns(reply.topic_partition):
                continue
            batch = self._batch_of(request, reply.topic_partition)
            before = self._frame(request_index, envelope.source, reply.topic_partition)
            after = self._frame(index, envelope.source, reply.topic_partition)
            why = why_answered(envelope.source, batch, reply, before, after)
            is_duplicate = reply.error is NONE and reply.log_append_time_ms >= 0
            said = self._values(batch) if batch is not None else self._refused.pop(envelope.source, "")
            what = f"{said}: " if said else ""
            if reply.error is not NONE:
                label, tone = f"{what}refused, {reply.error.name}", BAD
            elif is_duplicate:
                label, tone = f"{what}DUPLICATE, offset {reply.base_offset}", GOOD
            else:
                label, tone = f"{what}ok, offset {reply.base_offset}", GOOD
            style = AGAIN if is_duplicate or is_second else SOLID
            row = Row(ARROW, at_ms, envelope.source, (envelope.destination,), label, style, tone, why, event=index)
            self._add(row._replace(is_important=is_duplicate or reply.error is not NONE))

    @staticmethod
    def _batch_of(request: Envelope | None, topic_partition: TopicPartition) -> RecordBatch | None:
        for wanted in () if request is None else request.message.partitions:
            if wanted.topic_partition == topic_partition and isinstance(wanted.batch, RecordBatch):
                return wanted.batch
        return None

    def _frame(self, index: int, broker: str, topic_partition: TopicPartition) -> Frame | None:
        if self.film is None or not self._is_drawing:
            return None
        return self.film.find_frame(index, int(broker.removeprefix("broker-")), topic_partition)

    def _resolved(self, index: int, at_ms: int, envelope: Envelope, message: SendsResolved) -> None:
        if not self._concerns(message.topic_partition) or not self._is_drawing:
            return
        first, last = message.records[0], message.records[-1]
        what = value_text(first.value) + (f" to {value_text(last.value)}" if last is not first else "")
        if message.error is NONE:
            where = f"at offset {message.base_offset}" if message.base_offset >= 0 else "at an unknown offset"
            told, tone = f"{what} is acknowledged {where}", GOOD
        else:
            told, tone = f"{what} failed: {message.error.name}", BAD
        last_row = self.rows[-1] if self.rows else None
        if last_row is not None and last_row.kind == ARROW and envelope.source in last_row.targets:
            both = f"{last_row.told}; {told}" if last_row.told else told
            self.rows[-1] = last_row._replace(told=both, events=last_row.events + 1)
            return
        self._add(Row(NOTE, at_ms, "", (envelope.source,), told, tone=tone, event=index, is_important=tone == BAD))

    def _fetched(self, index: int, at_ms: int, envelope: Envelope, message: FetchReply) -> None:
        for reply in message.partitions:
            if not self._concerns(reply.topic_partition) or not envelope.destination.startswith("broker-"):
                continue
            if reply.diverging_epoch >= 0:
                label = f"your log parts from mine at offset {reply.diverging_end_offset}"
                why = f"{envelope.destination} cuts off what it has from there on"
                row = Row(ARROW, at_ms, envelope.source, (envelope.destination,), label, tone=BAD, why=why, event=index)
                self._add(row._replace(is_important=True))
            elif reply.batches and self.with_replication:
                said = [self._values(batch) for batch in reply.batches]
                label = f"copies {', '.join(said[:3])}{f' and {len(said) - 3} more' if len(said) > 3 else ''}"
                row = Row(ARROW, at_ms, envelope.source, (envelope.destination,), label, event=index)
                last = self.rows[-1] if self.rows else None
                if last is not None and last.label == label and last.source == envelope.source:
                    self.rows[-1] = last._replace(targets=(*last.targets, *row.targets), events=last.events + 1)
                else:
                    self._add(row)

    @staticmethod
    def _values(batch: RecordBatch) -> str:
        if isinstance(batch.records, bytes) or not batch.records:
            return f"{batch.record_count} records"
        first, last = batch.records[0], batch.records[-1]
        return value_text(first.value) + (f" to {value_text(last.value)}" if len(batch.records) > 1 else "")

    def _metadata(self, index: int, at_ms: int, envelope: Envelope, message: FetchMetadataReply) -> None:
        changes = {record.topic_partition: record for record in message.records if isinstance(record, PartitionRecord)}
        self._partitions.update(dict.fromkeys(changes))
        for record in changes.values():
            if not self._concerns(record.topic_partition):
                continue
            key = str(record)
            if not self._is_drawing:
                continue
            place = self._told_metadata.get(key, -1)
            if place >= 0:
                row = self.rows[place]
                self.rows[place] = row._replace(targets=(*row.targets, envelope.destination), events=row.events + 1)
                continue
            in_sync = ", ".join(map(str, record.in_sync_replicas)) or "nobody"
            who = "nobody leads" if record.leader_id < 0 else f"broker-{record.leader_id} leads"
            where = f"{record.topic_partition}: " if self.about is None and len(self._partitions) > 1 else ""
            label = f"{where}{who} · leader_epoch {record.leader_epoch} · in sync {in_sync}"
            self._told_metadata[key] = len(self.rows)
            row = Row(BAND, at_ms, CONTROLLER, (envelope.destination,), label, event=index, is_important=True)
            self._add(row)

    def _disconnected(self, index: int, at_ms: int, envelope: Envelope, message: Disconnected) -> None:
        client = envelope.connection.client
        if envelope.source == client:
            last = self.rows[-1] if self.rows else None
            label = "gives the connection up"
            if last is not None and last.kind == NOTE and last.targets == (client,) and last.label.startswith("no ans"):
                self.rows[-1] = last._replace(label=f"{last.label}: {label}", events=last.events + 1)
            elif not self._is_late_goodbye(client):
                self._add(Row(NOTE, at_ms, "", (client,), label, event=index))
            return
        text = "refused: nobody listens there" if message.refused else "lost"
        label = f"connection to {envelope.connection.server} {text}"
        last = self.rows[-1] if self.rows else None
        if last is not None and last.kind == NOTE and last.label.split(" ×")[0] == label:
            times = int(last.label.partition(" ×")[2] or 1) + 1
            self.rows[-1] = last._replace(label=f"{label} ×{times}", events=last.events + 1)
        else:
            self._add(Row(NOTE, at_ms, "", (client,), label, tone=BAD, event=index))

    def _is_late_goodbye(self, client: str) -> bool:
        """The end of a connection that was given up long ago arrives behind what was late on it."""
        return bool(self.rows) and self.rows[-1].style == LATE and self.rows[-1].source == client

    # --- faults ---------------------------------------------------------------------------------------------------

    def _fault(self, index: int, at_ms: int, deviation: Deviation) -> None:
        _, _, fault, target, _ = deviation
        what = FAULTS[fault].what
        source, _, destination = target.partition(">")
        named = _PRODUCES.match(deviation.event)
        base = Row(FAULT, at_ms, "", (), "", fault=fault, tone=BAD, why=what, event=index, is_important=True)
        if fault in ("request_lost", "reply_lost", "delay", "append_fails") and named is not None:
            client, topic_partition, first_record, attempt = named.groups()
            key = (client, topic_partition, int(first_record))
            said = self._said.get(key) or self._said_later(index, key, fault == "request_lost")
            if fault == "delay":
                self._held[(*key, int(attempt))] = None
                self._add(base._replace(source=source, targets=(destination,), label=f"{said} is held up on the way"))
                return
            if fault == "append_fails":
                source, destination = client, target
                self._refused[target] = said.partition(" · ")[0]
            elif deviation.event.startswith("answer: "):
                said = self._answers_lost(index, key, int(attempt), said.partition(" · ")[0])
            style = SOLID if fault == "append_fails" else LOST
            self._add(base._replace(kind=ARROW, source=source, targets=(destination,), label=said, style=style))
            return
        if "<>" in target:
            first, _, second = target.partition("<>")
            self._add(base._replace(targets=(first, second), label=f"nothing passes between {first} and {second}"))
        elif target.startswith("broker-") and ">" not in target:
            self._add(base._replace(targets=(target,), label=f"{target} {STRUCK.get(fault, fault)}"))
        else:
            self._add(base._replace(label=f"{fault.replace('_', ' ')}: {target.replace('>', ' to ')}"))

    def _answers_lost(self, index: int, key: tuple[str, str, int], attempt: int, first: str) -> str:
        """A lost answer takes all behind it along: those to what stands on that connection and is never answered."""
        client, topic_partition, first_record = key
        asked = [(place, what) for place, (_, _, what) in enumerate(self.events) if _is_produce(what, client)]
        struck = None
        for place, envelope in asked:
            for wanted in envelope.message.partitions:
                is_it = str(wanted.topic_partition) == topic_partition and wanted.first_record == first_record
                if is_it and wanted.attempt == attempt and place <= index:
                    struck = envelope
        if struck is None:
            return f"the answer to {first}"
        behind = [
            self._values(batch)
            for _, envelope in asked
            if envelope.connection == struck.connection and envelope.correlation_id > struck.correlation_id
            for wanted in envelope.message.partitions
            if str(wanted.topic_partition) == topic_partition and isinstance(batch := wanted.batch, RecordBatch)
        ]
        return f"the answers to {first} to {behind[-1]}" if behind else f"the answer to {first}"

    def _said_later(self, index: int, key: tuple[str, str, int], with_those_behind: bool) -> str:
        """What was struck before it arrived, and what was behind it on its connection: their next tries tell."""
        client, topic_partition, first_record = key
        said: dict[int, RecordBatch] = {}
        for _, _, what in self.events[index:]:
            if isinstance(what, Envelope) and isinstance(what.message, ProduceRequest) and what.source == client:
                for wanted in what.message.partitions:
                    is_there = str(wanted.topic_partition) == topic_partition and isinstance(wanted.batch, RecordBatch)
                    if is_there and wanted.attempt and wanted.first_record >= first_record:
                        if (client, topic_partition, wanted.first_record) not in self._said:
                            said.setdefault(wanted.first_record, wanted.batch)  # type: ignore[arg-type]
                        continue
                    if is_there and wanted.first_record == first_record:
                        return self._batch_text(client, wanted.batch)  # type: ignore[arg-type]
                if len(said) and not any(wanted.attempt for wanted in what.message.partitions):
                    break
        batches = [said[first] for first in sorted(said)][: None if with_those_behind else 1]
        if not batches:
            return "a batch"
        if len(batches) == 1:
            return self._batch_text(client, batches[0])
        names = f"{self._values(batches[0]).split(' to ')[0]} to {self._values(batches[-1]).split(' to ')[-1]}"
        if batches[0].producer_id < 0:
            return names
        return f"{names} · seq {span_text(batches[0].base_sequence, batches[-1].last_sequence)}"

    def _ended(self, index: int, at_ms: int, ended: Ended) -> None:
        what, targets = ended[0], ended[1]
        name = " ".join(targets)
        brokers = tuple([target for target in targets if target.startswith("broker-") and "-broker" not in target])
        if what == "heal one way":
            label, brokers = f"healed: {' to '.join(targets)}", ()
        elif what == "heal" or not brokers:
            label = f"healed: {name.replace('-broker', ' and broker')}"
            brokers = ()
        else:
            label = f"{name} {ENDINGS.get(what, f'is over: {what}')}"
        self._add(Row(FAULT, at_ms, "", brokers, label, tone=PLAIN, fault=what, event=index, is_important=True))


def _is_produce(what: object, client: str) -> bool:
    return isinstance(what, Envelope) and what.source == client and isinstance(what.message, ProduceRequest)
