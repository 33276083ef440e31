"""What a user and a client engine say to each other. Sends, polls and deliveries are envelopes like all others."""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import ErrorCode
from eventlog.values.record import Record, TopicPartition

USER = "user"


class Send(NamedTuple):
    """`partition` -1: by the key's hash, or sticky when there is no key. `record.send_number` names the send."""

    topic: str
    partition: int
    record: Record


class Flush(NamedTuple):
    """Send what is waiting without waiting for linger_ms."""


class CloseProducer(NamedTuple):
    """No more sends; what is not yet delivered is tried until its delivery timeout."""


class SendsResolved(NamedTuple):
    """The records of a batch have their end: `records[i]` is at `base_offset + i` when `error` is NONE.

    `base_offset` -1 with NONE: written at an unknown offset (acks=0, or DUPLICATE_SEQUENCE_NUMBER), or `is_implied`: no
    answer said so, but a later batch was acknowledged (librdkafka's conclusion, which can be wrong). With an error,
    `may_be_written` says whether any attempt may have been appended; False is proof that none was.
    """

    topic_partition: TopicPartition
    records: tuple[Record, ...]
    base_offset: int
    error: ErrorCode
    may_be_written: bool
    message: str
    attempts: int
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    is_implied: bool = False


class SendRefused(NamedTuple):
    """The record never entered the producer."""

    record: Record
    topic: str
    partition: int
    error: ErrorCode
    message: str


class Assign(NamedTuple):
    """Read these partitions; positions of those already assigned are kept."""

    partitions: tuple[TopicPartition, ...]


class Seek(NamedTuple):
    """`offset` >= 0, or EARLIEST_TIMESTAMP / LATEST_TIMESTAMP."""

    topic_partition: TopicPartition
    offset: int


class Poll(NamedTuple):
    """Answered by one `Polled`: at once when records are buffered, else with the first to come or after `timeout_ms`."""

    timeout_ms: int
    max_records: int


class CloseConsumer(NamedTuple):
    """Closes its connections."""


class ConsumedRecord(NamedTuple):
    topic_partition: TopicPartition
    offset: int
    leader_epoch: int
    record: Record


class Polled(NamedTuple):
    """`error` tells what the user must act on (an offset out of range without a reset policy). `truncated_to` >= 0: the log
    was cut behind the reader, and this is where it parts from what was read."""

    records: tuple[ConsumedRecord, ...]
    error: ErrorCode = ErrorCode.NONE
    message: str = ""
    truncated_to: int = -1
