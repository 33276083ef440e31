"""Columns see exactly what the loop over records sees, in sound batches and in damaged ones."""

from __future__ import annotations

import random
from typing import Any

import pytest

from eventlog.codec import encode_batch, records
from eventlog.codec.records import Look, varint, walk
from eventlog.codec.runs import find_run
from eventlog.errors import RequestError
from eventlog.values import Record, record_batch
from eventlog.values.record import BATCH_HEADER_BYTES

BASE_MS = 1_000_000


def looked_at(data: bytes, count: int, highest_ms: int = 2**62, needs_keys: bool = False) -> Look | str:
    try:
        return walk(data, BATCH_HEADER_BYTES, count, BASE_MS, 0, highest_ms, needs_keys)
    except RequestError as why:
        return str(why)


def both(monkeypatch: pytest.MonkeyPatch, data: bytes, count: int, **limits: Any) -> tuple[Look | str, Look | str]:
    """(by columns, one by one)"""
    by_columns = looked_at(data, count, **limits)
    with monkeypatch.context() as patch:
        patch.setattr(records, "find_run", lambda *arguments: (0, 0))
        return by_columns, looked_at(data, count, **limits)


def batch_of(seed: int, count: int) -> bytes:
    """Records that mostly have one shape, and sometimes another."""
    chance = random.Random(seed)
    has_key, size, step_ms = chance.random() < 0.5, chance.choice((0, 3, 70, 300)), chance.choice((0, 0, 1, 40))
    made = []
    for index in range(count):
        is_odd_one = chance.random() < 0.01
        value = None if is_odd_one and chance.random() < 0.3 else b"v" * (size + is_odd_one)
        headers = (("h", b"x"),) if is_odd_one and chance.random() < 0.3 else ()
        time_ms = BASE_MS + index * step_ms - (5 if is_odd_one and index else 0)
        made.append(Record(b"key" if has_key and not is_odd_one else None, value, time_ms, headers))
    return encode_batch(record_batch(tuple(made)))


@pytest.mark.parametrize("seed", range(60))
def test_a_sound_batch_looks_the_same_by_columns_and_one_by_one(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    count = random.Random(seed).choice((9, 100, 700, 9_000))
    data = batch_of(seed, count)
    for limits in ({}, {"needs_keys": True}, {"highest_ms": BASE_MS + 90}):
        by_columns, one_by_one = both(monkeypatch, data, count, **limits)
        assert isinstance(one_by_one, Look)
        assert by_columns == one_by_one


def test_a_damaged_batch_looks_the_same_by_columns_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    refused = 0
    sound = [batch_of(seed, 300) for seed in range(8)]
    for _ in range(1_500):
        data = bytearray(chance.choice(sound))
        for _ in range(chance.choice((1, 1, 3))):
            data[chance.randrange(BATCH_HEADER_BYTES, len(data))] = chance.choice((0, 1, 2, 0x7F, 0x80, 0xFF))
        if chance.random() < 0.2:
            del data[chance.randrange(BATCH_HEADER_BYTES, len(data)) :]
        by_columns, one_by_one = both(monkeypatch, bytes(data), 300)
        assert by_columns == one_by_one
        refused += isinstance(one_by_one, str)
    assert refused > 300


def test_equal_records_are_one_run_up_to_where_their_numbers_grow_wider() -> None:
    data = encode_batch(record_batch(tuple([Record(None, b"x" * 100, BASE_MS)] * 9_000)))
    start, size = BATCH_HEADER_BYTES, 0
    lengths = []
    index = 0
    while index < 9_000:
        size = 109 + (index >= 64) + (index >= 8_192)
        run, _ = find_run(data, start, size, index + 1, 9_000 - index - 1)
        lengths.append(run + 1)
        start += size * (run + 1)
        index += run + 1
    assert start == len(data)
    assert lengths == [64, 8_128, 808]


def test_the_greatest_timestamp_of_a_run_is_found_wherever_it_is() -> None:
    for deltas in (
        (0, 5, 2, 1),
        (100, 8_000, 70, 64),
        (2**20, 2**20 + 9, 2**20 + 3, 2**20),
        (2**40, 2**40 + 7, 2**40, 2**40),
    ):
        made = tuple([Record(None, b"x", BASE_MS + delta) for delta in deltas])
        data = encode_batch(record_batch(made)._replace(base_timestamp_ms=BASE_MS))
        size = (len(data) - BATCH_HEADER_BYTES) // 4
        assert find_run(data, BATCH_HEADER_BYTES, size, 1, 3) == (3, max(deltas[1:]))
    assert varint(0) == b"\x00"
