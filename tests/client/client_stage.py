"""A stage for one producer engine: the test plays the brokers and the network, step by step.

Metadata and producer ids are answered by themselves (unless switched off); produce requests wait in `out` until the test
answers them, breaks their connection or lets time pass. The engine's invariants are checked after every step; with
`thawing` the engine is frozen, pickled and thawed after every step, too, so that every test is also one of freezing.
"""

from __future__ import annotations

import pickle
from typing import Any

from eventlog.client import ProducerEngine
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, CloseConnection, Connection, Disconnected, Envelope, Timer
from eventlog.messages.broker_api import (
    InitProducerIdReply,
    InitProducerIdRequest,
    MetadataReply,
    MetadataRequest,
    PartitionMetadata,
    ProducePartitionReply,
    ProduceReply,
    ProduceRequest,
    TopicMetadata,
)
from eventlog.messages.user_api import CloseProducer, Flush, Send, SendRefused, SendsResolved
from eventlog.values import ProducerSettings, Record, TopicPartition, with_settings

START_MS = 1_700_000_000_000
PID = 343_434
NONE = ErrorCode.NONE
TP0 = TopicPartition("orders", 0)
TP1 = TopicPartition("orders", 1)


class Stage:
    def __init__(self, *, partitions: int = 2, epoch: int = 0, thawing: bool = False, seed: int = 7, **settings: Any):
        self.settings = with_settings(ProducerSettings(linger_ms=0, request_timeout_ms=1_000), settings)
        self.engine = ProducerEngine("writer", self.settings, (1, 2), seed)
        self.thawing = thawing
        self.now = START_MS
        self.epoch = epoch
        self.next_pid = PID
        self.leaders = {TopicPartition("orders", each): (1, 0) for each in range(partitions)}
        self.answers_metadata = True
        self.answers_init = True
        self.out: list[Envelope] = []
        self.asked: list[Envelope] = []
        self.results: list[SendsResolved] = []
        self.refusals: list[SendRefused] = []
        self.closed: list[Connection] = []
        self.trace: list[Envelope] = []

    # Steps.

    def receive(self, envelope: Envelope) -> None:
        pending = [envelope]
        while pending:
            answers = list(self.engine.receive(pending.pop(0), self.now))
            self.trace += answers
            self.engine.check_invariants()
            if self.thawing:
                frozen = pickle.loads(pickle.dumps(self.engine.freeze(self.now)))
                thawed = ProducerEngine.thaw(frozen, self.now)
                assert thawed.freeze(self.now) == frozen
                thawed.retries = self.engine.retries
                thawed.identity.epoch_bumps = self.engine.epoch_bumps
                self.engine = thawed
                self.engine.check_invariants()
            for each in answers:
                message = each.message
                if isinstance(message, ProduceRequest):
                    self.out.append(each)
                elif isinstance(message, MetadataRequest):
                    if self.answers_metadata and not message.newer_than:
                        pending.append(reply(each, self.metadata(message)))
                    else:
                        self.asked.append(each)
                elif isinstance(message, InitProducerIdRequest):
                    if self.answers_init:
                        pending.append(reply(each, self.new_id()))
                    else:
                        self.asked.append(each)
                elif isinstance(message, SendsResolved):
                    self.results.append(message)
                elif isinstance(message, SendRefused):
                    self.refusals.append(message)
                elif isinstance(message, CloseConnection):
                    self.closed.append(each.connection)
                    self.out = [other for other in self.out if other.connection != each.connection]
                    self.asked = [other for other in self.asked if other.connection != each.connection]
                else:
                    raise AssertionError(f"unexpected: {each}")

    def user(self, message: object) -> None:
        self.receive(Envelope("user", "writer", NO_CONNECTION, 0, message))

    def send(self, *values: str, partition: int = 0, key: bytes | None = None, topic: str = "orders") -> None:
        for value in values:
            self.user(Send(topic, partition, Record(key, value.encode(), self.now)))

    def flush(self) -> None:
        self.user(Flush())

    def close(self) -> None:
        self.user(CloseProducer())

    def fire(self, timer: str) -> None:
        self.engine.deadlines().pop(timer, None)
        self.receive(Envelope("writer", "writer", NO_CONNECTION, 0, Timer(timer)))

    def pass_time(self, by_ms: int) -> None:
        """Lets time pass; timers run out in their order."""
        until = self.now + by_ms
        while True:
            due = sorted((at_ms, name) for name, at_ms in self.engine.deadlines().items() if at_ms <= until)
            if not due:
                break
            self.now = max(self.now, due[0][0])
            self.fire(due[0][1])
        self.now = until

    def answer(
        self,
        error: ErrorCode = NONE,
        base_offset: int = -1,
        *,
        at: int = 0,
        log_start: int = -1,
        leader: tuple[int, int] = (-1, -1),
    ) -> None:
        """Answers the `at`-th waiting request, all its partitions alike."""
        each = {part.topic_partition: (error, base_offset) for part in self.out[at].message.partitions}
        self.answer_each(each, at=at, log_start=log_start, leader=leader)

    def answer_all(self, errors: dict[TopicPartition, ErrorCode]) -> None:
        """Answers all requests that wait now, oldest first, by partition (NONE where nothing is said)."""
        for _ in range(len(self.out)):
            parts = self.out[0].message.partitions
            self.answer_each({each.topic_partition: (errors.get(each.topic_partition, NONE), -1) for each in parts})

    def move_leader_unseen(self, value: str, behind: str) -> None:
        """Sends `value` to orders-0 at broker 1, and, before it is answered, `behind` to the new leader, broker 2. So
        that their answers may overtake each other, as they never do on one connection."""
        self.leaders[TP1] = (2, 0)
        self.send(value)
        self.leaders[TP0] = (2, 1)
        self.send("the other partition's", partition=1)
        self.answer(ErrorCode.LEADER_NOT_AVAILABLE, at=1)
        self.send(behind)
        assert [(each.destination, values_of(each)[0]) for each in self.out] == [
            ("broker-1", value),
            ("broker-2", behind),
        ]

    def answer_each(
        self,
        answers: dict[TopicPartition, tuple[ErrorCode, int]],
        *,
        at: int = 0,
        log_start: int = -1,
        leader: tuple[int, int] = (-1, -1),
    ) -> None:
        request = self.out.pop(at)
        parts = tuple(
            ProducePartitionReply(where, error, offset, -1, log_start, *leader)
            for where, (error, offset) in answers.items()
        )
        self.receive(reply(request, ProduceReply(parts)))

    def disconnect(self, connection: Connection, *, refused: bool = False) -> None:
        self.out = [each for each in self.out if each.connection != connection]
        self.asked = [each for each in self.asked if each.connection != connection]
        self.receive(Envelope(connection.server, "writer", connection, 0, Disconnected(refused)))

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

    def new_id(self) -> InitProducerIdReply:
        self.next_pid += 1
        answer = InitProducerIdReply(NONE, self.next_pid - 1, self.epoch)
        self.epoch = 0
        return answer

    def answer_asked(self, at: int = 0) -> None:
        """Answers a question for metadata or an id that was held back."""
        each = self.asked.pop(at)
        question = each.message
        self.receive(reply(each, self.metadata(question) if isinstance(question, MetadataRequest) else self.new_id()))

    # What a test looks at.

    def labels(self) -> list[tuple[int, int]]:
        """(epoch, base sequence) of every batch that is out, oldest request first."""
        return [
            (part.batch.producer_epoch, part.batch.base_sequence)
            for each in self.out
            for part in each.message.partitions
        ]

    def values(self) -> list[str]:
        """The contents of every batch that is out."""
        return [value for each in self.out for value in values_of(each)]

    def ends(self) -> list[tuple[str, str, int]]:
        """(content, error, offset) of every record that came to its end."""
        return [
            (record.value.decode(), each.error.name, each.base_offset + index if each.base_offset >= 0 else -1)
            for each in self.results
            for index, record in enumerate(each.records)
        ]

    def counts(self, where: TopicPartition = TP0) -> tuple[int, int, int]:
        """(epoch, next sequence, last acknowledged sequence), as the scenarios write it."""
        state = self.engine.partition_state(where)
        return state.producer_epoch, state.next_sequence, state.last_acked_sequence


def reply(request: Envelope, message: object) -> Envelope:
    return Envelope(request.destination, request.source, request.connection, request.correlation_id, message)


def values_of(request: Envelope) -> list[str]:
    return [record.value.decode() for part in request.message.partitions for record in part.batch.records]
