"""One partition as a consumer reads it: the position, what is buffered, and what a fetch brings."""

from __future__ import annotations

from collections import deque
from typing import Final

from eventlog.codec import decode_records
from eventlog.errors import ErrorCode, RequestError
from eventlog.messages import Frozen
from eventlog.messages.broker_api import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    FetchPartition,
    FetchPartitionReply,
    ListOffsetsPartition,
)
from eventlog.messages.user_api import ConsumedRecord
from eventlog.values import Record, RecordBatch, TopicPartition

NOWHERE = 0
"""`reset_to` of a partition without a position that may not look for one (auto_offset_reset 'none')."""
_LOG_APPEND_TIME: Final = 0x08
_POLICIES = {"earliest": EARLIEST_TIMESTAMP, "latest": LATEST_TIMESTAMP, "none": NOWHERE}


class Reader:
    """`position` is the next offset to fetch, -1 while it has to be looked up by `reset_to` (EARLIEST_TIMESTAMP or
    LATEST_TIMESTAMP). `last_epoch` is the leader epoch of what was read before it, -1 when nothing was: with both a
    leader can tell whether its log still holds that. `leader_epoch` is that of the leader last asked. `buffer` holds what
    was fetched and not yet polled; nothing more is fetched meanwhile. `is_out`: a request about this partition is
    unanswered. `error` waits to be told to the user, with `truncated_to`."""

    __slots__ = (
        "backoff_until_ms",
        "buffer",
        "error",
        "error_text",
        "failures",
        "is_out",
        "last_epoch",
        "leader_epoch",
        "position",
        "reset_to",
        "topic_partition",
        "truncated_to",
    )

    def __init__(self, topic_partition: TopicPartition, policy: str) -> None:
        self.topic_partition = topic_partition
        self.position = -1
        self.last_epoch = -1
        self.reset_to = _POLICIES[policy]
        self.buffer: deque[ConsumedRecord] = deque()
        self.is_out = False
        self.leader_epoch = -1
        self.backoff_until_ms = 0
        self.failures = 0
        self.error = ErrorCode.NONE
        self.error_text = ""
        self.truncated_to = -1

    @property
    def is_lost(self) -> bool:
        """True when only a seek can help."""
        return self.position < 0 and self.reset_to == NOWHERE

    def seek(self, offset: int) -> None:
        """Goes to `offset`, or to the beginning or end (EARLIEST_TIMESTAMP, LATEST_TIMESTAMP)."""
        self.buffer.clear()
        self.is_out = False
        self.error = ErrorCode.NONE
        self.error_text = ""
        self.truncated_to = -1
        self.failures = 0
        self.backoff_until_ms = 0
        self.position = max(offset, -1)
        self.last_epoch = -1
        self.reset_to = offset if offset < 0 else self.reset_to

    def out_of_range(self, policy: str) -> None:
        """The log does not hold the position any more (or not yet)."""
        if policy == "none":
            self.error = ErrorCode.OFFSET_OUT_OF_RANGE
            self.error_text = f"offset {self.position} is out of range, and auto_offset_reset is 'none'; seek elsewhere"
        else:
            self.position = -1
            self.reset_to = _POLICIES[policy]

    def part(self, policy: str, leader_epoch: int, end_offset: int) -> None:
        """The leader's log parts from what was read: there, leader epochs up to `leader_epoch` end at `end_offset`.

        With a policy, whichever it is, reading goes on at that place, where what was written instead begins. Without one
        the user is told. If the log ends no earlier than the position, Java finds nothing missing, and so is it here.
        """
        if end_offset < self.position and policy == "none":
            self.error = ErrorCode.OFFSET_OUT_OF_RANGE
            self.error_text = (
                f"the log was cut at offset {end_offset}, before the position {self.position}: records that were read are "
                f"gone. auto_offset_reset is 'none'; seek to {end_offset} to read what was written instead"
            )
            self.truncated_to = end_offset
        else:
            self.position = min(end_offset, self.position)
            self.last_epoch = leader_epoch

    def asked_for(self, asked: FetchPartition | ListOffsetsPartition) -> bool:
        """True if `asked` is what this reader wants to know at present, of the leader it was last asked of: after a seek
        to the same offset an answer of the leader before would bring what was read before the seek."""
        if asked.current_leader_epoch != self.leader_epoch:
            return False
        if isinstance(asked, FetchPartition):
            return asked.fetch_offset == self.position
        return self.position < 0 and asked.timestamp_ms == self.reset_to

    def take(self, answer: FetchPartitionReply, *, read_committed: bool) -> None:
        """Buffers what a fetch brought and moves the position behind it. O(records).

        Passed over: control batches, records before the position inside the first batch, and with `read_committed`
        the batches of aborted transactions (a producer is aborted from the first offset named until its marker).
        """
        wanted = self.position
        aborted = sorted(answer.aborted or (), key=_first_offset) if read_committed else []
        undone: dict[int, None] = {}
        for batch in answer.batches:
            end_offset = batch.end_offset
            while aborted and aborted[0][1] < end_offset:
                undone[aborted.pop(0)[0]] = None
            if batch.is_control:
                undone.pop(batch.producer_id, None)
            elif end_offset > wanted and not (batch.is_transactional and batch.producer_id in undone):
                try:
                    records = _readable(batch)
                except RequestError as unreadable:
                    self.error = unreadable.code
                    self.error_text = f"the batch at offset {batch.base_offset} can't be read: {unreadable}"
                    return
                base_offset, leader_epoch = batch.base_offset, batch.leader_epoch
                where = self.topic_partition
                self.buffer.extend(
                    ConsumedRecord(where, offset, leader_epoch, record)
                    for offset, record in enumerate(records, base_offset)
                    if offset >= wanted
                )
            if end_offset > self.position:
                self.position = end_offset
                self.last_epoch = batch.leader_epoch

    def freeze(self, now_ms: int) -> Frozen:
        return (
            tuple(self.topic_partition),
            self.position,
            self.last_epoch,
            self.reset_to,
            tuple((each.offset, each.leader_epoch, each.record) for each in self.buffer),
            self.is_out,
            self.leader_epoch,
            max(self.backoff_until_ms - now_ms, 0),
            self.failures,
            int(self.error),
            self.error_text,
            self.truncated_to,
        )

    @classmethod
    def thaw(cls, frozen: Frozen, now_ms: int) -> Reader:
        where, position, last_epoch, reset_to, buffer, is_out, leader_epoch, backoff_in_ms, failures, *told = frozen
        reader = cls(TopicPartition(*where), "none")
        reader.position = position
        reader.last_epoch = last_epoch
        reader.reset_to = reset_to
        reader.buffer.extend(
            ConsumedRecord(reader.topic_partition, offset, epoch, record) for offset, epoch, record in buffer
        )
        reader.is_out = is_out
        reader.leader_epoch = leader_epoch
        reader.backoff_until_ms = now_ms + backoff_in_ms
        reader.failures = failures
        error, reader.error_text, reader.truncated_to = told
        reader.error = ErrorCode(error)
        return reader


def _readable(batch: RecordBatch) -> tuple[Record, ...]:
    """The records as a reader gets them: unpacked, with the broker's time where the topic wants it. O(records)."""
    records = decode_records(batch) if isinstance(batch.records, bytes) else batch.records
    if batch.attributes & _LOG_APPEND_TIME:
        return tuple([record._replace(timestamp_ms=batch.max_timestamp_ms) for record in records])
    return records


def _first_offset(transaction: tuple[int, int]) -> int:
    return transaction[1]
