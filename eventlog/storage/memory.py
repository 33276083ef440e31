"""Stores in memory, which survive the broker that used them."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import Any

from eventlog.values.record import RecordBatch, TopicPartition

_base_offset_of = itemgetter(0)


class MemoryLogStore:
    """A list of batches and a "durable up to" mark."""

    __slots__ = ("_durable_count", "_empty_at", "append", "batches", "checkpoints")

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        # The list's own append: a store has nothing to add to it, and it is the hottest call there is.
        self.append = self.batches.append
        self.checkpoints: dict[str, Any] = {}
        self._durable_count = 0
        self._empty_at = 0

    @property
    def end_offset(self) -> int:
        return max(self.batches[-1].end_offset, self._empty_at) if self.batches else self._empty_at

    @property
    def durable_end_offset(self) -> int:
        if self._durable_count == len(self.batches):
            return self.end_offset
        return self.batches[self._durable_count - 1].end_offset if self._durable_count else self.batches[0].base_offset

    def _index_of(self, offset: int) -> int:
        """Index of the batch that contains or follows `offset`. O(log batches)."""
        index = bisect_right(self.batches, offset, key=_base_offset_of)
        if index and self.batches[index - 1].last_offset >= offset:
            return index - 1
        return index

    def read(self, offset: int, end_offset: int, max_bytes: int) -> tuple[RecordBatch, ...]:
        batches = self.batches
        if not batches:
            return ()
        # Most reads are for the newest batch only.
        first = len(batches) - 1 if offset == batches[-1].base_offset else self._index_of(offset)
        last = first
        size = 0
        while last < len(batches):
            batch = batches[last]
            size += batch.size_bytes
            if batch.base_offset >= end_offset or (size > max_bytes and last > first):
                break
            last += 1
        return tuple(batches[first:last])

    def truncate(self, end_offset: int) -> None:
        del self.batches[self._index_of(end_offset) :]
        self._durable_count = min(self._durable_count, len(self.batches))
        self._empty_at = end_offset

    def flush(self) -> None:
        self._durable_count = len(self.batches)

    def write_checkpoint(self, name: str, value: Any) -> None:
        self.checkpoints[name] = value

    def read_checkpoint(self, name: str, default: Any) -> Any:
        return self.checkpoints.get(name, default)

    def lose_unflushed_tail(self) -> tuple[int, int]:
        """What a power cut does: the batches after the durable mark are gone. Returns (from, to) offsets."""
        end_offset, kept = self.end_offset, self.durable_end_offset
        del self.batches[self._durable_count :]
        self._empty_at = min(self._empty_at, kept)
        return (kept, end_offset)

    def freeze(self) -> tuple[Any, ...]:
        return (tuple(self.batches), self._durable_count, self._empty_at, tuple(self.checkpoints.items()))

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> MemoryLogStore:
        store = cls()
        batches, store._durable_count, store._empty_at, checkpoints = frozen
        store.batches.extend(batches)
        store.checkpoints = dict(checkpoints)
        return store


class MemoryStores:
    """The disk of one broker: a store for each of its replicas."""

    __slots__ = ("logs",)

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, MemoryLogStore] = {}

    def log_store(self, topic_partition: TopicPartition) -> MemoryLogStore:
        store = self.logs.get(topic_partition)
        if store is None:
            store = self.logs[topic_partition] = MemoryLogStore()
        return store

    def lose_unflushed_tails(self) -> list[tuple[TopicPartition, int, int]]:
        """(partition, from offset, to offset) of what was lost, where anything was."""
        lost = []
        for topic_partition, store in self.logs.items():
            from_offset, to_offset = store.lose_unflushed_tail()
            if from_offset < to_offset:
                lost.append((topic_partition, from_offset, to_offset))
        return lost

    def freeze(self) -> tuple[Any, ...]:
        return tuple([(topic_partition, store.freeze()) for topic_partition, store in self.logs.items()])

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> MemoryStores:
        stores = cls()
        stores.logs = {topic_partition: MemoryLogStore.thaw(store) for topic_partition, store in frozen}
        return stores
