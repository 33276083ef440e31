"""What a run leaves behind: the trace (every event) and the history (what the checker judges).

Recording keeps references and formats nothing; text, JSON and digests are made when somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog.check import history as rows
from eventlog.check.history import History
from eventlog.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.messages import NO_CONNECTION, Envelope
from eventlog.messages.broker_api import FetchReply, ListOffsetsReply, ProduceReply
from eventlog.messages.controller_api import PartitionRecord
from eventlog.messages.user_api import USER, Assign, Polled, Seek, Send, SendRefused, SendsResolved
from eventlog.sim.faults import Deviation
from eventlog.values import Record, RecordBatch, TopicPartition

NONE = ErrorCode.NONE

Event = tuple[int, int, Any]


class Ended(tuple[str, tuple[str, ...]]):
    """(what, on which machines): a fault is over. A type of its own, so that a trace can tell it apart."""

    __slots__ = ()


class SendRun:
    """Records sent by one producer to one place at one moment, in a row: kept as they are until somebody wants to see
    their events. Three tuples for each would make a send half as slow again, by garbage collection alone."""

    __slots__ = ("at_ms", "event_number", "next_event_number", "partition", "producer", "records", "topic")

    def __init__(self, event_number: int, at_ms: int, producer: str, topic: str, partition: int) -> None:
        self.event_number = event_number
        self.next_event_number = event_number
        self.at_ms = at_ms
        self.producer = producer
        self.topic = topic
        self.partition = partition
        self.records: list[Record] = []

    def events(self) -> list[Event]:
        return [
            (
                number,
                self.at_ms,
                Envelope(USER, self.producer, NO_CONNECTION, 0, Send(self.topic, self.partition, record)),
            )
            for number, record in enumerate(self.records, self.event_number)
        ]

    def rows(self) -> list[rows.Sent]:
        return [
            rows.Sent(self.at_ms, self.producer, record.send_number, self.topic, self.partition)
            for record in self.records
        ]


class Recorder:
    """What happened, in order. Both views are brought up to now when they are asked for:

    `events`: (event number, at_ms, Envelope | Deviation | Ended); `history`: the checker's rows.
    """

    __slots__ = (
        "_assigned",
        "_events",
        "_history",
        "_new_events",
        "_new_rows",
        "_note",
        "_run",
        "_seen_records",
        "duplicates_recognised",
        "failovers",
        "leaders",
    )

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._new_events: list[Event | SendRun] = []
        self._history = History()
        self._new_rows: list[rows.Row | SendRun] = []
        self._note: Callable[[rows.Row | SendRun], None] = self._new_rows.append
        # The run that the next send may join; None when something else happened, or somebody looked.
        self._run: SendRun | None = None
        self.duplicates_recognised = 0
        self.failovers = 0
        self.leaders: dict[TopicPartition, int] = {}
        self._seen_records = 0
        self._assigned: dict[str, tuple[TopicPartition, ...]] = {}

    @property
    def events(self) -> list[Event]:
        """The trace up to now. O(what happened since the last look)."""
        self._run = None
        for new in self._new_events:
            if isinstance(new, SendRun):
                self._events += new.events()
            else:
                self._events.append(new)
        self._new_events.clear()
        return self._events

    @property
    def history(self) -> History:
        """The checker's rows up to now. O(what happened since the last look)."""
        self._run = None
        history = self._history
        for new in self._new_rows:
            if isinstance(new, SendRun):
                for row in new.rows():
                    history.append(row)
            else:
                history.append(new)
        self._new_rows.clear()
        return history

    def _happened(self, event: Event) -> None:
        self._run = None
        self._new_events.append(event)

    def sent(self, event_number: int, now_ms: int, producer: str, topic: str, partition: int, record: Record) -> None:
        """A user's send reached its producer."""
        run = self._run
        if (
            run is None
            or run.next_event_number != event_number
            or run.at_ms != now_ms
            or run.partition != partition
            or run.topic != topic
            or run.producer != producer
        ):
            run = self._run = SendRun(event_number, now_ms, producer, topic, partition)
            self._new_events.append(run)
            self._note(run)
        run.records.append(record)
        run.next_event_number = event_number + 1

    def delivered(self, event_number: int, now_ms: int, envelope: Envelope) -> None:
        message = envelope[4]
        kind = message.__class__
        if kind is Send:
            self.sent(event_number, now_ms, envelope.destination, *message)
            return
        self._happened((event_number, now_ms, envelope))
        if kind is ProduceReply:
            for reply in message.partitions:
                if reply.log_append_time_ms >= 0 and reply.error is NONE:
                    self.duplicates_recognised += 1
        elif kind is Assign:
            # Positions of partitions that were assigned before are kept.
            before = self._assigned.get(envelope.destination, ())
            self._assigned[envelope.destination] = message.partitions
            for topic, partition in message.partitions:
                if (topic, partition) not in before:
                    self._note(rows.Assigned(now_ms, envelope.destination, topic, partition, -1))
        elif kind is ListOffsetsReply and envelope.destination in self._assigned:
            for reply in message.partitions:  # a reader looks up where to go on
                topic, partition = reply.topic_partition
                self._note(rows.Assigned(now_ms, envelope.destination, topic, partition, -1))
        elif kind is FetchReply and envelope.destination in self._assigned:
            for reply in message.partitions:
                if reply.diverging_epoch >= 0:  # the log was cut below where the reader stands: it goes on elsewhere
                    topic, partition = reply.topic_partition
                    self._note(rows.Assigned(now_ms, envelope.destination, topic, partition, -1))
        elif kind is Seek:
            topic, partition = message.topic_partition
            offset = message.offset if message.offset >= 0 else -1
            self._note(rows.Assigned(now_ms, envelope.destination, topic, partition, offset))

    def told_user(self, now_ms: int, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, SendsResolved):
            (topic, partition), records, base_offset, error, may_be_written, _, attempts, *_ = message
            numbers = tuple([record[4] for record in records])
            if error is NONE:
                row: rows.Row = rows.Acked(
                    now_ms,
                    envelope.source,
                    topic,
                    partition,
                    base_offset,
                    numbers,
                    message.producer_id,
                    message.producer_epoch,
                    message.base_sequence,
                    attempts,
                    message.is_implied,
                )
            else:
                row = rows.Failed(
                    now_ms, envelope.source, topic, partition, numbers, error.name, may_be_written, attempts
                )
            self._note(row)
        elif isinstance(message, SendRefused):
            numbers = (message.record.send_number,)
            self._note(
                rows.Failed(
                    now_ms, envelope.source, message.topic, message.partition, numbers, message.error.name, False, 0
                )
            )
        elif isinstance(message, Polled):
            by_partition: dict[TopicPartition, list[tuple[int, int, int]]] = {}
            for topic_partition, offset, leader_epoch, record in message.records:
                by_partition.setdefault(topic_partition, []).append((offset, leader_epoch, record.send_number))
            for (topic, partition), read in by_partition.items():
                self._note(rows.Read(now_ms, envelope.source, topic, partition, tuple(read)))
        self._happened((-1, now_ms, envelope))

    def controller_moved(self, now_ms: int, controller: Controller) -> None:
        """New metadata records: leaders and in-sync replicas go into the history."""
        log = controller.log
        while self._seen_records < len(log):
            record = log[self._seen_records]
            self._seen_records += 1
            if isinstance(record, PartitionRecord):
                (topic, partition), _, in_sync_replicas, leader, leader_epoch, _, eligible, *_ = record
                self._note(
                    rows.LeaderChanged(now_ms, topic, partition, leader, leader_epoch, in_sync_replicas, eligible)
                )
                before = self.leaders.get(record.topic_partition)
                if leader >= 0:
                    if before is not None and before != leader:
                        self.failovers += 1
                    self.leaders[record.topic_partition] = leader

    def fault(self, event_number: int, now_ms: int, deviation: Deviation) -> None:
        self._happened((event_number, now_ms, deviation))
        until_ms = now_ms + deviation.duration_ms if deviation.duration_ms > 0 else -1
        self._note(rows.Fault(now_ms, deviation.fault, deviation.target, deviation.event, until_ms))

    def fault_ended(self, event_number: int, now_ms: int, what: str, targets: tuple[str, ...]) -> None:
        self._happened((event_number, now_ms, Ended((what, targets))))
        if what in ("stop", "elect"):
            return  # a step of a fault, not its end
        name = {"restart": "restart", "resume": "resume"}.get(what, "heal")
        self._note(rows.Fault(now_ms, name, "-".join(targets), "", -1))

    def truncated(self, now_ms: int, broker_id: int, log: PartitionLog, was_end_offset: int) -> None:
        topic, partition = log.topic_partition
        self._note(rows.Truncated(now_ms, broker_id, topic, partition, log.log_end_offset, was_end_offset))

    def tail_lost(
        self, now_ms: int, broker_id: int, topic_partition: TopicPartition, from_offset: int, to_offset: int
    ) -> None:
        topic, partition = topic_partition
        self._note(rows.TailLost(now_ms, broker_id, topic, partition, from_offset, to_offset))

    def forgot(
        self,
        now_ms: int,
        broker_id: int,
        topic_partition: TopicPartition,
        why: str,
        producer_ids: tuple[int, ...],
        log_end_offset: int,
    ) -> None:
        topic, partition = topic_partition
        self._note(rows.Forgot(now_ms, broker_id, topic, partition, why, producer_ids, log_end_offset))

    def log_start_moved(self, now_ms: int, broker_id: int, log: PartitionLog, from_offset: int) -> None:
        topic, partition = log.topic_partition
        self._note(rows.LogStartMoved(now_ms, broker_id, topic, partition, from_offset, log.log_start_offset))

    def refused(self, now_ms: int, broker_id: int, batch: RecordBatch, reply: Any, log_end_offset: int) -> None:
        """A leader refuses a batch for its producer's sake."""
        topic, partition = reply.topic_partition
        self._note(
            rows.Refused(
                now_ms,
                broker_id,
                topic,
                partition,
                batch.producer_id,
                batch.producer_epoch,
                batch.base_sequence,
                batch.record_count,
                reply.error.name,
                log_end_offset,
            )
        )

    def log_contents(self, now_ms: int, broker_id: int, log: PartitionLog, is_leader: bool) -> None:
        """The whole of one replica, for the end of a history."""
        topic, partition = log.topic_partition
        self._note(
            rows.Log(
                now_ms,
                broker_id,
                topic,
                partition,
                is_leader,
                log.log_start_offset,
                log.high_watermark,
                log.log_end_offset,
                tuple([_log_batch(batch) for batch in log.read(0, log.log_end_offset, 2**62)]),
            )
        )

    def tail(self, count: int) -> list[str]:
        """The last `count` events as lines of text."""
        from eventlog.sim.trace import describe

        return [f"  {at_ms}  {describe(what)}" for _, at_ms, what in self.events[-count:]]


def _log_batch(batch: RecordBatch) -> rows.LogBatch:
    records = batch.records
    if isinstance(records, bytes):
        numbers: tuple[int, ...] = (-1,) * batch.record_count
    else:
        numbers = tuple([record.send_number for record in records])
    return (
        batch.base_offset,
        batch.leader_epoch,
        batch.producer_id,
        batch.producer_epoch,
        batch.base_sequence,
        numbers,
    )
