"""One replica's log on a table: batches as the scenarios write them, and what became of them."""

from __future__ import annotations

import pickle

from eventlog.codec import decode_records
from eventlog.log.partition_log import AppendResult, PartitionLog
from eventlog.log.producer_state import Origin
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, Record, RecordBatch, TopicPartition, placed, record_batch, with_settings

T0 = 1_700_000_000_000
MAX = 2_147_483_647
TP = TopicPartition("t", 0)


def batch(
    producer_id: int, epoch: int, base_sequence: int, count: int, *, value: str = "v", at_ms: int = T0, **kinds: bool
) -> RecordBatch:
    """`B(producer_id, epoch, base_sequence, count)` of the scenarios."""
    records = tuple(Record(None, f"{value}.{index}".encode(), at_ms) for index in range(count))
    return record_batch(records, producer_id, epoch, base_sequence, **kinds)


def plain(count: int = 1, value: str = "v", at_ms: int = T0) -> RecordBatch:
    """A batch without a producer id."""
    return batch(-1, -1, -1, count, value=value, at_ms=at_ms)


class Table:
    """A leader's log. After each step its invariants hold, and thawing what was frozen gives the same."""

    def __init__(self, leader_epoch: int = 0, **settings: object) -> None:
        self.store = MemoryLogStore()
        self.settings = with_settings(LogSettings(), dict(settings))
        self.log = PartitionLog(TP, self.store, self.settings)
        self.leader_epoch = leader_epoch

    def append(
        self,
        each: RecordBatch,
        *,
        now_ms: int = T0,
        origin: Origin = Origin.CLIENT,
        guard: int = 0,
        transaction_version: int = 0,
    ) -> AppendResult:
        before = self.state()
        result = self.log.append_as_leader(each, self.leader_epoch, now_ms, origin, guard, transaction_version)
        if result.error or result.is_duplicate:
            assert self.state() == before, "a refused or recognised batch changed something"
        self.check()
        return result

    def send(self, *numbers: int, **more: object) -> tuple[int, int] | str | int:
        """(first, last) offset of an accepted batch, "dup a..b" of a recognised one, or the error's number."""
        result = self.append(batch(*numbers, **more))  # type: ignore[arg-type]
        if result.error:
            return int(result.error)
        where = (result.base_offset, result.last_offset)
        return f"dup {where[0]}..{where[1]}" if result.is_duplicate else where

    def follow(self, each: RecordBatch, offset: int, leader_epoch: int = 0) -> None:
        """Append as a follower does: nothing is judged."""
        self.log.append_as_follower((placed(each, offset, leader_epoch),))
        self.check()

    def commit(self) -> None:
        self.log.set_high_watermark(self.log.log_end_offset)

    def reload(self, how: str = "kill", now_ms: int = 0) -> None:
        """A restart, "clean" or by "kill" -9: a new log over the same store."""
        if how == "clean":
            self.log.close()
        self.log = PartitionLog(TP, self.store, self.settings, now_ms)
        self.check()

    @property
    def snapshots(self) -> list[int]:
        return list(self.store.snapshot_offsets())

    @property
    def bases(self) -> list[int]:
        return self.log.segments.base_offsets()

    def check(self) -> None:
        log = self.log
        log.check_invariants()
        frozen = pickle.loads(pickle.dumps(log.freeze()))
        stored = pickle.loads(pickle.dumps(self.store.freeze()))
        store = MemoryLogStore.thaw(stored)
        assert store.freeze() == stored
        thawed = PartitionLog.thaw(frozen, TP, store, self.settings)
        assert thawed.freeze() == frozen
        assert (thawed.topic_partition, thawed.store) == (TP, store)
        assert thawed.last_stable_offset == log.last_stable_offset

    def state(self) -> tuple[object, ...]:
        """Everything but the leader epochs and the segments, which are minded before the verdict."""
        log = self.log
        stored = self.store.freeze()
        return (
            log.log_start_offset, log.log_end_offset, log.high_watermark, log.producer_state.freeze(),
            stored[0], stored[2],
        )  # fmt: skip

    def window(self, producer_id: int = 1) -> list[tuple[int, int]]:
        """(first, last) sequence of the remembered batches, oldest first."""
        entry = self.log.producer_state.find_entry(producer_id)
        return [] if entry is None else [(each.base_sequence, each.last_sequence) for each in entry.batches]

    def last(self, producer_id: int = 1) -> tuple[int, int] | None:
        """(epoch, last sequence) of a producer, None when it is unknown."""
        entry = self.log.producer_state.find_entry(producer_id)
        return None if entry is None else (entry.producer_epoch, entry.last_sequence)

    @property
    def end(self) -> int:
        return self.log.log_end_offset

    def values(self) -> list[str]:
        stored = self.log.read(0, self.end, 2**62)
        return [(record.value or b"").decode() for each in stored for record in decode_records(each)]
