"""A producer of this project in a whole cluster, with somebody in the middle who holds, loses and rewrites.

One record is one batch. Between client and broker stands what a proxy was in the recordings: a link that is cut holds
what comes, and what it holds can be let through, thrown away or rewritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eventlog import Cluster
from eventlog.broker.replica import Replica
from eventlog.check import BROKEN, EXCUSED, Refused
from eventlog.clients import Delivery
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Envelope, broker_name
from eventlog.messages.broker_api import ProduceReply, ProduceRequest
from eventlog.messages.user_api import SendsResolved
from eventlog.values import TopicPartition, Unreadable

TP = TopicPartition("t", 0)
WRITER = "writer"
SESSION_TIMEOUT_MS = 3_000


def names(first: int, last: int) -> list[str]:
    return [f"m{number}" for number in range(first, last + 1)]


def at(first_offset: int, values: list[str]) -> dict[str, str]:
    """These records at offsets that follow one another."""
    return {value: str(first_offset + place) for place, value in enumerate(values)}


def numbered(producer_epoch: int, first_sequence: int, values: list[str]) -> list[str]:
    """Log lines of these records, one a batch."""
    return [f"{producer_epoch}/{first_sequence + place} {value}" for place, value in enumerate(values)]


class Run:
    """A cluster, its topic, and one producer. Broker 1 leads at first."""

    def __init__(
        self,
        client: str = "java",
        in_flight: int = 5,
        brokers: int = 3,
        broker: dict[str, Any] | None = None,
        *,
        leader_unaware: bool = False,
        **settings: Any,
    ) -> None:
        """`leader_unaware`: all but the leader hear of the topic; it does when `tell_leader` is called."""
        wanted = {"broker_session_timeout_ms": SESSION_TIMEOUT_MS, "min_insync_replicas": 2 if brokers > 1 else 1}
        self.cluster = Cluster(brokers=brokers, **wanted | (broker or {}))
        self.world = self.cluster._world
        if leader_unaware:
            self.world.cut_one_way(CONTROLLER, broker_name(1))
        self.cluster.create_topic("t")
        assert self.cluster.leader("t") == 1
        self.producer = self.cluster.producer(
            WRITER, behaves_like=client, max_in_flight=in_flight, linger_ms=0, batch_size=0, **settings
        )
        self.engine = self.producer._engine
        self.sent: dict[str, Delivery] = {}
        self.ends: dict[str, SendsResolved] = {}
        self.heard_ms: dict[str, int] = {}
        self._inbox = self.world.user_inbox
        self.world.user_inbox = self._hear

    def _hear(self, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, SendsResolved):
            for record in message.records:
                value = (record.value or b"").decode()
                self.ends[value] = message
                self.heard_ms[value] = self.cluster.elapsed_ms
        assert self._inbox is not None
        self._inbox(envelope)

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, *values: str) -> None:
        for value in values:
            self.sent[value] = self.producer.send("t", value, partition=0)

    def acknowledged(self, *values: str) -> None:
        """These are sent and answered, one after another."""
        for value in values:
            self.send(value)
            assert self.sent[value].offset >= 0

    def settle(self) -> None:
        self.producer.flush()

    # --- in the middle --------------------------------------------------------------------------------------------

    def held(self, source: str, destination: str) -> list[Envelope]:
        """The produce requests or answers that wait on a cut link."""
        waiting = self.world.links.held.get((source, destination), [])
        return [item for _, item in waiting if isinstance(item.message, ProduceRequest | ProduceReply)]

    def hold_answers(self, broker_id: int) -> None:
        self.cluster.cut_one_way(broker_id, WRITER)

    def hold_requests(self, broker_id: int) -> None:
        self.cluster.cut_one_way(WRITER, broker_id)

    def let_answers(self, broker_id: int) -> None:
        self.world.heal_one_way(broker_name(broker_id), WRITER)

    def let_requests(self, broker_id: int, count: int = -1) -> None:
        """Let what is held through, all of it or the first `count` requests."""
        served = self.served(broker_id)
        self.world.heal_one_way(WRITER, broker_name(broker_id))
        if count >= 0:
            self.until(lambda: self.served(broker_id) == served + count)
            self.hold_requests(broker_id)

    def served(self, broker_id: int) -> int:
        """Requests on the writer's present connection that the broker has taken up."""
        link = self.engine.links.get(broker_id)
        state = self.world.connections.get(link.connection) if link is not None else None
        return len(state.served) if state is not None else 0

    def close_connection(self, broker_id: int) -> None:
        """The writer's connection breaks; what is under way on it, or held, is gone."""
        link = self.engine.links[broker_id]
        self.world.break_connection(link.connection)
        for source, destination in ((WRITER, broker_name(broker_id)), (broker_name(broker_id), WRITER)):
            if (source, destination) in self.world.links.cuts:
                self.world.links.held[(source, destination)] = []
                self.world.heal_one_way(source, destination)

    def rewrite_answer(self, broker_id: int, place: int, error: ErrorCode) -> None:
        """The held answer at `place` says `error` now."""

        def changed(envelope: Envelope) -> Envelope:
            (part,) = envelope.message.partitions
            return envelope._replace(message=ProduceReply((part._replace(error=error, base_offset=-1),)))

        self._rewrite(broker_name(broker_id), WRITER, place, changed)

    def spoil_request(self, broker_id: int, place: int) -> None:
        """The batch in the held request at `place` is none any more: its checksum is wrong."""

        def changed(envelope: Envelope) -> Envelope:
            (part,) = envelope.message.partitions
            spoiled = part._replace(batch=Unreadable(ErrorCode.CORRUPT_MESSAGE, "a bit was flipped on the way"))
            return envelope._replace(message=envelope.message._replace(partitions=(spoiled,)))

        self._rewrite(WRITER, broker_name(broker_id), place, changed)

    def _rewrite(self, source: str, destination: str, place: int, change: Callable[[Envelope], Envelope]) -> None:
        waiting = self.world.links.held[(source, destination)]
        at = [index for index, (_, item) in enumerate(waiting) if item in self.held(source, destination)][place]
        order, envelope = waiting[at]
        waiting[at] = (order, change(envelope))

    # --- brokers --------------------------------------------------------------------------------------------------

    def wait_in_sync(self, *broker_ids: int) -> None:
        wanted = broker_ids or tuple(self.world.stores)
        self.until(lambda: sorted(self.cluster.in_sync_replicas("t")) == sorted(wanted))

    def restart(self, broker_id: int, how: str) -> None:
        """`how` it ends: "clean" or "killed". In sync again when this returns, if it is a follower."""
        if how == "clean":
            self.cluster.stop(broker_id)
        else:
            self.cluster.crash(broker_id)
        self.cluster.advance(500)
        self.cluster.restart(broker_id)
        # A restart so short that nobody missed it leaves the broker in the in-sync replicas all the time.
        self.until(lambda: (found := self.find_replica(broker_id)) is not None and found.following is not None)
        self.cluster.advance(2_000)
        self.wait_in_sync()

    def elect(self, broker_id: int) -> None:
        """Make it leader, and wait until it acts as that."""
        self.cluster.elect("t", 0, broker_id)
        self.until(lambda: self.leads(broker_id))

    def tell_leader(self) -> None:
        """The leader hears of its topic."""
        self.world.heal_one_way(CONTROLLER, broker_name(1))
        self.until(lambda: self.leads(1))

    def leads(self, broker_id: int) -> bool:
        """By the controller, and in its own eyes."""
        found = self.find_replica(broker_id)
        return self.cluster.leader("t") == broker_id and found is not None and found.leadership is not None

    def find_replica(self, broker_id: int) -> Replica | None:
        broker = self.world.find_broker(broker_id)
        return None if broker is None else broker.replicas.get(TP)

    def wait_appended(self, count: int, *broker_ids: int) -> None:
        """Until that many records are in the log of each of these brokers (of all, when none is named)."""

        def is_there(broker_id: int) -> bool:
            found = self.find_replica(broker_id)
            return found is not None and found.log.log_end_offset >= count

        self.until(lambda: all(is_there(broker_id) for broker_id in broker_ids or tuple(self.world.stores)))

    def until(self, predicate: Callable[[], bool]) -> None:
        self.cluster.wait_for(predicate)

    # --- what came of it ------------------------------------------------------------------------------------------

    def log(self) -> list[str]:
        """The leader's log: producer epoch/sequence and value of each batch."""
        found = self.find_replica(self.cluster.leader("t"))
        assert found is not None
        shown = []
        for batch in found.log.read(0, found.log.log_end_offset, 2**62):
            assert not isinstance(batch.records, bytes)
            (record,) = batch.records
            shown.append(f"{batch.producer_epoch}/{batch.base_sequence} {(record.value or b'').decode()}")
        return shown

    def contents(self) -> list[str]:
        return [line.split()[1] for line in self.log()]

    def duplicates(self) -> int:
        contents = self.contents()
        return len(contents) - len(dict.fromkeys(contents))

    def told(self) -> dict[str, str]:
        """What the application heard of each record."""
        told = {}
        for value in self.sent:
            end = self.ends.get(value)
            if end is None:
                told[value] = "nothing"
            elif end.error is not ErrorCode.NONE:
                told[value] = end.error.name
            elif end.is_implied:
                told[value] = "implied"
            else:
                told[value] = str(self.sent[value].offset) if end.base_offset >= 0 else "unknown offset"
        return told

    def assert_offsets_true(self) -> None:
        """What was acknowledged with an offset is there."""
        contents = self.contents()
        for value, heard in self.told().items():
            assert not heard.isdigit() or contents[int(heard)] == value

    def refusals(self) -> list[str]:
        """The errors for a producer's sake that leaders answered: sequence and code."""
        rows = [row for row in self.cluster.recorder.history if isinstance(row, Refused)]
        return [f"{row.producer_epoch}/{row.base_sequence} {row.error}" for row in rows]

    def refused_as_not_leader(self, broker_id: int) -> int:
        """How often this broker told the writer that it does not lead."""
        answers = [
            message.partitions[0].error
            for _, _, (source, destination, _, _, message) in self.cluster.recorder.events
            if isinstance(message, ProduceReply) and (source, destination) == (broker_name(broker_id), WRITER)
        ]
        return answers.count(ErrorCode.NOT_LEADER_OR_FOLLOWER)

    def epoch(self) -> int:
        return self.engine.producer_epoch

    def excused(self) -> dict[str, str]:
        """Promise and cause of what is excused; nothing may be broken."""
        findings = self.cluster.check().findings
        assert [each.sentence for each in findings if each.status == BROKEN] == []
        return {each.promise: each.cause for each in findings if each.status == EXCUSED}

    def broken(self) -> dict[str, str]:
        """Promise and cause of what is broken: here only somebody in the middle who lies can be the reason."""
        return {each.promise: each.cause for each in self.cluster.check().findings if each.status == BROKEN}
