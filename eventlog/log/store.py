"""The port behind which a log's batches live: memory now, files in Kafka's segment format later.

A store outlives the broker that uses it: a crash throws the broker away and a new one is built from its stores.
"""

from __future__ import annotations

from typing import Any, Protocol

from eventlog.values.record import RecordBatch


class LogStore(Protocol):
    """One replica's stored log. Offsets: `end_offset` and `durable_end_offset` are exclusive."""

    @property
    def end_offset(self) -> int:
        """The offset after the last stored batch, or where an empty log begins."""
        ...

    @property
    def durable_end_offset(self) -> int:
        """What lies below survives a crash that loses the unflushed tail."""
        ...

    def append(self, batch: RecordBatch) -> None:
        """Store `batch` behind the last one. O(1)."""
        ...

    def read(self, offset: int, end_offset: int, max_bytes: int) -> tuple[RecordBatch, ...]:
        """Whole batches from the one that contains or follows `offset`, below `end_offset`; the first one always, more
        while they fit into `max_bytes`. O(log batches + result)."""
        ...

    def truncate(self, end_offset: int) -> None:
        """Drop every batch that contains or follows `end_offset`; the next append may be at `end_offset`."""
        ...

    def delete_before(self, offset: int) -> None:
        """Drop every batch that ends before `offset`, from the front. What follows keeps its place."""
        ...

    def flush(self) -> None:
        """Everything appended so far is durable from now on."""
        ...

    def mend(self) -> int:
        """After a crash: keep the whole, undamaged batches, drop what a torn write left behind them; how many bytes."""
        ...

    def write_checkpoint(self, name: str, value: Any) -> None:
        """Keep a small immutable value durably, at once."""
        ...

    def read_checkpoint(self, name: str, default: Any) -> Any:
        """The value last written under this name."""
        ...

    def write_snapshot(self, offset: int, data: bytes) -> None:
        """Keep a snapshot of the producer state below `offset`."""
        ...

    def read_snapshot(self, offset: int) -> bytes:
        """What was written for `offset`, or what a crash left of it."""
        ...

    def snapshot_offsets(self) -> tuple[int, ...]:
        """The offsets of all snapshots, rising."""
        ...

    def delete_snapshot(self, offset: int) -> None:
        """No-op when there is none."""
        ...


class StoreProvider(Protocol):
    """Where a broker finds the stores of its replicas: all that remains of it after a crash."""

    def log_store(self, topic_partition: Any) -> LogStore:
        """The store of this replica, made empty when there is none yet."""
        ...

    def delete_log(self, topic_partition: Any) -> None:
        """Forget the store of this replica and all that is in it; nothing happens when there is none."""
        ...

    def write_checkpoint(self, name: str, value: Any) -> None:
        """Keep a small immutable value of the broker itself durably, at once."""
        ...

    def read_checkpoint(self, name: str, default: Any) -> Any:
        """The value last written under this name."""
        ...
