"""A leader's work: append, let followers fetch, raise the high watermark, answer who waited, mind who is in sync."""

from __future__ import annotations

from typing import Final

from eventlog.broker.leader import UNKNOWN, Leadership
from eventlog.broker.reading import Reading
from eventlog.broker.replica import Replica
from eventlog.broker.waiting_room import WaitingFetch, WaitingProduce
from eventlog.errors import ErrorCode
from eventlog.log.marker import marker_batch
from eventlog.log.producer_state import Origin
from eventlog.messages import (
    CloseConnection,
    Envelope,
    NoReply,
)
from eventlog.messages.broker_api import (
    FetchRequest,
    ProducePartition,
    ProducePartitionReply,
    ProduceReply,
    ProduceRequest,
    WriteTxnMarkersRequest,
)
from eventlog.messages.controller_api import (
    NO_LEADER,
    AlterPartitionReply,
    AlterPartitionRequest,
)
from eventlog.values import TRANSACTIONAL, TopicPartition, Unreadable

NEWS_WAIT_MS: Final = 500
"""A waiting follower hears of a new high watermark after this time at the latest (`replica.fetch.wait.max.ms`)."""

MARKERS_TIMEOUT_MS: Final = 30_000
"""How long markers may wait to be replicated: the broker's `request.timeout.ms`."""

NONE: Final = ErrorCode.NONE
_new_tuple = tuple.__new__


class Leading(Reading):
    """Read `_on_produce` for the way of a batch, `_on_fetch` for how followers acknowledge it."""

    __slots__ = ()

    # --- one batch, from its request to its acknowledgement -------------------------------------------------------

    def _on_produce(self, request: ProduceRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Append each batch, wake the followers, and answer now or when the high watermark has passed."""
        acks = request.acks
        replies: dict[TopicPartition, ProducePartitionReply] = {}
        required: dict[TopicPartition, int] = {}
        out: list[Envelope] = []
        for wanted in request.partitions:
            batch = wanted.batch
            if isinstance(batch, Unreadable):
                continue
            if batch.attributes & TRANSACTIONAL and request.transactional_id is None:
                return self._refuse_transactional(request, envelope)
        for wanted in request.partitions:
            replies[wanted.topic_partition] = self._append(wanted, acks, now_ms, required, out)
        if acks == -1 and required:
            self._wait(
                WaitingProduce(
                    envelope.connection, envelope.correlation_id, replies, required, now_ms + request.timeout_ms
                )
            )
        elif acks != 0:
            out.append(self._answer(envelope, ProduceReply(tuple(replies.values()))))
        elif any(reply.error is not NONE for reply in replies.values()):
            # Nobody waits for an answer: closing the connection is the only way to say that it failed.
            out.append(self._answer(envelope, CloseConnection()))
        else:
            out.append(self._answer(envelope, NoReply()))
        return out

    def _wait(self, waiting: WaitingProduce) -> None:
        self.waiting.produces.append(waiting)
        if self.timers.get("produce", waiting.deadline_ms) >= waiting.deadline_ms:
            self.timers["produce"] = waiting.deadline_ms

    def _refuse_transactional(self, request: ProduceRequest, envelope: Envelope) -> list[Envelope]:
        """A batch claims a transaction and nobody says whose: the whole request is refused, as in Kafka."""
        if request.acks == 0:
            return [self._answer(envelope, CloseConnection())]
        error = ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        text = "a transactional batch came in a request without a transactional_id"
        return [
            self._answer(
                envelope,
                ProduceReply(
                    tuple(
                        [
                            ProducePartitionReply(wanted.topic_partition, error, error_message=text)
                            for wanted in request.partitions
                        ]
                    )
                ),
            )
        ]

    def _append(
        self,
        wanted: ProducePartition,
        acks: int,
        now_ms: int,
        required: dict[TopicPartition, int],
        out: list[Envelope],
        origin: Origin = Origin.CLIENT,
        transaction_version: int = 0,
    ) -> ProducePartitionReply:
        topic_partition, batch, _, _ = wanted
        replica = self.replicas.get(topic_partition)
        if acks not in (-1, 0, 1):
            return ProducePartitionReply(topic_partition, ErrorCode.INVALID_REQUIRED_ACKS)
        if replica is None:
            return ProducePartitionReply(topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        if isinstance(batch, Unreadable):
            text = f"{topic_partition}: {batch.message}"
            return ProducePartitionReply(topic_partition, batch.error, error_message=text)
        leadership = replica.leadership
        if leadership is None:
            return self._not_leader(replica)
        if acks == -1 and len(leadership.in_sync_replicas) < replica.min_insync_replicas:
            return ProducePartitionReply(
                topic_partition,
                ErrorCode.NOT_ENOUGH_REPLICAS,
                error_message=f"{topic_partition}: {len(leadership.in_sync_replicas)} replicas are in sync, "
                f"{replica.min_insync_replicas} are needed; nothing was written",
            )
        log = replica.log
        result = log.append_as_leader(
            batch, leadership.leader_epoch, now_ms, origin, transaction_version=transaction_version
        )
        error, base_offset, last_offset, log_append_time_ms, is_duplicate, found_in_log, text, record_errors = result
        if error is NONE:
            if not is_duplicate:
                self._appended(replica, leadership, now_ms, out)
            elif log.high_watermark <= last_offset:
                # A retry may commit what its first try could not: min_insync_replicas was lowered since.
                self._try_to_commit(replica, leadership, now_ms, out)
            if acks == -1 and log.high_watermark <= last_offset:
                required[topic_partition] = last_offset + 1
        return _new_tuple(
            ProducePartitionReply,
            (
                topic_partition,
                error,
                base_offset,
                log_append_time_ms,
                log.log_start_offset if found_in_log else -1,
                -1,
                -1,
                text,
                record_errors,
            ),
        )

    def _on_write_txn_markers(self, request: WriteTxnMarkersRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Append each marker as its coordinator's, and answer when all are replicated: acks=all, checked as such."""
        out: list[Envelope] = []
        replies: dict[TopicPartition, ProducePartitionReply] = {}
        required: dict[TopicPartition, int] = {}
        written: list[tuple[int, TopicPartition, ErrorCode]] = []
        for marker in request.markers:
            batch = marker_batch(
                marker.producer_id, marker.producer_epoch, marker.is_commit, marker.coordinator_epoch, now_ms
            )
            for topic_partition in marker.topic_partitions:
                wanted = ProducePartition(topic_partition, batch)
                reply = self._append(wanted, -1, now_ms, required, out, Origin.COORDINATOR, marker.transaction_version)
                written.append((marker.producer_id, topic_partition, reply.error))
                if reply.error is NONE:
                    replies[topic_partition] = reply
        deadline_ms = now_ms + MARKERS_TIMEOUT_MS
        waiting = WaitingProduce(
            envelope.connection, envelope.correlation_id, replies, required, deadline_ms, tuple(written)
        )
        if required:
            self._wait(waiting)
        else:
            out.append(self._produce_answer(waiting))
        return out

    def _not_leader(self, replica: Replica) -> ProducePartitionReply:
        partition = replica.partition
        leader_id = partition.leader_id
        return ProducePartitionReply(
            replica.topic_partition,
            ErrorCode.NOT_LEADER_OR_FOLLOWER,
            leader_id=leader_id,
            leader_epoch=partition.leader_epoch if leader_id != NO_LEADER else -1,
            error_message=f"{replica.topic_partition}: {self.name} is not the leader",
        )

    def _appended(self, replica: Replica, leadership: Leadership, now_ms: int, out: list[Envelope]) -> None:
        """New records: followers that wait get them; a lone replica has thereby committed them."""
        timers = self.timers
        if "flush" not in timers:
            self._mind_logs(now_ms)
        if replica.log.settings.retention_bytes >= 0:
            self._mind_size(now_ms)
        if leadership.remotes:
            if "lag" not in timers:
                timers["lag"] = now_ms + self.settings.replica_lag_time_max_ms + 1
            self._wake_followers(replica, leadership, now_ms, out)
        if len(leadership.in_sync_replicas) == 1:
            self._try_to_commit(replica, leadership, now_ms, out)

    def _wake_followers(self, replica: Replica, leadership: Leadership, now_ms: int, out: list[Envelope]) -> None:
        topic_partition = replica.topic_partition
        fetches = self.waiting.fetches
        for waiting in self.waiting.fetches_of(topic_partition):
            request = waiting.request
            if request.replica_id < 0:
                continue
            remote = leadership.remotes.get(request.replica_id)
            if remote is not None:
                # It has waited at the old log end until this moment.
                remote.last_caught_up_ms = remote.last_fetch_ms = now_ms
            del fetches[waiting.connection]
            out.append(self._fetch_answer(waiting.connection, waiting.correlation_id, request))

    def _try_to_commit(self, replica: Replica, leadership: Leadership, now_ms: int, out: list[Envelope]) -> None:
        """Raise the high watermark if it may rise, and let go who waited for it.

        Nobody is told NOT_ENOUGH_REPLICAS_AFTER_APPEND: with too few in sync it doesn't rise, and waiting ends in 7.
        """
        settings = self.settings
        if not leadership.advance_high_watermark(
            replica.min_insync_replicas, self.image, settings.replica_lag_time_max_ms, now_ms
        ):
            return
        timers = self.timers
        if "checkpoint" not in timers:
            timers["checkpoint"] = now_ms + settings.replica_high_watermark_checkpoint_interval_ms
        if leadership.remotes and "news" not in timers:
            timers["news"] = now_ms + NEWS_WAIT_MS
        topic_partition = replica.topic_partition
        high_watermark = replica.log.high_watermark
        waiting = self.waiting
        done: list[WaitingProduce] = []
        for produce in waiting.produces:
            needed = produce.required.get(topic_partition)
            if needed is not None and needed <= high_watermark:
                del produce.required[topic_partition]
                if not produce.required:
                    done.append(produce)
        for produce in done:
            waiting.produces.remove(produce)
            out.append(self._produce_answer(produce))
        for fetch in waiting.fetches_of(topic_partition):
            if fetch.request.replica_id < 0 and self._is_ready(fetch.request):
                del waiting.fetches[fetch.connection]
                out.append(self._fetch_answer(fetch.connection, fetch.correlation_id, fetch.request))

    def _produce_answer(self, produce: WaitingProduce) -> Envelope:
        connection = produce.connection
        return Envelope(self.name, connection.client, connection, produce.correlation_id, produce.answer())

    def _fail_waiting_produces(self, topic_partition: TopicPartition, error: ErrorCode, out: list[Envelope]) -> None:
        for produce in list(self.waiting.produces):
            if produce.required.pop(topic_partition, None) is not None:
                produce.replies[topic_partition] = produce.replies[topic_partition]._replace(error=error)
                if not produce.required:
                    self.waiting.produces.remove(produce)
                    out.append(self._produce_answer(produce))

    # --- followers and readers ------------------------------------------------------------------------------------

    def _on_fetch(self, request: FetchRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Take note of what a follower has by where it fetches from; answer, or let it wait for records."""
        out: list[Envelope] = []
        is_ready = self._is_ready(request)
        connection, correlation_id = envelope.connection, envelope.correlation_id
        # The answer is read before the follower's progress is noted, as in Kafka: it tells the high watermark of now.
        answer = self._fetch_answer(connection, correlation_id, request) if is_ready else None
        if request.replica_id >= 0:
            self._note_progress(request, now_ms, out)
        if answer is not None:
            out.append(answer)
            return out
        wait_ms = request.max_wait_ms
        deadline_ms = -1 if wait_ms < 0 else now_ms + wait_ms
        self.waiting.wait_for_records(WaitingFetch(connection, correlation_id, request, deadline_ms))
        if deadline_ms >= 0 and self.timers.get("fetch", deadline_ms) >= deadline_ms:
            self.timers["fetch"] = deadline_ms
        if request.replica_id >= 0:
            self._mind_news(request, correlation_id == 0, now_ms)
        return out

    def _mind_news(self, request: FetchRequest, is_new: bool, now_ms: int) -> None:
        """A follower waits that does not know the high watermark: it will be told, if no records come before.

        On a new connection (`is_new`) that is so in any case: what it was told on the one before may not have arrived.
        """
        for wanted in request.partitions:
            replica = self.replicas.get(wanted.topic_partition)
            if replica is None or replica.leadership is None:
                continue
            remote = replica.leadership.remotes.get(request.replica_id)
            if remote is None:
                continue
            if is_new:
                remote.told_high_watermark = UNKNOWN
            if remote.told_high_watermark < replica.log.high_watermark and "news" not in self.timers:
                self.timers["news"] = now_ms + NEWS_WAIT_MS

    def _note_progress(self, request: FetchRequest, now_ms: int, out: list[Envelope]) -> None:
        replica_id = request.replica_id
        for wanted in request.partitions:
            replica = self.replicas.get(wanted.topic_partition)
            if replica is None or replica.leadership is None:
                continue
            leadership, log = replica.leadership, replica.log
            remote = leadership.remotes.get(replica_id)
            if remote is None or self._find_fetch_error(replica, wanted, request) is not NONE:
                continue
            if self._find_divergence(log, wanted) is not None:
                continue
            if not log.log_start_offset <= wanted.fetch_offset <= log.log_end_offset:
                continue
            remote.fetched_from(wanted.fetch_offset, log.log_end_offset, now_ms, request.broker_epoch)
            expanded = leadership.find_expansion(replica_id, self.image)
            if expanded is not None:
                out.append(self.wish_in_sync_replicas(replica, leadership, expanded))
            self._try_to_commit(replica, leadership, now_ms, out)

    def _tell_high_watermarks(self, out: list[Envelope]) -> None:
        """Followers that wait without records learn of the new high watermark."""
        for connection, waiting in sorted(self.waiting.fetches.items()):
            request = waiting.request
            if request.replica_id < 0:
                continue
            for wanted in request.partitions:
                replica = self.replicas.get(wanted.topic_partition)
                if replica is None or replica.leadership is None:
                    continue
                remote = replica.leadership.remotes.get(request.replica_id)
                if remote is not None and remote.told_high_watermark < replica.log.high_watermark:
                    del self.waiting.fetches[connection]
                    out.append(self._fetch_answer(connection, waiting.correlation_id, request))
                    break

    # --- in-sync replicas -----------------------------------------------------------------------------------------

    def wish_in_sync_replicas(self, replica: Replica, leadership: Leadership, wished: tuple[int, ...]) -> Envelope:
        """Ask the controller for these in-sync replicas; until it answers, the larger of both lists counts."""
        leadership.wished_in_sync_replicas = wished
        remotes = leadership.remotes
        request = AlterPartitionRequest(
            self.broker_id,
            self.broker_epoch,
            replica.topic_partition,
            leadership.leader_epoch,
            leadership.partition_epoch,
            tuple([(each, remotes[each].broker_epoch if each in remotes else self.broker_epoch) for each in wished]),
        )
        return self._ask_controller("alter", request)

    def _on_alter_partition_reply(self, reply: AlterPartitionReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        replica = self.replicas.get(reply.topic_partition)
        leadership = None if replica is None else replica.leadership
        if replica is None or leadership is None:
            return out
        is_given_up = reply.error in (ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED)
        if leadership.answered(reply, reply.error is NONE, is_given_up):
            replica.partition = replica.partition._replace(
                in_sync_replicas=reply.in_sync_replicas, partition_epoch=reply.partition_epoch
            )
            self._try_to_commit(replica, leadership, now_ms, out)
            # Who caught up meanwhile had to wait for this answer, and may never fetch again of itself.
            self._reconsider_expansions(replica, leadership, now_ms, out)
        return out

    def _on_lag_timer(self, now_ms: int, out: list[Envelope]) -> None:
        lag_max_ms = self.settings.replica_lag_time_max_ms
        deadlines = []
        for replica in self.replicas.values():
            leadership = replica.leadership
            if leadership is None:
                continue
            shrunk = leadership.find_shrinking(lag_max_ms, now_ms)
            if shrunk is not None:
                out.append(self.wish_in_sync_replicas(replica, leadership, shrunk))
            deadline_ms = leadership.find_lag_deadline(lag_max_ms, now_ms)
            if deadline_ms is not None:
                deadlines.append(max(deadline_ms, now_ms + lag_max_ms // 2))
        if deadlines:
            self.timers["lag"] = min(deadlines)

    def _reconsider_expansions(
        self, replica: Replica, leadership: Leadership, now_ms: int, out: list[Envelope]
    ) -> None:
        lag_max_ms = self.settings.replica_lag_time_max_ms
        for follower in leadership.remotes:
            if leadership.is_lagging(follower, lag_max_ms, now_ms):
                # Shrinking may just have put it out; the high watermark that it reached may be held back by that.
                continue
            expanded = leadership.find_expansion(follower, self.image)
            if expanded is not None:
                out.append(self.wish_in_sync_replicas(replica, leadership, expanded))

    # --- waiting too long -----------------------------------------------------------------------------------------

    def _time_out_produces(self, now_ms: int, out: list[Envelope]) -> None:
        waiting = self.waiting
        for produce in [produce for produce in waiting.produces if produce.deadline_ms <= now_ms]:
            waiting.produces.remove(produce)
            for topic_partition in produce.required:
                reply = produce.replies[topic_partition]
                produce.replies[topic_partition] = reply._replace(error=ErrorCode.REQUEST_TIMED_OUT)
            out.append(self._produce_answer(produce))
        if waiting.produces:
            self.timers["produce"] = min(produce.deadline_ms for produce in waiting.produces)

    def _time_out_fetches(self, now_ms: int, out: list[Envelope]) -> None:
        overdue = self.waiting.take_overdue_fetches(now_ms)
        out += [self._fetch_answer(each.connection, each.correlation_id, each.request) for each in overdue]
        next_ms = self.waiting.next_fetch_deadline_ms()
        if next_ms >= 0:
            self.timers["fetch"] = next_ms
