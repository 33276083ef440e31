"""Snapshot files and torn stores: Kafka's bytes, and nothing worse than less memory when they are damaged."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from log_stage import T0, TP, Table, batch, plain

from eventlog.codec import encode_batch
from eventlog.log.partition_log import PartitionLog
from eventlog.log.snapshot import KnownBatch, ProducerSnapshot, Unusable, decode_snapshot, encode_snapshot
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings

ENTRIES = (
    ProducerSnapshot(1, 0, (KnownBatch(4, 4, 0, T0),), T0, -1, -1),
    ProducerSnapshot(2**62, 32767, (KnownBatch(3, 70, 9, T0 - 1), KnownBatch(2**31 - 1, 100, 20, T0)), T0 + 5, 7, 80),
    ProducerSnapshot(3, 2, (), T0, 1, -1),
)


def test_sr_26_the_file_is_kafkas_byte_for_byte() -> None:
    """Layout by Kafka's `ProducerSnapshot` schema, laid out here by hand."""
    body = struct.pack(">i", 3)
    body += struct.pack(">qhiqiqiq", 1, 0, 4, 4, 0, T0, -1, -1)
    body += struct.pack(">qhiqiqiq", 2**62, 32767, 2**31 - 1, 100, 20, T0 + 5, 7, 80)
    body += struct.pack(">qhiqiqiq", 3, 2, -1, -1, 0, T0, 1, -1)
    assert encode_snapshot(ENTRIES) == struct.pack(">hI", 1, crc32c(body)) + body
    assert encode_snapshot(()) == bytes.fromhex("0001") + crc32c(bytes(4)).to_bytes(4, "big") + bytes(4)


def test_sr_26_a_round_trip_keeps_the_newest_batch_with_the_entrys_time() -> None:
    assert decode_snapshot(encode_snapshot(ENTRIES)) == (
        ENTRIES[0],
        ENTRIES[1]._replace(batches=(KnownBatch(2**31 - 1, 100, 20, T0 + 5),)),
        ENTRIES[2],
    )


def test_a_round_trip_with_five_keeps_everything() -> None:
    assert decode_snapshot(encode_snapshot(ENTRIES, 5)) == ENTRIES


@pytest.mark.parametrize("batches", [1, 5])
def test_no_damage_is_taken_for_a_snapshot(batches: int) -> None:
    data = encode_snapshot(ENTRIES, batches)
    for cut in range(len(data)):
        assert isinstance(decode_snapshot(data[:cut]), Unusable)
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            spoilt = bytearray(data)
            spoilt[at] ^= bit
            assert isinstance(decode_snapshot(bytes(spoilt)), Unusable), at
    assert isinstance(decode_snapshot(data + b"\x00"), Unusable)


@pytest.mark.parametrize("count", [-1, 2, 4, 2**31 - 1])
@pytest.mark.parametrize("batches", [1, 5])
def test_a_count_that_is_not_what_follows_is_unusable_though_the_checksum_is_right(count: int, batches: int) -> None:
    data = encode_snapshot(ENTRIES, batches)
    body = struct.pack(">i", count) + data[10:]
    assert isinstance(decode_snapshot(data[:2] + crc32c(body).to_bytes(4, "big") + body), Unusable)


def test_a_version_of_tomorrow_is_unusable() -> None:
    data = encode_snapshot(ENTRIES)
    told = decode_snapshot(b"\x00\x02" + data[2:])
    assert isinstance(told, Unusable)
    assert "version 2 came" in told.message


# --- a log that finds damaged files -------------------------------------------------------------------------------


def cleanly_stopped() -> Table:
    """Two segments of three batches, so snapshots 3 (a roll) and 6 (the clean stop)."""
    table = Table(segment_bytes=3 * batch(1, 0, 0, 1).size_bytes)
    for sequence in range(6):
        table.send(1, 0, sequence, 1)
    table.log.close()
    assert table.snapshots == [3, 6]
    return table


def test_a_snapshot_cut_at_any_byte_costs_the_way_from_the_one_before_and_nothing_else() -> None:
    whole = cleanly_stopped().store.read_snapshot(6)
    for cut in range(len(whole)):
        table = cleanly_stopped()
        table.store.write_snapshot(6, whole[:cut])
        table.reload()
        assert table.log.recovery == ("clean", 3, 3)
        assert table.window() == [(2, 2), (3, 3), (4, 4), (5, 5)]
        assert table.store.read_snapshot(6) == whole, "and a good one is written in its place"


def test_without_any_readable_snapshot_all_is_read() -> None:
    table = cleanly_stopped()
    for offset in (3, 6):
        table.store.write_snapshot(offset, b"\x00\x01nonsense")
    table.reload()
    assert table.log.recovery == ("clean", -1, 6)
    assert table.window() == [(sequence, sequence) for sequence in range(1, 6)]


def test_a_store_torn_at_any_byte_of_its_last_batch_is_recovered_to_the_last_whole_one() -> None:
    length = len(encode_batch(batch(2, 0, 0, 3)))
    for cut in range(length + 1):
        table = Table()
        for sequence in range(3):
            table.send(1, 0, sequence, 1)
        table.store.flush()
        table.send(2, 0, 0, 3)
        table.send(1, 0, 3, 1)
        assert table.store.lose_unflushed_tail(torn_bytes=cut) == (3, 7)
        table.reload()
        is_whole = cut == length
        assert table.end == (6 if is_whole else 3), cut
        assert [table.last(1), table.last(2)] == [(0, 2), (0, 2) if is_whole else None]
        assert table.values()[:3] == ["v.0"] * 3, "what was flushed is there"
        assert table.send(1, 0, 3, 1) == (table.end - 1, table.end - 1)


@pytest.mark.parametrize("at", [0, 12, 17, 30, 62, 70])
def test_a_torn_batch_with_a_wrong_byte_is_dropped(at: int) -> None:
    table = Table()
    table.append(plain())
    table.store.flush()
    table.send(1, 0, 0, 1)
    table.store.lose_unflushed_tail(torn_bytes=10**6)
    spoilt = bytearray(table.store.torn)
    spoilt[at] ^= 0x40
    table.store.torn = bytes(spoilt)
    if at >= 17:
        table.reload()
        assert (table.end, table.last()) == (1, None)
    else:
        assert table.store.mend() in (0, len(spoilt)), "offset and leader epoch lie outside of the checksum"


def test_a_power_cut_after_a_clean_restart_falls_back_to_an_older_snapshot_or_none() -> None:
    table = cleanly_stopped()
    table.reload()
    table.send(1, 0, 6, 1)
    table.store.lose_unflushed_tail()
    table.reload()
    assert (table.end, table.window()) == (6, [(5, 5)])


def test_a_store_that_lies_wholly_before_the_logs_start_begins_anew() -> None:
    table = Table()
    for sequence in range(3):
        table.send(1, 0, sequence, 1)
    table.commit()
    table.log.advance_log_start(3)
    table.log.write_checkpoints()
    table.store.lose_unflushed_tail()
    table.reload()
    assert (table.log.log_start_offset, table.end, table.log.high_watermark) == (3, 3, 3)
    assert table.send(1, 0, 9, 1) == (3, 3)


def test_opening_a_filled_store_says_what_it_read() -> None:
    table = Table()
    assert table.log.recovery == ("empty", -1, 0)
    for sequence in range(9):
        table.send(1, 0, sequence, 1)
    assert PartitionLog(TP, table.store, LogSettings()).recovery == ("crash", -1, 9)
    store = MemoryLogStore.thaw(table.store.freeze())
    log = PartitionLog(TP, store, LogSettings())
    log.close()
    assert PartitionLog(TP, store, LogSettings()).recovery == ("clean", 9, 0)
