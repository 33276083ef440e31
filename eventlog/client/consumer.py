"""The consumer engine: reads assigned partitions in the order of their offsets, and only while somebody polls.

A pure machine. Its timers: `poll` (the poll waits no longer), `retry` (a back-off is over), `metadata` (back-off),
`request <broker-name>`, `request list_offsets <broker-name>` and `request metadata` for answers that are late.
Sources: `KafkaConsumer`, `AbstractFetch`, `FetchCollector`, `OffsetFetcher`, `SubscriptionState`.
"""

from __future__ import annotations

from eventlog.client.link import Link, backoff_ms
from eventlog.client.metadata import MetadataClient
from eventlog.client.reader import Reader
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, Connection, Disconnected, Envelope, Frozen, Timer, broker_name
from eventlog.messages.broker_api import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    FetchPartition,
    FetchPartitionReply,
    FetchReply,
    FetchRequest,
    ListOffsetsPartition,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    ListOffsetsRequest,
    MetadataReply,
)
from eventlog.messages.user_api import USER, Assign, CloseConsumer, ConsumedRecord, Poll, Polled, Seek
from eventlog.values import ConsumerSettings, TopicPartition

FETCH = "fetch"
LIST_OFFSETS = "list_offsets"
_KEPT = FetchPartition | ListOffsetsPartition


class ConsumerEngine:
    """One consumer. `bootstrap` are the ids of brokers to ask first; `seed` rules the jitter of back-offs."""

    __slots__ = (
        "_deadlines",
        "_is_closed",
        "_poll_records",
        "_readers",
        "bootstrap",
        "links",
        "metadata",
        "name",
        "seed",
        "settings",
    )

    def __init__(self, name: str, settings: ConsumerSettings, bootstrap: tuple[int, ...], seed: int = 0) -> None:
        self.name = name
        self.settings = settings
        self.bootstrap = bootstrap
        self.seed = seed
        self.metadata = MetadataClient(
            name,
            bootstrap,
            seed,
            settings.request_timeout_ms,
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
        )
        self.links: dict[tuple[str, int], Link] = {}
        self._readers: dict[TopicPartition, Reader] = {}
        self._poll_records = 0
        self._is_closed = False
        self._deadlines: dict[str, int] = {}

    # What the world and the tests may look at.

    def deadlines(self) -> dict[str, int]:
        """Set timers by name, Unix milliseconds. The engine's own dictionary: the world removes what runs out."""
        return self._deadlines

    def position(self, topic_partition: TopicPartition) -> int:
        """The offset of the next record that a poll will bring, -1 while it is not known. KeyError if not assigned."""
        reader = self._readers[topic_partition]
        return reader.buffer[0].offset if reader.buffer else reader.position

    def assignment(self) -> tuple[TopicPartition, ...]:
        return tuple(sorted(self._readers))

    # The one way in.

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Takes one envelope and returns what is to be sent."""
        message = envelope.message
        out: list[Envelope] = []
        if message.__class__ is Poll:
            self._poll(message, now_ms, out)
        elif message.__class__ is FetchReply or message.__class__ is ListOffsetsReply:
            self._reply(envelope, now_ms, out)
        elif message.__class__ is Timer:
            self._timer(message.name, now_ms, out)
        elif message.__class__ is MetadataReply:
            if self.metadata.receive_reply(envelope, now_ms, self._deadlines):
                for link in self.links.values():
                    link.is_refused = False
        elif message.__class__ is Disconnected:
            self._disconnected(envelope.connection, message.refused, now_ms)
        elif message.__class__ is Assign:
            self._assign(message.partitions)
        elif message.__class__ is Seek:
            self._seek(message.topic_partition, message.offset)
        elif message.__class__ is CloseConsumer:
            self._close(out)
        else:
            return out
        self._advance(now_ms, out)
        if message.__class__ is Poll and message.timeout_ms <= 0 and self._poll_records:
            # What was asked for now will be there for a later poll.
            self._answer(Polled(()), out)
            self._rest()
        return out

    # From the user.

    def _assign(self, partitions: tuple[TopicPartition, ...]) -> None:
        policy = self.settings.auto_offset_reset
        kept = self._readers
        self._readers = {each: kept.get(each) or Reader(each, policy) for each in map(_as_partition, partitions)}

    def _seek(self, topic_partition: TopicPartition, offset: int) -> None:
        reader = self._readers.get(topic_partition)
        if reader is not None:
            reader.seek(offset)

    def _poll(self, poll: Poll, now_ms: int, out: list[Envelope]) -> None:
        if self._poll_records:
            self._answer(Polled(()), out)
        if self._is_closed:
            self._answer(Polled((), ErrorCode.INVALID_REQUEST, f"consumer {self.name} is closed"), out)
            return
        self._poll_records = poll.max_records if poll.max_records > 0 else self.settings.max_poll_records
        if poll.timeout_ms > 0:
            self._deadlines["poll"] = now_ms + poll.timeout_ms

    def _answer(self, polled: Polled, out: list[Envelope]) -> None:
        self._poll_records = 0
        self._deadlines.pop("poll", None)
        out.append(Envelope(self.name, USER, NO_CONNECTION, 0, polled))

    def _close(self, out: list[Envelope]) -> None:
        self._is_closed = True
        if self._poll_records:
            self._answer(Polled(()), out)
        out += self.metadata.asker.close(self._deadlines)
        for link in self.links.values():
            if link.opened:
                out.append(link.close())
                link.break_off()
        self._readers.clear()
        self._deadlines.clear()

    # Each step ends here.

    def _advance(self, now_ms: int, out: list[Envelope]) -> None:
        """Answers the poll if it can be answered; asks for what is missing as long as one waits."""
        if self._poll_records:
            self._try_to_answer(out)
        if not self._poll_records:
            self._rest()
            return
        self._ask(now_ms, out)
        out += self.metadata.advance(now_ms, self._deadlines)

    def _rest(self) -> None:
        """Nobody waits: no question is asked, and none is repeated."""
        self.metadata.needed.clear()
        self.metadata.tried.clear()
        self._deadlines.pop("retry", None)

    def _try_to_answer(self, out: list[Envelope]) -> None:
        records: list[ConsumedRecord] = []
        for reader in list(self._readers.values()):
            while reader.buffer and len(records) < self._poll_records:
                records.append(reader.buffer.popleft())
                if not reader.buffer or len(records) == self._poll_records:
                    # To the end of the line, so that partitions take turns.
                    del self._readers[reader.topic_partition]
                    self._readers[reader.topic_partition] = reader
        if records:
            self._answer(Polled(tuple(records)), out)
            return
        for reader in self._readers.values():
            if reader.error is not ErrorCode.NONE:
                error, text = reader.error, f"consumer {self.name} on {reader.topic_partition}: {reader.error_text}"
                reader.error, reader.error_text = ErrorCode.NONE, ""
                truncated_to, reader.truncated_to = reader.truncated_to, -1
                self._answer(Polled((), error, text, truncated_to), out)
                return
            if reader.is_lost:
                text = (
                    f"consumer {self.name} on {reader.topic_partition}: no position, and auto_offset_reset is 'none'; "
                    "seek first"
                )
                self._answer(Polled((), ErrorCode.OFFSET_OUT_OF_RANGE, text), out)
                return

    def _ask(self, now_ms: int, out: list[Envelope]) -> None:
        """One fetch per leader for what has a position, one look-up of offsets per leader for what has none."""
        retry_at_ms: list[int] = []
        wanted: dict[tuple[str, int], list[_KEPT]] = {}
        for reader in self._readers.values():
            if reader.is_out or reader.buffer:
                continue
            where = reader.topic_partition
            leader_id, leader_epoch = self.metadata.leader_of(where)
            if leader_id < 0:
                self.metadata.want_newer(where)
                continue
            link = self._link(LIST_OFFSETS if reader.position < 0 else FETCH, leader_id)
            if link.is_refused:
                self.metadata.want_newer(where)
                continue
            wait_until_ms = 0 if link.opened else link.reconnect_at_ms
            if reader.leader_epoch == leader_epoch:
                wait_until_ms = max(wait_until_ms, reader.backoff_until_ms)
            if wait_until_ms > now_ms:
                retry_at_ms.append(wait_until_ms)
                continue
            if link.in_flight:
                continue
            reader.leader_epoch = leader_epoch
            each: _KEPT
            if reader.position < 0:
                each = ListOffsetsPartition(where, reader.reset_to, leader_epoch)
            else:
                limit = self.settings.max_partition_fetch_bytes
                each = FetchPartition(where, reader.position, leader_epoch, reader.last_epoch, max_bytes=limit)
            wanted.setdefault((link.connection.purpose, leader_id), []).append(each)
            reader.is_out = True
        settings = self.settings
        level = READ_COMMITTED if settings.isolation_level == "read_committed" else READ_UNCOMMITTED
        for (purpose, leader_id), parts in wanted.items():
            link = self.links[purpose, leader_id]
            request: object
            if purpose == FETCH:
                fetched = tuple(each for each in parts if isinstance(each, FetchPartition))
                limits = (settings.fetch_max_wait_ms, settings.fetch_min_bytes, settings.fetch_max_bytes)
                request = FetchRequest(-1, -1, *limits, level, fetched)
            else:
                request = ListOffsetsRequest(
                    -1, level, tuple(each for each in parts if isinstance(each, ListOffsetsPartition))
                )
            out.append(link.request(request, tuple(parts), now_ms))
            link.set_timer(self._deadlines, settings.request_timeout_ms)
        if retry_at_ms:
            self._deadlines["retry"] = min(retry_at_ms)
        else:
            self._deadlines.pop("retry", None)

    def _link(self, purpose: str, broker_id: int) -> Link:
        link = self.links.get((purpose, broker_id))
        if link is None:
            server = broker_name(broker_id)
            timer = f"request {server}" if purpose == FETCH else f"request {purpose} {server}"
            link = self.links[purpose, broker_id] = Link(self.name, broker_id, purpose, timer)
        return link

    # Answers.

    def _reply(self, envelope: Envelope, now_ms: int, out: list[Envelope]) -> None:
        for link in self.links.values():
            if link.opened and link.connection == envelope.connection:
                break
        else:
            return
        asked: tuple[_KEPT, ...] | None = link.take_reply(envelope.correlation_id)
        if asked is None:
            # An answer to something else: this connection can't be trusted.
            out.append(link.close())
            self._lose(link, now_ms, refused=False)
            return
        link.set_timer(self._deadlines, self.settings.request_timeout_ms)
        answers = {answer.topic_partition: answer for answer in envelope.message.partitions}
        for each in asked:
            reader = self._readers.get(each.topic_partition)
            if reader is None or not reader.is_out or not reader.asked_for(each):
                # Given away or moved by a seek since; what is asked for now comes later.
                continue
            reader.is_out = False
            answer = answers.get(each.topic_partition)
            if answer is None:
                self._back_off(reader, now_ms)
            elif answer.error is not ErrorCode.NONE:
                self._error(reader, answer, now_ms)
            else:
                reader.failures = 0
                self.metadata.leader_works(each.topic_partition)
                if isinstance(answer, ListOffsetsPartitionReply):
                    reader.position = max(answer.offset, 0)
                    reader.last_epoch = answer.leader_epoch
                elif answer.diverging_epoch >= 0:
                    reader.part(self.settings.auto_offset_reset, answer.diverging_epoch, answer.diverging_end_offset)
                else:
                    reader.take(answer, read_committed=self.settings.isolation_level == "read_committed")

    def _error(self, reader: Reader, answer: FetchPartitionReply | ListOffsetsPartitionReply, now_ms: int) -> None:
        """Leaders are looked for, resets made, and the rest is told to the user."""
        error, where = ErrorCode(answer.error), reader.topic_partition
        if error is ErrorCode.OFFSET_OUT_OF_RANGE:
            reader.out_of_range(self.settings.auto_offset_reset)
            return
        if error in (ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH):
            hint = (answer.leader_id, answer.leader_epoch) if isinstance(answer, FetchPartitionReply) else (-1, -1)
            if hint[0] < 0 or not self.metadata.learn(where, *hint):
                self.metadata.want_newer(where)
        elif error is ErrorCode.UNKNOWN_LEADER_EPOCH:
            # The broker is behind what is known here; it will catch up, and metadata would say nothing new.
            pass
        elif error.is_retriable:
            self.metadata.want(where.topic)
        else:
            reader.error, reader.error_text = error, f"{error.name} at offset {reader.position}"
        self._back_off(reader, now_ms)

    def _back_off(self, reader: Reader, now_ms: int) -> None:
        settings = self.settings
        reader.failures += 1
        name = f"{self.name} {reader.topic_partition} {reader.position} {reader.failures}"
        reader.backoff_until_ms = now_ms + backoff_ms(
            settings.retry_backoff_ms, settings.retry_backoff_max_ms, reader.failures, self.seed, name
        )

    # Timers and connections.

    def _timer(self, name: str, now_ms: int, out: list[Envelope]) -> None:
        """A timer that ran out. A request timer is not doubted: the client gives up when it is told to."""
        self._deadlines.pop(name, None)
        if name == "poll":
            if self._poll_records:
                self._answer(Polled(()), out)
        elif name == self.metadata.asker.timer:
            out += self.metadata.timed_out(now_ms, self._deadlines)
        else:
            for link in self.links.values():
                if link.timer == name and link.in_flight:
                    out.append(link.close())
                    self._lose(link, now_ms, refused=False)

    def _disconnected(self, connection: Connection, refused: bool, now_ms: int) -> None:
        if connection.purpose == self.metadata.asker.purpose:
            self.metadata.disconnected(connection, now_ms, self._deadlines)
            return
        for link in self.links.values():
            if link.opened and link.connection == connection:
                self._lose(link, now_ms, refused=refused and not link.answered)

    def _lose(self, link: Link, now_ms: int, *, refused: bool) -> None:
        """A connection is gone. What was asked on it is asked again, of whoever leads then."""
        unanswered = link.break_off()
        link.set_timer(self._deadlines, self.settings.request_timeout_ms)
        link.reconnect_at_ms = now_ms + self.settings.reconnect_backoff_ms
        link.is_refused = refused
        for parts in unanswered:
            for each in parts:
                reader = self._readers.get(each.topic_partition)
                if reader is not None and reader.is_out and reader.asked_for(each):
                    reader.is_out = False
                    if not refused:
                        self.metadata.want(each.topic_partition.topic)
                        self._back_off(reader, now_ms)

    # Freezing.

    def freeze(self, now_ms: int) -> Frozen:
        """The whole state as nested plain tuples; times as distances from `now_ms`. O(buffered records)."""
        timeout_ms = self.settings.request_timeout_ms
        links = tuple(
            (
                purpose,
                link.freeze(now_ms, timeout_ms),
                tuple(tuple((each.__class__.__name__, *each) for each in parts) for _, _, parts in link.in_flight),
            )
            for (purpose, _), link in self.links.items()
        )
        return (
            (self.name, self.settings, self.bootstrap, self.seed),
            self.metadata.freeze(now_ms),
            links,
            tuple(reader.freeze(now_ms) for reader in self._readers.values()),
            self._poll_records,
            self._is_closed,
            tuple(sorted((name, max(at_ms - now_ms, 0)) for name, at_ms in self._deadlines.items())),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int) -> ConsumerEngine:
        """An engine that goes on as the frozen one would have, with its clock at `now_ms`."""
        who, metadata, links, readers, poll_records, is_closed, timers = frozen
        engine = cls(*who)
        engine.metadata.restore(metadata, now_ms)
        classes = {"FetchPartition": FetchPartition, "ListOffsetsPartition": ListOffsetsPartition}
        for purpose, frozen_link, waiting in links:
            kept = [tuple(classes[each[0]](*each[1:]) for each in parts) for parts in waiting]
            engine._link(purpose, frozen_link[0]).restore(frozen_link, kept, now_ms)
        thawed = [Reader.thaw(each, now_ms) for each in readers]
        engine._readers = {reader.topic_partition: reader for reader in thawed}
        engine._poll_records = poll_records
        engine._is_closed = is_closed
        engine._deadlines.update({timer: now_ms + in_ms for timer, in_ms in timers})
        return engine


def _as_partition(pair: tuple[str, int]) -> TopicPartition:
    return TopicPartition(*pair)
