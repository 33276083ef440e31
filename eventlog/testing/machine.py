"""A cluster under a rule-based state machine of Hypothesis: subclass it, and add the rules of your own code.

```python
class Outbox(EventLogMachine):
    @rule(order=st.integers(1, 3))
    def place_order(self, order):
        ...  # your code, writing with self.writer

    @invariant()
    def every_order_is_published_once(self):
        ...

TestOutbox = Outbox.TestCase
```

Good for what calls mean to each other: write, read, seek, restart. For fault schedules alone, `walks` is far faster. A
failing story is printed as the steps that lead to it. Needs the extra `hypothesis`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar

from hypothesis import event, note
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from eventlog.clients import Delivery
from eventlog.cluster import Cluster
from eventlog.errors import EventLogError, InvariantViolation, RetriableError
from eventlog.messages.user_api import ConsumedRecord
from eventlog.testing import strategies

LONG_MS = 120_000
"""Longer than a reader needs, whatever it has just been through."""


class EventLogMachine(RuleBasedStateMachine):
    """One topic, one writer, one reader, and faults as often as `budgets` allow.

    Subclasses set what is below as class attributes, and add rules and invariants. `cluster`, `writer` and `reader` are
    there for them; so is the bundle `sent`, of `Delivery`s. At the end every fault is undone, and the checker judges.
    """

    brokers: ClassVar[int] = 3
    topic: ClassVar[str] = "events"
    partitions: ClassVar[int] = 1
    broker_settings: ClassVar[Mapping[str, Any]] = {"min_insync_replicas": 2}
    producer_settings: ClassVar[Mapping[str, Any]] = {"linger_ms": 0}
    consumer_settings: ClassVar[Mapping[str, Any]] = {}
    budgets: ClassVar[Mapping[str, int]] = {"reply_lost": 2, "request_lost": 2, "election": 2, "crash": 1}
    """How often each of the four may happen in one story; one that is not named never does."""
    checks: ClassVar[str] = "cheap"

    sent: ClassVar[Bundle[Delivery]] = Bundle("sent")

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster(self.brokers, checks=self.checks, **self.broker_settings)
        self.cluster.create_topic(self.topic, self.partitions)
        self.writer = self.cluster.producer("writer", **self.producer_settings)
        places = [(self.topic, partition) for partition in range(self.partitions)]
        self.reader = self.cluster.consumer(*places, name="reader", **self.consumer_settings)
        self.left = dict(self.budgets)
        self.down = 0
        self.deliveries: list[tuple[Delivery, bytes]] = []
        # (partition, offset): what stands there for good.
        self.log: dict[tuple[int, int], bytes | None] = {}
        self.positions = dict.fromkeys(range(self.partitions), 0)
        self._failing_before = sys.exc_info()[1]

    # --- what a user does -----------------------------------------------------------------------------------------

    @rule(target=sent, key=strategies.keys(), value=st.binary(max_size=2))
    def send(self, key: bytes | None, value: bytes) -> Delivery:
        delivery = self.writer.send(self.topic, value, key)
        self.deliveries.append((delivery, value))
        return delivery

    @rule(delivery=sent)
    def wait_for(self, delivery: Delivery) -> None:
        """Until it is acknowledged, or has failed."""
        try:
            assert delivery.offset >= -1
        except InvariantViolation:
            raise
        except EventLogError:
            pass  # what failed is no promise

    @rule()
    def poll(self) -> None:
        """The reader gets what comes next, and never anything else than before in the same place."""
        self.read(200)

    def read(self, timeout_ms: int) -> None:
        """One poll, compared with all that is known."""
        for topic_partition, offset, _, record in self.reader.poll(timeout_ms):
            place = (topic_partition.partition, offset)
            assert offset == self.positions[place[0]], f"offset {self.positions[place[0]]} was due, {offset} came"
            assert self.log.setdefault(place, record.value) == record.value, f"something else stands at {offset} now"
            self.positions[place[0]] += 1

    @precondition(lambda self: any(self.positions.values()))
    @rule(back=st.integers(1, 3))
    def seek_back(self, back: int) -> None:
        for partition, position in self.positions.items():
            self.positions[partition] = max(0, position - back)
            self.reader.seek(self.topic, partition, self.positions[partition])

    @rule(by_ms=st.sampled_from([1, 5, 200, 5_000, 40_000]))
    def advance(self, by_ms: int) -> None:
        self.cluster.advance(by_ms)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    @precondition(lambda self: self.left.get("reply_lost"))
    @rule()
    def lose_next_answer(self) -> None:
        self.left["reply_lost"] -= 1
        self.cluster.lose_next_ack()

    @precondition(lambda self: self.left.get("request_lost"))
    @rule()
    def lose_next_request(self) -> None:
        self.left["request_lost"] -= 1
        self.cluster.lose_next_request()

    @precondition(lambda self: self.left.get("election") and self.find_followers())
    @rule()
    def elect_another(self) -> None:
        """Another in-sync replica leads the first partition."""
        self.left["election"] -= 1
        self.cluster.elect(self.topic, 0, self.find_followers()[0])

    @precondition(lambda self: self.left.get("crash") and not self.down and self.find_followers())
    @rule(whom=st.sampled_from(["leader", "follower"]))
    def crash(self, whom: str) -> None:
        """Of the first partition."""
        self.left["crash"] -= 1
        self.down = self.cluster.leader(self.topic) if whom == "leader" else self.find_followers()[0]
        self.cluster.crash(self.down)

    @precondition(lambda self: self.down)
    @rule()
    def restart(self) -> None:
        self.cluster.restart(self.down)
        self.down = 0

    def committed(self, partition: int = 0) -> list[ConsumedRecord]:
        """What the partition holds below the high watermark; empty while nobody leads it, so not all there will be."""
        try:
            return self.cluster.records(self.topic, partition)
        except RetriableError:
            return []

    def find_followers(self) -> list[int]:
        """Brokers that are up and could lead the first partition instead."""
        leader = self.cluster.leader(self.topic)
        if leader < 0:
            return []
        return [member for member in self.cluster.in_sync_replicas(self.topic) if member not in (leader, self.down)]

    # --- what holds -----------------------------------------------------------------------------------------------

    @invariant()
    def what_is_acknowledged_has_one_place_for_good(self) -> None:
        for delivery, value in self.deliveries:
            if delivery.done and delivery.error is None and delivery.offset >= 0:
                place = (delivery.partition, delivery.offset)
                assert self.log.setdefault(place, value) == value, f"{delivery!r} and another stand in one place"

    def teardown(self) -> None:
        """Undo all that went wrong, and judge; read to the end."""
        note(Story(self.cluster))
        seen = self.cluster.recorder
        if seen.failovers:
            event("failover")
        if sys.exc_info()[1] is not self._failing_before:
            return  # a step has failed already, and that is what is told
        verdict = self.cluster.check()
        if seen.duplicates_recognised:
            event("duplicate recognised")
        assert verdict.held, verdict.report()
        self.what_is_acknowledged_has_one_place_for_good()
        self.poll_to_the_end()

    def poll_to_the_end(self) -> None:
        """Every acknowledged record is read."""
        ends = dict.fromkeys(self.positions, 0)
        for partition, offset in self.log:
            ends[partition] = max(ends[partition], offset + 1)
        while any(self.positions[partition] < end for partition, end in ends.items()):
            before = dict(self.positions)
            self.read(LONG_MS)
            assert before != self.positions, f"the reader stands still at {before} of {ends}"


class Story:
    """The ladder of a run, drawn only when somebody prints it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def __repr__(self) -> str:
        return self.cluster.story()
