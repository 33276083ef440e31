"""H14: what a leader's answer to an idempotent batch must be, from its log alone.

The rules stand here a second time, written from the table of `log.producer_state` and not with its code: the newest
batches of the producer are looked up in the log, and say accepted, duplicate, out of order or fenced. Where a replica's
memory may be shorter than its log (a restart, expiry) several answers are right.

Not here: transactions, whose producers are passed over.
"""

from __future__ import annotations

from typing import Any

from eventlog.values import MAX_SEQUENCE, RecordBatch

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
OUT_OF_ORDER = "OUT_OF_ORDER_SEQUENCE_NUMBER"
FENCED = "INVALID_PRODUCER_EPOCH"
REFUSALS = (OUT_OF_ORDER, FENCED, "UNKNOWN_PRODUCER_ID", "DUPLICATE_SEQUENCE_NUMBER")
MOST_REMEMBERED = 5
_STRIDE = 64


def newest_batches(log: Any, producer_id: int, end_offset: int, most: int) -> list[RecordBatch] | None:
    """The producer's newest batches below `end_offset`, newest first, all of its newest epoch. O(log).

    None when it wrote in transactions.
    """
    found: list[RecordBatch] = []
    upper, stride = end_offset, _STRIDE
    while upper > 0 and len(found) < most:
        lower = max(0, upper - stride)
        for batch in reversed(log.read(lower, upper, 2**62)):
            if batch.producer_id != producer_id or batch.base_offset >= upper:
                continue
            if batch.is_control or batch.is_transactional:
                return None
            if found and batch.producer_epoch != found[0].producer_epoch:
                return found
            if not found or batch.base_offset < found[-1].base_offset:
                found.append(batch)
                if len(found) == most:
                    break
        upper, stride = lower, stride * 2
    return found


def answer_of(known: list[RecordBatch], batch: RecordBatch, must_begin_at_zero: bool) -> str:
    """What somebody must answer who knows these batches of its producer, newest first."""
    if not known:
        return OUT_OF_ORDER if must_begin_at_zero and batch.base_sequence else ACCEPTED
    newest = known[0]
    if batch.producer_epoch < newest.producer_epoch:
        return FENCED
    if batch.producer_epoch > newest.producer_epoch:
        return OUT_OF_ORDER if batch.base_sequence else ACCEPTED
    for each in known:
        if each.base_sequence == batch.base_sequence and each.last_sequence == batch.last_sequence:
            return f"{DUPLICATE} of {each.base_offset}"
    following = 0 if newest.last_sequence == MAX_SEQUENCE else newest.last_sequence + 1
    return ACCEPTED if batch.base_sequence == following else OUT_OF_ORDER


def right_answers(
    log: Any, batch: RecordBatch, end_offset: int, forgot_below: int, may_be_unknown: bool, must_begin_at_zero: bool
) -> tuple[str, ...]:
    """The answers that a log which ended at `end_offset` allows; none when it can't say.

    `forgot_below`: of what lies below, only the newest batch need be remembered.
    """
    known = newest_batches(log, batch.producer_id, end_offset, MOST_REMEMBERED)
    if known is None:
        return ()
    if len(known) < MOST_REMEMBERED and log.log_start_offset > 0:
        return ()  # the rest was deleted, and may be remembered all the same
    surely = sum(each.base_offset >= forgot_below for each in known)
    fewest = 0 if may_be_unknown else min(len(known), max(1, surely))
    answers = [answer_of(known[:count], batch, must_begin_at_zero) for count in range(fewest, len(known) + 1)]
    return tuple(dict.fromkeys(answers))
