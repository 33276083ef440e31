"""Broker 1 alone on a table: the test is its controller, its followers, its leader and its clock."""

from __future__ import annotations

from typing import Any

from broker_stage import T0, TP, fetch_request

from eventlog.broker import Broker
from eventlog.broker.leader import Leadership
from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.messages import CONTROLLER, NO_CONNECTION, Connection, Envelope, Timer
from eventlog.messages.broker_api import (
    FetchPartitionReply,
    FetchReply,
    FetchRequest,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ProducePartition,
    ProducePartitionReply,
    ProduceRequest,
)
from eventlog.messages.controller_api import (
    AlterPartitionReply,
    AlterPartitionRequest,
    FetchMetadataReply,
    PartitionRecord,
    RegisterBrokerRecord,
    TopicRecord,
    UnfenceBrokerRecord,
)
from eventlog.storage import MemoryStores
from eventlog.values import BrokerSettings, Record, RecordBatch, placed, record_batch, with_settings

INTERNAL = -2
"""Stands for a follower where an isolation level is asked for: it sees the log's end."""


def plain(*times_ms: int) -> RecordBatch:
    """A batch without a producer id, one record for each time after the start."""
    return record_batch(tuple(Record(None, b"v", T0 + each) for each in times_ms), -1, -1, -1)


class Lone:
    """Partition t-0 on brokers 1, 2, 3; broker epochs are 11, 12, 13. Nothing is led or followed yet."""

    def __init__(self, **settings: Any) -> None:
        self.broker = Broker(1, 0, with_settings(BrokerSettings(), settings), MemoryStores())
        self.broker.broker_epoch = 11
        self.now_ms = T0
        self.partition_epoch = -1
        self.numbers = 0
        self.sent: list[Envelope] = []
        for broker_id in (1, 2, 3):
            self.tell(
                RegisterBrokerRecord(broker_id, 10 + broker_id, 0), UnfenceBrokerRecord(broker_id, 10 + broker_id)
            )
        self.tell(TopicRecord("t", "", ()))

    # --- what it hears --------------------------------------------------------------------------------------------

    def receive(self, connection: Connection, source: str, message: Any) -> list[Any]:
        """What it sends on account of `message`, without its metadata fetches."""
        out = self.broker.receive(Envelope(source, "broker-1", connection, 0, message), self.now_ms)
        self.sent = [each for each in out if each.connection.purpose != "metadata"]
        return [each.message for each in self.sent]

    def tell(self, *records: Any) -> list[Any]:
        """News of the metadata log."""
        news = FetchMetadataReply(self.broker.image.end_offset, records)
        return self.receive(Connection("broker-1", CONTROLLER, "metadata", 0), CONTROLLER, news)

    def role(
        self, leader_id: int, leader_epoch: int, *in_sync: int, partition_epoch: int = -1, replicas: int = 3
    ) -> list[Any]:
        """Metadata tells who leads and who is in sync (default: all)."""
        self.partition_epoch = partition_epoch if partition_epoch >= 0 else self.partition_epoch + 1
        assigned = (1, 2, 3)[:replicas]
        return self.tell(
            PartitionRecord(TP, assigned, in_sync or assigned, leader_id, leader_epoch, self.partition_epoch)
        )

    def ask(self, message: Any, client: str = "asker") -> list[Any]:
        self.numbers += 1
        return self.receive(Connection(client, "broker-1", "test", self.numbers), client, message)

    def produce(self, each: RecordBatch, acks: int = 1) -> ProducePartitionReply | None:
        """None while it waits."""
        answers = self.ask(ProduceRequest(acks, 2_000, (ProducePartition(TP, each),)))
        replies = [answer for answer in answers if hasattr(answer, "partitions")]
        reply: ProducePartitionReply | None = replies[-1].partitions[0] if replies else None
        return reply

    def fetch(self, follower: int, offset: int, **more: Any) -> FetchPartitionReply:
        """A follower's (-1: a consumer's) fetch that doesn't wait; what else is sent stays in `sent`."""
        broker_epoch = more.pop("broker_epoch", 10 + follower if follower > 0 else -1)
        request: FetchRequest = fetch_request(offset, replica_id=follower, **more)
        answers = self.ask(request._replace(broker_epoch=broker_epoch), f"broker-{follower}")
        (reply,) = [answer.partitions[0] for answer in answers if isinstance(answer, FetchReply)][-1:]
        return reply

    def list_offsets(self, timestamp_ms: int, isolation: int = 0) -> tuple[int, int]:
        """(error, offset)."""
        level = max(isolation, 0)
        asked = ListOffsetsRequest(2 if isolation == INTERNAL else -1, level, (ListOffsetsPartition(TP, timestamp_ms),))
        (reply,) = self.ask(asked)[0].partitions
        return int(reply.error), reply.offset

    def answer_fetch(self, connection: Connection, reply: FetchPartitionReply) -> list[Any]:
        """Its leader's answer."""
        return self.receive(connection, connection.server, FetchReply((reply,)))

    def pass_time(self, for_ms: int) -> list[Any]:
        """Every timer that runs out in that time, and what is sent for it."""
        until_ms = self.now_ms + for_ms
        out = []
        timers = self.broker.timers
        while timers and min(timers.values()) <= until_ms:
            name = min(timers, key=lambda each: timers[each])
            self.now_ms = timers.pop(name)
            out += self.receive(NO_CONNECTION, "broker-1", Timer(name))
        self.now_ms = until_ms
        return out

    # --- who is in sync -------------------------------------------------------------------------------------------

    @property
    def wishes(self) -> list[tuple[int, ...]]:
        """The in-sync replicas asked for by what was sent last."""
        asked = [each.message for each in self.sent if isinstance(each.message, AlterPartitionRequest)]
        return [tuple(member for member, _ in each.new_in_sync_replicas) for each in asked]

    def controller_says(self, error: int, partition_epoch: int, *in_sync: int) -> list[Any]:
        """The answer to the wish made in `partition_epoch`."""
        reply = AlterPartitionReply(TP, partition_epoch, ErrorCode(error))
        if not error:
            leader_epoch = self.replica.partition.leader_epoch
            reply = AlterPartitionReply(
                TP, partition_epoch, ErrorCode.NONE, 1, leader_epoch, in_sync, partition_epoch + 1
            )
        return self.receive(Connection("broker-1", CONTROLLER, "alter", 0), CONTROLLER, reply)

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def replica(self) -> Replica:
        return self.broker.replicas[TP]

    @property
    def log(self) -> PartitionLog:
        return self.replica.log

    @property
    def leadership(self) -> Leadership:
        found = self.replica.leadership
        assert found is not None
        return found

    @property
    def fetching(self) -> Connection:
        """Where its fetch as a follower is out."""
        following = self.replica.following
        assert following is not None
        assert following.connection is not None
        return following.connection

    @property
    def marks(self) -> tuple[int, int, int]:
        """(log start, high watermark, log end)."""
        return (self.log.log_start_offset, self.log.high_watermark, self.log.log_end_offset)

    def fill(self, *epochs: tuple[int, int]) -> None:
        """Records as replicated: (leader epoch, how many batches of one record)."""
        for leader_epoch, count in epochs:
            for _ in range(count):
                self.log.append_as_follower((placed(plain(0), self.log.log_end_offset, leader_epoch),))


__all__ = ["INTERNAL", "Lone", "plain"]
