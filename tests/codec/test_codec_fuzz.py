"""Nothing that comes over a wire makes a door raise: lies in every field, damage anywhere, and bytes from nowhere."""

from __future__ import annotations

from typing import Any

from crc32c import crc32c
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lying_batches import CODECS, START_MS, batch_bytes, compressed, record_bytes, xerial

from eventlog.codec import Refusal, check_batch, decode_records, encode_batch, open_batch, pack, read_batches, unpack
from eventlog.errors import ErrorCode, RequestError
from eventlog.values import LogSettings, RecordBatch, Unreadable

LIMIT_BYTES = 100_000
AT_THE_DOOR = (ErrorCode.INVALID_RECORD, ErrorCode.CORRUPT_MESSAGE, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
IN_THE_LOG = (
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.INVALID_RECORD,
    ErrorCode.INVALID_TIMESTAMP,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.UNKNOWN_SERVER_ERROR,
)
SETTINGS = [
    LogSettings(max_message_bytes=2**31 - 1),
    LogSettings(cleanup_policy="compact", message_timestamp_before_max_ms=1_000),
    LogSettings(message_timestamp_type="LogAppendTime"),
    LogSettings(message_timestamp_after_max_ms=2**63 - 1, message_timestamp_before_max_ms=2**63 - 1),
]


def integers(bits: int) -> st.SearchStrategy[int]:
    edges = st.sampled_from((-(2 ** (bits - 1)), -2, -1, 0, 1, 2, 3, 2 ** (bits - 1) - 1))
    return edges | st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


RECORDS = st.lists(
    st.builds(
        record_bytes,
        st.integers(0, 3) | integers(32),
        st.integers(-5, 200) | integers(64),
        st.none() | st.binary(max_size=5),
        st.none() | st.binary(max_size=150),
        st.lists(st.tuples(st.binary(max_size=3), st.none() | st.binary(max_size=3)), max_size=2).map(tuple),
    ),
    max_size=4,
)
PAYLOADS = st.one_of(
    RECORDS.map(b"".join),
    st.builds(lambda name, records: compressed(name, b"".join(records)), st.sampled_from(list(CODECS)), RECORDS),
    RECORDS.map(lambda records: xerial(*records)),
    st.binary(max_size=60),
)
LIES: dict[str, st.SearchStrategy[Any]] = {
    "base_offset": st.just(0) | integers(64),
    "leader_epoch": integers(32),
    "magic": st.just(2) | integers(8),
    "attributes": st.integers(0, 15) | integers(16),
    "last_offset_delta": st.integers(-1, 4) | integers(32),
    "base_timestamp_ms": st.just(START_MS) | integers(64),
    "max_timestamp_ms": st.just(START_MS) | integers(64),
    "producer_id": integers(64),
    "producer_epoch": integers(16),
    "base_sequence": integers(32),
    "record_count": st.integers(-1, 5) | integers(32),
    "length_error": st.just(0) | st.integers(-70, 5) | st.just(2**31 - 500),
    "corrupt": st.booleans(),
}
LIARS = st.builds(
    lambda payload, lies: batch_bytes(payload, **lies), PAYLOADS, st.fixed_dictionaries({}, optional=LIES)
)


def counting(name: str, count: int, lies: dict[str, Any]) -> bytes:
    """A batch whose header counts what it holds, so that the look goes deep; some fields lie all the same."""
    payload = b"".join([record_bytes(index, index, b"k", b"v" * 50) for index in range(count)])
    told = {"attributes": CODECS[name], "record_count": count, "last_offset_delta": count - 1} | lies
    return batch_bytes(compressed(name, payload), **told)


DEEP = st.builds(
    counting,
    st.sampled_from(list(CODECS)),
    st.integers(1, 4),
    st.fixed_dictionaries(
        {},
        optional={name: LIES[name] for name in ("base_timestamp_ms", "max_timestamp_ms", "producer_id", "attributes")},
    ),
)


def with_checksum(data: bytes) -> bytes:
    return data[:17] + crc32c(data[21:]).to_bytes(4, "big") + data[21:]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A batch in which some bytes were changed, taken out or put in; mostly with a length and checksum that fit."""
    data = bytearray(draw(DEEP))
    for _ in range(draw(st.integers(1, 4))):
        anywhere = st.integers(0, len(data) - 1)
        position = min(draw(anywhere | st.integers(61, 80)), len(data) - 1)
        kind = draw(st.sampled_from(("change", "take", "put", "cut")))
        if kind == "change":
            data[position] = draw(st.sampled_from((0, 1, 0x7F, 0x80, 0xFF)) | st.integers(0, 255))
        elif kind == "take" and len(data) > 1:
            del data[position]
        elif kind == "put":
            data.insert(position, draw(st.integers(0, 255)))
        elif draw(st.integers(0, 4)) == 0:
            del data[max(1, position) :]
    if draw(st.integers(0, 4)) and len(data) >= 61:
        data[8:12] = (len(data) - 12).to_bytes(4, "big")
        data[:] = with_checksum(bytes(data))
    return bytes(data)


def go_through_the_doors(data: bytes, log_settings: LogSettings) -> None:
    batches, taken = read_batches(data)
    assert 0 <= taken <= len(data)
    assert b"".join([encode_batch(each) for each in batches]) == data[:taken]
    opened = open_batch(data)
    if isinstance(opened, Unreadable):
        assert opened.error in AT_THE_DOOR
        return
    assert opened.size_bytes == len(opened.records) <= len(data)
    assert encode_batch(opened) == opened.records
    checked = check_batch(opened, log_settings, START_MS, limit_bytes=LIMIT_BYTES)
    if isinstance(checked, Refusal):
        assert checked.error in IN_THE_LOG
        assert list(checked.record_errors) == sorted(dict.fromkeys(checked.record_errors))
        assert all(0 <= index < opened.record_count for index in checked.record_errors)
    is_clean = isinstance(checked, RecordBatch) and not is_left_to_the_log(opened, log_settings)
    try:
        records = decode_records(opened, limit_bytes=LIMIT_BYTES)
    except RequestError:
        assert not is_clean
        return
    if not is_clean:
        return
    again = open_batch(encode_batch(checked))
    assert isinstance(again, RecordBatch)
    assert again[:11] == checked[:11]
    assert decode_records(again, limit_bytes=LIMIT_BYTES) == records
    assert len(records) == checked.record_count
    if log_settings.message_timestamp_type == "CreateTime" and not opened.attributes & 8:
        assert checked.max_timestamp_ms == max(-1, *[record.timestamp_ms for record in records])
    there = unpack(checked)
    assert decode_records(pack(there)) == records


def is_left_to_the_log(batch: RecordBatch, log_settings: LogSettings) -> bool:
    return (
        batch.base_offset != 0
        or batch.size_bytes > log_settings.max_message_bytes
        or batch.record_count <= 0
        or batch.record_count != batch.last_offset_delta + 1
        or batch.is_control
        or (batch.producer_id >= 0 and batch.base_sequence < 0)
    )


@given(LIARS, st.sampled_from(SETTINGS))
@settings(max_examples=300, deadline=None)
def test_batches_that_lie_in_any_field_are_answered(data: bytes, log_settings: LogSettings) -> None:
    go_through_the_doors(data, log_settings)


@given(damaged(), st.sampled_from(SETTINGS))
@settings(max_examples=400, deadline=None)
def test_damaged_batches_are_answered(data: bytes, log_settings: LogSettings) -> None:
    go_through_the_doors(data, log_settings)


@given(DEEP, st.sampled_from(SETTINGS))
@settings(max_examples=200, deadline=None)
def test_batches_with_one_lie_are_answered(data: bytes, log_settings: LogSettings) -> None:
    go_through_the_doors(data, log_settings)


@given(st.binary(max_size=200) | st.lists(LIARS, max_size=3).map(b"".join), st.sampled_from(SETTINGS))
@example(b"", SETTINGS[0])
@settings(max_examples=200, deadline=None)
def test_bytes_from_nowhere_are_answered(data: bytes, log_settings: LogSettings) -> None:
    go_through_the_doors(data, log_settings)
