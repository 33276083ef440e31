"""A producer engine as plain tuples, and back.

Times are distances from now: ages clipped where only a limit depends on them, so that equal states meet. What is only
remembered for speed (partitions by key) or for people (counters) is left out. Batches stand in one table and are
referred to by their place in it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

from eventlog.client.batches import Batch, PartitionQueue, record_bound_bytes
from eventlog.client.link import Link
from eventlog.client.pending import PURPOSE, PendingSends
from eventlog.client.topic import TopicQueues
from eventlog.errors import ErrorCode
from eventlog.messages import Frozen, broker_name
from eventlog.messages.user_api import Send
from eventlog.values import BATCH_HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

Engine = TypeVar("Engine", bound=PendingSends)


def _table(engine: PendingSends) -> list[Batch]:
    """Every batch the engine still knows, in an order that depends on the state alone."""
    found: dict[Batch, None] = {}
    for topic in engine._topics.values():
        for queue in topic.partitions:
            found.update(dict.fromkeys(queue.in_flight))
            found.update(dict.fromkeys(queue.queue))
            if queue.open is not None:
                found[queue.open] = None
    for link in engine.links.values():
        for _, _, batches in link.in_flight:
            found.update(dict.fromkeys(batches))
    return list(found)


def freeze_producer(engine: PendingSends, now_ms: int) -> Frozen:
    """Nested plain tuples around immutable records, settings and requests. O(all pending records)."""
    settings = engine.settings
    table = _table(engine)
    places = {batch: place for place, batch in enumerate(table)}

    def refer(batches: Iterable[Batch]) -> tuple[int, ...]:
        return tuple(places[batch] for batch in batches)

    def age(since_ms: int) -> int:
        return min(now_ms - since_ms, settings.delivery_timeout_ms)

    def distance(until_ms: int) -> int:
        return max(until_ms - now_ms, 0)

    batches = tuple(
        (
            tuple(batch.queue.topic_partition),
            tuple(batch.records),
            batch.capacity_bytes,
            batch.room_bytes,
            age(batch.created_ms),
            batch.producer_id,
            batch.producer_epoch,
            batch.base_sequence,
            batch.first_record,
            batch.attempts,
            batch.tries,
            distance(batch.backoff_until_ms),
            batch.leader_epoch,
            batch.in_retry,
            batch.reopened,
            batch.is_done,
            batch.is_out,
            batch.unproven,
        )
        for batch in table
    )
    topics = tuple(
        (
            name,
            -1 if topic.sticky is None else topic.sticky.topic_partition.partition,
            topic.sticky_bytes,
            topic.sticky_choices,
            topic.flush_waiting,
            tuple((send.partition, send.record, age(since_ms)) for send, since_ms in topic.waiting),
            tuple(
                (
                    refer(queue.queue),
                    refer(() if queue.open is None else (queue.open,)),
                    queue.open_is_due,
                    refer(queue.in_flight),
                    queue.producer_id,
                    queue.producer_epoch,
                    queue.next_sequence,
                    queue.last_acked_sequence,
                    queue.last_acked_offset,
                    queue.unresolved_sequence,
                    queue.is_muted,
                    queue.records_drained,
                )
                for queue in topic.partitions
            ),
        )
        for name, topic in engine._topics.items()
    )
    links = tuple(
        (
            link.freeze(now_ms, settings.request_timeout_ms),
            tuple(refer(waiting) for _, _, waiting in link.in_flight),
        )
        for link in engine.links.values()
    )
    return (
        (engine.name, settings, engine.bootstrap, engine.seed),
        engine.metadata.freeze(now_ms),
        engine.identity.freeze(now_ms),
        batches,
        topics,
        links,
        tuple(tuple(queue.topic_partition) for queue in engine._ready),
        tuple(tuple(queue.topic_partition) for queue in engine._unresolved),
        refer(batch for batch in engine._created if not batch.is_done),
        refer(batch for batch in engine._lingering if batch.queue.open is batch and not batch.queue.open_is_due),
        None if engine._refusal is None else (int(engine._refusal[0]), engine._refusal[1]),
        engine._is_closing,
        engine._is_dead,
        tuple(sorted((name, distance(at_ms)) for name, at_ms in engine._deadlines.items())),
    )


def thaw_producer(engine_class: type[Engine], frozen: Frozen, now_ms: int) -> Engine:
    """The inverse of `freeze_producer`, with the clock at `now_ms`."""
    who, metadata, identity, batches, topics, links, ready, unresolved, *pending, closing, dead, timers = frozen
    created, lingering, refusal = pending
    name, settings, bootstrap, seed = who
    engine = engine_class(name, settings, bootstrap, seed)
    queues: dict[tuple[str, int], PartitionQueue] = {}
    for frozen_topic in topics:
        topic = engine._topics[frozen_topic[0]] = TopicQueues(frozen_topic[0])
        topic.grow(len(frozen_topic[6]), settings.initial_sequence)
        queues.update({queue.topic_partition: queue for queue in topic.partitions})
    table = [_thaw_batch(each, queues, now_ms) for each in batches]
    for frozen_topic in topics:
        _thaw_topic(engine._topics[frozen_topic[0]], frozen_topic, table, now_ms)
    for frozen_link, waiting in links:
        broker_id = frozen_link[0]
        link = engine.links[broker_id] = Link(name, broker_id, PURPOSE, f"request {broker_name(broker_id)}")
        link.restore(frozen_link, [tuple(table[place] for place in places) for places in waiting], now_ms)
    engine.metadata.restore(metadata, now_ms)
    engine.identity.restore(identity, queues, now_ms)
    engine._waiting = {each[0]: engine._topics[each[0]] for each in topics if each[5]}
    engine._ready = {queues[each]: None for each in ready}
    engine._unresolved = {queues[each]: None for each in unresolved}
    engine._created = deque(table[place] for place in created)
    engine._lingering = deque(table[place] for place in lingering)
    engine._buffered_bytes = sum(batch.capacity_bytes for batch in table if not batch.is_done) + sum(
        BATCH_HEADER_BYTES + record_bound_bytes(send.record)
        for topic in engine._topics.values()
        for send, _ in topic.waiting
    )
    engine._refusal = None if refusal is None else (ErrorCode(refusal[0]), refusal[1])
    engine._is_closing = closing
    engine._is_dead = dead
    engine._deadlines.update({timer: now_ms + in_ms for timer, in_ms in timers})
    return engine


def _thaw_batch(frozen: Frozen, queues: dict[tuple[str, int], PartitionQueue], now_ms: int) -> Batch:
    where, records, capacity_bytes, room_bytes, age_ms, producer_id, producer_epoch, base_sequence, *rest = frozen
    batch = Batch(queues[where], capacity_bytes, now_ms - age_ms)
    batch.records = list(records)
    batch.room_bytes = room_bytes
    batch.label(producer_id, producer_epoch, base_sequence)
    batch.first_record, batch.attempts, batch.tries, backoff_in_ms, batch.leader_epoch, *flags = rest
    batch.backoff_until_ms = now_ms + backoff_in_ms
    batch.in_retry, batch.reopened, batch.is_done, batch.is_out, batch.unproven = flags
    return batch


def _thaw_topic(topic: TopicQueues, frozen: Frozen, table: list[Batch], now_ms: int) -> None:
    name, sticky, topic.sticky_bytes, topic.sticky_choices, topic.flush_waiting, waiting, partitions = frozen
    topic.sticky = None if sticky < 0 else topic.partitions[sticky]
    topic.waiting = deque((Send(name, partition, record), now_ms - age_ms) for partition, record, age_ms in waiting)
    for queue, each in zip(topic.partitions, partitions, strict=True):
        queued, opened, queue.open_is_due, in_flight, *counters = each
        queue.queue = deque(table[place] for place in queued)
        queue.open = table[opened[0]] if opened else None
        queue.in_flight = [table[place] for place in in_flight]
        queue.producer_id, queue.producer_epoch, queue.next_sequence, *acked = counters
        queue.last_acked_sequence, queue.last_acked_offset, queue.unresolved_sequence, *others = acked
        queue.is_muted, queue.records_drained = others
