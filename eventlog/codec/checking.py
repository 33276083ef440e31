"""The leader's look inside a client's packed batch, in Kafka's order."""

from __future__ import annotations

from typing import Final, NamedTuple

from eventlog.codec.batch import is_intact
from eventlog.codec.compression import CODEC_MASK, MAX_DECOMPRESSED_BYTES, ZSTD
from eventlog.codec.records import MAX_LONG, MIN_LONG, Look, plain_records, walk
from eventlog.errors import ErrorCode, RequestError
from eventlog.values.record import CONTROL, NO_TIMESTAMP, TRANSACTIONAL, RecordBatch
from eventlog.values.settings import LogSettings

_LOG_APPEND_TIME: Final = 0x08
_KEPT: Final = CODEC_MASK | TRANSACTIONAL | CONTROL
"""When Kafka's leader writes the attributes anew, it keeps what it knows and drops the other bits."""

_NOT_FROM_THE_LOG: Final = (
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
)


class Refusal(NamedTuple):
    """Why a batch is not appended. `record_errors`: which of its records offend, by their index in the batch.

    `found_in_log` False: the answer says nothing about the log (its start offset is -1 there).
    """

    error: ErrorCode
    message: str
    record_errors: tuple[int, ...] = ()
    found_in_log: bool = True


def check_batch(
    batch: RecordBatch, settings: LogSettings, now_ms: int, *, limit_bytes: int = MAX_DECOMPRESSED_BYTES
) -> RecordBatch | Refusal:
    """`batch` with its true max timestamp, or what is wrong with its bytes. O(bytes).

    A batch of objects comes back as it is. So does one whose header is enough for the log to refuse it (base offset,
    size, count, control bit, sequence): the log does so right behind, and where Kafka finds damage first, so does this.
    """
    data = batch.records
    if not isinstance(data, bytes) or batch.base_offset or batch.size_bytes > settings.max_message_bytes:
        return batch
    if not is_intact(data):
        return _refusal(ErrorCode.CORRUPT_MESSAGE, "the checksum of the batch is not that of its bytes. Send it again.")
    attributes, count = batch.attributes, batch.record_count
    codec = attributes & CODEC_MASK
    if codec > ZSTD:
        return _refusal(ErrorCode.UNKNOWN_SERVER_ERROR, f"compression {codec} came; 0 to {ZSTD} are known")
    if (
        count <= 0
        or count != batch.last_offset_delta + 1
        or attributes & CONTROL
        or (batch.producer_id >= 0 and batch.base_sequence < 0)
    ):
        return batch
    is_create_time = settings.message_timestamp_type == "CreateTime"
    claims_append_time = attributes & _LOG_APPEND_TIME != 0
    lowest_ms, highest_ms = MIN_LONG, MAX_LONG
    if is_create_time:
        lowest_ms = now_ms - settings.message_timestamp_before_max_ms
        highest_ms = min(MAX_LONG, now_ms + settings.message_timestamp_after_max_ms)
    needs_keys = "compact" in settings.cleanup_policy
    try:
        plain, position = plain_records(data, attributes, limit_bytes)
        if claims_append_time:
            look = walk(plain, position, count, batch.base_timestamp_ms, MIN_LONG, MAX_LONG, needs_keys)
            look = _as_of_append_time(look, batch, is_create_time, lowest_ms, highest_ms)
        else:
            look = walk(plain, position, count, batch.base_timestamp_ms, lowest_ms, highest_ms, needs_keys)
    except RequestError as why:
        return _refusal(why.code, str(why))
    if look.without_key or look.out_of_time:
        return _offending(look, lowest_ms, highest_ms)
    if codec and not look.is_dense:
        # Kafka wants to write such a batch anew and stumbles over its own short cut.
        return _refusal(
            ErrorCode.UNKNOWN_SERVER_ERROR, "the offset deltas inside a compressed batch must be 0, 1, 2, ..."
        )
    if not is_create_time:
        # The log gives it its time; that, too, writes the attributes anew.
        return batch if attributes == attributes & _KEPT else batch._replace(attributes=attributes & _KEPT)
    if look.max_timestamp_ms != batch.max_timestamp_ms or claims_append_time:
        return batch._replace(max_timestamp_ms=look.max_timestamp_ms, attributes=attributes & _KEPT)
    return batch


def _as_of_append_time(look: Look, batch: RecordBatch, is_create_time: bool, lowest_ms: int, highest_ms: int) -> Look:
    """The same records when the header claims the leader's time: then each has the header's max timestamp.

    Only a leader may say so, but Kafka refuses the claim only where it goes by it, or where there is no time at all.
    """
    timestamp_ms = batch.max_timestamp_ms
    is_fine = is_create_time and timestamp_ms != NO_TIMESTAMP and lowest_ms <= timestamp_ms <= highest_ms
    out_of_time = [] if is_fine else list(range(batch.record_count))
    return look._replace(max_timestamp_ms=max(NO_TIMESTAMP, timestamp_ms), out_of_time=out_of_time)


def _offending(look: Look, lowest_ms: int, highest_ms: int) -> Refusal:
    """A record without its key is blamed for that alone; one blamed for its time decides the error of all."""
    without_key = dict.fromkeys(look.without_key)
    indexes = tuple(sorted([*look.without_key, *[index for index in look.out_of_time if index not in without_key]]))
    named = ", ".join([str(index) for index in indexes[:3]]) + (", ..." if len(indexes) > 3 else "")
    if len(indexes) > len(without_key):
        return Refusal(
            ErrorCode.INVALID_TIMESTAMP,
            f"timestamps must be from {lowest_ms} to {highest_ms} and given by the producer; those of records {named} "
            "of the batch are not",
            indexes,
        )
    return Refusal(
        ErrorCode.INVALID_RECORD, f"a compacted topic takes no record without a key; records {named} have none", indexes
    )


def _refusal(error: ErrorCode, message: str) -> Refusal:
    return Refusal(error, message, found_in_log=error not in _NOT_FROM_THE_LOG)
