"""What a broker answers to a fetch: an error, the place where two logs part, or batches."""

from __future__ import annotations

from typing import Final

from eventlog.broker.keeping import Keeping
from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.messages import (
    Connection,
    Envelope,
)
from eventlog.messages.broker_api import (
    READ_COMMITTED,
    FetchPartition,
    FetchPartitionReply,
    FetchReply,
    FetchRequest,
)

NONE: Final = ErrorCode.NONE


class Reading(Keeping):
    """Looks only, but for noting which high watermark a follower was told."""

    __slots__ = ()

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
