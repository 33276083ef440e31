"""The sending half of the producer engine: what happens between a full batch and its end.

`Sender` is what one loop of Kafka's sender thread is: settle what became settled, raise the epoch if it must be, drain,
and take answers in. It has no thread: whatever the engine receives ends in `_advance`.
Where librdkafka goes another way (`settings.behaves_like`), the two ways stand side by side.
Sources: `Sender`, `RecordAccumulator.drain`, `TransactionManager`, `NetworkClient`; librdkafka's `rdkafka_request.c`,
`rdkafka_idempotence.c`.
"""

from __future__ import annotations

from collections import deque

from eventlog.client.batches import Batch, PartitionQueue
from eventlog.client.link import Link, backoff_ms
from eventlog.client.pending import PURPOSE, PendingSends
from eventlog.client.verdicts import ACTIONS, FATAL, JUDGE, RETRY, SPLIT, SUCCEED, is_desynchronised, judge
from eventlog.errors import ErrorCode
from eventlog.messages import Envelope, broker_name
from eventlog.messages.broker_api import ProducePartition, ProducePartitionReply, ProduceRequest


class Sender(PendingSends):
    """Everything that happens to a batch after it is closed and before its end."""

    __slots__ = ()

    # Each step ends here, as each loop of Kafka's sender thread begins.

    def _advance(self, now_ms: int, out: list[Envelope]) -> None:
        """Settles what became settled, raises the epoch if it must be, then sends what may be sent."""
        deadlines = self._deadlines
        identity = self.identity
        if self._is_dead:
            self._purge_when_drained(out)
        idle = self._is_idle()
        if idle:
            # Nobody waits for a leader; the next send finds out for itself.
            self.metadata.needed.clear()
            self.metadata.tried.clear()
            if self._is_closing:
                self._close_connections(out)
                return
        if self._unresolved:
            self._resolve_sequences()
        if identity.rewrite and (not self._is_librdkafka or self._is_drained()):
            identity.bump_if_requested()
        if identity.wanted and identity.producer_id < 0 and not idle:
            out += identity.advance(self.metadata.candidates(), now_ms, deadlines)
        if self._ready and not (self._is_librdkafka and (identity.rewrite or self._is_dead)):
            self._drain(now_ms, out)
        elif "retry" in deadlines:
            del deadlines["retry"]
        if self.metadata.needed or self.metadata.tried:
            out += self.metadata.advance(now_ms, deadlines)
        self._set_own_timers()

    def _is_drained(self) -> bool:
        """librdkafka raises the epoch when nothing at all is out (and sends nothing until then); if so, every partition
        where something waits for its retry is noted: all of them go over to the new epoch together."""
        if any(link.in_flight for link in self.links.values()):
            return False
        for topic in self._topics.values():
            for queue in topic.partitions:
                if queue.in_flight:
                    self.identity.request_bump(queue)
        return True

    def _purge_when_drained(self, out: list[Envelope]) -> None:
        """After a fatal error librdkafka still hears what was out; what came back unanswered or refused ends then."""
        if self._refusal is not None and not any(link.in_flight for link in self.links.values()):
            self._die(*self._refusal, out)

    def _close_connections(self, out: list[Envelope]) -> None:
        out += self.metadata.asker.close(self._deadlines)
        out += self.identity.asker.close(self._deadlines)
        for link in self.links.values():
            if link.opened:
                out.append(link.close())
                link.break_off()
        self._deadlines.clear()

    def _resolve_sequences(self) -> None:
        """An unresolved partition is examined when nothing of it is in flight: was all of it appended after all?"""
        for queue in list(self._unresolved):
            if queue.unresolved_sequence >= 0:
                if queue.in_flight:
                    continue
                if not queue.is_next(queue.next_sequence):
                    self.identity.request_bump(queue)
                queue.unresolved_sequence = -1
            del self._unresolved[queue]

    def _drain(self, now_ms: int, out: list[Envelope]) -> None:
        """Sends until nothing may be sent any more: to each leader one batch of each ready partition per request."""
        settings = self.settings
        limit = settings.max_in_flight_requests_per_connection
        retry_at_ms: list[int] = []
        while self._ready:
            retry_at_ms.clear()
            requests: dict[int, list[Batch]] = {}
            sizes: dict[int, int] = {}
            for queue in list(self._ready):
                leader_id, leader_epoch = self.metadata.leader_of(queue.topic_partition)
                if leader_id < 0:
                    self.metadata.want_newer(queue.topic_partition)
                    continue
                link = self.links.get(leader_id)
                if link is None:
                    link = self.links[leader_id] = Link(
                        self.name, leader_id, PURPOSE, f"request {broker_name(leader_id)}"
                    )
                if link.is_refused:
                    self.metadata.want_newer(queue.topic_partition)
                    continue
                if len(link.in_flight) >= limit:
                    continue
                if link.reconnect_at_ms > now_ms and not link.opened:
                    retry_at_ms.append(link.reconnect_at_ms)
                    continue
                batch = self._sendable(queue, leader_epoch, now_ms, retry_at_ms)
                if batch is None:
                    continue
                size = sizes.get(leader_id, 0) + batch.size_bytes
                if leader_id in requests and size > settings.max_request_size:
                    continue
                sizes[leader_id] = size
                batch.leader_epoch = leader_epoch
                self._take(queue, batch)
                requests.setdefault(leader_id, []).append(batch)
            if not requests:
                break
            for leader_id, batches in requests.items():
                self._transmit(self.links[leader_id], batches, now_ms, out)
        if retry_at_ms:
            self._deadlines["retry"] = min(retry_at_ms)
        elif "retry" in self._deadlines:
            del self._deadlines["retry"]

    def _sendable(self, queue: PartitionQueue, leader_epoch: int, now_ms: int, retry_at_ms: list[int]) -> Batch | None:
        """The batch at the head of this partition if the rules that protect the order let it go now."""
        batch = queue.queue[0] if queue.queue else queue.open
        if batch is None:
            del self._ready[queue]
            return None
        if queue.is_muted:
            return None
        if self.settings.enable_idempotence:
            identity = self.identity
            if identity.producer_id < 0:
                return None
            if batch.base_sequence < 0:
                if queue.unresolved_sequence >= 0:
                    return None
                if queue.in_flight and queue.has_stale_id(identity.producer_id, identity.producer_epoch):
                    return None
            elif self._is_librdkafka:
                if not queue.is_in_line(batch):
                    return None
            elif queue.in_flight and queue.in_flight[0] is not batch:
                return None
        # A back-off is for the leader that failed; another one is tried at once.
        if batch.backoff_until_ms > now_ms and batch.leader_epoch == leader_epoch:
            retry_at_ms.append(batch.backoff_until_ms)
            return None
        return batch

    def _take(self, queue: PartitionQueue, batch: Batch) -> None:
        """Drains `batch`: with its first drain it gets its sequences, for good."""
        if queue.open is batch:
            queue.close_open()
            topic = self._topics[queue.topic_partition.topic]
            topic.stick_no_longer(queue, batch.size_bytes, self.settings.batch_size)
        queue.queue.popleft()
        # To the end of the line, so that partitions take turns.
        del self._ready[queue]
        if queue.queue or (queue.open is not None and queue.open_is_due):
            self._ready[queue] = None
        if batch.first_record < 0:
            batch.first_record = queue.records_drained
            queue.records_drained += len(batch.records)
        if self.settings.enable_idempotence and batch.base_sequence < 0:
            identity = self.identity
            if queue.has_stale_id(identity.producer_id, identity.producer_epoch):
                queue.start_at_beginning(identity.producer_id, identity.producer_epoch)
            queue.assign(batch)

    def _transmit(self, link: Link, batches: list[Batch], now_ms: int, out: list[Envelope]) -> None:
        settings = self.settings
        partitions = []
        for batch in batches:
            partitions.append(
                ProducePartition(batch.queue.topic_partition, batch.built(), batch.first_record, batch.tries)
            )
            self.retries += batch.tries > 0
            batch.tries += 1
        request = ProduceRequest(settings.acks, settings.request_timeout_ms, tuple(partitions))
        if settings.acks == 0:
            out.append(link.request(request, None, now_ms, expects_reply=False))
            for batch in batches:
                self._resolve(batch, ErrorCode.NONE, -1, "", out)
            return
        out.append(link.request(request, tuple(batches), now_ms))
        for batch in batches:
            batch.is_out = True
            batch.queue.is_muted = settings.max_in_flight_requests_per_connection == 1
        if len(link.in_flight) == 1:
            link.set_timer(self._deadlines, settings.request_timeout_ms)

    # Answers.

    def _produce_reply(self, envelope: Envelope, now_ms: int, out: list[Envelope]) -> None:
        connection = envelope.connection
        for link in self.links.values():
            if link.opened and link.connection == connection:
                break
        else:
            return
        batches: tuple[Batch, ...] | None = link.take_reply(envelope.correlation_id)
        if batches is None:
            # An answer to something else: this connection can't be trusted (Kafka's client closes it, too).
            out.append(link.close())
            text = "an answer came that belongs to no request"
            self._lose(link, ErrorCode.NETWORK_EXCEPTION, text, now_ms, out)
            return
        link.set_timer(self._deadlines, self.settings.request_timeout_ms)
        answers = {answer.topic_partition: answer for answer in envelope.message.partitions}
        for batch in batches:
            topic_partition = batch.queue.topic_partition
            answer = answers.get(topic_partition)
            if answer is None:
                answer = ProducePartitionReply(topic_partition, ErrorCode.UNKNOWN_SERVER_ERROR)
            self._answered(batch, answer, now_ms, out)

    def _answered(self, batch: Batch, answer: ProducePartitionReply, now_ms: int, out: list[Envelope]) -> None:
        """One batch's answer, from a broker or made up for a connection that is gone (`Sender.completeBatch`)."""
        settings = self.settings
        topic_partition, error = answer.topic_partition, ErrorCode(answer.error)
        queue = batch.queue
        batch.is_out = False
        queue.is_muted = False
        row = ACTIONS[error]
        action = row.idempotent if settings.enable_idempotence else row.plain
        if action == SUCCEED:
            if self.metadata.tried:
                self.metadata.leader_works(topic_partition)
            base_offset = answer.base_offset if error is ErrorCode.NONE else -1
            if self._is_librdkafka and settings.enable_idempotence:
                self._imply(batch, out)
            queue.acknowledge(batch, base_offset)
            if not batch.is_done:
                self._resolve(batch, ErrorCode.NONE, base_offset, "", out)
            return
        if error.invalidates_metadata:
            if error is not ErrorCode.NOT_LEADER_OR_FOLLOWER:
                self.metadata.want(topic_partition.topic)
            elif answer.leader_id < 0 or not self.metadata.learn(
                topic_partition, answer.leader_id, answer.leader_epoch
            ):
                self.metadata.want_newer(topic_partition)
        if batch.is_done:
            return
        batch.unproven = batch.unproven or error.may_be_written
        if self._is_librdkafka:
            if action == JUDGE:
                self._judge_as_librdkafka(batch, error, answer.error_message, now_ms, out)
                return
        elif action == SPLIT and len(batch.records) > 1:
            self._split(batch)
            return
        may_try_again = now_ms - batch.created_ms < settings.delivery_timeout_ms and batch.attempts < settings.retries
        if may_try_again and action in (RETRY, JUDGE):
            if action == JUDGE and judge(batch, error, answer.log_start_offset):
                self.identity.request_bump(queue)
            self._put_back(batch, now_ms)
            return
        self._fail(batch, error, answer.error_message, out, is_fatal=action == FATAL)

    def _judge_as_librdkafka(
        self, batch: Batch, error: ErrorCode, detail: str, now_ms: int, out: list[Envelope]
    ) -> None:
        """45 or 59: the end of the producer, or a retry that is not charged, after draining and raising the epoch."""
        if is_desynchronised(batch, error):
            self._fail(batch, error, detail, out, is_fatal=True)
        elif now_ms - batch.created_ms < self.settings.delivery_timeout_ms:
            self.identity.request_bump(batch.queue)
            self._put_back(batch, now_ms, charged=False)
        else:
            self._fail(batch, error, detail, out)

    def _imply(self, batch: Batch, out: list[Envelope]) -> None:
        """librdkafka takes a success for a proof that all before it is written. For what was unanswered it is one; for
        what was refused by a broker that knew nothing of this producer it is not, and a record is lost in silence."""
        queue = batch.queue
        for earlier in queue.in_flight[: queue.in_flight.index(batch)] if batch in queue.in_flight else ():
            if not earlier.is_out:
                queue.queue.remove(earlier)
                queue.leave(earlier)
                self._resolve(earlier, ErrorCode.NONE, -1, "", out, is_implied=True)
        if not queue.queue and not queue.open_is_due:
            self._ready.pop(queue, None)

    def _put_back(self, batch: Batch, now_ms: int, *, charged: bool = True) -> None:
        """Back into the queue, to be sent again as it is. A plain producer puts it at the very front, as Kafka's does,
        so that the copies of several in flight come back in reverse order; with librdkafka they keep their order, and
        what failed at the same time waits for the same time."""
        settings = self.settings
        queue = batch.queue
        batch.attempts += charged
        batch.in_retry = True
        name = (
            f"{self.name} {queue.topic_partition} {0 if self._is_librdkafka else batch.first_record} {batch.attempts}"
        )
        batch.backoff_until_ms = now_ms + backoff_ms(
            settings.retry_backoff_ms,
            settings.retry_backoff_max_ms,
            max(batch.attempts, 1),
            self.seed,
            name,
            settings.retry_backoff_jitter_percent,
        )
        if settings.enable_idempotence:
            queue.put_back(batch)
        elif self._is_librdkafka:
            queue.put_back_in_order(batch)
        else:
            queue.queue.appendleft(batch)
        self._ready[queue] = None

    def _split(self, batch: Batch) -> None:
        """Too large for the broker: the same records in smaller pieces, with the same sequences, as if never tried."""
        queue = batch.queue
        pieces = queue.split(batch, self.settings.batch_size)
        batch.is_done = True
        self._buffered_bytes += sum(piece.capacity_bytes for piece in pieces) - batch.capacity_bytes
        for piece in reversed(pieces):
            if self.settings.enable_idempotence:
                queue.put_back(piece)
            else:
                queue.queue.appendleft(piece)
        self._created.extend(pieces)
        self._created = deque(sorted(self._created, key=lambda each: each.created_ms))
        self._ready[queue] = None

    def _fail(
        self, batch: Batch, error: ErrorCode, detail: str, out: list[Envelope], *, is_fatal: bool = False
    ) -> None:
        """The end of a batch that is not tried again (`TransactionManager.handleFailedBatch`)."""
        queue = batch.queue
        text = f"producer {self.name} on {queue.topic_partition}: {error.name} after {batch.tries} attempts"
        text = f"{text}: {detail}" if detail else text
        self._resolve(batch, error, -1, text, out)
        if is_fatal:
            # 45 and 59 end only this kind of producer; whoever is refused now must see an error of the fatal class.
            known = ACTIONS[error].idempotent == FATAL
            queue.leave(batch)
            self._die(
                error if known else ErrorCode.PRODUCER_FENCED, f"{text}; this producer can't be used any more", out
            )
            return
        queue.leave(batch)
        if self._is_librdkafka:
            # Numbers are counted by message here, so whatever ends without success leaves a gap.
            if self.settings.enable_idempotence:
                self.identity.request_bump(queue)
        elif self.settings.enable_idempotence:
            # A definite refusal leaves a gap, so the sequences begin anew. With attempts used up the outcome is unknown
            # and no gap is assumed; if there is one, the next batch is answered 45. (59 is a kind of 45 for Kafka.)
            gap = error in (ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID)
            if gap or batch.attempts < self.settings.retries:
                self.identity.request_bump(queue)

    def _give_up_overdue(self, now_ms: int, out: list[Envelope]) -> None:
        """With librdkafka a request waits no longer than its records do; whatever else is out there comes back with it."""
        timeout_ms = self.settings.delivery_timeout_ms
        for link in self.links.values():
            waiting = [batch for _, _, batches in link.in_flight for batch in batches]
            if any(now_ms - batch.created_ms >= timeout_ms for batch in waiting):
                out.append(link.close())
                text = f"{link.connection.server} did not answer within delivery_timeout_ms={timeout_ms}"
                self._lose(link, ErrorCode.REQUEST_TIMED_OUT, text, now_ms, out)

    def _lose(self, link: Link, error: ErrorCode, text: str, now_ms: int, out: list[Envelope]) -> None:
        """A connection is gone: what was asked on it ends with `error`, oldest first. The broker may have got it."""
        unanswered = link.break_off()
        link.set_timer(self._deadlines, self.settings.request_timeout_ms)
        link.reconnect_at_ms = now_ms + self.settings.reconnect_backoff_ms
        for batches in unanswered:
            for batch in batches:
                topic_partition = batch.queue.topic_partition
                self.metadata.want(topic_partition.topic)
                answer = ProducePartitionReply(topic_partition, error, error_message=text)
                self._answered(batch, answer, now_ms, out)

    def _take_back(self, link: Link, now_ms: int) -> None:
        """Nobody listened, so nothing left: as if never drained, newest first. Kafka's client connects before it drains
        and comes to the same. A batch that can't give its sequences back (it is a retry, or later ones left elsewhere)
        waits as a retry, without being charged for it."""
        unanswered = link.break_off()
        link.set_timer(self._deadlines, self.settings.request_timeout_ms)
        link.reconnect_at_ms = now_ms + self.settings.reconnect_backoff_ms
        link.is_refused = True
        for batches in reversed(unanswered):
            for batch in reversed(batches):
                queue = batch.queue
                batch.is_out = False
                queue.is_muted = False
                if batch.is_done:
                    continue
                if not self.settings.enable_idempotence:
                    queue.queue.appendleft(batch)
                elif not batch.in_retry and queue.take_back(batch):
                    queue.put_first_without_sequence(batch)
                else:
                    batch.in_retry = True
                    queue.put_back(batch)
                self._ready[queue] = None
