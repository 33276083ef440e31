"""Stores in memory, which survive the broker that used them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from typing import Any, Final

from eventlog.codec import encode_batch, read_batches
from eventlog.values.record import RecordBatch, TopicPartition

ALL_BYTES: Final = 2**62
"""Whoever reads so many bytes wants no limit."""

_base_offset_of = itemgetter(0)


class MemoryLogStore:
    """A list of batches and a "durable up to" mark; beside it checkpoints and snapshots, as little files.

    `torn` are the bytes of a batch whose write a power cut interrupted: `mend` looks what can be kept of them.
    """

    __slots__ = ("_durable_count", "_empty_at", "append", "batches", "checkpoints", "snapshots", "torn")

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        # The list's own append: a store has nothing to add to it, and it is the hottest call there is.
        self.append = self.batches.append
        self.checkpoints: dict[str, Any] = {}
        self.snapshots: dict[int, bytes] = {}
        self.torn = b""
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
        if max_bytes >= ALL_BYTES:
            return tuple(batches[first : bisect_left(batches, end_offset, first, key=_base_offset_of)])
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

    def delete_before(self, offset: int) -> None:
        count = self._index_of(offset)
        # A later power cut may leave nothing: even then the log goes on from here.
        self._empty_at = self.end_offset if count == len(self.batches) else self.batches[count].base_offset
        del self.batches[:count]
        self._durable_count = max(0, self._durable_count - count)

    def flush(self) -> None:
        self._durable_count = len(self.batches)

    def write_checkpoint(self, name: str, value: Any) -> None:
        self.checkpoints[name] = value

    def read_checkpoint(self, name: str, default: Any) -> Any:
        return self.checkpoints.get(name, default)

    def write_snapshot(self, offset: int, data: bytes) -> None:
        self.snapshots[offset] = data

    def read_snapshot(self, offset: int) -> bytes:
        return self.snapshots[offset]

    def snapshot_offsets(self) -> tuple[int, ...]:
        return tuple(sorted(self.snapshots))

    def delete_snapshot(self, offset: int) -> None:
        self.snapshots.pop(offset, None)

    def lose_unflushed_tail(self, torn_bytes: int = 0) -> tuple[int, int]:
        """What a power cut does: the batches after the durable mark are gone. Returns (from, to) offsets.

        With `torn_bytes` the cut comes in the middle of a write: so many bytes of the first lost batch are there.
        """
        end_offset, kept = self.end_offset, self.durable_end_offset
        lost = self.batches[self._durable_count :]
        if torn_bytes and lost:
            self.torn = encode_batch(lost[0])[:torn_bytes]
        del self.batches[self._durable_count :]
        self._empty_at = min(self._empty_at, kept)
        return (kept, end_offset)

    def mend(self) -> int:
        torn, self.torn = self.torn, b""
        whole, taken = read_batches(torn)
        self.batches.extend(whole)
        return len(torn) - taken

    def freeze(self) -> tuple[Any, ...]:
        return (
            tuple(self.batches),
            self._durable_count,
            self._empty_at,
            tuple(self.checkpoints.items()),
            tuple(self.snapshots.items()),
            self.torn,
        )

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> MemoryLogStore:
        store = cls()
        batches, store._durable_count, store._empty_at, checkpoints, snapshots, store.torn = frozen
        store.batches.extend(batches)
        store.checkpoints = dict(checkpoints)
        store.snapshots = dict(snapshots)
        return store


class MemoryStores:
    """The disk of one broker: a store for each of its replicas, and checkpoints of its own."""

    __slots__ = ("checkpoints", "logs")

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, MemoryLogStore] = {}
        self.checkpoints: dict[str, Any] = {}

    def write_checkpoint(self, name: str, value: Any) -> None:
        self.checkpoints[name] = value

    def read_checkpoint(self, name: str, default: Any) -> Any:
        return self.checkpoints.get(name, default)

    def log_store(self, topic_partition: TopicPartition) -> MemoryLogStore:
        store = self.logs.get(topic_partition)
        if store is None:
            store = self.logs[topic_partition] = MemoryLogStore()
        return store

    def delete_log(self, topic_partition: TopicPartition) -> None:
        self.logs.pop(topic_partition, None)

    def lose_unflushed_tails(self) -> list[tuple[TopicPartition, int, int]]:
        """(partition, from offset, to offset) of what was lost, where anything was."""
        lost = []
        for topic_partition, store in self.logs.items():
            from_offset, to_offset = store.lose_unflushed_tail()
            if from_offset < to_offset:
                lost.append((topic_partition, from_offset, to_offset))
        return lost

    def freeze(self) -> tuple[Any, ...]:
        logs = tuple([(topic_partition, store.freeze()) for topic_partition, store in self.logs.items()])
        return (logs, tuple(self.checkpoints.items()))

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> MemoryStores:
        stores = cls()
        logs, checkpoints = frozen
        stores.logs = {topic_partition: MemoryLogStore.thaw(store) for topic_partition, store in logs}
        stores.checkpoints = dict(checkpoints)
        return stores
