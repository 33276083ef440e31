"""Whole runs of an engine against a small honest broker while connections break, answers vanish and timers run early.

The broker here judges as Kafka's does (see `client_broker_stage`).
What an idempotent producer promises must hold in every run: each record once, in order, at the offset it was told.
"""

from __future__ import annotations

import pickle

import pytest
from client_broker_stage import Log
from client_stage import NONE, START_MS, reply

from eventlog.client import ProducerEngine
from eventlog.messages import NO_CONNECTION, CloseConnection, Disconnected, Envelope, Timer
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
from eventlog.messages.user_api import Send, SendsResolved
from eventlog.values import ProducerSettings, Record, TopicPartition, draw, with_settings


class Run:
    """Everything under way is kept per connection, in order; each step draws what happens."""

    def __init__(self, seed: int, settings: ProducerSettings, *, thawing: bool) -> None:
        self.seed = seed
        self.steps = 0
        self.thawing = thawing
        self.now = START_MS
        self.engine = ProducerEngine("writer", settings, (1, 2), seed)
        self.logs = {TopicPartition("orders", each): Log() for each in range(2)}
        self.links: dict[object, list[Envelope]] = {}
        self.results: list[SendsResolved] = []
        self.sent: list[Envelope] = []

    def receive(self, envelope: Envelope) -> None:
        for each in self.engine.receive(envelope, self.now):
            self.sent.append(each)
            if isinstance(each.message, SendsResolved):
                self.results.append(each.message)
            elif isinstance(each.message, CloseConnection):
                # What was sent before may still be read.
                for late in self.links.pop(each.connection, []):
                    self.serve(late)
            else:
                self.links.setdefault(each.connection, []).append(each)
        self.engine.check_invariants()
        if self.thawing:
            frozen = pickle.loads(pickle.dumps(self.engine.freeze(self.now)))
            self.engine = ProducerEngine.thaw(frozen, self.now)

    def serve(self, request: Envelope) -> object:
        message = request.message
        if isinstance(message, InitProducerIdRequest):
            return InitProducerIdReply(NONE, 5, 0)
        if isinstance(message, MetadataRequest):
            parts = tuple(PartitionMetadata(where, 1, 0, (1,), (1,)) for where in self.logs)
            return MetadataReply((1, 2), (TopicMetadata("orders", "", NONE, parts),))
        assert isinstance(message, ProduceRequest)
        answers = []
        for part in message.partitions:
            error, offset = self.logs[part.topic_partition].append(part)
            answers.append(ProducePartitionReply(part.topic_partition, error, offset, log_start_offset=0))
        return ProduceReply(tuple(answers))

    def step(self, *, faulty: bool) -> bool:
        """One event; False when there is none."""
        self.steps += 1
        waiting = [connection for connection, requests in self.links.items() if requests]
        luck = draw(self.seed, f"luck {self.steps}", 100)
        timers = sorted((at_ms, name) for name, at_ms in self.engine.deadlines().items())
        if faulty and waiting and luck < 25:
            connection = waiting[draw(self.seed, f"which {self.steps}", len(waiting))]
            requests = self.links.pop(connection)
            served = draw(self.seed, f"served {self.steps}", len(requests) + 1)
            for request in requests[:served]:
                self.serve(request)
            if luck < 18:
                gone = Disconnected(luck < 6 and not served)
                self.receive(Envelope(connection.server, "writer", connection, 0, gone))
            else:
                names = [name for _, name in timers if name.startswith("request ")]
                self.links[connection] = requests[served:]
                name = names[draw(self.seed, f"timer {self.steps}", len(names))]
                self.fire(name)
        elif waiting and luck < 95:
            connection = waiting[draw(self.seed, f"which {self.steps}", len(waiting))]
            request = self.links[connection].pop(0)
            answer = self.serve(request)
            if connection not in [each.connection for each in self.sent if isinstance(each.message, CloseConnection)]:
                self.receive(reply(request, answer))
        elif timers:
            self.now = max(self.now, timers[0][0])
            self.fire(timers[0][1])
        else:
            return bool(waiting)
        return True

    def fire(self, name: str) -> None:
        self.engine.deadlines().pop(name, None)
        self.receive(Envelope("writer", "writer", NO_CONNECTION, 0, Timer(name)))

    def play(self, records: int) -> None:
        for number in range(records):
            where = draw(self.seed, f"partition {number}", 2)
            send = Send("orders", where, Record(None, str(number).encode(), self.now))
            self.receive(Envelope("user", "writer", NO_CONNECTION, 0, send))
            for _ in range(draw(self.seed, f"steps {number}", 3)):
                self.step(faulty=True)
        while self.step(faulty=self.steps < 400):
            assert self.steps < 20_000


@pytest.mark.parametrize("thawing", [False, True])
@pytest.mark.parametrize("linger_ms", [0, 5])
@pytest.mark.parametrize("initial_sequence", [0, 2147483640])
@pytest.mark.parametrize(("client", "in_flight"), [("java", 1), ("java", 5), ("librdkafka", 5)])
def test_each_record_is_written_once_in_order_whatever_connections_do(
    thawing: bool, linger_ms: int, initial_sequence: int, client: str, in_flight: int
) -> None:
    for seed in range(8):
        settings = with_settings(
            ProducerSettings(),
            {
                "linger_ms": linger_ms,
                "initial_sequence": initial_sequence,
                "max_in_flight": in_flight,
                "delivery_timeout_ms": 100_000_000,
                "behaves_like": client,
            },
        )
        run = Run(seed, settings, thawing=thawing)
        run.play(40)
        told: dict[TopicPartition, dict[bytes, int]] = {where: {} for where in run.logs}
        for end in run.results:
            assert end.error is NONE, (seed, end)
            for index, record in enumerate(end.records):
                assert record.value not in told[end.topic_partition], (seed, record)
                told[end.topic_partition][record.value or b""] = end.base_offset + index
        assert sum(len(each) for each in told.values()) == 40
        for where, log in run.logs.items():
            expected = [str(each).encode() for each in range(40) if draw(seed, f"partition {each}", 2) == where[1]]
            assert log.records == expected, seed
            assert told[where] == {value: offset for offset, value in enumerate(log.records)}, seed
        assert run.engine.epoch_bumps == 0


@pytest.mark.parametrize("client", ["java", "librdkafka"])
@pytest.mark.parametrize("seed", range(20))
def test_frozen_and_thawed_at_every_step_a_run_is_the_same(seed: int, client: str) -> None:
    settings = with_settings(
        ProducerSettings(), {"delivery_timeout_ms": 40_000, "linger_ms": 2, "behaves_like": client}
    )
    alive, thawed = (Run(seed, settings, thawing=thawing) for thawing in (False, True))
    alive.play(30)
    thawed.play(30)
    assert alive.sent == thawed.sent
    assert (alive.now, alive.steps) == (thawed.now, thawed.steps)


@pytest.mark.parametrize("client", ["java", "librdkafka"])
@pytest.mark.parametrize("seed", range(20))
def test_with_short_timeouts_every_record_has_one_end_and_what_is_told_is_true(seed: int, client: str) -> None:
    limits = {"delivery_timeout_ms": 3_000, "request_timeout_ms": 1_000, "linger_ms": 0, "retries": 4}
    settings = with_settings(ProducerSettings(), {**limits, "behaves_like": client})
    run = Run(seed, settings, thawing=False)
    run.play(60)
    ends = [(record.value, end) for end in run.results for record in end.records]
    assert sorted(int(value or b"") for value, _ in ends) == list(range(60))
    for end in run.results:
        log = run.logs[end.topic_partition].records
        for index, record in enumerate(end.records):
            if end.is_implied:
                # The one thing told that may be wrong, with a broker that takes any first sequence; not here.
                assert record.value in log
            elif end.error is NONE:
                assert log[end.base_offset + index] == record.value
            elif not end.may_be_written:
                assert record.value not in log
    assert run.engine.deadlines() == {}
    assert run.engine.buffered_bytes == 0
