"""`recovery` and `producers`: what opening a long log reads, and what knowing a million producers costs."""

from __future__ import annotations

import gc
import sys
from time import perf_counter

from benchmarks.timing import Row, span
from eventlog.codec import encode_batch, read_batches
from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ProducerState
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, Record, RecordBatch, TopicPartition, placed, record_batch

NOW_MS = 1_700_000_000_000
ORDERS = TopicPartition("orders", 0)
LOG_BATCHES = 1_000_000
LOG_PRODUCERS = 10_000
DECODED = 100_000
TAIL = 1_000
MANY, FEW = 1_000_000, 1_000
APPENDS = 20_000
EXPIRED = 10_000
SETTINGS = LogSettings()


def _batch(producer_id: int, sequence: int, at_ms: int = NOW_MS) -> RecordBatch:
    return record_batch((Record(None, b"v", at_ms),), producer_id, 0, sequence)


def _long_store() -> MemoryLogStore:
    store = MemoryLogStore()
    for offset in range(LOG_BATCHES):
        store.append(placed(_batch(offset % LOG_PRODUCERS, offset // LOG_PRODUCERS), offset, 0))
    return store


def _opened(store: MemoryLogStore) -> tuple[float, PartitionLog]:
    gc.collect()
    start = perf_counter()
    log = PartitionLog(ORDERS, store, SETTINGS)
    return perf_counter() - start, log


def recovery() -> list[Row]:
    """A log of a million batches, opened after a crash (all is read) and with a snapshot near its end (the tail is)."""
    store = _long_store()
    gc.freeze()
    data = b"".join([encode_batch(batch) for batch in store.batches[:DECODED]])
    start = perf_counter()
    found, _ = read_batches(data)
    decode = (perf_counter() - start) / len(found) * LOG_BATCHES
    start = perf_counter()
    for batch in store.batches:
        if batch.producer_id < 0:
            raise AssertionError(batch)
    loop = perf_counter() - start
    crash, log = _opened(store)
    everything = log.recovery.batches_replayed
    log.close()
    clean, log = _opened(store)
    at_end = log.recovery.batches_replayed
    # A tail behind the snapshot, and the snapshot at the end lost: the newest one left is in front of the tail.
    for sequence in range(TAIL):
        log.append_as_leader(_batch(sequence, LOG_BATCHES // LOG_PRODUCERS), 0, NOW_MS)
    log.close()
    store.delete_snapshot(log.log_end_offset)
    tail, log = _opened(store)
    read = log.recovery.batches_replayed
    gc.unfreeze()
    what = f"a log of {LOG_BATCHES:,} batches and {LOG_PRODUCERS:,} producers opened"
    return [
        Row(
            f"{what} after a crash", f"{span(crash)}, {everything:,} batches read", "", "all", everything == LOG_BATCHES
        ),
        Row("  against only decoding its bytes", f"{span(decode)} (from {DECODED:,})", f"{crash / decode:.2f}x"),
        Row("  against only walking over its batches", span(loop), f"{crash / loop:.1f}x"),
        Row(f"{what} after a clean stop", f"{span(clean)}, {at_end:,} batches read", "", "none", at_end == 0),
        Row(
            f"{what}, snapshot {TAIL:,} before the end",
            f"{span(tail)}, {read:,} batches read",
            "",
            "tail",
            read == TAIL,
        ),
    ]


def _known(count: int) -> ProducerState:
    state = ProducerState()
    for index in range(count):
        # The first ones are the oldest: they will expire.
        at_ms = NOW_MS if index < EXPIRED else NOW_MS + 60_000 + index
        state.remember(_batch(10**9 + index, 0, at_ms)._replace(base_offset=10**9 + index, records=()))
    return state


def _append_seconds(count: int) -> float:
    log = PartitionLog(ORDERS, MemoryLogStore(), SETTINGS)
    state = log.producer_state = _known(count)
    # The same number of producers writes in both cases, spread over all that are known.
    ids = [10**9 + (index % FEW) * (count // FEW) for index in range(APPENDS)]
    sequences: dict[int, int] = {}
    given = []
    for producer_id in ids:
        sequences[producer_id] = sequences.get(producer_id, 0) + 1
        given.append(_batch(producer_id, sequences[producer_id], NOW_MS + 60_000 + count))
    gc.collect()
    gc.freeze()
    start = perf_counter()
    for batch in given:
        log.append_as_leader(batch, 0, NOW_MS + 60_000 + count)
    seconds = (perf_counter() - start) / APPENDS
    gc.unfreeze()
    assert (log.log_end_offset, len(state)) == (APPENDS, count)
    return seconds


def _bytes_each(batches: int, count: int = 50_000) -> float:
    """What a producer takes, counted by the interpreter's own sizes: entry, batches, numbers, its place in the tables."""
    state = ProducerState()
    empty = sys.getsizeof(state._entries)
    for index in range(count):
        for number in range(batches):
            base = (10**9 + index) * 10 + number
            header = _batch(10**9 + index, 1_000_000 + number, NOW_MS + base)._replace(base_offset=base, records=())
            state.remember(header)
    total = sys.getsizeof(state._entries) - empty + sum(map(sys.getsizeof, state._queue._buckets.values()))
    total += sys.getsizeof(state._queue._buckets)
    seen: dict[int, None] = {}
    for producer_id, entry in state.entries():
        for part in (producer_id, entry, entry.batches, *[getattr(entry, name) for name in entry.__slots__]):
            total += _size(part, seen)
        for batch in entry.batches:
            total += _size(batch, seen) + sum([_size(field, seen) for field in batch])
    return total / count


def _size(part: object, seen: dict[int, None]) -> int:
    if id(part) in seen or part is None or part == () or (isinstance(part, int) and -5 <= part <= 256):
        return 0
    seen[id(part)] = None
    return sys.getsizeof(part)


def _expire_seconds(count: int) -> float:
    best = float("inf")
    for _ in range(2):
        state = _known(count)
        gc.collect()
        gc.freeze()
        start = perf_counter()
        gone = state.expire(NOW_MS + 10_000, 10_000)
        best = min(best, perf_counter() - start)
        gc.unfreeze()
        assert len(gone) == EXPIRED
    return best


def producers() -> list[Row]:
    """A million known producers: append, memory, expiry."""
    few = min([_append_seconds(FEW) for _ in range(5)])
    many = min([_append_seconds(MANY) for _ in range(2)])
    one, five = _bytes_each(1), _bytes_each(5)
    expiry_few, expiry_many = _expire_seconds(2 * EXPIRED), _expire_seconds(MANY)
    ratio, expiry = many / few, expiry_many / expiry_few
    return [
        Row(
            f"append, {MANY:,} known producers",
            f"{span(many)}, {FEW:,}: {span(few)}",
            f"{ratio:.2f}x",
            "<= 1.5x",
            ratio <= 1.5,
        ),
        Row("bytes of a known producer, one batch", f"{one:.0f}", "", "<= 700", one <= 700),
        Row("bytes of a known producer, five batches", f"{five:.0f}"),
        Row(
            f"expiring {EXPIRED:,} of {MANY:,} producers",
            f"{span(expiry_many)}, of {2 * EXPIRED:,}: {span(expiry_few)}",
            f"{expiry:.2f}x",
            "<= 2x",
            expiry <= 2,
        ),
    ]
