"""What the answers to a produce mean for a batch: a table, and the rules for the two codes that need the partition.

The table has a column for the idempotent producer, one for the plain one, and the transactional one is to be filled
when there are transactions.
Source: `Sender.canRetry`/`completeBatch`, `TransactionManager.canRetry`/`handleFailedBatch`; for `is_desynchronised`
librdkafka's `rd_kafka_handle_idempotent_Produce_error`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from eventlog.client.batches import Batch
from eventlog.errors import FATAL as FATAL_CODES
from eventlog.errors import RETRIABLE, ErrorCode

SUCCEED: Final = "succeed"
RETRY: Final = "retry"
SPLIT: Final = "split"
FAIL: Final = "fail"
FATAL: Final = "fatal"
"""The whole producer is finished."""
JUDGE: Final = "judge"
"""Depends on what is known of the partition: see `judge`."""


class Row(NamedTuple):
    """What an error code means to a plain producer and to an idempotent one."""

    plain: str
    idempotent: str


ACTIONS: dict[ErrorCode, Row] = {
    **dict.fromkeys(ErrorCode, Row(FAIL, FAIL)),
    **dict.fromkeys(RETRIABLE, Row(RETRY, RETRY)),
    **dict.fromkeys(FATAL_CODES, Row(FAIL, FATAL)),
    ErrorCode.NONE: Row(SUCCEED, SUCCEED),
    ErrorCode.DUPLICATE_SEQUENCE_NUMBER: Row(SUCCEED, SUCCEED),
    ErrorCode.MESSAGE_TOO_LARGE: Row(SPLIT, SPLIT),
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER: Row(FAIL, JUDGE),
    ErrorCode.UNKNOWN_PRODUCER_ID: Row(FAIL, JUDGE),
}
"""A plain producer has no epoch to raise: FAIL there is the end of that batch and nothing else."""


def judge(batch: Batch, error: ErrorCode, log_start_offset: int) -> bool:
    """For an idempotent batch answered with 45 or 59, which is retried in any case: must the epoch be bumped first?

    45 far from the next expected sequence only says that an earlier batch is still missing; 45 for the next expected
    one says that the broker has lost the log's end or its memory of it.
    """
    queue = batch.queue
    if error is ErrorCode.UNKNOWN_PRODUCER_ID:
        # -1: the broker did not say where its log begins. Else the head of the log is gone, with the producer's state,
        # or the state is gone though the head is not; in both cases only a new epoch helps.
        return log_start_offset >= 0 and not batch.reopened
    if queue.unresolved_sequence < 0:
        return not batch.reopened and queue.is_next(batch.base_sequence)
    return batch.base_sequence == queue.unresolved_sequence


def is_desynchronised(batch: Batch, error: ErrorCode) -> bool:
    """librdkafka's question about the same two codes: is this the end of the producer?

    45 for the next expected batch, or 59 for one that was sent before, leaves no way on that is safe. Otherwise an
    earlier batch is missing or the producer's state is gone: drain, raise the epoch, send everything again.
    """
    if error is ErrorCode.UNKNOWN_PRODUCER_ID:
        return batch.in_retry
    return batch.queue.is_next(batch.base_sequence)
