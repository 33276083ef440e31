"""A controller alone on its stage: brokers are only what they say to it, in hand-made envelopes."""

from __future__ import annotations

from typing import Any

from eventlog.controller import Controller
from eventlog.messages import CONTROLLER, NO_CONNECTION, Connection, Disconnected, Envelope, Timer, broker_name
from eventlog.messages.controller_api import (
    NO_LEADER,
    AlterPartitionRequest,
    ControlledShutdownReply,
    ControlledShutdownRequest,
    CreateTopicRequest,
    FetchMetadataRequest,
    HeartbeatsStopped,
    PartitionRecord,
    RegisterBrokerRequest,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings, TopicPartition

TP = TopicPartition("t", 0)


class ControllerStage:
    """Brokers 1.. are up and `t` has one partition with `replicas` replicas. Each step is checked; see `tell`."""

    def __init__(
        self, brokers: int = 3, replicas: int = -1, topic: dict[str, Any] | None = None, **settings: Any
    ) -> None:
        self.settings = BrokerSettings(**settings)
        self.controller = Controller(self.settings)
        self.incarnation = 0
        for broker_id in range(1, brokers + 1):
            self.start(broker_id)
        self.ask(CreateTopicRequest("t", 1, replicas, tuple((topic or {}).items())))

    # --- words ----------------------------------------------------------------------------------------------------

    def tell(self, message: Any, connection: Connection = NO_CONNECTION, now_ms: int = 0) -> list[Envelope]:
        """One envelope to the controller; what must hold after every one is checked."""
        controller = self.controller
        known = dict(controller.image.partitions)
        start = len(controller.log)
        out = controller.receive(Envelope(connection.client, CONTROLLER, connection, 0, message), now_ms)
        for record in controller.log[start:]:
            if isinstance(record, PartitionRecord):
                before = known.get(record.topic_partition)
                if before is not None:
                    moved = record.leader_id != before.leader_id
                    assert record.leader_epoch == before.leader_epoch + moved, "C1"
                    assert record.partition_epoch == before.partition_epoch + 1, "C1"
                known[record.topic_partition] = record
                self.check(record)
        replayed = MetadataImage()
        for record in controller.log:
            replayed.replay(record)
        assert replayed.freeze() == controller.image.freeze(), "the log says all"
        frozen = controller.freeze(now_ms)
        assert Controller.thaw(frozen, now_ms, self.settings, 0).freeze(now_ms) == frozen
        return out

    def check(self, record: PartitionRecord) -> None:
        """What no registration may lack."""
        members, eligible = record.in_sync_replicas, record.eligible_leader_replicas
        assert record.leader_id == NO_LEADER or record.leader_id in members
        assert all(member in record.replicas and member not in members for member in eligible)
        if not self.settings.eligible_leader_replicas_enable:
            assert members, "the last one stays"
            assert (eligible, record.last_known_leader) == ((), NO_LEADER)

    def ask(self, request: Any, broker_id: int = 0) -> Any:
        """The controller's answer to `request`."""
        connection = Connection(broker_name(broker_id), CONTROLLER, "asks", 0)
        out = self.tell(request, connection)
        assert out[-1].connection == connection
        return out[-1].message

    # --- brokers --------------------------------------------------------------------------------------------------

    def epoch(self, broker_id: int) -> int:
        return self.controller.image.broker_epoch(broker_id)

    def register(self, broker_id: int, previous_broker_epoch: int = -1) -> None:
        self.incarnation += 1
        reply = self.ask(RegisterBrokerRequest(broker_id, self.incarnation, previous_broker_epoch), broker_id)
        assert reply.broker_epoch == self.epoch(broker_id)

    def catch_up(self, broker_id: int) -> None:
        """Its metadata fetch waits at the log's end, as it always does in a process that runs."""
        connection = Connection(broker_name(broker_id), CONTROLLER, "metadata", 0)
        self.tell(FetchMetadataRequest(broker_id, self.epoch(broker_id), len(self.controller.log)), connection)

    def start(self, broker_id: int, previous_broker_epoch: int = -1) -> None:
        """A process begins: after a crash, unless it knows its predecessor's broker epoch."""
        self.register(broker_id, previous_broker_epoch)
        self.catch_up(broker_id)

    def start_clean(self, broker_id: int) -> None:
        self.start(broker_id, self.epoch(broker_id))

    def fall_silent(self, broker_id: int) -> None:
        self.tell(HeartbeatsStopped(broker_id))

    def end_session(self, broker_id: int) -> None:
        timer = f"session {broker_id}"
        assert timer in self.controller.deadlines()
        del self.controller.timers[timer]
        self.tell(Timer(timer))

    def crash(self, broker_id: int) -> None:
        """It dies and its session runs out."""
        self.tell(Disconnected(), Connection(broker_name(broker_id), CONTROLLER, "metadata", 0))
        self.fall_silent(broker_id)
        self.end_session(broker_id)

    def stop(self, broker_id: int) -> None:
        """It comes to an orderly end."""
        reply = self.ask(ControlledShutdownRequest(broker_id, self.epoch(broker_id)), broker_id)
        assert reply == ControlledShutdownReply(0, True)
        self.tell(Disconnected(), Connection(broker_name(broker_id), CONTROLLER, "metadata", 0))
        self.fall_silent(broker_id)

    # --- the partition --------------------------------------------------------------------------------------------

    @property
    def partition(self) -> PartitionRecord:
        return self.controller.image.partitions[TP]

    @property
    def state(self) -> tuple[int, int, tuple[int, ...], tuple[int, ...], int]:
        """(leader, leader epoch, in sync, eligible, last known leader)."""
        known = self.partition
        return (
            known.leader_id,
            known.leader_epoch,
            known.in_sync_replicas,
            known.eligible_leader_replicas,
            known.last_known_leader,
        )

    def wish(self, *members: int, **changes: Any) -> Any:
        """What the controller answers the leader who wants `members` in sync; `changes` make the request dishonest."""
        known = self.partition
        request = AlterPartitionRequest(
            known.leader_id,
            self.epoch(known.leader_id),
            TP,
            known.leader_epoch,
            known.partition_epoch,
            tuple([(member, self.epoch(member)) for member in members]),
        )
        return self.ask(request._replace(**changes), known.leader_id)
