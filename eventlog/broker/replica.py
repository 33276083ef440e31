"""One broker's replica of one partition: its log, and at any time one role or none."""

from __future__ import annotations

from eventlog.broker.follower import Following
from eventlog.broker.leader import Leadership
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.messages.controller_api import PartitionRecord
from eventlog.values import LogSettings, TopicPartition


class Replica:
    """`partition` is what metadata says; `leadership` or `following` is the role taken on account of it."""

    __slots__ = ("following", "leadership", "log", "min_insync_replicas", "partition", "topic_partition")

    def __init__(self, log: PartitionLog, partition: PartitionRecord) -> None:
        self.topic_partition: TopicPartition = partition.topic_partition
        self.log = log
        self.partition = partition
        # Never more than there are replicas.
        self.min_insync_replicas = min(log.settings.min_insync_replicas, len(partition.replicas))
        self.leadership: Leadership | None = None
        self.following: Following | None = None

    def apply(self, settings: LogSettings) -> None:
        """Go by these settings from now on."""
        self.log.apply(settings)
        self.min_insync_replicas = min(settings.min_insync_replicas, len(self.partition.replicas))

    def check_leader_epoch(self, current_leader_epoch: int) -> ErrorCode:
        """FENCED or UNKNOWN when the asker's idea of the leader epoch differs; compared before leadership."""
        if current_leader_epoch < 0 or current_leader_epoch == self.partition.leader_epoch:
            return ErrorCode.NONE
        if current_leader_epoch < self.partition.leader_epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        return ErrorCode.UNKNOWN_LEADER_EPOCH
