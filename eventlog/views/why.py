"""Why a broker answered as it did, in a sentence, from what its log and its memory were when the batch came."""

from __future__ import annotations

from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import ProducePartitionReply
from eventlog.values import RecordBatch
from eventlog.views.film import Frame, Memory

MAX_SEQUENCE = 2**31 - 1

FIXED = {
    ErrorCode.NOT_LEADER_OR_FOLLOWER: "{broker} does not lead this partition any more; the producer must ask who does",
    ErrorCode.NOT_ENOUGH_REPLICAS: "too few replicas are in sync, so nothing was written",
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: "it is written, but by too few replicas: it may be lost yet",
    ErrorCode.KAFKA_STORAGE_ERROR: "the disk of {broker} refused the batch: nothing was written, and nothing remembered",
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: "{broker} has not heard of this partition yet",
    ErrorCode.REQUEST_TIMED_OUT: "the followers did not have it in time; it may be written",
    ErrorCode.NETWORK_EXCEPTION: "the connection failed; it may be written",
    ErrorCode.MESSAGE_TOO_LARGE: "the batch has more bytes than the topic allows",
}


def why_answered(
    broker: str, batch: RecordBatch | None, reply: ProducePartitionReply, before: Frame | None, after: Frame | None
) -> str:
    """The sentence; "" for an ordinary success. `before` and `after`: the replica around the moment of judging."""
    if reply.error is ErrorCode.NONE:
        if reply.log_append_time_ms < 0 or batch is None:
            return ""
        return _duplicate(batch, reply.base_offset, before if before is not None else after)
    if batch is not None and batch.producer_id >= 0:
        memory = find_memory(before, batch.producer_id)
        if reply.error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
            return _out_of_order(batch, memory, before)
        if reply.error is ErrorCode.INVALID_PRODUCER_EPOCH:
            known = f"{memory[1]}" if memory is not None else "a higher one"
            return (
                f"producer_epoch {batch.producer_epoch} is fenced: this partition has seen {known} of the same producer"
            )
    fixed = FIXED.get(reply.error)
    if fixed is not None:
        return fixed.format(broker=broker)
    return reply.error_message or f"{broker} answered {reply.error.name}"


def find_memory(frame: Frame | None, producer_id: int) -> Memory | None:
    """What a replica remembers of that producer."""
    for memory in () if frame is None else frame.memory:
        if memory[0] == producer_id:
            return memory
    return None


def _duplicate(batch: RecordBatch, base_offset: int, frame: Frame | None) -> str:
    sequence = batch.base_sequence
    what = f"sequence {sequence} is" if batch.record_count == 1 else f"sequences {sequence} to {batch.last_sequence} are"
    epoch = None
    for known in () if frame is None else frame.batches:
        if known.base_offset == base_offset:
            epoch = known.leader_epoch
    written = "" if epoch is None else f", written under leader_epoch {epoch}"
    return f"{what} already at offset {base_offset}{written}"


def _out_of_order(batch: RecordBatch, memory: Memory | None, frame: Frame | None) -> str:
    sequence = batch.base_sequence
    if memory is None:
        return f"sequence {sequence} came from a producer that this broker does not know: it takes only 0 from such a one"
    _, producer_epoch, batches = memory
    if batch.producer_epoch != producer_epoch or not batches:
        return f"sequence {sequence} came, but a new producer_epoch ({batch.producer_epoch}) must begin with 0"
    newest = batches[-1]
    expected = 0 if newest.last_sequence == MAX_SEQUENCE else newest.last_sequence + 1
    text = f"sequence {sequence} came, {expected} was expected after {newest.last_sequence} at offset {newest.last_offset}"
    written = None if frame is None else frame.find_batch(batch.producer_id, batch.producer_epoch, sequence)
    if written is not None:
        count = f"only {len(batches)} batch{'' if len(batches) == 1 else 'es'}"
        return f"{text}. It is in the log at offset {written.base_offset}, but this broker remembers {count}"
    return text
