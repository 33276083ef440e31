"""The producer engine: sends come in, requests go out, and every send gets exactly one end.

A pure machine. Its timers: `linger`, `retry` (a back-off is over), `delivery` (the oldest batch expires), `metadata`
and `init` (back-off), and `request <broker-name>`, `request metadata`, `request init` for answers that are late.
Sources: `KafkaProducer`, `RecordAccumulator`, `Sender`, `TransactionManager`, `NetworkClient`.
"""

from __future__ import annotations

from eventlog.client.batches import Batch, PartitionQueue, SequenceState, record_bound_bytes
from eventlog.client.frozen import freeze_producer, thaw_producer
from eventlog.client.probes import check_producer
from eventlog.client.sender import Sender
from eventlog.client.topic import TopicQueues
from eventlog.errors import ErrorCode
from eventlog.messages import NO_CONNECTION, Connection, Disconnected, Envelope, Frozen, Timer
from eventlog.messages.broker_api import InitProducerIdReply, MetadataReply, ProduceReply
from eventlog.messages.user_api import USER, CloseProducer, Flush, Send, SendRefused
from eventlog.values import BATCH_HEADER_BYTES, Record, TopicPartition


class ProducerEngine(Sender):
    """One producer. `bootstrap` are the ids of brokers to ask first; `seed` rules jitter and the sticky partitioner.

    `retries` counts sendings of a batch beyond its first, `epoch_bumps` how often the epoch was raised or the id
    replaced because of a failed batch. Neither is frozen: no rule reads them.
    """

    __slots__ = ()

    # What the world and the tests may look at.

    @property
    def epoch_bumps(self) -> int:
        return self.identity.epoch_bumps

    @property
    def producer_id(self) -> int:
        """-1 while there is none."""
        return self.identity.producer_id

    @property
    def producer_epoch(self) -> int:
        return self.identity.producer_epoch

    @property
    def buffered_bytes(self) -> int:
        """What pending batches have reserved of `buffer_memory`."""
        return self._buffered_bytes

    def deadlines(self) -> dict[str, int]:
        """Set timers by name, Unix milliseconds. The engine's own dictionary: the world removes what runs out."""
        return self._deadlines

    def partition_state(self, topic_partition: TopicPartition) -> SequenceState:
        """What is counted for this partition; raises KeyError for one that was never heard of."""
        return self._topics[topic_partition.topic].partitions[topic_partition.partition].state()

    def queues(self) -> list[PartitionQueue]:
        """All partitions' queues, in the order their topics were first used."""
        return [queue for topic in self._topics.values() for queue in topic.partitions]

    def check_invariants(self) -> None:
        """Raises InvariantViolation if one of the chapter's C1 to C8 does not hold. O(all pending records)."""
        check_producer(self)

    def freeze(self, now_ms: int) -> Frozen:
        """The whole state as nested plain tuples; times as distances from `now_ms`. O(all pending records)."""
        return freeze_producer(self, now_ms)

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int) -> ProducerEngine:
        """An engine that goes on as the frozen one would have, with its clock at `now_ms`."""
        return thaw_producer(cls, frozen, now_ms)

    # The one way in.

    def join_open_batch(self, topic: str, partition: int, record: Record) -> bool:
        """Puts a record into its partition's open batch if it fits there; nothing else changes, no timer and no message.

        That is what nearly every send comes to, so whoever has no envelope yet may ask here first. False: nothing was
        done, and the send has to come as an envelope.
        """
        queues = self._topics.get(topic)
        if queues is None:
            return False
        key, value, _, headers, _ = record
        if partition < 0:
            queue = queues.sticky if key is None else queues.by_key.get(key)
        else:
            queue = queues.partitions[partition] if partition < len(queues.partitions) else None
        if queue is None or headers:
            return False
        batch = queue.open
        if batch is None:
            return False
        # 21: RECORD_OVERHEAD_BYTES, in place.
        size = 21 + len(value) if value else 21
        if key is not None:
            size += len(key)
        room_bytes = batch.room_bytes - size
        if room_bytes <= 0:
            return False
        batch.room_bytes = room_bytes
        batch.records.append(record)
        return True

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Takes one envelope and returns what is to be sent."""
        message = envelope[4]
        if message.__class__ is Send:
            topic, partition, record = message
            return [] if self.join_open_batch(topic, partition, record) else self._send(message, now_ms)
        out: list[Envelope] = []
        if message.__class__ is ProduceReply:
            self._produce_reply(envelope, now_ms, out)
        elif message.__class__ is Timer:
            self._timer(message.name, now_ms, out)
        elif message.__class__ is MetadataReply:
            self._metadata_reply(envelope, now_ms, out)
        elif message.__class__ is InitProducerIdReply:
            error = self.identity.receive_reply(envelope, self.metadata.candidates(), now_ms, self._deadlines)
            if error is not ErrorCode.NONE:
                self._die(error, f"producer {self.name} got no producer id: {error.name}", out)
        elif message.__class__ is Disconnected:
            self._disconnected(envelope.connection, message.refused, now_ms, out)
        elif message.__class__ is Flush:
            self._flush()
        elif message.__class__ is CloseProducer:
            # Closed to further records, all of them: the fast path above looks no further than the open batch.
            self._flush()
            for queue in self.queues():
                queue.close_open()
            self._is_closing = True
            self._refusal = self._refusal or (ErrorCode.INVALID_REQUEST, f"producer {self.name} is closed")
        else:
            return out
        self._advance(now_ms, out)
        return out

    # Sends.

    def _send(self, send: Send, now_ms: int) -> list[Envelope]:
        """A send that opens or fills a batch, or meets an obstacle."""
        topic, _, record = send
        settings = self.settings
        if self._refusal is not None:
            return [self._refused(send, *self._refusal)]
        size = record_bound_bytes(record)
        limit = min(settings.max_request_size, settings.buffer_memory)
        if BATCH_HEADER_BYTES + size > limit:
            text = f"producer {self.name}: a record of {size} bytes came, at most {limit - BATCH_HEADER_BYTES} can be "
            return [self._refused(send, ErrorCode.MESSAGE_TOO_LARGE, f"{text}sent (max_request_size, buffer_memory)")]
        self.identity.wanted = settings.enable_idempotence
        queues = self._topics.get(topic)
        if queues is None:
            queues = self._topics[topic] = TopicQueues(topic)
            self.metadata.want(topic)
        out: list[Envelope] = []
        if send.partition >= len(queues.partitions) or not queues.partitions:
            # There may be more partitions by now: what is known is asked for anew before such a send is refused.
            self.metadata.want(topic)
            if self._buffered_bytes + BATCH_HEADER_BYTES + size > settings.buffer_memory:
                return [self._refused_for_memory(send)]
            self._buffered_bytes += BATCH_HEADER_BYTES + size
            queues.waiting.append((send, now_ms))
            self._waiting[topic] = queues
            self._advance(now_ms, out)
            return out
        if self._append(queues, send, size, now_ms, now_ms, out):
            self._advance(now_ms, out)
        elif "linger" not in self._deadlines or "delivery" not in self._deadlines:
            self._set_own_timers()
        return out

    def _append(
        self, queues: TopicQueues, send: Send, size: int, created_ms: int, now_ms: int, out: list[Envelope]
    ) -> bool:
        """Puts a record into its partition's open batch, or into a new one; True if there is something to drain."""
        settings = self.settings
        _, partition, record = send
        closed = False
        while True:
            if partition >= len(queues.partitions):
                text = f"topic {send.topic} has {len(queues.partitions)} partitions; there is no partition {partition}"
                out.append(self._refused(send, ErrorCode.INVALID_PARTITIONS, text))
                return closed
            if partition >= 0:
                queue = queues.partitions[partition]
            elif record.key is not None:
                queue = queues.queue_for_key(record.key)
            else:
                queue = queues.sticky_queue(self.seed, self.name, self.metadata)
            batch = queue.open
            if batch is None or size <= batch.room_bytes:
                break
            # No room: the batch is full, and a record without a key may go to another partition now.
            queue.close_open()
            queues.stick_no_longer(queue, settings.batch_size, settings.batch_size)
            self._ready[queue] = None
            closed = True
        if batch is None:
            capacity = min(settings.batch_size, settings.max_request_size, settings.buffer_memory)
            capacity = max(capacity, BATCH_HEADER_BYTES + size)
            if self._buffered_bytes + capacity > settings.buffer_memory:
                out.append(self._refused_for_memory(send))
                return closed
            self._buffered_bytes += capacity
            batch = queue.open = Batch(queue, capacity, created_ms)
            lingers = created_ms + settings.linger_ms > now_ms
            self._track(batch, lingers=lingers)
            if not lingers:
                queue.open_is_due = closed = True
                self._ready[queue] = None
        batch.records.append(record)
        batch.room_bytes -= size
        if batch.room_bytes <= 0:
            queue.close_open()
            queues.stick_no_longer(queue, settings.batch_size, settings.batch_size)
            self._ready[queue] = None
            closed = True
        return closed

    def _refused(self, send: Send, error: ErrorCode, text: str) -> Envelope:
        refusal = SendRefused(send.record, send.topic, send.partition, error, text)
        return Envelope(self.name, USER, NO_CONNECTION, 0, refusal)

    def _refused_for_memory(self, send: Send) -> Envelope:
        text = (
            f"producer {self.name}: {self._buffered_bytes} of buffer_memory={self.settings.buffer_memory} bytes wait "
            "for brokers; nothing was written, send again when some of it is acknowledged"
        )
        return self._refused(send, ErrorCode.REQUEST_TIMED_OUT, text)

    def _flush(self) -> None:
        for topic in self._topics.values():
            topic.flush_waiting = bool(topic.waiting)
            for queue in topic.partitions:
                self._make_due(queue)

    def _make_due(self, queue: PartitionQueue) -> None:
        """What is open in this partition need not linger any more."""
        if queue.open is not None:
            queue.open_is_due = True
            self._ready[queue] = None

    # Timers, metadata, connections.

    def _timer(self, name: str, now_ms: int, out: list[Envelope]) -> None:
        """A timer that ran out. A request timer is not doubted: the client gives up when it is told to."""
        deadlines = self._deadlines
        deadlines.pop(name, None)
        if name == "linger":
            for batch in self._lingering:
                queue = batch.queue
                if queue.open is batch and batch.created_ms + self.settings.linger_ms <= now_ms:
                    self._make_due(queue)
        elif name == "delivery":
            if self._is_librdkafka:
                self._give_up_overdue(now_ms, out)
            self._expire(now_ms, out)
        elif name == self.metadata.asker.timer:
            out += self.metadata.timed_out(now_ms, deadlines)
        elif name == self.identity.asker.timer:
            out += self.identity.timed_out(self.metadata.candidates(), now_ms, deadlines)
        else:
            for link in self.links.values():
                if link.timer == name and link.in_flight:
                    out.append(link.close())
                    text = f"{link.connection.server} did not answer; the connection was given up"
                    self._lose(link, ErrorCode.REQUEST_TIMED_OUT, text, now_ms, out)

    def _disconnected(self, connection: Connection, refused: bool, now_ms: int, out: list[Envelope]) -> None:
        if connection.purpose == self.metadata.asker.purpose:
            self.metadata.disconnected(connection, now_ms, self._deadlines)
        elif connection.purpose == self.identity.asker.purpose:
            self.identity.disconnected(connection, self.metadata.candidates(), now_ms, self._deadlines)
        else:
            for link in self.links.values():
                if link.opened and link.connection == connection:
                    if refused and not link.answered:
                        self._take_back(link, now_ms)
                    else:
                        text = f"the connection to {connection.server} broke"
                        self._lose(link, ErrorCode.NETWORK_EXCEPTION, text, now_ms, out)

    def _metadata_reply(self, envelope: Envelope, now_ms: int, out: list[Envelope]) -> None:
        """News about leaders: a broker that refused may be tried again, and sends that waited find their partitions."""
        if not self.metadata.receive_reply(envelope, now_ms, self._deadlines):
            return
        for link in self.links.values():
            link.is_refused = False
        for name, topic in self._topics.items():
            topic.grow(self.metadata.partition_counts.get(name, 0), self.settings.initial_sequence)
            if not topic.waiting or not topic.partitions:
                continue
            waiting = list(topic.waiting)
            topic.waiting.clear()
            del self._waiting[name]
            sizes = [record_bound_bytes(send.record) for send, _ in waiting]
            self._buffered_bytes -= sum(sizes) + BATCH_HEADER_BYTES * len(sizes)
            for (send, created_ms), size in zip(waiting, sizes, strict=True):
                self._append(topic, send, size, created_ms, now_ms, out)
            if topic.flush_waiting:
                topic.flush_waiting = False
                for queue in topic.partitions:
                    self._make_due(queue)
