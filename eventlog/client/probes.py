"""The producer engine's promises about its own state, checked from outside (C1 to C8 of the chapter)."""

from __future__ import annotations

from eventlog.client.batches import Batch, PartitionQueue
from eventlog.client.pending import PendingSends
from eventlog.errors import InvariantViolation
from eventlog.values import increment


def _demand(holds: bool, promise: str, text: str) -> None:
    if not holds:
        raise InvariantViolation(f"{promise}: {text}", promise)


def check_producer(engine: PendingSends) -> None:
    """Raises InvariantViolation for the first promise that does not hold. O(all pending records)."""
    settings = engine.settings
    limit = settings.max_in_flight_requests_per_connection
    out: dict[Batch, None] = {}
    for link in engine.links.values():
        count = len(link.in_flight)
        _demand(count <= limit, "C1", f"{engine.name} has {count} of {limit} requests out on {link.connection}")
        _demand((link.timer in engine._deadlines) == (count > 0), "C7", f"{link.timer!r} and {count} requests out")
        for _, _, batches in link.in_flight:
            for batch in batches:
                _demand(batch not in out, "C2", f"{engine.name} has a batch out twice: {batch.built()}")
                out[batch] = None
    for topic in engine._topics.values():
        for queue in topic.partitions:
            _check_queue(engine, queue, out)
    pending = [batch for batch in engine._created if not batch.is_done]
    ages = [batch.created_ms for batch in pending]
    _demand(ages == sorted(ages), "C7", f"{engine.name}: batches are not kept in the order of their creation")
    known = sum(
        len(queue.queue) + (queue.open is not None) for topic in engine._topics.values() for queue in topic.partitions
    ) + sum(not batch.is_done for batch in out)
    _demand(known == len(pending), "C6", f"{engine.name}: {len(pending)} batches are pending, {known} can be found")
    waiting = [topic for topic in engine._topics.values() if topic.waiting]
    _demand(waiting == list(engine._waiting.values()), "C6", f"{engine.name}: who waits for metadata?")
    expects_expiry = bool(pending or waiting)
    _demand(("delivery" in engine._deadlines) == expects_expiry, "C7", f"{engine.name}: is 'delivery' set?")
    reserved = sum(batch.capacity_bytes for batch in pending)
    if not waiting:
        _demand(reserved == engine._buffered_bytes, "C8", f"{engine._buffered_bytes} reserved, {reserved} pending")
    _demand(engine._buffered_bytes <= settings.buffer_memory, "C8", f"{engine._buffered_bytes} is over buffer_memory")


def _check_queue(engine: PendingSends, queue: PartitionQueue, out: dict[Batch, None]) -> None:
    where = f"{engine.name} on {queue.topic_partition}"
    waits = bool(queue.queue) or (queue.open is not None and queue.open_is_due)
    _demand((queue in engine._ready) == waits, "C6", f"{where}: {queue.state()}")
    for batch in queue.queue:
        _demand(not batch.is_out and not batch.is_done, "C2", f"{where}: {batch.built()} is queued and out or done")
    if not engine.settings.enable_idempotence:
        return
    sequenced = [batch for batch in queue.queue if batch.base_sequence >= 0]
    _demand(list(queue.queue)[: len(sequenced)] == sequenced, "C3", f"{where}: a new batch stands before a retry")
    ranks = [queue.in_flight.index(batch) for batch in sequenced if batch in queue.in_flight]
    _demand(len(ranks) == len(sequenced) and ranks == sorted(ranks), "C3", f"{where}: retries are out of order")
    previous: Batch | None = None
    for batch in queue.in_flight:
        same = previous is not None and not queue_gap(previous, batch)
        if previous is not None and same:
            following = increment(previous.base_sequence, len(previous.records))
            ahead = (batch.base_sequence - following) & 0x7FFFFFFF
            # Batches between two in flight may have ended; none may overlap or go back.
            _demand(ahead < 0x40000000, "C4", f"{where}: {batch.built()} follows {previous.built()}")
        label = (batch.producer_id, batch.producer_epoch)
        _demand(label == (queue.producer_id, queue.producer_epoch), "C5", f"{where}: {batch.built()} is of another")
        _demand(batch in out or batch in queue.queue, "C6", f"{where}: {batch.built()} is neither out nor queued")
        previous = batch
    if previous is not None:
        following = increment(previous.base_sequence, len(previous.records))
        ahead = (queue.next_sequence - following) & 0x7FFFFFFF
        _demand(ahead < 0x40000000, "C4", f"{where}: next is {queue.next_sequence} after {previous.built()}")


def queue_gap(previous: Batch, batch: Batch) -> bool:
    """True if the two batches belong to different sequence spaces."""
    return (previous.producer_id, previous.producer_epoch) != (batch.producer_id, batch.producer_epoch)
