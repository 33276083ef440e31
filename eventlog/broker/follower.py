"""What a follower does: ask from its log's end, append what comes, cut what doesn't belong.

It says which leader epoch its last record has; the leader answers with records, or with the place where the two logs
part. Nothing is appended under a leader epoch before the log was reconciled with that epoch's leader.

Source: Kafka's `AbstractFetcherThread` and `ReplicaFetcherThread` since 2.7 (truncation on fetch), KIP-101, KIP-279.
"""

from __future__ import annotations

from eventlog.log.partition_log import PartitionLog
from eventlog.messages import Connection, Frozen
from eventlog.messages.broker_api import FetchPartition, FetchPartitionReply
from eventlog.messages.controller_api import PartitionRecord


class Following:
    """One follower's term under one leader. `connection` is where its one fetch is out; None while it waits."""

    __slots__ = ("connection", "leader_epoch", "leader_id")

    def __init__(self, partition: PartitionRecord) -> None:
        self.leader_id = partition.leader_id
        self.leader_epoch = partition.leader_epoch
        self.connection: Connection | None = None

    def next_fetch(self, log: PartitionLog, max_bytes: int) -> FetchPartition:
        """What to ask for now."""
        return FetchPartition(
            log.topic_partition,
            log.log_end_offset,
            self.leader_epoch,
            log.leader_epochs.latest,
            log.log_start_offset,
            max_bytes,
        )

    def freeze(self) -> Frozen:
        return (self.leader_id, self.leader_epoch, self.connection)

    @classmethod
    def thaw(cls, frozen: Frozen) -> Following:
        following = cls.__new__(cls)
        following.leader_id, following.leader_epoch, following.connection = frozen
        return following


def find_truncation(log: PartitionLog, leader_epoch: int, leader_end_offset: int) -> int:
    """Where to cut `log`, given that the leader's log up to `leader_epoch` ends at `leader_end_offset`.

    When this log has that epoch too, both ends count. When it hasn't, its nearest older epoch ends where this log may
    still agree, and the next fetch asks again from there: with several quick elections one answer is not enough.
    """
    if leader_end_offset < 0:
        return log.high_watermark
    own_epoch, own_end_offset = log.end_offset_for(leader_epoch)
    if own_epoch < 0:
        return min(leader_end_offset, log.log_end_offset)
    if own_epoch != leader_epoch:
        return min(own_end_offset, log.log_end_offset)
    return min(own_end_offset, leader_end_offset, log.log_end_offset)


def take(log: PartitionLog, reply: FetchPartitionReply) -> bool:
    """Append a good reply's batches and follow the leader's high watermark and log start.

    When the leader's log starts inside a batch, that batch comes whole. An empty log begins anew with it; one with
    records can't take it: False, and nothing has changed.
    """
    batches = reply.batches
    if batches:
        if batches[0].base_offset < log.log_end_offset:
            if not log.log_start_offset == log.log_end_offset <= batches[0].last_offset:
                return False
            log.restart_at(batches[0].base_offset)
        log.append_as_follower(batches)
    log.set_high_watermark(max(min(reply.high_watermark, log.log_end_offset), log.log_start_offset))
    if reply.log_start_offset > log.log_start_offset:
        log.advance_log_start(min(reply.log_start_offset, log.log_end_offset))
        log.set_high_watermark(max(log.high_watermark, log.log_start_offset))
    return True
