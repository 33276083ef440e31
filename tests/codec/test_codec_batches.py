"""Objects into bytes and back, a batch in its place in a log, and batches out of a torn file."""

from __future__ import annotations

import struct

import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st
from lying_batches import START_MS, batch_bytes, record_bytes

from eventlog.codec import check_batch, decode_records, encode_batch, open_batch, pack, read_batches, unpack
from eventlog.errors import ErrorCode, RequestError
from eventlog.values import (
    TRANSACTIONAL,
    LogSettings,
    Record,
    RecordBatch,
    Unreadable,
    batch_size_bytes,
    placed,
    record_batch,
)

LOG_APPEND_TIME = 8
INT64 = st.integers(-(2**63), 2**63 - 1)
BYTES = st.none() | st.binary(max_size=200)
RECORDS = st.lists(
    st.builds(
        Record,
        BYTES,
        BYTES,
        st.just(START_MS) | st.integers(0, 2**40),
        st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3).map(tuple),
        st.just(-1),
    ),
    min_size=1,
    max_size=150,
).map(tuple)
BATCHES = st.builds(
    lambda records, producer_id, producer_epoch, base_sequence, transactional, base_offset, leader_epoch: placed(
        record_batch(records, producer_id, producer_epoch, base_sequence, is_transactional=transactional),
        base_offset,
        leader_epoch,
    ),
    RECORDS,
    st.integers(-1, 2**63 - 1),
    st.integers(-1, 32767),
    st.integers(-1, 2**31 - 1),
    st.booleans(),
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**31 - 1),
)


def three(**changes: object) -> RecordBatch:
    records = tuple([Record(b"k", b"v%d" % index, START_MS + index) for index in range(3)])
    return record_batch(records, 1000, 2, 7)._replace(**changes)


def opened(data: bytes) -> RecordBatch:
    batch = open_batch(data)
    assert isinstance(batch, RecordBatch)
    return batch


def checksum_is_right(data: bytes) -> bool:
    return crc32c(data[21:]) == struct.unpack_from(">I", data, 17)[0]


@given(BATCHES)
@settings(max_examples=150, deadline=None)
def test_what_is_packed_and_unpacked_is_the_same(batch: RecordBatch) -> None:
    there = pack(batch)
    assert isinstance(there.records, bytes)
    assert unpack(there) == batch
    assert decode_records(there) == batch.records
    assert there[:11] == batch[:11]


@given(BATCHES)
@settings(max_examples=100, deadline=None)
def test_bytes_take_exactly_the_size_that_was_counted(batch: RecordBatch) -> None:
    assert isinstance(batch.records, tuple)
    assert len(encode_batch(batch)) == batch_size_bytes(batch.records) == batch.size_bytes


@given(BATCHES)
@settings(max_examples=100, deadline=None)
def test_what_was_made_here_passes_the_leaders_look(batch: RecordBatch) -> None:
    fresh = pack(placed(batch, 0, -1))
    lenient = LogSettings(message_timestamp_after_max_ms=2**62, max_message_bytes=2**31 - 1)
    assert check_batch(fresh, lenient, START_MS) == fresh


@given(INT64, st.lists(INT64, min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_any_timestamps_survive(base_timestamp_ms: int, timestamps: list[int]) -> None:
    """Also when their distance takes more than 64 bits: it wraps, as in Java."""
    batch = record_batch(tuple([Record(None, b"", each) for each in timestamps]))
    batch = batch._replace(base_timestamp_ms=base_timestamp_ms)
    assert [record.timestamp_ms for record in decode_records(pack(batch))] == timestamps


@pytest.mark.parametrize("size", [0, 1, 63, 64, 127, 128, 8191, 8192, 8193, 1_048_576, 1_048_577])
def test_lengths_at_the_edges_of_varints_survive(size: int) -> None:
    batch = record_batch(
        (Record(b"k" * size, b"v" * size, START_MS, (("h", b"w" * size),)), Record(None, None, START_MS))
    )
    assert unpack(pack(batch)) == batch
    packed = pack(batch)
    assert check_batch(packed, LogSettings(max_message_bytes=2**31 - 1), START_MS) == packed


def test_many_records_survive() -> None:
    """Offset deltas of one, two and three bytes."""
    batch = record_batch(tuple([Record(None, b"%d" % index, START_MS + index) for index in range(9_000)]))
    assert unpack(pack(batch)) == batch
    assert check_batch(pack(batch), LogSettings(), START_MS) == pack(batch)


def test_bytes_are_those_of_the_format() -> None:
    payload = b"".join([record_bytes(index, index, b"k", b"v%d" % index) for index in range(3)])
    expected = batch_bytes(
        payload,
        last_offset_delta=2,
        max_timestamp_ms=START_MS + 2,
        producer_id=1000,
        producer_epoch=2,
        base_sequence=7,
        record_count=3,
    )
    assert encode_batch(three()) == expected


def test_a_batch_of_objects_is_written_uncompressed_whatever_its_attributes_claim() -> None:
    data = encode_batch(three(attributes=1 | TRANSACTIONAL))
    assert data == encode_batch(three(attributes=TRANSACTIONAL))
    assert len(decode_records(opened(data))) == 3


def test_a_place_changes_sixteen_bytes_and_no_checksum() -> None:
    data = encode_batch(three())
    there = encode_batch(placed(opened(data), 1234, 9))
    assert opened(there)[:2] == (1234, 9)
    assert there[16:] == data[16:]
    assert checksum_is_right(there)


def test_a_batch_in_its_place_is_not_copied() -> None:
    batch = opened(encode_batch(three()))
    assert encode_batch(batch) is batch.records


@pytest.mark.parametrize(
    ("attributes", "max_timestamp_ms"),
    [(LOG_APPEND_TIME, START_MS + 99), (LOG_APPEND_TIME, START_MS + 2), (0, START_MS + 99)],
)
def test_the_leaders_time_is_written_with_a_new_checksum(attributes: int, max_timestamp_ms: int) -> None:
    batch = opened(encode_batch(three()))
    stamped = batch._replace(base_offset=40, attributes=attributes, max_timestamp_ms=max_timestamp_ms)
    data = encode_batch(stamped)
    assert checksum_is_right(data)
    again = opened(data)
    assert again[:11] == stamped[:11]
    assert decode_records(again) == decode_records(batch)


def test_a_packed_batch_is_not_packed_again() -> None:
    packed = pack(three())
    assert pack(packed) is packed
    assert unpack(three()) == three()


def test_send_numbers_stay_at_home() -> None:
    numbered = record_batch((Record(b"k", b"v", START_MS, (), 77),))
    assert decode_records(pack(numbered)) == (Record(b"k", b"v", START_MS),)


def test_names_of_headers_that_are_no_text_are_read_all_the_same() -> None:
    data = batch_bytes(record_bytes(0, 0, None, b"v", ((b"\xff\xfe", None),)))
    assert check_batch(opened(data), LogSettings(), START_MS) == opened(data)
    assert decode_records(opened(data))[0].headers == (("\ufffd\ufffd", None),)


def test_bytes_behind_the_batch_that_are_no_batch_are_cut_off() -> None:
    """As Kafka does: less than a header's start, or a second batch that is not all there."""
    data = encode_batch(three())
    for behind in (b"\x00", b"rest", data[:11], data[:40], data[:-1]):
        assert open_batch(data + behind) == opened(data)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ErrorCode.INVALID_RECORD),
        (encode_batch(three())[:-1], ErrorCode.INVALID_RECORD),
        (encode_batch(three()) * 2, ErrorCode.INVALID_RECORD),
        (encode_batch(three()) + bytes(20), ErrorCode.CORRUPT_MESSAGE),
        (batch_bytes(b"")[:61][:8] + struct.pack(">i", 48) + batch_bytes(b"")[12:], ErrorCode.CORRUPT_MESSAGE),
        (batch_bytes(b"", magic=-1), ErrorCode.CORRUPT_MESSAGE),
        (batch_bytes(b"", magic=3), ErrorCode.CORRUPT_MESSAGE),
    ],
)
def test_what_is_not_exactly_one_batch_is_unreadable(data: bytes, error: ErrorCode) -> None:
    answer = open_batch(data)
    assert isinstance(answer, Unreadable)
    assert answer.error is error
    assert answer.message


def test_whole_batches_come_out_of_a_torn_file() -> None:
    batches = [placed(pack(three()), offset, 1) for offset in (0, 3, 6)]
    encoded = [encode_batch(each) for each in batches]
    file = b"".join(encoded)
    whole, taken = read_batches(file)
    assert [each.base_offset for each in whole] == [0, 3, 6]
    assert [encode_batch(each) for each in whole] == encoded
    assert taken == len(file)
    for cut in range(len(file)):
        found, taken = read_batches(file[:cut])
        assert len(found) == cut // len(encoded[0])
        assert taken == len(found) * len(encoded[0])


def test_nothing_behind_a_damaged_batch_is_read() -> None:
    encoded = [encode_batch(placed(pack(three()), offset, 1)) for offset in (0, 3, 6)]
    damaged = bytearray(b"".join(encoded))
    damaged[len(encoded[0]) + 70] ^= 1
    whole, taken = read_batches(bytes(damaged))
    assert [each.base_offset for each in whole] == [0]
    assert taken == len(encoded[0])


DAMAGED = {
    "empty": b"",
    "length only": b"\x00",
    "cut off": record_bytes(0, 0, None, b"v")[:-1],
    "a byte more": record_bytes(0, 0, None, b"v") + b"\x00",
    "two records": record_bytes(0, 0, None, b"v") * 2,
    "negative length": b"\x01" + record_bytes(0, 0, None, b"v")[1:],
    "length right but negative": b"\x0f" + record_bytes(0, 0, None, b"v")[1:],
    "length too small": b"\x0c" + record_bytes(0, 0, None, b"v")[1:],
    "length too large": b"\x10" + record_bytes(0, 0, None, b"v")[1:] + b"\x00",
    "endless varints": b"\xff" * 30,
    "negative count of headers": b"\x0c\x00\x00\x00\x01\x01\x01",
    "header without a name": b"\x10\x00\x00\x00\x01\x01\x02\x01\x01",
    "value too long": b"\x0c\x00\x00\x00\x01\x7e\x00",
}


def test_a_message_of_an_older_format_is_not_read_out_of_a_file() -> None:
    """Its checksum may even fit, since it does not cover the format."""
    for magic in (0, 1, 3):
        assert read_batches(batch_bytes(record_bytes(0, 0, None, b"v"), magic=magic)) == ([], 0)


@pytest.mark.parametrize("payload", DAMAGED.values(), ids=DAMAGED)
def test_records_that_are_none_are_refused_and_not_decoded(payload: bytes) -> None:
    batch = opened(batch_bytes(payload))
    refused = check_batch(batch, LogSettings(), START_MS)
    assert not isinstance(refused, RecordBatch)
    assert (refused.error, refused.record_errors, refused.found_in_log) == (ErrorCode.INVALID_RECORD, (), True)
    with pytest.raises(RequestError) as raised:
        decode_records(batch)
    assert raised.value.code is ErrorCode.INVALID_RECORD
