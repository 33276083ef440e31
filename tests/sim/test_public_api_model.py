"""`Cluster`, `Producer` and `Consumer` against a model that is two lists: what was acknowledged, and what was read."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sim_runs import SETTINGS

from eventlog import Cluster, Delivery


class PublicApi(RuleBasedStateMachine):
    """One writer, one reader, one partition on three brokers, of which one may be down at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(3, checks="full", **SETTINGS)
        self.cluster.create_topic("events")
        self.writer = self.cluster.producer("writer", linger_ms=0, request_timeout_ms=400)
        self.reader = self.cluster.consumer(("events", 0), request_timeout_ms=400)
        self.sent: list[Delivery] = []
        self.log: dict[int, bytes] = {}
        self.position = 0
        self.down = 0

    @rule(count=st.integers(1, 4))
    def send(self, count: int) -> None:
        for _ in range(count):
            self.sent.append(self.writer.send("events", b"%d" % len(self.sent)))

    @rule()
    def flush(self) -> None:
        self.writer.flush()
        assert all(delivery.done for delivery in self.sent)

    @rule()
    def poll(self) -> None:
        for record in self.reader.poll(200):
            assert record.offset == self.position
            assert record.record.value == self.log.setdefault(record.offset, record.record.value or b"")
            self.position += 1

    @precondition(lambda self: self.position)
    @rule(back=st.integers(1, 5))
    def seek(self, back: int) -> None:
        self.position = max(0, self.position - back)
        self.reader.seek("events", 0, self.position)

    @precondition(lambda self: not self.down and len(self.cluster.in_sync_replicas("events")) == 3)
    @rule(broker_id=st.integers(1, 3))
    def crash(self, broker_id: int) -> None:
        self.cluster.crash(broker_id)
        self.down = broker_id

    @precondition(lambda self: self.down)
    @rule()
    def restart(self) -> None:
        self.cluster.restart(self.down)
        self.down = 0

    @rule(by_ms=st.sampled_from([1, 3, 200, 3_000]))
    def advance(self, by_ms: int) -> None:
        self.cluster.advance(by_ms)

    @rule()
    def lose_next_ack(self) -> None:
        self.cluster.lose_next_ack(self.writer)

    @invariant()
    def what_is_acknowledged_has_one_place_for_good(self) -> None:
        for number, delivery in enumerate(self.sent):
            if delivery.done:
                assert self.log.setdefault(delivery.offset, b"%d" % number) == b"%d" % number

    def teardown(self) -> None:
        verdict = self.cluster.check()
        assert verdict.held, verdict.report()
        self.poll_everything()
        assert [self.log[offset] for offset in sorted(self.log)] == [b"%d" % number for number in range(len(self.sent))]

    def poll_everything(self) -> None:
        self.cluster.advance(2_000)
        self.what_is_acknowledged_has_one_place_for_good()
        assert all(delivery.done for delivery in self.sent)
        while self.position < len(self.sent):
            before = self.position
            self.poll()
            assert self.position > before, "the reader stands still"


PublicApi.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_what_was_acknowledged_is_read_exactly_once_and_in_order = PublicApi.TestCase
