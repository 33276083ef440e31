"""`codec` and `packed-memory`: batches of 100 records of 100 bytes as bytes, and how much room they take as such."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from time import perf_counter

from benchmarks.timing import Row, rate, take_turns
from eventlog.codec import check_batch, decode_records, encode_batch, open_batch
from eventlog.values import LogSettings, Record, RecordBatch, placed
from eventlog.values.record import record_batch

NOW_MS = 1_700_000_000_000
RECORDS = 100
VALUE = b"v" * 100
BATCHES = 50
TURNS = 40
KEPT_RECORDS = 1_000_000


def objects(producer_id: int = 1000) -> RecordBatch:
    records = tuple([Record(b"key-%d" % index, VALUE, NOW_MS + index) for index in range(RECORDS)])
    return record_batch(records, producer_id, 0, 0)


def packed(batch: RecordBatch) -> RecordBatch:
    opened = open_batch(encode_batch(batch))
    assert isinstance(opened, RecordBatch)
    return opened


def seconds_of(work: Callable[[RecordBatch], object], batch: RecordBatch) -> float:
    start = perf_counter()
    for _ in range(BATCHES):
        work(batch)
    return (perf_counter() - start) / BATCHES


def codec() -> list[Row]:
    made = objects()
    came = packed(made)
    data = encode_batch(made)
    settings = LogSettings()
    works: dict[str, tuple[Callable[[RecordBatch], object], RecordBatch]] = {
        "encode objects": (encode_batch, made),
        "decode": (decode_records, came),
        "check": (lambda batch: check_batch(batch, settings, NOW_MS), came),
        "open": (lambda _: open_batch(data), came),
        "encode what came packed, in another place": (encode_batch, placed(came, 1_000, 7)),
    }
    sides = [lambda work=work, batch=batch: seconds_of(work, batch) for work, batch in works.values()]  # type: ignore[misc]
    what = f"batches of {RECORDS} records of {len(VALUE)} bytes with keys"
    return [
        Row(f"{name}, {what}", f"{rate(RECORDS, seconds)} records")
        for name, seconds in zip(works, take_turns(tuple(sides), TURNS), strict=True)
    ]


def packed_memory() -> list[Row]:
    """Each batch is opened from bytes of its own, as a door does, and placed, as a log does."""
    data = encode_batch(objects())
    settings = LogSettings()
    gc.collect()
    tracemalloc.start()
    before_bytes = tracemalloc.get_traced_memory()[0]
    log: list[RecordBatch] = []
    for number in range(KEPT_RECORDS // RECORDS):
        opened = open_batch(bytes(bytearray(data)))
        assert isinstance(opened, RecordBatch)
        checked = check_batch(opened, settings, NOW_MS) if number % 1_000 == 0 else opened
        assert isinstance(checked, RecordBatch)
        log.append(placed(checked, number * RECORDS, 7))
    taken_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    tracemalloc.stop()
    came_bytes = len(data) * len(log)
    ratio = taken_bytes / came_bytes
    what = f"memory of {KEPT_RECORDS / 1e6:.0f} M records that came packed, against their bytes"
    figures = f"{taken_bytes / 1e6:.1f} MB for {came_bytes / 1e6:.1f} MB"
    return [Row(what, figures, f"{ratio:.3f}x", "<= 1.5x", ratio <= 1.5)]
