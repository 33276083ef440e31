"""What is pending in a producer engine, and the one end that each send gets.

Source: `RecordAccumulator` (memory, expiry), `ProducerBatch`, `IncompleteBatches`.
"""

from __future__ import annotations

from collections import deque

from eventlog.client.batches import Batch, PartitionQueue, record_bound_bytes
from eventlog.client.identity import ProducerIdentity
from eventlog.client.link import Link
from eventlog.client.metadata import MetadataClient
from eventlog.client.topic import TopicQueues
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, Envelope
from eventlog.messages.user_api import USER, SendsResolved
from eventlog.values import BATCH_HEADER_BYTES, ProducerSettings, Record, TopicPartition

PURPOSE = "produce"


class PendingSends:
    """The state of a producer engine, and how a batch comes to its end.

    `_is_dead`: after a fatal error nothing is sent any more, but what is out may still be answered (librdkafka).
    """

    __slots__ = (
        "_buffered_bytes",
        "_created",
        "_deadlines",
        "_is_closing",
        "_is_dead",
        "_is_librdkafka",
        "_lingering",
        "_ready",
        "_refusal",
        "_topics",
        "_unresolved",
        "_waiting",
        "bootstrap",
        "identity",
        "links",
        "metadata",
        "name",
        "retries",
        "seed",
        "settings",
    )

    def __init__(self, name: str, settings: ProducerSettings, bootstrap: tuple[int, ...], seed: int = 0) -> None:
        self.name = name
        self.settings = settings
        self.bootstrap = bootstrap
        self.seed = seed
        waits = (
            settings.request_timeout_ms,
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
            settings.retry_backoff_jitter_percent,
        )
        self.metadata = MetadataClient(name, bootstrap, seed, *waits, settings.metadata_max_wait_ms)
        self.identity = ProducerIdentity(name, seed, *waits)
        self.links: dict[int, Link] = {}
        self.retries = 0
        self._topics: dict[str, TopicQueues] = {}
        self._ready: dict[PartitionQueue, None] = {}
        self._unresolved: dict[PartitionQueue, None] = {}
        self._waiting: dict[str, TopicQueues] = {}
        self._created: deque[Batch] = deque()
        self._lingering: deque[Batch] = deque()
        self._buffered_bytes = 0
        self._refusal: tuple[ErrorCode, str] | None = None
        self._is_closing = False
        self._is_dead = False
        self._is_librdkafka = settings.behaves_like == "librdkafka"
        self._deadlines: dict[str, int] = {}

    def _is_idle(self) -> bool:
        """True when nothing is pending. Forgets at this chance what has come to its end."""
        created = self._created
        while created and created[0].is_done:
            created.popleft()
        return not created and not self._waiting

    def _track(self, batch: Batch, *, lingers: bool) -> None:
        """Takes a new batch into the lists by age. One whose records waited for metadata is older than it looks."""
        lists = (self._created, self._lingering) if lingers else (self._created,)
        for line in lists:
            out_of_order = bool(line) and line[-1].created_ms > batch.created_ms
            line.append(batch)
            if out_of_order:
                by_age = sorted(line, key=lambda each: each.created_ms)
                line.clear()
                line.extend(by_age)

    def _set_own_timers(self) -> None:
        """Sets `linger` and `delivery` by the oldest batches, or removes them."""
        deadlines = self._deadlines
        lingering = self._lingering
        while lingering and ((batch := lingering[0]).queue.open is not batch or batch.queue.open_is_due):
            lingering.popleft()
        if lingering:
            deadlines["linger"] = lingering[0].created_ms + self.settings.linger_ms
        elif "linger" in deadlines:
            del deadlines["linger"]
        if not self._is_idle():
            births = [topic.waiting[0][1] for topic in self._waiting.values()] if self._waiting else []
            if self._created:
                births.append(self._created[0].created_ms)
            deadlines["delivery"] = min(births) + self.settings.delivery_timeout_ms
        elif "delivery" in deadlines:
            del deadlines["delivery"]

    def _resolve(
        self,
        batch: Batch,
        error: ErrorCode,
        base_offset: int,
        text: str,
        out: list[Envelope],
        *,
        is_implied: bool = False,
    ) -> None:
        """Tells the user the end of a batch's records; frees their memory."""
        batch.is_done = True
        self._buffered_bytes -= batch.capacity_bytes
        # The tuple that was sent, if it was: one copy of the records is enough.
        wire = batch.wire
        records = tuple(batch.records) if wire is None or isinstance(wire.records, bytes) else wire.records
        may_be_written = batch.unproven or batch.is_out or error is ErrorCode.NONE
        resolved = SendsResolved(
            batch.queue.topic_partition,
            records,
            base_offset,
            error,
            may_be_written,
            text,
            batch.tries,
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            is_implied,
        )
        out.append(Envelope(self.name, USER, NO_CONNECTION, 0, resolved))

    # Ends that no answer brings.

    def _expire(self, now_ms: int, out: list[Envelope]) -> None:
        """The delivery timeout of the oldest batches is over. Their requests, if out, stay out."""
        settings = self.settings
        for topic in list(self._waiting.values()):
            self._expire_waiting(topic, now_ms, out)
        for batch in list(self._created):
            if batch.is_done:
                continue
            if now_ms - batch.created_ms < settings.delivery_timeout_ms:
                break
            queue = batch.queue
            if queue.open is batch:
                queue.open = None
                queue.open_is_due = False
            elif not batch.is_out:
                queue.queue.remove(batch)
            if not queue.queue and not queue.open_is_due:
                self._ready.pop(queue, None)
            text = (
                f"producer {self.name} on {queue.topic_partition}: {len(batch.records)} records expired "
                f"{settings.delivery_timeout_ms} ms (delivery_timeout_ms) after their batch was created, "
                f"after {batch.tries} attempts"
            )
            self._resolve(batch, ErrorCode.REQUEST_TIMED_OUT, -1, text, out)
            if settings.enable_idempotence:
                queue.leave(batch)
                if self._is_librdkafka:
                    if batch.base_sequence >= 0:
                        # Its number is missing now, unless it was written; librdkafka doesn't wait to find out.
                        self.identity.request_bump(queue)
                elif batch.in_retry:
                    queue.mark_unresolved(batch)
                    self._unresolved[queue] = None

    def _expire_waiting(self, topic: TopicQueues, now_ms: int, out: list[Envelope]) -> None:
        """Sends to a topic of which no broker said how many partitions it has."""
        expired: dict[int, list[Record]] = {}
        while topic.waiting and now_ms - topic.waiting[0][1] >= self.settings.delivery_timeout_ms:
            send = topic.waiting.popleft()[0]
            self._buffered_bytes -= BATCH_HEADER_BYTES + record_bound_bytes(send.record)
            expired.setdefault(send.partition, []).append(send.record)
        if not topic.waiting:
            del self._waiting[topic.topic]
        error = self.metadata.topic_errors.get(topic.topic, ErrorCode.REQUEST_TIMED_OUT)
        why = "no broker answered" if error is ErrorCode.REQUEST_TIMED_OUT else f"brokers say {error.name}"
        text = (
            f"producer {self.name}: topic {topic.topic} was not found within {self.settings.delivery_timeout_ms} ms "
            f"(delivery_timeout_ms): {why}; nothing was sent. Create the topic, or mend its name"
        )
        self._fail_waiting(topic, expired, error, text, out)

    def _fail_waiting(
        self, topic: TopicQueues, failed: dict[int, list[Record]], error: ErrorCode, text: str, out: list[Envelope]
    ) -> None:
        for partition, records in failed.items():
            where = TopicPartition(topic.topic, partition)
            resolved = SendsResolved(where, tuple(records), -1, error, False, text, 0)
            out.append(Envelope(self.name, USER, NO_CONNECTION, 0, resolved))

    def _die(self, error: ErrorCode, text: str, out: list[Envelope]) -> None:
        """A fatal error: everything pending fails with it, and every later send. (With librdkafka what is out may still
        get its own answer.)"""
        self._refusal = (error, text)
        self._is_closing = True
        self._is_dead = True
        for batch in list(self._created):
            if not batch.is_done and not (self._is_librdkafka and batch.is_out):
                self._resolve(batch, error, -1, text, out)
        for topic in self._topics.values():
            failed: dict[int, list[Record]] = {}
            for send, _ in topic.waiting:
                self._buffered_bytes -= BATCH_HEADER_BYTES + record_bound_bytes(send.record)
                failed.setdefault(send.partition, []).append(send.record)
            topic.waiting.clear()
            self._fail_waiting(topic, failed, error, text, out)
            for queue in topic.partitions:
                queue.clear()
        self._waiting.clear()
        self._ready.clear()
        self._unresolved.clear()
        self.identity.rewrite.clear()
        self.identity.wanted = False
