"""What a leader knows beyond its log: who follows, how far, and who is in sync."""

from __future__ import annotations

from typing import Any

from eventlog.log.partition_log import PartitionLog
from eventlog.messages import Frozen
from eventlog.messages.controller_api import AlterPartitionReply, PartitionRecord
from eventlog.messages.metadata_image import MetadataImage

UNKNOWN = -1


class RemoteReplica:
    """A follower as its leader sees it: by the offset it fetches from. Times are Unix milliseconds, 0 for never.

    `broker_epoch` says which process fetched: the next one's disk may hold less.
    """

    __slots__ = (
        "broker_epoch",
        "last_caught_up_ms",
        "last_fetch_ms",
        "leader_end_at_last_fetch",
        "log_end_offset",
        "told_high_watermark",
    )

    def __init__(self, last_caught_up_ms: int) -> None:
        self.broker_epoch = UNKNOWN
        self.log_end_offset = UNKNOWN
        self.last_caught_up_ms = last_caught_up_ms
        self.last_fetch_ms = 0
        self.leader_end_at_last_fetch = 0
        self.told_high_watermark = UNKNOWN

    def fetched_from(self, offset: int, leader_end_offset: int, now_ms: int, broker_epoch: int) -> None:
        """A fetch says that all below `offset` is stored there."""
        self.broker_epoch = broker_epoch
        if offset >= leader_end_offset:
            self.last_caught_up_ms = now_ms
        elif offset >= self.leader_end_at_last_fetch:
            self.last_caught_up_ms = max(self.last_caught_up_ms, self.last_fetch_ms)
        self.log_end_offset = offset
        self.leader_end_at_last_fetch = leader_end_offset
        self.last_fetch_ms = now_ms

    def freeze(self, now_ms: int) -> tuple[int, ...]:
        return (
            self.broker_epoch,
            self.log_end_offset,
            self.last_caught_up_ms - now_ms if self.last_caught_up_ms else 1,
            self.last_fetch_ms - now_ms if self.last_fetch_ms else 1,
            self.leader_end_at_last_fetch,
            self.told_high_watermark,
        )

    @classmethod
    def thaw(cls, frozen: tuple[int, ...], now_ms: int) -> RemoteReplica:
        remote = cls(0)
        (
            remote.broker_epoch,
            remote.log_end_offset,
            caught_up,
            fetched,
            remote.leader_end_at_last_fetch,
            remote.told_high_watermark,
        ) = frozen
        remote.last_caught_up_ms = now_ms + caught_up if caught_up <= 0 else 0
        remote.last_fetch_ms = now_ms + fetched if fetched <= 0 else 0
        return remote


class Leadership:
    """One leader's term over one partition.

    D1. The high watermark rises only, and only while the committed in-sync replicas reach `min_insync_replicas`.
    D2. It never passes what any member of the *maximal* in-sync replicas (committed and wished for) has fetched.
    D3. Only the process that fetched may join: what its predecessor had counts for nothing (KIP-903).
    D4. One wish to change the in-sync replicas is under way at most; an answer to an older wish changes nothing.
    """

    __slots__ = (
        "broker_id",
        "epoch_start_offset",
        "in_sync_replicas",
        "leader_epoch",
        "log",
        "partition_epoch",
        "remotes",
        "wished_in_sync_replicas",
    )

    def __init__(self, broker_id: int, log: PartitionLog, partition: PartitionRecord, now_ms: int) -> None:
        self.broker_id = broker_id
        self.log = log
        self.leader_epoch = partition.leader_epoch
        self.partition_epoch = partition.partition_epoch
        self.epoch_start_offset = log.log_end_offset
        self.in_sync_replicas = partition.in_sync_replicas
        # None: no wish is under way.
        self.wished_in_sync_replicas: tuple[int, ...] | None = None
        self.remotes = {
            replica: RemoteReplica(now_ms if replica in partition.in_sync_replicas else 0)
            for replica in partition.replicas
            if replica != broker_id
        }
        log.assign_leader_epoch(self.leader_epoch)

    def maximal_in_sync_replicas(self) -> tuple[int, ...]:
        """The committed ones, and those that a wish under way would add."""
        wished = self.wished_in_sync_replicas
        if wished is None:
            return self.in_sync_replicas
        added = tuple([member for member in wished if member not in self.in_sync_replicas])
        return self.in_sync_replicas + added

    def advance_high_watermark(
        self, min_insync_replicas: int, image: MetadataImage, lag_max_ms: int, now_ms: int
    ) -> bool:
        """Raise the log's high watermark as far as D1 and D2 allow; True when it rose. O(replicas)."""
        log = self.log
        high_watermark = log.log_end_offset
        if high_watermark <= log.high_watermark or len(self.in_sync_replicas) < min_insync_replicas:
            return False
        members = self.in_sync_replicas if self.wished_in_sync_replicas is None else self.maximal_in_sync_replicas()
        for replica, remote in self.remotes.items():
            end_offset = remote.log_end_offset
            if end_offset < high_watermark and (
                replica in members or self._is_about_to_join(replica, remote, image, lag_max_ms, now_ms)
            ):
                high_watermark = end_offset
        if high_watermark <= log.high_watermark:
            return False
        log.set_high_watermark(high_watermark)
        return True

    def _is_about_to_join(
        self, replica: int, remote: RemoteReplica, image: MetadataImage, lag_max_ms: int, now_ms: int
    ) -> bool:
        is_caught_up = (
            remote.log_end_offset == self.log.log_end_offset or now_ms - remote.last_caught_up_ms <= lag_max_ms
        )
        return is_caught_up and remote.log_end_offset >= 0 and self._is_eligible(replica, remote, image)

    @staticmethod
    def _is_eligible(replica: int, remote: RemoteReplica, image: MetadataImage) -> bool:
        """See D3. A fetch may leave its broker epoch out."""
        return image.is_alive(replica) and remote.broker_epoch in (UNKNOWN, image.broker_epoch(replica))

    def find_expansion(self, replica: int, image: MetadataImage) -> tuple[int, ...] | None:
        """The in-sync replicas with `replica`, when it has caught up and nothing else is under way."""
        if replica in self.in_sync_replicas or self.wished_in_sync_replicas is not None:
            return None
        remote = self.remotes[replica]
        end_offset = remote.log_end_offset
        if end_offset < self.log.high_watermark or end_offset < self.epoch_start_offset:
            return None
        return (*self.in_sync_replicas, replica) if self._is_eligible(replica, remote, image) else None

    def find_shrinking(self, lag_max_ms: int, now_ms: int) -> tuple[int, ...] | None:
        """The in-sync replicas without those that lag for too long; None when all do well or a wish is under way."""
        if self.wished_in_sync_replicas is not None:
            return None
        kept = tuple([member for member in self.in_sync_replicas if not self.is_lagging(member, lag_max_ms, now_ms)])
        return kept if len(kept) < len(self.in_sync_replicas) else None

    def is_lagging(self, member: int, lag_max_ms: int, now_ms: int) -> bool:
        """Behind the log's end, and for longer than `lag_max_ms`."""
        if member == self.broker_id:
            return False
        remote = self.remotes[member]
        return remote.log_end_offset != self.log.log_end_offset and now_ms - remote.last_caught_up_ms > lag_max_ms

    def find_lag_deadline(self, lag_max_ms: int, now_ms: int) -> int | None:
        """When the first in-sync follower that is behind will have lagged too long; None when all are level."""
        behind = [
            self.remotes[member].last_caught_up_ms
            for member in self.in_sync_replicas
            if member != self.broker_id and self.remotes[member].log_end_offset != self.log.log_end_offset
        ]
        return max(min(behind), now_ms - lag_max_ms) + lag_max_ms + 1 if behind else None

    def answered(self, reply: AlterPartitionReply, is_ok: bool, is_given_up: bool) -> bool:
        """The controller answered a wish; True when the committed in-sync replicas are new. See D4."""
        if reply.requested_partition_epoch != self.partition_epoch or self.wished_in_sync_replicas is None:
            return False
        if is_ok and reply.leader_epoch == self.leader_epoch:
            self.wished_in_sync_replicas = None
            self.in_sync_replicas = reply.in_sync_replicas
            self.partition_epoch = reply.partition_epoch
            return True
        if is_given_up:
            self.wished_in_sync_replicas = None
        # Else the wish stays until metadata tells what became of it: it can only hold the high watermark back.
        return False

    def told(self, partition: PartitionRecord) -> None:
        """Metadata with a newer partition_epoch and the same leader epoch."""
        self.partition_epoch = partition.partition_epoch
        self.in_sync_replicas = partition.in_sync_replicas
        self.wished_in_sync_replicas = None

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.leader_epoch,
            self.partition_epoch,
            self.epoch_start_offset,
            self.in_sync_replicas,
            self.wished_in_sync_replicas,
            tuple([(replica, remote.freeze(now_ms)) for replica, remote in self.remotes.items()]),
        )

    @classmethod
    def thaw(cls, frozen: Frozen, broker_id: int, log: PartitionLog, now_ms: int) -> Leadership:
        leadership = cls.__new__(cls)
        leadership.broker_id = broker_id
        leadership.log = log
        remotes: Any
        (
            leadership.leader_epoch,
            leadership.partition_epoch,
            leadership.epoch_start_offset,
            leadership.in_sync_replicas,
            leadership.wished_in_sync_replicas,
            remotes,
        ) = frozen
        leadership.remotes = {replica: RemoteReplica.thaw(remote, now_ms) for replica, remote in remotes}
        return leadership
