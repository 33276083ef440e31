"""The controller as a machine. A handler decides and returns records; only `_commit` writes them and replays them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from eventlog.controller import topics
from eventlog.controller.election import Rules, reconsider, rules_of
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Connection, Disconnected, Envelope, Frozen, Start, Timer
from eventlog.messages.controller_api import (
    NO_LEADER,
    AllocateProducerIdsReply,
    AllocateProducerIdsRequest,
    AlterPartitionReply,
    AlterPartitionRequest,
    AlterTopicRequest,
    ControlledShutdownReply,
    ControlledShutdownRequest,
    CreatePartitionsRequest,
    CreateTopicRequest,
    DeleteTopicRequest,
    ElectLeaderRequest,
    ElectLeadersRequest,
    FenceBrokerRecord,
    FetchMetadataReply,
    FetchMetadataRequest,
    HeartbeatsResumed,
    HeartbeatsStopped,
    MetadataRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RegisterBrokerReply,
    RegisterBrokerRequest,
    ShuttingDownBrokerRecord,
    UnfenceBrokerRecord,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings, chance

PRODUCER_ID_BLOCK_SIZE: Final = 1_000
MAX_PRODUCER_ID: Final = 2**63 - 1
SESSION_TIMER: Final = "session "


class Controller:
    """See the chapter. `log` is durable: the one thing that a crash of the controller would keep."""

    __slots__ = ("_handlers", "_parked", "_silent", "image", "log", "name", "seed", "settings", "timers")

    def __init__(self, settings: BrokerSettings, seed: int = 0) -> None:
        self.name = CONTROLLER
        self.settings = settings
        self.seed = seed
        self.log: list[MetadataRecord] = []
        self.image = MetadataImage()
        self.timers: dict[str, int] = {}
        # Metadata fetches that wait for news: by broker.
        self._parked: dict[int, tuple[Connection, int, FetchMetadataRequest]] = {}
        # Brokers of which nothing is heard, though their session may still be good.
        self._silent: dict[int, None] = {}
        self._handlers: dict[type[Any], Callable[[Any, Envelope, int], list[Envelope]]] = {
            RegisterBrokerRequest: self._on_register,
            FetchMetadataRequest: self._on_fetch_metadata,
            AlterPartitionRequest: self._on_alter_partition,
            AllocateProducerIdsRequest: self._on_allocate_producer_ids,
            ControlledShutdownRequest: self._on_controlled_shutdown,
            CreateTopicRequest: self._on_topic_request,
            CreatePartitionsRequest: self._on_topic_request,
            DeleteTopicRequest: self._on_topic_request,
            AlterTopicRequest: self._on_topic_request,
            ElectLeaderRequest: self._on_topic_request,
            ElectLeadersRequest: self._on_topic_request,
            HeartbeatsStopped: self._on_heartbeats_stopped,
            HeartbeatsResumed: self._on_heartbeats_resumed,
            Timer: self._on_timer,
            Disconnected: self._on_disconnected,
            Start: lambda message, envelope, now_ms: [],
        }

    def receive(self, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """One envelope in, what follows from it out."""
        return self._handlers[envelope.message.__class__](envelope.message, envelope, now_ms)

    def deadlines(self) -> dict[str, int]:
        return self.timers

    # --- the log --------------------------------------------------------------------------------------------------

    def _commit(self, records: list[MetadataRecord]) -> list[Envelope]:
        """Write and replay `records`; answer the metadata fetches that waited for news."""
        if not records:
            return []
        self.log.extend(records)
        for record in records:
            self.image.replay(record)
        parked, self._parked = self._parked, {}
        # By broker, whoever asked first: equal states answer alike.
        return [
            self._reply(connection, correlation_id, self._news_from(request.offset))
            for _, (connection, correlation_id, request) in sorted(parked.items())
        ]

    def _news_from(self, offset: int) -> FetchMetadataReply:
        return FetchMetadataReply(offset, tuple(self.log[offset:]))

    def _reply(self, connection: Connection, correlation_id: int, message: Any) -> Envelope:
        return Envelope(self.name, connection.client, connection, correlation_id, message)

    def _answer(self, envelope: Envelope, message: Any) -> Envelope:
        return self._reply(envelope.connection, envelope.correlation_id, message)

    # --- brokers --------------------------------------------------------------------------------------------------

    def _on_register(self, request: RegisterBrokerRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        """A new process: whatever the one before it led or was in sync with is given up first."""
        broker_id = request.broker_id
        known = self.image.brokers.get(broker_id)
        # A crash may have cost it a tail of its log; only a note of its orderly end says that it lost nothing.
        is_clean = known is not None and known.broker_epoch == request.previous_broker_epoch
        records = self._without(broker_id, struck_off=-1 if is_clean else broker_id)
        broker_epoch = len(self.log) + len(records)
        records.append(RegisterBrokerRecord(broker_id, broker_epoch, request.incarnation))
        self._parked.pop(broker_id, None)
        self._silent.pop(broker_id, None)
        self.timers.pop(f"{SESSION_TIMER}{broker_id}", None)
        out = self._commit(records)
        out.append(self._answer(envelope, RegisterBrokerReply(ErrorCode.NONE, broker_epoch)))
        return out

    def _on_controlled_shutdown(
        self, request: ControlledShutdownRequest, envelope: Envelope, now_ms: int
    ) -> list[Envelope]:
        known = self.image.brokers.get(request.broker_id)
        if known is None or known.broker_epoch != request.broker_epoch:
            return [self._answer(envelope, ControlledShutdownReply(ErrorCode.STALE_BROKER_EPOCH))]
        records: list[MetadataRecord] = []
        if not known.is_shutting_down:
            records.append(ShuttingDownBrokerRecord(request.broker_id, request.broker_epoch))
            records += self._without(request.broker_id)
            # Nothing waits for it now, so its end need not be waited for either.
            records.append(FenceBrokerRecord(request.broker_id, request.broker_epoch))
            self.timers.pop(f"{SESSION_TIMER}{request.broker_id}", None)
        out = self._commit(records)
        out.append(self._answer(envelope, ControlledShutdownReply(ErrorCode.NONE, should_shut_down=True)))
        return out

    def _without(self, broker_id: int, struck_off: int = -1) -> list[MetadataRecord]:
        """The partitions once `broker_id` may neither lead nor be in sync; see `reconsider` for `struck_off`."""
        alive = tuple([other for other in self.image.alive() if other != broker_id])
        records: list[MetadataRecord] = []
        for partition in self.image.partitions.values():
            members = partition.in_sync_replicas
            if broker_id in members or struck_off in partition.eligible_leader_replicas:
                remaining = tuple([member for member in members if member != broker_id])
                changed = reconsider(partition, remaining, alive, self._rules(partition), struck_off)
                if changed is not None:
                    records.append(changed)
        return records

    def _fencing(self, broker_id: int) -> list[MetadataRecord]:
        return [FenceBrokerRecord(broker_id, self.image.broker_epoch(broker_id)), *self._without(broker_id)]

    def _unfencing(self, broker_id: int) -> list[MetadataRecord]:
        records: list[MetadataRecord] = [UnfenceBrokerRecord(broker_id, self.image.broker_epoch(broker_id))]
        alive = (*self.image.alive(), broker_id)
        for partition in self.image.partitions.values():
            if partition.leader_id == NO_LEADER:
                changed = reconsider(partition, partition.in_sync_replicas, alive, self._rules(partition))
                if changed is not None:
                    records.append(changed)
        return records

    def _rules(self, partition: PartitionRecord) -> Rules:
        return rules_of(self.settings, self.image.topics[partition.topic_partition.topic])

    def _on_heartbeats_stopped(self, message: HeartbeatsStopped, envelope: Envelope, now_ms: int) -> list[Envelope]:
        if message.broker_id in self.image.brokers and message.broker_id not in self._silent:
            self._silent[message.broker_id] = None
            if self.image.is_alive(message.broker_id):
                timer = f"{SESSION_TIMER}{message.broker_id}"
                self.timers[timer] = now_ms + self.settings.broker_session_timeout_ms
        return []

    def _on_heartbeats_resumed(self, message: HeartbeatsResumed, envelope: Envelope, now_ms: int) -> list[Envelope]:
        self._silent.pop(message.broker_id, None)
        self.timers.pop(f"{SESSION_TIMER}{message.broker_id}", None)
        return self._unfence_if_caught_up(message.broker_id)

    def _on_timer(self, message: Timer, envelope: Envelope, now_ms: int) -> list[Envelope]:
        return self._commit(self._fencing(int(message.name.removeprefix(SESSION_TIMER))))

    def _on_disconnected(self, message: Disconnected, envelope: Envelope, now_ms: int) -> list[Envelope]:
        for broker_id, (connection, _, _) in list(self._parked.items()):
            if connection == envelope.connection:
                del self._parked[broker_id]
        return []

    def _on_fetch_metadata(self, request: FetchMetadataRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        registration = self.image.brokers.get(request.broker_id)
        if registration is None or registration.broker_epoch != request.broker_epoch:
            return []  # a process that is no more
        if request.offset < len(self.log):
            return [self._answer(envelope, self._news_from(request.offset))]
        self._parked[request.broker_id] = (envelope.connection, envelope.correlation_id, request)
        return self._unfence_if_caught_up(request.broker_id)

    def _unfence_if_caught_up(self, broker_id: int) -> list[Envelope]:
        """A broker may serve again once it is heard and has replayed everything, its own registration included."""
        registration = self.image.brokers.get(broker_id)
        if registration is None or not registration.is_fenced or registration.is_shutting_down:
            return []
        if broker_id in self._silent or broker_id not in self._parked:
            return []
        return self._commit(self._unfencing(broker_id))

    # --- partitions -----------------------------------------------------------------------------------------------

    def _on_alter_partition(self, request: AlterPartitionRequest, envelope: Envelope, now_ms: int) -> list[Envelope]:
        partition = self.image.partitions.get(request.topic_partition)
        error = self._find_refusal(request, partition)
        out: list[Envelope] = []
        if error is ErrorCode.NONE and partition is not None:
            wanted = tuple([broker_id for broker_id, _ in request.new_in_sync_replicas])
            changed = reconsider(partition, wanted, self.image.alive(), self._rules(partition))
            if changed is not None:
                partition = changed
                out = self._commit([partition])
        reply = AlterPartitionReply(request.topic_partition, request.partition_epoch, error)
        if error is ErrorCode.NONE and partition is not None:
            reply = reply._replace(
                leader_id=partition.leader_id,
                leader_epoch=partition.leader_epoch,
                in_sync_replicas=partition.in_sync_replicas,
                partition_epoch=partition.partition_epoch,
            )
        out.append(self._answer(envelope, reply))
        return out

    def _find_refusal(self, request: AlterPartitionRequest, partition: PartitionRecord | None) -> ErrorCode:
        image = self.image
        if image.broker_epoch(request.broker_id) != request.broker_epoch:
            return ErrorCode.STALE_BROKER_EPOCH
        if partition is None:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        if request.leader_epoch > partition.leader_epoch or request.partition_epoch > partition.partition_epoch:
            return ErrorCode.NOT_CONTROLLER
        if request.leader_epoch < partition.leader_epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if request.broker_id != partition.leader_id:
            return ErrorCode.INVALID_REQUEST
        if request.partition_epoch < partition.partition_epoch:
            return ErrorCode.INVALID_UPDATE_VERSION
        members = [broker_id for broker_id, _ in request.new_in_sync_replicas]
        if any(member not in partition.replicas or members.count(member) > 1 for member in members):
            return ErrorCode.INVALID_REQUEST
        if partition.leader_id not in members:
            return ErrorCode.INVALID_REQUEST
        for broker_id, broker_epoch in request.new_in_sync_replicas:
            if not image.is_alive(broker_id) or broker_epoch not in (-1, image.broker_epoch(broker_id)):
                return ErrorCode.INELIGIBLE_REPLICA
        return ErrorCode.NONE

    def _on_topic_request(self, request: Any, envelope: Envelope, now_ms: int) -> list[Envelope]:
        records, reply = self._answer_topic_request(request)
        out = self._commit(records)
        out.append(self._answer(envelope, reply))
        return out

    def _answer_topic_request(self, request: Any) -> tuple[list[MetadataRecord], Any]:
        if isinstance(request, CreateTopicRequest):
            topic_id = f"{chance(self.seed, f'topic {request.topic} {len(self.log)}'):016x}"
            return topics.create_topic(self.image, request, topic_id)
        if isinstance(request, CreatePartitionsRequest):
            return topics.create_partitions(self.image, request)
        if isinstance(request, DeleteTopicRequest):
            return topics.delete_topic(self.image, request)
        if isinstance(request, AlterTopicRequest):
            return topics.alter_topic(self.image, self.settings, request)
        if isinstance(request, ElectLeadersRequest):
            return topics.elect_leaders(self.image, self.settings, request)
        return topics.elect_leader(self.image, request)

    def _on_allocate_producer_ids(
        self, request: AllocateProducerIdsRequest, envelope: Envelope, now_ms: int
    ) -> list[Envelope]:
        start = self.image.next_producer_id
        if self.image.broker_epoch(request.broker_id) != request.broker_epoch:
            return [self._answer(envelope, AllocateProducerIdsReply(ErrorCode.STALE_BROKER_EPOCH))]
        if start > MAX_PRODUCER_ID - PRODUCER_ID_BLOCK_SIZE:
            return [self._answer(envelope, AllocateProducerIdsReply(ErrorCode.UNKNOWN_SERVER_ERROR))]
        next_producer_id = start + PRODUCER_ID_BLOCK_SIZE
        out = self._commit([ProducerIdsRecord(request.broker_id, request.broker_epoch, next_producer_id)])
        out.append(self._answer(envelope, AllocateProducerIdsReply(ErrorCode.NONE, start, PRODUCER_ID_BLOCK_SIZE)))
        return out

    # --- freezing -------------------------------------------------------------------------------------------------

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.image.freeze(),
            tuple([(type(record).__name__, record) for record in self.log]),
            tuple(sorted(self._parked.items())),
            tuple(sorted(self._silent)),
            tuple(sorted([(name, max(0, at_ms - now_ms)) for name, at_ms in self.timers.items()])),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int, settings: BrokerSettings, seed: int) -> Controller:
        controller = cls(settings, seed)
        image, log, parked, silent, timers = frozen
        controller.image = MetadataImage.thaw(image)
        controller.log = [record for _, record in log]
        controller._parked = dict(parked)
        controller._silent = dict.fromkeys(silent)
        controller.timers = {name: now_ms + distance_ms for name, distance_ms in timers}
        return controller
