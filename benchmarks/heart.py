"""`judge` and `append`: the heart and the partition log, against the least that any idempotent log must do."""

from __future__ import annotations

from time import perf_counter

from benchmarks.timing import Row, span, take_turns
from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ACCEPTED, ProducerState
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, Record, RecordBatch, TopicPartition
from eventlog.values.record import record_batch
from eventlog.values.sequence import MAX_SEQUENCE

NOW_MS = 1_700_000_000_000
PRODUCERS = 20
BATCHES = 4_000
TURNS = 100


def batches() -> list[RecordBatch]:
    """The producers take turns; every batch is the next one of its producer."""
    records = (Record(None, b"v", NOW_MS),)
    return [record_batch(records, 1000 + index % PRODUCERS, 0, index // PRODUCERS) for index in range(BATCHES)]


class Floor:
    """What can't be left out: look the producer up, compare, store the next sequence, append to a list."""

    def __init__(self) -> None:
        self.next_sequences: dict[int, int] = {1000 + index: 0 for index in range(PRODUCERS)}
        self.log: list[RecordBatch] = []

    def append(self, batch: RecordBatch) -> bool:
        producer_id = batch.producer_id
        base_sequence = batch.base_sequence
        if self.next_sequences.get(producer_id) != base_sequence:
            return False
        self.next_sequences[producer_id] = (base_sequence + batch.record_count) & MAX_SEQUENCE
        self.log.append(batch)
        return True


def floor_seconds(given: list[RecordBatch]) -> float:
    append = Floor().append
    start = perf_counter()
    for batch in given:
        append(batch)
    return (perf_counter() - start) / len(given)


def judge_seconds(given: list[RecordBatch]) -> float:
    state = ProducerState()
    for batch in given[:PRODUCERS]:
        state.remember(batch)
    judge, remember = state.judge, state.remember
    start = perf_counter()
    for batch in given[PRODUCERS:]:
        if judge(batch) is ACCEPTED:
            remember(batch)
    return (perf_counter() - start) / (len(given) - PRODUCERS)


def append_seconds(given: list[RecordBatch]) -> float:
    log = PartitionLog(TopicPartition("orders", 0), MemoryLogStore(), LogSettings())
    append = log.append_as_leader
    for batch in given[:PRODUCERS]:
        append(batch, 0, NOW_MS)
    start = perf_counter()
    for batch in given[PRODUCERS:]:
        append(batch, 0, NOW_MS)
    seconds = (perf_counter() - start) / (len(given) - PRODUCERS)
    assert log.log_end_offset == len(given)
    return seconds


def judge() -> list[Row]:
    given = batches()
    floor, measured = take_turns((lambda: floor_seconds(given), lambda: judge_seconds(given)), TURNS)
    ratio = measured / floor
    figures = f"{span(measured)} a batch, floor {span(floor)}"
    return [Row("judge + remember, next batch of a known producer", figures, f"{ratio:.1f}x", "<= 3x", ratio <= 3)]


def append() -> list[Row]:
    given = batches()
    floor, measured = take_turns((lambda: floor_seconds(given), lambda: append_seconds(given)), TURNS)
    ratio = measured / floor
    figures = f"{span(measured)} a batch, floor {span(floor)}"
    return [Row("append_as_leader with all checks", figures, f"{ratio:.1f}x", "<= 10x", ratio <= 10)]
