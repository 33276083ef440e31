"""A stage for one consumer engine: the test plays the brokers, step by step.

Metadata is answered by itself (unless switched off); fetches and look-ups of offsets wait in `out` until the test serves
them from `logs`, answers them otherwise, breaks their connection or lets time pass. With `thawing` the engine is frozen,
pickled and thawed after every step.
"""

from __future__ import annotations

import pickle
from typing import Any

from client_stage import START_MS, TP0, TP1, reply

from eventlog.client import ConsumerEngine
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, CloseConnection, Connection, Disconnected, Envelope, Timer
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    FetchPartitionReply,
    FetchReply,
    FetchRequest,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    MetadataReply,
    MetadataRequest,
    PartitionMetadata,
    TopicMetadata,
)
from eventlog.messages.user_api import Assign, CloseConsumer, Poll, Polled, Seek
from eventlog.values import ConsumerSettings, Record, RecordBatch, TopicPartition, placed, record_batch, with_settings

NONE = ErrorCode.NONE


def batch_of(base_offset: int, *values: str, leader_epoch: int = 0, **flags: Any) -> RecordBatch:
    return placed(
        record_batch(tuple(Record(None, each.encode()) for each in values), **flags), base_offset, leader_epoch
    )


class ReaderStage:
    def __init__(
        self, *, thawing: bool = False, assigned: tuple[TopicPartition, ...] = (TP0,), **settings: Any
    ) -> None:
        self.engine = ConsumerEngine("reader", with_settings(ConsumerSettings(), settings), (1, 2), 7)
        self.thawing = thawing
        self.now = START_MS
        self.leaders = {TP0: (1, 0), TP1: (1, 0)}
        self.logs: dict[TopicPartition, list[RecordBatch]] = {TP0: [], TP1: []}
        self.starts = {TP0: 0, TP1: 0}
        self.answers_metadata = True
        self.out: list[Envelope] = []
        self.asked: list[Envelope] = []
        self.polls: list[Polled] = []
        self.closed: list[Connection] = []
        self.events = 0
        if assigned:
            self.user(Assign(assigned))

    # Steps.

    def receive(self, envelope: Envelope) -> None:
        pending = [envelope]
        while pending:
            self.events += 1
            assert self.events < 20_000, "it never comes to rest"
            answers = list(self.engine.receive(pending.pop(0), self.now))
            if self.thawing:
                frozen = pickle.loads(pickle.dumps(self.engine.freeze(self.now)))
                self.engine = ConsumerEngine.thaw(frozen, self.now)
                assert self.engine.freeze(self.now) == frozen
            for each in answers:
                message = each.message
                if isinstance(message, Polled):
                    self.polls.append(message)
                elif isinstance(message, CloseConnection):
                    self.closed.append(each.connection)
                    self.forget(each.connection)
                elif isinstance(message, MetadataRequest):
                    if self.answers_metadata and not message.newer_than:
                        pending.append(reply(each, self.metadata(message)))
                    else:
                        self.asked.append(each)
                else:
                    self.out.append(each)

    def user(self, message: object) -> None:
        self.receive(Envelope("user", "reader", NO_CONNECTION, 0, message))

    def poll(self, timeout_ms: int = 1_000, max_records: int = 0) -> None:
        self.user(Poll(timeout_ms, max_records))

    def seek(self, offset: int, where: TopicPartition = TP0) -> None:
        self.user(Seek(where, offset))

    def assign(self, *partitions: TopicPartition) -> None:
        self.user(Assign(partitions))

    def close(self) -> None:
        self.user(CloseConsumer())

    def fire(self, timer: str) -> None:
        self.engine.deadlines().pop(timer, None)
        self.receive(Envelope("reader", "reader", NO_CONNECTION, 0, Timer(timer)))

    def pass_time(self, by_ms: int) -> None:
        until = self.now + by_ms
        while due := sorted((at_ms, name) for name, at_ms in self.engine.deadlines().items() if at_ms <= until):
            self.now = max(self.now, due[0][0])
            self.fire(due[0][1])
        self.now = until

    def forget(self, connection: Connection) -> None:
        self.out = [each for each in self.out if each.connection != connection]
        self.asked = [each for each in self.asked if each.connection != connection]

    def disconnect(self, connection: Connection, *, refused: bool = False) -> None:
        self.forget(connection)
        self.receive(Envelope(connection.server, "reader", connection, 0, Disconnected(refused)))

    # What brokers say.

    def metadata(self, request: MetadataRequest) -> MetadataReply:
        topics = []
        for topic in request.topics or ():
            known = [
                PartitionMetadata(where, *leader, (1, 2), (1, 2))
                for where, leader in self.leaders.items()
                if where.topic == topic
            ]
            error = NONE if known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            topics.append(TopicMetadata(topic, "", error, tuple(known)))
        return MetadataReply((1, 2), tuple(topics))

    def answer_asked(self) -> None:
        """Answers a question for metadata that was held back."""
        each = self.asked.pop(0)
        self.receive(reply(each, self.metadata(each.message)))

    def served(self, request: Envelope) -> object:
        """What an honest leader answers."""
        message = request.message
        if isinstance(message, FetchRequest):
            return FetchReply(
                tuple(self._fetched(each.topic_partition, each.fetch_offset) for each in message.partitions)
            )
        found = []
        for each in message.partitions:
            where = each.topic_partition
            offset = self.starts[where] if each.timestamp_ms == EARLIEST_TIMESTAMP else self.end(where)
            found.append(ListOffsetsPartitionReply(where, NONE, -1, offset))
        return ListOffsetsReply(tuple(found))

    def _fetched(self, where: TopicPartition, fetch_offset: int) -> FetchPartitionReply:
        if not self.starts[where] <= fetch_offset <= self.end(where):
            return FetchPartitionReply(where, ErrorCode.OFFSET_OUT_OF_RANGE)
        batches = [batch for batch in self.logs[where] if batch.end_offset > fetch_offset]
        return FetchPartitionReply(where, NONE, self.end(where), batches=tuple(batches))

    def end(self, where: TopicPartition) -> int:
        return self.logs[where][-1].end_offset if self.logs[where] else self.starts[where]

    def serve(self, at: int = 0) -> None:
        request = self.out.pop(at)
        self.receive(reply(request, self.served(request)))

    def serve_all(self) -> None:
        while self.out:
            self.serve()

    def answer(self, error: ErrorCode = NONE, *batches: RecordBatch, at: int = 0, **fields: Any) -> None:
        """Answers the `at`-th waiting request, all its partitions alike."""
        request = self.out.pop(at)
        parts = [each.topic_partition for each in request.message.partitions]
        if isinstance(request.message, FetchRequest):
            fetched = tuple(FetchPartitionReply(where, error, batches=batches, **fields) for where in parts)
            self.receive(reply(request, FetchReply(fetched)))
        else:
            listed = tuple(ListOffsetsPartitionReply(where, error, **fields) for where in parts)
            self.receive(reply(request, ListOffsetsReply(listed)))

    # What a test looks at.

    def read(self) -> list[tuple[int, str]]:
        """(offset, content) of every record that polls brought."""
        return [(each.offset, (each.record.value or b"").decode()) for polled in self.polls for each in polled.records]

    def errors(self) -> list[str]:
        return [polled.error.name for polled in self.polls if polled.error is not NONE]

    def wanted(self) -> list[tuple[str, str, int]]:
        """(broker, purpose, offset or timestamp) of every partition asked for and not answered."""
        return [
            (each.destination, each.connection.purpose, part[1])
            for each in self.out
            for part in each.message.partitions
        ]
