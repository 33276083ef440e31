"""The broker as a machine: requests in, answers out, and what the metadata log makes of it.

Read `_on_produce` for the way of a batch, `_on_fetch` for how followers acknowledge it, `_apply` for how roles change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eventlog.broker import queries
from eventlog.broker.follower import Following, find_truncation, take
from eventlog.broker.leader import Leadership
from eventlog.broker.replica import Replica, topic_settings
from eventlog.broker.waiting_room import WaitingFetch, WaitingMetadata, WaitingProduce, WaitingRoom
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.log.store import StoreProvider
from eventlog.messages import (
    CONTROLLER,
    CloseConnection,
    Connection,
    Disconnected,
    Envelope,
    Frozen,
    NoReply,
    Start,
    Timer,
    broker_name,
)
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    READ_COMMITTED,
    DeleteRecordsRequest,
    DescribeProducersRequest,
    FetchPartition,
    FetchPartitionReply,
    FetchReply,
    FetchRequest,
    InitProducerIdReply,
    InitProducerIdRequest,
    ListOffsetsPartition,
    ListOffsetsReply,
    ListOffsetsRequest,
    MetadataReply,
    MetadataRequest,
    OffsetForLeaderEpochRequest,
    PartitionMetadata,
    ProducePartition,
    ProducePartitionReply,
    ProduceReply,
    ProduceRequest,
    TopicMetadata,
)
from eventlog.messages.controller_api import (
    NO_LEADER,
    AllocateProducerIdsReply,
    AllocateProducerIdsRequest,
    AlterPartitionReply,
    AlterPartitionRequest,
    FetchMetadataReply,
    FetchMetadataRequest,
    PartitionRecord,
    RegisterBrokerReply,
    RegisterBrokerRequest,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import TRANSACTIONAL, BrokerSettings, TopicPartition

PREFETCH_AT: Final = 100
"""The next block of producer ids is asked for when this many are left: a tenth of a block."""
NEWS_WAIT_MS: Final = 500
"""A waiting follower hears of a new high watermark after this time at the latest (`replica.fetch.wait.max.ms`)."""

NONE: Final = ErrorCode.NONE
_new_tuple = tuple.__new__


class Broker:
    """One broker process. A crash discards it; a restart makes a new one over the same `stores`."""

    __slots__ = (
        "_connection_numbers",
        "_correlation_ids",
        "_handlers",
        "_is_asking_for_ids",
        "_producer_ids",
        "broker_epoch",
        "broker_id",
        "image",
        "incarnation",
        "name",
        "replicas",
        "settings",
        "stores",
        "timers",
        "waiting",
    )

    def __init__(self, broker_id: int, incarnation: int, settings: BrokerSettings, stores: StoreProvider) -> None:
        self.broker_id = broker_id
        self.name = broker_name(broker_id)
        self.incarnation = incarnation
        self.settings = settings
        self.stores = stores
        self.broker_epoch = -1
        self.image = MetadataImage()
        self.replicas: dict[TopicPartition, Replica] = {}
        self.waiting = WaitingRoom()
        self.timers: dict[str, int] = {}
        # The next id to give out and the end of its block; behind it the block that was fetched ahead.
        self._producer_ids: tuple[tuple[int, int], ...] = ()
        self._is_asking_for_ids = False
        self._connection_numbers: dict[str, int] = {}
        self._correlation_ids: dict[Connection, int] = {}
        self._handlers: dict[type[Any], Callable[[Any, Envelope, int], list[Envelope]]] = {
            ProduceRequest: self._on_produce,
            FetchRequest: self._on_fetch,
            FetchReply: self._on_fetch_reply,
            Timer: self._on_timer,
            MetadataRequest: self._on_metadata_request,
            InitProducerIdRequest: self._on_init_producer_id,
            ListOffsetsRequest: lambda m, e, now_ms: [self._answer(e, queries.list_offsets(self.replicas, m))],
            ListOffsetsReply: self._on_list_offsets_reply,
            OffsetForLeaderEpochRequest: lambda m, e, now_ms: [
                self._answer(e, queries.offset_for_leader_epoch(self.replicas, m))
            ],
            DescribeProducersRequest: lambda m, e, now_ms: [
                self._answer(e, queries.describe_producers(self.replicas, m))
            ],
            DeleteRecordsRequest: lambda m, e, now_ms: [self._answer(e, queries.delete_records(self.replicas, m))],
            FetchMetadataReply: self._on_metadata_news,
            AlterPartitionReply: self._on_alter_partition_reply,
            AllocateProducerIdsReply: self._on_allocate_producer_ids_reply,
            RegisterBrokerReply: self._on_registered,
            Disconnected: self._on_disconnected,
            Start: self._on_start,
        }

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """One envelope in, what follows from it out."""
        message = envelope.message
        return self._handlers[message.__class__](message, envelope, now_ms)

    def deadlines(self) -> dict[str, int]:
        return self.timers

    # --- envelopes ------------------------------------------------------------------------------------------------

    def _answer(self, envelope: Envelope, message: Any) -> Envelope:
        connection = envelope.connection
        return Envelope(self.name, connection.client, connection, envelope.correlation_id, message)

    def _connect(self, server: str, purpose: str) -> Connection:
        # Never a number of the process before this one: its connections may still be known to somebody.
        number = self._connection_numbers.get(purpose, self.incarnation * 1_000_000)
        self._connection_numbers[purpose] = number + 1
        return Connection(self.name, server, purpose, number)

    def _ask(self, connection: Connection, message: Any) -> Envelope:
        correlation_id = self._correlation_ids.get(connection, 0)
        self._correlation_ids[connection] = correlation_id + 1
        return Envelope(self.name, connection.server, connection, correlation_id, message)

    def _ask_controller(self, purpose: str, message: Any) -> Envelope:
        return self._ask(Connection(self.name, CONTROLLER, purpose, self.incarnation), message)

    # --- one batch, from its request to its acknowledgement -------------------------------------------------------

    def _on_produce(self, request: ProduceRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """Append each batch, wake the followers, and answer now or when the high watermark has passed."""
        acks = request.acks
        replies: dict[TopicPartition, ProducePartitionReply] = {}
        required: dict[TopicPartition, int] = {}
        out: list[Envelope] = []
        for wanted in request.partitions:
            if wanted.batch.attributes & TRANSACTIONAL and request.transactional_id is None:
                return self._refuse_transactional(request, envelope)
        for wanted in request.partitions:
            replies[wanted.topic_partition] = self._append(wanted, acks, now_ms, required, out)
        if acks == -1 and required:
            deadline_ms = now_ms + request.timeout_ms
            waiting = WaitingProduce(envelope.connection, envelope.correlation_id, replies, required, deadline_ms)
            self.waiting.produces.append(waiting)
            if self.timers.get("produce", deadline_ms) >= deadline_ms:
                self.timers["produce"] = deadline_ms
        elif acks != 0:
            out.append(self._answer(envelope, ProduceReply(tuple(replies.values()))))
        elif any(reply.error is not NONE for reply in replies.values()):
            # Nobody waits for an answer: closing the connection is the only way to say that it failed.
            out.append(self._answer(envelope, CloseConnection()))
        else:
            out.append(self._answer(envelope, NoReply()))
        return out

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
    ) -> ProducePartitionReply:
        topic_partition, batch, _, _ = wanted
        replica = self.replicas.get(topic_partition)
        if acks not in (-1, 0, 1):
            return ProducePartitionReply(topic_partition, ErrorCode.INVALID_REQUIRED_ACKS)
        if replica is None:
            return ProducePartitionReply(topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
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
        result = log.append_as_leader(batch, leadership.leader_epoch, now_ms)
        error, base_offset, last_offset, log_append_time_ms, is_duplicate, found_in_log, text = result
        if error is NONE:
            if not is_duplicate:
                self._appended(replica, leadership, now_ms, out)
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
            ),
        )

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
            timers["flush"] = now_ms + self.settings.log_flush_interval_ms
        if "expire" not in timers:
            timers["expire"] = now_ms + self.settings.producer_id_expiration_check_interval_ms
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
        """Raise the high watermark if it may rise, and let go who waited for it."""
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
                if len(leadership.maximal_in_sync_replicas()) < replica.min_insync_replicas:
                    reply = produce.replies[topic_partition]
                    produce.replies[topic_partition] = reply._replace(error=ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
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
        reply = ProduceReply(tuple(produce.replies.values()))
        return Envelope(self.name, connection.client, connection, produce.correlation_id, reply)

    def _fail_waiting_produces(self, topic_partition: TopicPartition, error: ErrorCode, out: list[Envelope]) -> None:
        for produce in list(self.waiting.produces):
            if produce.required.pop(topic_partition, None) is not None:
                produce.replies[topic_partition] = produce.replies[topic_partition]._replace(error=error)
                if not produce.required:
                    self.waiting.produces.remove(produce)
                    out.append(self._produce_answer(produce))

    # --- fetching: the leader's side ------------------------------------------------------------------------------

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
        self.waiting.fetches[connection] = WaitingFetch(connection, correlation_id, request, deadline_ms)
        if deadline_ms >= 0 and self.timers.get("fetch", deadline_ms) >= deadline_ms:
            self.timers["fetch"] = deadline_ms
        return out

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
            if self._find_divergence(log, wanted) is not None or wanted.fetch_offset > log.log_end_offset:
                continue
            remote.fetched_from(wanted.fetch_offset, log.log_end_offset, now_ms)
            expanded = leadership.find_expansion(replica_id, self.image)
            if expanded is not None:
                out.append(self._wish_in_sync_replicas(replica, leadership, expanded))
            self._try_to_commit(replica, leadership, now_ms, out)

    def _find_fetch_error(self, replica: Replica, wanted: FetchPartition, request: FetchRequest) -> ErrorCode:
        error = replica.check_leader_epoch(wanted.current_leader_epoch)
        if error is not NONE:
            return error
        replica_id = request.replica_id
        if replica_id < 0:
            return NONE
        leadership = replica.leadership
        if leadership is None:
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        if replica_id not in leadership.remotes:
            has_epoch = wanted.current_leader_epoch >= 0
            return ErrorCode.UNKNOWN_LEADER_EPOCH if has_epoch else ErrorCode.NOT_LEADER_OR_FOLLOWER
        if 0 <= request.broker_epoch < self.image.broker_epoch(replica_id):
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return NONE

    @staticmethod
    def _find_divergence(log: PartitionLog, wanted: FetchPartition) -> tuple[int, int] | None:
        """(epoch, end offset) when the asker's log parts from this one; (-1, -1) when its epoch is unknown here."""
        last_fetched_epoch = wanted.last_fetched_epoch
        if last_fetched_epoch < 0 or last_fetched_epoch == log.leader_epochs.latest:
            if last_fetched_epoch >= 0 and wanted.fetch_offset > log.log_end_offset:
                return (last_fetched_epoch, log.log_end_offset)
            return None
        epoch, end_offset = log.end_offset_for(last_fetched_epoch)
        if epoch < 0 or epoch < last_fetched_epoch or end_offset < wanted.fetch_offset:
            return (epoch, end_offset)
        return None

    def _readable_end(self, replica: Replica, request: FetchRequest) -> int:
        log = replica.log
        if request.replica_id >= 0:
            return log.log_end_offset
        return log.last_stable_offset if request.isolation_level == READ_COMMITTED else log.high_watermark

    def _is_ready(self, request: FetchRequest) -> bool:
        """Is there anything to say at once: an error, a divergence, enough records? O(partitions)."""
        if request.max_wait_ms == 0:
            return True
        size = 0
        for wanted in request.partitions:
            replica = self.replicas.get(wanted.topic_partition)
            if replica is None or self._find_fetch_error(replica, wanted, request) is not NONE:
                return True
            log, offset = replica.log, wanted.fetch_offset
            if self._find_divergence(log, wanted) is not None:
                return True
            if not log.log_start_offset <= offset <= log.log_end_offset:
                return True
            end_offset = self._readable_end(replica, request)
            if offset < end_offset:
                if request.min_bytes <= 1:
                    return True
                size += sum([batch.size_bytes for batch in log.read(offset, end_offset, request.min_bytes)])
        return size >= request.min_bytes > 1

    def _fetch_answer(self, connection: Connection, correlation_id: int, request: FetchRequest) -> Envelope:
        partitions = []
        left = request.max_bytes
        for wanted in request.partitions:
            reply = self._fetch_one(wanted, request, left)
            for batch in reply.batches:
                left -= batch.size_bytes
            partitions.append(reply)
        return Envelope(self.name, connection.client, connection, correlation_id, FetchReply(tuple(partitions)))

    def _fetch_one(self, wanted: FetchPartition, request: FetchRequest, max_bytes: int) -> FetchPartitionReply:
        topic_partition = wanted.topic_partition
        replica = self.replicas.get(topic_partition)
        if replica is None:
            return FetchPartitionReply(topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        error = self._find_fetch_error(replica, wanted, request)
        if error is not NONE:
            partition = replica.partition
            return FetchPartitionReply(
                topic_partition, error, leader_id=partition.leader_id, leader_epoch=partition.leader_epoch
            )
        log, offset = replica.log, wanted.fetch_offset
        divergence = self._find_divergence(log, wanted)
        if divergence is not None and divergence[0] >= 0 and offset >= log.log_start_offset:
            return FetchPartitionReply(
                topic_partition,
                NONE,
                log.high_watermark,
                log.last_stable_offset,
                log.log_start_offset,
                diverging_epoch=divergence[0],
                diverging_end_offset=divergence[1],
            )
        if divergence is not None or not log.log_start_offset <= offset <= log.log_end_offset:
            return FetchPartitionReply(topic_partition, ErrorCode.OFFSET_OUT_OF_RANGE)
        end_offset = self._readable_end(replica, request)
        batches = log.read(offset, end_offset, min(wanted.max_bytes, max_bytes)) if max_bytes > 0 else ()
        if request.replica_id >= 0 and replica.leadership is not None:
            replica.leadership.remotes[request.replica_id].told_high_watermark = log.high_watermark
        aborted = None
        if request.isolation_level == READ_COMMITTED:
            aborted = tuple(
                [
                    (transaction.producer_id, transaction.first_offset)
                    for transaction in log.aborted
                    if transaction.last_offset >= offset and transaction.first_offset < end_offset
                ]
            )
        return FetchPartitionReply(
            topic_partition,
            NONE,
            log.high_watermark,
            log.last_stable_offset,
            log.log_start_offset,
            batches,
            aborted=aborted,
        )

    # --- fetching: the follower's side ----------------------------------------------------------------------------

    def _fetch_next(self, replica: Replica, following: Following) -> Envelope:
        connection = following.connection
        if connection is None:
            purpose = f"fetch {replica.topic_partition}"
            connection = following.connection = self._connect(broker_name(following.leader_id), purpose)
        wanted = following.next_fetch(replica.log, self.settings.replica_fetch_max_bytes)
        request = FetchRequest(self.broker_id, self.broker_epoch, -1, 1, wanted.max_bytes, 0, (wanted,))
        return self._ask(connection, request)

    def _on_fetch_reply(self, message: FetchReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        for reply in message.partitions:
            replica = self.replicas[reply.topic_partition]
            following = replica.following
            if following is not None and following.connection == envelope.connection:
                self._follow(replica, following, reply, now_ms, out)
        return out

    def _follow(
        self, replica: Replica, following: Following, reply: FetchPartitionReply, now_ms: int, out: list[Envelope]
    ) -> None:
        log = replica.log
        if reply.error is NONE:
            if reply.diverging_epoch >= 0:
                log.truncate_to(find_truncation(log, reply.diverging_epoch, reply.diverging_end_offset))
            else:
                take(log, reply)
                if reply.batches and "flush" not in self.timers:
                    self.timers["flush"] = now_ms + self.settings.log_flush_interval_ms
                if reply.batches and "expire" not in self.timers:
                    self.timers["expire"] = now_ms + self.settings.producer_id_expiration_check_interval_ms
                if "checkpoint" not in self.timers:
                    self.timers["checkpoint"] = now_ms + self.settings.replica_high_watermark_checkpoint_interval_ms
            out.append(self._fetch_next(replica, following))
        elif reply.error is ErrorCode.OFFSET_OUT_OF_RANGE:
            assert following.connection is not None
            asked = (
                ListOffsetsPartition(log.topic_partition, LATEST_TIMESTAMP, following.leader_epoch),
                ListOffsetsPartition(log.topic_partition, EARLIEST_TIMESTAMP, following.leader_epoch),
            )
            out.append(self._ask(following.connection, ListOffsetsRequest(self.broker_id, 0, asked)))
        elif reply.error is not ErrorCode.FENCED_LEADER_EPOCH:
            # FENCED: metadata will tell of the new epoch; asking again would get the same answer.
            self.timers[f"fetch {replica.topic_partition}"] = now_ms + self.settings.replica_fetch_backoff_ms

    def _on_list_offsets_reply(self, message: ListOffsetsReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """The leader had nothing at this log's end: cut to where it ends, or begin where it begins."""
        latest, earliest = message.partitions
        replica = self.replicas[latest.topic_partition]
        following = replica.following
        if following is None or following.connection != envelope.connection:
            return []
        if latest.error is not NONE or earliest.error is not NONE:
            self.timers[f"fetch {replica.topic_partition}"] = now_ms + self.settings.replica_fetch_backoff_ms
            return []
        if latest.offset < replica.log.log_end_offset:
            replica.log.truncate_to(latest.offset)
        elif earliest.offset > replica.log.log_end_offset:
            replica.log.restart_at(earliest.offset)
        return [self._fetch_next(replica, following)]

    # --- in-sync replicas -----------------------------------------------------------------------------------------

    def _wish_in_sync_replicas(self, replica: Replica, leadership: Leadership, wished: tuple[int, ...]) -> Envelope:
        leadership.wished_in_sync_replicas = wished
        request = AlterPartitionRequest(
            self.broker_id,
            self.broker_epoch,
            replica.topic_partition,
            leadership.leader_epoch,
            leadership.partition_epoch,
            tuple([(member, self.image.broker_epoch(member)) for member in wished]),
        )
        return self._ask_controller("alter", request)

    def _on_alter_partition_reply(self, reply: AlterPartitionReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        replica = self.replicas[reply.topic_partition]
        leadership = replica.leadership
        if leadership is None:
            return out
        is_given_up = reply.error in (ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED)
        if leadership.answered(reply, reply.error is NONE, is_given_up):
            replica.partition = replica.partition._replace(
                in_sync_replicas=reply.in_sync_replicas, partition_epoch=reply.partition_epoch
            )
            self._try_to_commit(replica, leadership, now_ms, out)
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
                out.append(self._wish_in_sync_replicas(replica, leadership, shrunk))
            deadline_ms = leadership.find_lag_deadline(lag_max_ms, now_ms)
            if deadline_ms is not None:
                deadlines.append(max(deadline_ms, now_ms + lag_max_ms // 2))
        if deadlines:
            self.timers["lag"] = min(deadlines)

    # --- metadata -------------------------------------------------------------------------------------------------

    def _on_start(self, message: Start, envelope: Envelope, now_ms: int) -> list[Envelope]:
        return [self._ask_controller("register", RegisterBrokerRequest(self.broker_id, self.incarnation))]

    def _on_registered(self, reply: RegisterBrokerReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        self.broker_epoch = reply.broker_epoch
        return [self._fetch_metadata()]

    def _fetch_metadata(self) -> Envelope:
        request = FetchMetadataRequest(self.broker_id, self.broker_epoch, self.image.end_offset)
        return self._ask_controller("metadata", request)

    def _on_metadata_news(self, reply: FetchMetadataReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        changed: dict[TopicPartition, None] = {}
        is_about_brokers = False
        for record in reply.records[self.image.end_offset - reply.base_offset :]:
            self.image.replay(record)
            if isinstance(record, PartitionRecord):
                changed[record.topic_partition] = None
            else:
                is_about_brokers = True
        for topic_partition in changed:
            self._apply(self.image.partitions[topic_partition], now_ms, out)
        if is_about_brokers:
            # A broker that is fenced no longer holds the high watermark back; one that lives again may join.
            for replica in self.replicas.values():
                if replica.leadership is not None:
                    self._try_to_commit(replica, replica.leadership, now_ms, out)
                    self._reconsider_expansions(replica, replica.leadership, now_ms, out)
        self._answer_waiting_metadata(now_ms, out)
        out.append(self._fetch_metadata())
        return out

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
                out.append(self._wish_in_sync_replicas(replica, leadership, expanded))

    def _apply(self, partition: PartitionRecord, now_ms: int, out: list[Envelope]) -> None:
        """Take the role that metadata gives this broker in one partition."""
        if self.broker_id not in partition.replicas:
            return
        topic_partition = partition.topic_partition
        replica = self.replicas.get(topic_partition)
        if replica is None:
            overrides = self.image.topics[topic_partition.topic].settings
            settings = topic_settings(overrides, self.settings)
            log = PartitionLog(topic_partition, self.stores.log_store(topic_partition), settings)
            assert settings.min_insync_replicas is not None
            replica = self.replicas[topic_partition] = Replica(log, partition, settings.min_insync_replicas)
        elif partition.partition_epoch <= replica.partition.partition_epoch:
            return
        elif partition.leader_epoch == replica.partition.leader_epoch:
            replica.partition = partition
            if replica.leadership is not None:
                replica.leadership.told(partition)
                self._try_to_commit(replica, replica.leadership, now_ms, out)
                self._reconsider_expansions(replica, replica.leadership, now_ms, out)
            return
        replica.partition = partition
        self._resign(replica, out)
        if partition.leader_id == self.broker_id:
            self._lead(replica, now_ms, out)
        elif partition.leader_id != NO_LEADER:
            following = replica.following = Following(partition)
            log = replica.log
            if not log.leader_epochs.entries:
                # Nothing tells which leader wrote this log: only what is known to be committed can be kept.
                log.truncate_to(log.high_watermark)
            out.append(self._fetch_next(replica, following))

    def _resign(self, replica: Replica, out: list[Envelope]) -> None:
        topic_partition = replica.topic_partition
        self.timers.pop(f"fetch {topic_partition}", None)
        following = replica.following
        if following is not None and following.connection is not None:
            connection = following.connection
            self._correlation_ids.pop(connection, None)
            out.append(Envelope(self.name, connection.server, connection, 0, CloseConnection()))
        replica.following = None
        replica.leadership = None
        self._fail_waiting_produces(topic_partition, ErrorCode.NOT_LEADER_OR_FOLLOWER, out)
        for waiting in self.waiting.fetches_of(topic_partition):
            del self.waiting.fetches[waiting.connection]
            out.append(self._fetch_answer(waiting.connection, waiting.correlation_id, waiting.request))

    def _lead(self, replica: Replica, now_ms: int, out: list[Envelope]) -> None:
        leadership = replica.leadership = Leadership(self.broker_id, replica.log, replica.partition, now_ms)
        if leadership.remotes:
            self.timers.setdefault("lag", now_ms + self.settings.replica_lag_time_max_ms + 1)
        self._try_to_commit(replica, leadership, now_ms, out)

    def _on_metadata_request(self, request: MetadataRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        if request.newer_than and request.max_wait_ms > 0 and not self._has_newer(request):
            deadline_ms = now_ms + request.max_wait_ms
            self.waiting.metadata.append(
                WaitingMetadata(envelope.connection, envelope.correlation_id, request, deadline_ms)
            )
            if self.timers.get("metadata", deadline_ms) >= deadline_ms:
                self.timers["metadata"] = deadline_ms
            return []
        return [self._answer(envelope, self._metadata(request.topics))]

    def _has_newer(self, request: MetadataRequest) -> bool:
        for topic_partition, leader_epoch in request.newer_than:
            known = self.image.partitions.get(topic_partition)
            if known is not None and known.leader_id != NO_LEADER and known.leader_epoch > leader_epoch:
                return True
        return False

    def _answer_waiting_metadata(self, now_ms: int, out: list[Envelope]) -> None:
        for waiting in list(self.waiting.metadata):
            if waiting.deadline_ms <= now_ms or self._has_newer(waiting.request):
                self.waiting.metadata.remove(waiting)
                connection = waiting.connection
                reply = self._metadata(waiting.request.topics)
                out.append(Envelope(self.name, connection.client, connection, waiting.correlation_id, reply))

    def _metadata(self, topics: tuple[str, ...] | None) -> MetadataReply:
        image = self.image
        described = []
        for topic in sorted(image.topics) if topics is None else topics:
            record = image.topics.get(topic)
            if record is None:
                described.append(TopicMetadata(topic, "", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ()))
                continue
            partitions = tuple(
                [
                    PartitionMetadata(
                        known.topic_partition,
                        known.leader_id,
                        known.leader_epoch,
                        known.replicas,
                        known.in_sync_replicas,
                    )
                    for known in image.partitions_of(topic)
                ]
            )
            described.append(TopicMetadata(topic, record.topic_id, NONE, partitions))
        alive = tuple([broker_id for broker_id in sorted(image.brokers) if image.is_alive(broker_id)])
        return MetadataReply(alive, tuple(described))

    # --- producer ids ---------------------------------------------------------------------------------------------

    def _on_init_producer_id(self, request: InitProducerIdRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        if request.transactional_id is not None:
            error = ErrorCode.INVALID_REQUEST if not request.transactional_id else ErrorCode.COORDINATOR_NOT_AVAILABLE
            return [self._answer(envelope, InitProducerIdReply(error))]
        if (request.producer_id < 0) != (request.producer_epoch < 0):
            return [self._answer(envelope, InitProducerIdReply(ErrorCode.INVALID_REQUEST))]
        left = sum(end_id - next_id for next_id, end_id in self._producer_ids)
        if left <= PREFETCH_AT and not self._is_asking_for_ids:
            self._is_asking_for_ids = True
            out.append(
                self._ask_controller("producer ids", AllocateProducerIdsRequest(self.broker_id, self.broker_epoch))
            )
        if not left:
            reply = InitProducerIdReply(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
        else:
            (next_id, end_id), *ahead = self._producer_ids
            self._producer_ids = (((next_id + 1, end_id),) if next_id + 1 < end_id else ()) + tuple(ahead)
            reply = InitProducerIdReply(NONE, next_id, 0)
        out.append(self._answer(envelope, reply))
        return out

    def _on_allocate_producer_ids_reply(
        self, reply: AllocateProducerIdsReply, envelope: Envelope, now_ms: int
    ) -> list[Envelope]:
        self._is_asking_for_ids = False
        if reply.error is NONE:
            block = (reply.producer_id_start, reply.producer_id_start + reply.producer_id_count)
            self._producer_ids = (*self._producer_ids, block)
        return []

    # --- timers and broken connections ----------------------------------------------------------------------------

    def _on_timer(self, message: Timer, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        name = message.name
        timers, settings = self.timers, self.settings
        if name == "lag":
            self._on_lag_timer(now_ms, out)
        elif name == "news":
            self._tell_high_watermarks(out)
        elif name == "checkpoint":
            for replica in self.replicas.values():
                replica.log.store.write_checkpoint("high_watermark", replica.log.high_watermark)
        elif name == "flush":
            for replica in self.replicas.values():
                replica.log.store.flush()
        elif name == "expire":
            for replica in self.replicas.values():
                replica.log.producer_state.expire(now_ms, settings.producer_id_expiration_ms)
            if any(len(replica.log.producer_state) for replica in self.replicas.values()):
                timers["expire"] = now_ms + settings.producer_id_expiration_check_interval_ms
        elif name == "produce":
            self._time_out_produces(now_ms, out)
        elif name == "fetch":
            self._time_out_fetches(now_ms, out)
        elif name == "metadata":
            self._answer_waiting_metadata(now_ms, out)
            if self.waiting.metadata:
                timers["metadata"] = min(waiting.deadline_ms for waiting in self.waiting.metadata)
        else:
            self._retry_fetch(name.removeprefix("fetch "), out)
        return out

    def _retry_fetch(self, partition_name: str, out: list[Envelope]) -> None:
        for topic_partition, replica in self.replicas.items():
            following = replica.following
            if following is not None and str(topic_partition) == partition_name:
                out.append(self._fetch_next(replica, following))
                return

    def _tell_high_watermarks(self, out: list[Envelope]) -> None:
        """Followers that wait without records learn of the new high watermark."""
        for connection, waiting in list(self.waiting.fetches.items()):
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
        fetches = self.waiting.fetches
        for connection, waiting in list(fetches.items()):
            if 0 <= waiting.deadline_ms <= now_ms:
                del fetches[connection]
                out.append(self._fetch_answer(connection, waiting.correlation_id, waiting.request))
        deadlines = [waiting.deadline_ms for waiting in fetches.values() if waiting.deadline_ms >= 0]
        if deadlines:
            self.timers["fetch"] = min(deadlines)

    def _on_disconnected(self, message: Disconnected, envelope: Envelope, now_ms: int) -> list[Envelope]:
        connection = envelope.connection
        if connection.server == self.name:
            self.waiting.forget(connection)
            return []
        self._correlation_ids.pop(connection, None)
        for replica in self.replicas.values():
            following = replica.following
            if following is not None and following.connection == connection:
                following.connection = None
                if not message.refused:
                    self.timers[f"fetch {replica.topic_partition}"] = now_ms + self.settings.replica_fetch_backoff_ms
                # Refused: the leader is down. Either it registers anew or another is elected; both are news.
        return []

    # --- freezing -------------------------------------------------------------------------------------------------

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.broker_id,
            self.incarnation,
            self.broker_epoch,
            self.image.freeze(),
            tuple(
                [
                    (
                        replica.partition,
                        replica.log.freeze(),
                        None if replica.leadership is None else replica.leadership.freeze(now_ms),
                        None if replica.following is None else replica.following.freeze(),
                    )
                    for replica in self.replicas.values()
                ]
            ),
            self.waiting.freeze(now_ms),
            tuple([(name, max(0, at_ms - now_ms)) for name, at_ms in self.timers.items()]),
            (self._producer_ids, self._is_asking_for_ids),
            tuple(self._connection_numbers.items()),
            tuple(self._correlation_ids.items()),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int, settings: BrokerSettings, stores: StoreProvider) -> Broker:
        broker_id, incarnation, broker_epoch, image, replicas, waiting, timers, ids, numbers, correlations = frozen
        broker = cls(broker_id, incarnation, settings, stores)
        broker.broker_epoch = broker_epoch
        broker.image = MetadataImage.thaw(image)
        for partition, frozen_log, leadership, following in replicas:
            topic_partition = partition.topic_partition
            own = topic_settings(broker.image.topics[topic_partition.topic].settings, settings)
            log = PartitionLog.thaw(frozen_log, topic_partition, stores.log_store(topic_partition), own)
            assert own.min_insync_replicas is not None
            replica = broker.replicas[topic_partition] = Replica(log, partition, own.min_insync_replicas)
            if leadership is not None:
                replica.leadership = Leadership.thaw(leadership, broker_id, log, now_ms)
            if following is not None:
                replica.following = Following.thaw(following)
        broker.waiting = WaitingRoom.thaw(waiting, now_ms)
        broker.timers = {name: now_ms + distance_ms for name, distance_ms in timers}
        broker._producer_ids, broker._is_asking_for_ids = ids
        broker._connection_numbers = dict(numbers)
        broker._correlation_ids = dict(correlations)
        return broker
