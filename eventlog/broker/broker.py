"""The broker as a machine: what comes in goes to its handler, and what the metadata log makes of it.

The way of a batch is in `leading`; here are roles (`_apply`), following, metadata, producer ids and timers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eventlog.broker import queries
from eventlog.broker.follower import Following, find_truncation, take
from eventlog.broker.keeping import CLEAN_SHUTDOWN, TOPIC_ID
from eventlog.broker.leader import Leadership
from eventlog.broker.leading import Leading
from eventlog.broker.replica import Replica
from eventlog.broker.waiting_room import WaitingMetadata, WaitingRoom
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.log.store import LogStore, StoreProvider
from eventlog.messages import (
    CloseConnection,
    Disconnected,
    Envelope,
    Frozen,
    ShutDown,
    Start,
    Timer,
    broker_name,
)
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    DeleteRecordsRequest,
    DescribeProducersRequest,
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
    ProduceRequest,
    TopicMetadata,
    WriteTxnMarkersRequest,
)
from eventlog.messages.controller_api import (
    NO_LEADER,
    AllocateProducerIdsReply,
    AllocateProducerIdsRequest,
    AlterPartitionReply,
    ControlledShutdownReply,
    FetchMetadataReply,
    FetchMetadataRequest,
    PartitionRecord,
    RegisterBrokerReply,
    RegisterBrokerRequest,
    RemoveTopicRecord,
    TopicRecord,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings, TopicPartition, log_settings

PREFETCH_AT: Final = 100
"""The next block of producer ids is asked for when this many are left: a tenth of a block."""

NONE: Final = ErrorCode.NONE


# What comes in, and the method that takes it. By name, so that a thawed broker costs no table of its own.
HANDLERS: Final[dict[type[Any], str]] = {
    ProduceRequest: "_on_produce",
    FetchRequest: "_on_fetch",
    FetchReply: "_on_fetch_reply",
    Timer: "_on_timer",
    MetadataRequest: "_on_metadata_request",
    InitProducerIdRequest: "_on_init_producer_id",
    ListOffsetsReply: "_on_list_offsets_reply",
    FetchMetadataReply: "_on_metadata_news",
    AlterPartitionReply: "_on_alter_partition_reply",
    AllocateProducerIdsReply: "_on_allocate_producer_ids_reply",
    RegisterBrokerReply: "_on_registered",
    WriteTxnMarkersRequest: "_on_write_txn_markers",
    ControlledShutdownReply: "_on_controlled_shutdown_reply",
    Disconnected: "_on_disconnected",
    Start: "_on_start",
    ShutDown: "_on_shut_down",
}
QUERIES: Final[dict[type[Any], Callable[[dict[TopicPartition, Replica], Any], Any]]] = {
    ListOffsetsRequest: queries.list_offsets,
    OffsetForLeaderEpochRequest: queries.offset_for_leader_epoch,
    DescribeProducersRequest: queries.describe_producers,
    DeleteRecordsRequest: queries.delete_records,
}


class Broker(Leading):
    """One broker process. A crash discards it; a restart makes a new one over the same `stores`."""

    __slots__ = ()

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """One envelope in, what follows from it out."""
        if self.has_ended:
            return []
        message = envelope[4]
        kind = message.__class__
        handler = HANDLERS.get(kind)
        if handler is None:
            return [self._answer(envelope, QUERIES[kind](self.replicas, message))]
        out: list[Envelope] = getattr(self, handler)(message, envelope, now_ms)
        return out

    def deadlines(self) -> dict[str, int]:
        return self.timers

    # --- metadata and roles ---------------------------------------------------------------------------------------

    def _on_start(self, message: Start, envelope: Envelope, now_ms: int) -> list[Envelope]:
        # Good for one registration: whatever ends this process, it must prove its order anew.
        clean_epoch = self.stores.read_checkpoint(CLEAN_SHUTDOWN, -1)
        self.stores.write_checkpoint(CLEAN_SHUTDOWN, -1)
        request = RegisterBrokerRequest(self.broker_id, self.incarnation, clean_epoch)
        return [self._ask_controller("register", request)]

    def _on_registered(self, reply: RegisterBrokerReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        self.broker_epoch = reply.broker_epoch
        return [self._fetch_metadata()]

    def _fetch_metadata(self) -> Envelope:
        request = FetchMetadataRequest(self.broker_id, self.broker_epoch, self.image.end_offset)
        return self._ask_controller("metadata", request)

    def _on_metadata_news(self, reply: FetchMetadataReply, envelope: Envelope, now_ms: int) -> list[Envelope]:
        out: list[Envelope] = []
        changed: dict[TopicPartition, None] = {}
        altered: list[TopicRecord] = []
        is_about_brokers = False
        for record in reply.records[self.image.end_offset - reply.base_offset :]:
            self.image.replay(record)
            if isinstance(record, PartitionRecord):
                changed[record.topic_partition] = None
            elif isinstance(record, TopicRecord):
                altered.append(record)
            elif isinstance(record, RemoveTopicRecord):
                changed = {known: None for known in changed if known.topic != record.topic}
                self._remove(record.topic, out)
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
        # Last, as in Kafka: another min_insync_replicas comes with news of the partition (nobody is eligible any more),
        # and that must not wake by the new number who waits by the old one.
        for topic in altered:
            self._apply_settings(topic, now_ms)
        self._answer_waiting_metadata(now_ms, out)
        out.append(self._fetch_metadata())
        return out

    def _remove(self, topic: str, out: list[Envelope]) -> None:
        """The topic was deleted: whoever waits for it is told, and its logs are gone."""
        for topic_partition in [known for known in self.replicas if known.topic == topic]:
            replica = self.replicas.pop(topic_partition)
            self._fail_waiting_produces(topic_partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, out)
            self._resign(replica, out)
            self.stores.delete_log(topic_partition)

    def _log_store(self, topic_partition: TopicPartition, topic_id: str) -> LogStore:
        """The store of this topic's log; one that an earlier topic of that name left is emptied."""
        store = self.stores.log_store(topic_partition)
        if store.read_checkpoint(TOPIC_ID, topic_id) != topic_id:
            self.stores.delete_log(topic_partition)
            store = self.stores.log_store(topic_partition)
        store.write_checkpoint(TOPIC_ID, topic_id)
        return store

    def _apply_settings(self, topic: TopicRecord, now_ms: int) -> None:
        """A topic's settings changed: its logs go by them from now on. Whoever waits is not woken, as in Kafka."""
        settings = log_settings(self.settings, topic.settings)
        for topic_partition, replica in self.replicas.items():
            if topic_partition.topic == topic.topic:
                replica.apply(settings)
        self._mind_retention(now_ms)

    def _apply(self, partition: PartitionRecord, now_ms: int, out: list[Envelope]) -> None:
        """Take the role that metadata gives this broker in one partition."""
        if self.broker_id not in partition.replicas:
            return
        topic_partition = partition.topic_partition
        replica = self.replicas.get(topic_partition)
        if replica is None:
            topic = self.image.topics[topic_partition.topic]
            settings = log_settings(self.settings, topic.settings)
            log = PartitionLog(topic_partition, self._log_store(topic_partition, topic.topic_id), settings, now_ms)
            replica = self.replicas[topic_partition] = Replica(log, partition)
            if log.log_end_offset:
                self._mind_logs(now_ms)  # what an earlier process left grows old like any other
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
                log.truncate_to(log.high_watermark, now_ms)
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
        if replica.partition.leader_id != self.broker_id:
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
        return MetadataReply(image.alive(), tuple(described))

    # --- following ------------------------------------------------------------------------------------------------

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
            replica = self.replicas.get(reply.topic_partition)
            if replica is None:
                continue  # its topic was deleted meanwhile
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
                log.truncate_to(find_truncation(log, reply.diverging_epoch, reply.diverging_end_offset), now_ms)
            elif not take(log, reply):
                return  # as Kafka: nothing more until metadata tells of another term
            else:
                if reply.batches and "flush" not in self.timers:
                    self._mind_logs(now_ms)
                if reply.batches and log.settings.retention_bytes >= 0:
                    self._mind_size(now_ms)
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
        replica = self.replicas.get(latest.topic_partition)
        following = None if replica is None else replica.following
        if replica is None or following is None or following.connection != envelope.connection:
            return []
        if latest.error is not NONE or earliest.error is not NONE:
            self.timers[f"fetch {replica.topic_partition}"] = now_ms + self.settings.replica_fetch_backoff_ms
            return []
        if latest.offset < replica.log.log_end_offset:
            replica.log.truncate_to(latest.offset, now_ms)
        elif earliest.offset > replica.log.log_end_offset:
            replica.log.restart_at(earliest.offset)
        return [self._fetch_next(replica, following)]

    def _retry_fetch(self, partition_name: str, out: list[Envelope]) -> None:
        for topic_partition, replica in self.replicas.items():
            following = replica.following
            if following is not None and str(topic_partition) == partition_name:
                out.append(self._fetch_next(replica, following))
                return

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
        timers = self.timers
        if name == "lag":
            self._on_lag_timer(now_ms, out)
        elif name == "news":
            self._tell_high_watermarks(out)
        elif name == "checkpoint":
            self._write_checkpoints()
        elif name == "flush":
            self._flush(now_ms)
        elif name == "expire":
            self._expire_producers(now_ms)
        elif name == "retention":
            self._delete_old_segments(now_ms)
        elif name == "shutdown":
            return self._end()
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
            tuple(sorted([(name, max(0, at_ms - now_ms)) for name, at_ms in self.timers.items()])),
            (self._producer_ids, self._is_asking_for_ids, self.has_ended),
            tuple(self._connection_numbers.items()),
            tuple(self._correlation_ids.items()),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int, settings: BrokerSettings, stores: StoreProvider) -> Broker:
        broker_id, incarnation, broker_epoch, image, replicas, waiting, timers, ids, numbers, correlations = frozen
        broker = cls.__new__(cls)
        broker.broker_id = broker_id
        broker.name = broker_name(broker_id)
        broker.incarnation = incarnation
        broker.settings = settings
        broker.stores = stores
        broker.broker_epoch = broker_epoch
        broker.image = MetadataImage.thaw(image)
        broker.replicas = {}
        for partition, frozen_log, leadership, following in replicas:
            topic_partition = partition.topic_partition
            own = log_settings(settings, broker.image.topics[topic_partition.topic].settings)
            log = PartitionLog.thaw(frozen_log, topic_partition, stores.log_store(topic_partition), own)
            replica = broker.replicas[topic_partition] = Replica(log, partition)
            if leadership is not None:
                replica.leadership = Leadership.thaw(leadership, broker_id, log, now_ms)
            if following is not None:
                replica.following = Following.thaw(following)
        broker.waiting = WaitingRoom.thaw(waiting, now_ms)
        broker.timers = {name: now_ms + distance_ms for name, distance_ms in timers}
        broker._producer_ids, broker._is_asking_for_ids, broker.has_ended = ids
        broker._connection_numbers = dict(numbers)
        broker._correlation_ids = dict(correlations)
        return broker
