"""The waiting room: requests that can't be answered yet, as data.

A produce with acks=all waits until the high watermark passes its batches; a fetch waits for records; a metadata request
waits for a newer leader. Each is a value with what it waits for, where its answer goes, and until when. Whoever changes
what is waited for asks the room who may leave; nothing polls.

Source: Kafka's `DelayedProduce` and `DelayedFetch`.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Final, NamedTuple

from eventlog.errors import ErrorCode
from eventlog.messages import Connection, Frozen
from eventlog.messages.broker_api import (
    FetchRequest,
    MetadataRequest,
    ProducePartitionReply,
    ProduceReply,
    WriteTxnMarkersReply,
)
from eventlog.values import TopicPartition


class WaitingProduce:
    """`required`: for each partition still waited for, the offset that the high watermark must reach.

    `markers` None: a produce. Else a coordinator's request: (producer id, partition, error) of each marker, where NONE
    means: as the partition's entry in `replies` turns out.
    """

    __slots__ = ("connection", "correlation_id", "deadline_ms", "markers", "replies", "required")

    def __init__(
        self,
        connection: Connection,
        correlation_id: int,
        replies: dict[TopicPartition, ProducePartitionReply],
        required: dict[TopicPartition, int],
        deadline_ms: int,
        markers: tuple[tuple[int, TopicPartition, ErrorCode], ...] | None = None,
    ) -> None:
        self.connection = connection
        self.correlation_id = correlation_id
        self.replies = replies
        self.required = required
        self.deadline_ms = deadline_ms
        self.markers = markers

    def answer(self) -> ProduceReply | WriteTxnMarkersReply:
        """What it is told now."""
        if self.markers is None:
            return ProduceReply(tuple(self.replies.values()))
        return WriteTxnMarkersReply(
            tuple([(who, where, error or self.replies[where].error) for who, where, error in self.markers])
        )


_connection = attrgetter("connection")
FEW: Final = 16
"""So many deadlines of fetches that have left are not worth a look."""


class WaitingFetch(NamedTuple):
    """`deadline_ms` -1: for ever (a follower)."""

    connection: Connection
    correlation_id: int
    request: FetchRequest
    deadline_ms: int


class WaitingMetadata(NamedTuple):
    connection: Connection
    correlation_id: int
    request: MetadataRequest
    deadline_ms: int


class WaitingRoom:
    """All that one broker has put off, in order of arrival."""

    __slots__ = ("_deadlines", "fetches", "metadata", "produces")

    def __init__(self) -> None:
        self.produces: list[WaitingProduce] = []
        # A connection has one request in process, so it names its fetch.
        self.fetches: dict[Connection, WaitingFetch] = {}
        # A heap of (deadline, connection) of those that don't wait for ever; some have left before.
        self._deadlines: list[tuple[int, Connection]] = []
        self.metadata: list[WaitingMetadata] = []

    def wait_for_records(self, waiting: WaitingFetch) -> None:
        """A fetch joins. O(log waiting fetches)."""
        self.fetches[waiting.connection] = waiting
        if waiting.deadline_ms < 0:
            return
        deadlines = self._deadlines
        heappush(deadlines, (waiting.deadline_ms, waiting.connection))
        if len(deadlines) > 2 * len(self.fetches) + FEW:
            deadlines[:] = [
                (each.deadline_ms, each.connection) for each in self.fetches.values() if each.deadline_ms >= 0
            ]
            heapify(deadlines)

    def take_overdue_fetches(self, now_ms: int) -> list[WaitingFetch]:
        """Those that have waited too long leave, by connection."""
        deadlines = self._deadlines
        overdue: dict[Connection, WaitingFetch] = {}
        while deadlines and deadlines[0][0] <= now_ms:
            deadline_ms, connection = heappop(deadlines)
            waiting = self.fetches.get(connection)
            if waiting is not None and waiting.deadline_ms == deadline_ms:
                overdue[connection] = self.fetches.pop(connection)
        return [overdue[connection] for connection in sorted(overdue)]

    def next_fetch_deadline_ms(self) -> int:
        """When the next of them will have waited too long; -1: none will."""
        deadlines = self._deadlines
        while deadlines:
            deadline_ms, connection = deadlines[0]
            waiting = self.fetches.get(connection)
            if waiting is not None and waiting.deadline_ms == deadline_ms:
                return deadline_ms
            heappop(deadlines)
        return -1

    def fetches_of(self, topic_partition: TopicPartition) -> list[WaitingFetch]:
        """Those that ask for this partition, by connection: whoever asked first, equal states answer alike.
        O(waiting fetches)."""
        found = [
            waiting
            for waiting in self.fetches.values()
            for wanted in waiting.request.partitions
            if wanted.topic_partition == topic_partition
        ]
        if len(found) > 1:
            found.sort(key=_connection)
        return found

    def forget(self, connection: Connection) -> None:
        """The asker is gone."""
        self.fetches.pop(connection, None)
        if self.produces:
            self.produces = [waiting for waiting in self.produces if waiting.connection != connection]
        if self.metadata:
            self.metadata = [waiting for waiting in self.metadata if waiting.connection != connection]

    def freeze(self, now_ms: int) -> Frozen:
        return (
            tuple(
                [
                    (
                        waiting.connection,
                        waiting.correlation_id,
                        tuple(waiting.replies.items()),
                        tuple(waiting.required.items()),
                        max(0, waiting.deadline_ms - now_ms),
                        waiting.markers,
                    )
                    for waiting in self.produces
                ]
            ),
            tuple([_frozen_wait(waiting, now_ms) for _, waiting in sorted(self.fetches.items())]),
            tuple([_frozen_wait(waiting, now_ms) for waiting in self.metadata]),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int) -> WaitingRoom:
        room = cls()
        produces, fetches, metadata = frozen
        for connection, correlation_id, replies, required, wait_ms, markers in produces:
            room.produces.append(
                WaitingProduce(connection, correlation_id, dict(replies), dict(required), now_ms + wait_ms, markers)
            )
        for fields in fetches:
            room.wait_for_records(WaitingFetch(*_thawed_wait(fields, now_ms)))
        room.metadata = [WaitingMetadata(*_thawed_wait(fields, now_ms)) for fields in metadata]
        return room


def _frozen_wait(waiting: WaitingFetch | WaitingMetadata, now_ms: int) -> tuple[Any, ...]:
    wait_ms = None if waiting.deadline_ms < 0 else max(0, waiting.deadline_ms - now_ms)
    return (waiting.connection, waiting.correlation_id, waiting.request, wait_ms)


def _thawed_wait(fields: tuple[Any, ...], now_ms: int) -> tuple[Any, ...]:
    connection, correlation_id, request, wait_ms = fields
    return (connection, correlation_id, request, -1 if wait_ms is None else now_ms + wait_ms)
