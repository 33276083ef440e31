"""The leader's look inside a client's batch: what it refuses, in which order, and what it mends."""

from __future__ import annotations

import gzip
import struct
import sys
from typing import Any

import cramjam
import pytest
from lying_batches import CODECS, START_MS, batch_bytes, compressed, record_bytes, xerial

from eventlog.codec import Refusal, check_batch, decode_records, encode_batch, open_batch, unpack
from eventlog.errors import ErrorCode, RequestError
from eventlog.values import CONTROL, LogSettings, Record, RecordBatch, batch_size_bytes, record_batch

COMPRESSIONS = list(CODECS)
LOG_APPEND_TIME = 8
HOUR_MS = 3_600_000


def opened(data: bytes) -> RecordBatch:
    batch = open_batch(data)
    assert isinstance(batch, RecordBatch)
    return batch


def batch_of(
    *records: tuple[int, bytes | None], compression: str = "none", deltas: tuple[int, ...] = (), **lies: Any
) -> RecordBatch:
    """Records are (milliseconds after START_MS, key)."""
    payload = b"".join(
        [record_bytes(deltas[index] if deltas else index, ms, key, b"v") for index, (ms, key) in enumerate(records)]
    )
    given = {
        "attributes": CODECS[compression],
        "record_count": len(records),
        "last_offset_delta": len(records) - 1,
        "max_timestamp_ms": START_MS + max(ms for ms, _ in records),
    }
    return opened(batch_bytes(compressed(compression, payload), **(given | lies)))


def refused(batch: RecordBatch, now_ms: int = START_MS, **settings: Any) -> Refusal:
    answer = check_batch(batch, LogSettings(**settings), now_ms)
    assert isinstance(answer, Refusal), answer
    assert answer.message
    return answer


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_good_batch_comes_back_as_it_came(compression: str) -> None:
    batch = batch_of((0, None), (5, b"k"), (3, None), compression=compression)
    assert check_batch(batch, LogSettings(), START_MS) is batch
    assert [record.timestamp_ms - START_MS for record in decode_records(batch)] == [0, 5, 3]


def test_a_compressed_batch_may_hold_many_records() -> None:
    """Offset deltas of one, two and three bytes, all as they must be."""
    batch = batch_of(*[(index, b"k") for index in range(9_000)], compression="gzip")
    assert check_batch(batch, LogSettings(), START_MS) is batch


def test_objects_are_not_looked_at() -> None:
    batch = record_batch((Record(None, b"v", 0),))
    assert check_batch(batch, LogSettings(cleanup_policy="compact"), START_MS) is batch


def test_a_wrong_checksum_comes_before_what_the_bytes_say() -> None:
    for lies in ({}, {"record_count": 9}, {"attributes": CONTROL}, {"attributes": 7}):
        answer = refused(batch_of((2 * HOUR_MS, None), corrupt=True, **lies), cleanup_policy="compact")
        assert (answer.error, answer.found_in_log) == (ErrorCode.CORRUPT_MESSAGE, False)


@pytest.mark.parametrize(
    "lies",
    [
        {"base_offset": 1, "corrupt": True},
        {"record_count": 2},
        {"record_count": 0, "last_offset_delta": -1},
        {"last_offset_delta": 3},
        {"attributes": CONTROL},
        {"producer_id": 5, "base_sequence": -1},
    ],
)
def test_what_the_header_gives_away_is_left_to_the_log(lies: dict[str, int]) -> None:
    batch = batch_of((2 * HOUR_MS, None), **lies)
    assert check_batch(batch, LogSettings(cleanup_policy="compact"), START_MS) is batch


def test_a_batch_that_is_too_large_is_left_to_the_log() -> None:
    batch = batch_of((0, None), corrupt=True)
    assert check_batch(batch, LogSettings(max_message_bytes=batch.size_bytes - 1), START_MS) is batch
    assert refused(batch, max_message_bytes=batch.size_bytes).error is ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("header_count", [1, 2, 4, 100])
def test_the_header_must_count_the_records(compression: str, header_count: int) -> None:
    records = [(0, None)] * 3
    batch = batch_of(*records, compression=compression, record_count=header_count, last_offset_delta=header_count - 1)
    answer = refused(batch)
    assert (answer.error, answer.record_errors, answer.found_in_log) == (ErrorCode.INVALID_RECORD, (), True)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("deltas", [(0, 2, 2), (2, 1, 0), (1, 2, 3)])
def test_offset_deltas_matter_in_compressed_batches_only(compression: str, deltas: tuple[int, ...]) -> None:
    batch = batch_of((0, None), (0, None), (0, None), compression=compression, deltas=deltas)
    if compression == "none":
        assert check_batch(batch, LogSettings(), START_MS) is batch
    else:
        answer = refused(batch)
        assert (answer.error, answer.found_in_log) == (ErrorCode.UNKNOWN_SERVER_ERROR, True)


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_compacted_topic_takes_no_record_without_a_key(policy: str, compression: str) -> None:
    batch = batch_of((0, b"k"), (0, None), (0, b""), (0, None), compression=compression)
    answer = refused(batch, cleanup_policy=policy)
    assert (answer.error, answer.record_errors, answer.found_in_log) == (ErrorCode.INVALID_RECORD, (1, 3), True)
    assert check_batch(batch, LogSettings(), START_MS) is batch


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_out_of_time_are_named(compression: str) -> None:
    batch = batch_of(
        (0, None), (HOUR_MS + 1, None), (HOUR_MS, None), (-501, None), (-500, None), compression=compression
    )
    answer = refused(batch, message_timestamp_before_max_ms=500)
    assert (answer.error, answer.record_errors, answer.found_in_log) == (ErrorCode.INVALID_TIMESTAMP, (1, 3), True)


def test_one_record_out_of_time_decides_the_error_of_all() -> None:
    answer = refused(batch_of((0, None), (2 * HOUR_MS, b"k"), (2 * HOUR_MS, None)), cleanup_policy="compact")
    assert (answer.error, answer.record_errors) == (ErrorCode.INVALID_TIMESTAMP, (0, 1, 2))


def test_a_record_without_its_key_is_blamed_for_that_alone() -> None:
    answer = refused(batch_of((0, b"k"), (2 * HOUR_MS, None)), cleanup_policy="compact")
    assert (answer.error, answer.record_errors) == (ErrorCode.INVALID_RECORD, (1,))


def test_a_record_without_a_timestamp_is_never_out_of_time() -> None:
    batch = batch_of((-START_MS - 1, None), max_timestamp_ms=-1)
    assert decode_records(batch)[0].timestamp_ms == -1
    assert check_batch(batch, LogSettings(message_timestamp_before_max_ms=1), START_MS) is batch


def test_timestamps_wrap_as_in_java() -> None:
    """A base near the end of 64 bits and a delta beyond it: the record lies in the far past, and so does not count."""
    payload = record_bytes(0, 0, None, b"v") + record_bytes(1, 10, None, b"v")
    end = 2**63 - 1
    batch = opened(batch_bytes(payload, base_timestamp_ms=end - 5, record_count=2, last_offset_delta=1))
    assert [record.timestamp_ms for record in decode_records(batch)] == [end - 5, -(2**63) + 4]
    anything = {"message_timestamp_before_max_ms": end, "message_timestamp_after_max_ms": end}
    assert refused(batch, **anything).record_errors == (1,)
    assert check_batch(batch, LogSettings(message_timestamp_type="LogAppendTime"), START_MS) is batch


def test_timestamps_are_not_judged_where_the_leader_gives_them() -> None:
    batch = batch_of((2 * HOUR_MS, None))
    assert check_batch(batch, LogSettings(message_timestamp_type="LogAppendTime"), START_MS) is batch


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("claimed_ms", [START_MS, START_MS + 10**9, -1, 2**63 - 1])
def test_a_max_timestamp_that_lies_is_put_right(compression: str, claimed_ms: int) -> None:
    batch = batch_of((0, None), (7, None), (3, None), compression=compression, max_timestamp_ms=claimed_ms)
    mended = check_batch(batch, LogSettings(), START_MS)
    assert isinstance(mended, RecordBatch)
    assert mended == batch._replace(max_timestamp_ms=START_MS + 7)
    again = opened(encode_batch(mended))
    assert again[:11] == mended[:11]
    assert check_batch(again, LogSettings(), START_MS) is again


def test_attributes_nobody_knows_stay_until_they_are_written_anew() -> None:
    unknown = 0x40 | 0x80
    batch = batch_of((0, None), attributes=unknown)
    assert check_batch(batch, LogSettings(), START_MS) is batch
    for settings, lies in (
        (LogSettings(), {"max_timestamp_ms": 5}),
        (LogSettings(message_timestamp_type="LogAppendTime"), {}),
    ):
        mended = check_batch(batch_of((0, None), attributes=unknown, **lies), settings, START_MS)
        assert isinstance(mended, RecordBatch)
        assert mended.attributes == 0


def test_a_client_that_claims_the_leaders_time_is_believed_where_nobody_goes_by_it() -> None:
    """Every record then has the header's max timestamp: it is what must be in time, and what stays."""
    batch = batch_of((2 * HOUR_MS, None), attributes=LOG_APPEND_TIME, max_timestamp_ms=START_MS + 5)
    mended = check_batch(batch, LogSettings(), START_MS)
    assert mended == batch._replace(attributes=0)


def test_a_client_that_claims_the_leaders_time_is_refused_where_it_matters() -> None:
    claims = batch_of((0, None), (0, None), attributes=LOG_APPEND_TIME)
    answer = refused(claims, message_timestamp_type="LogAppendTime")
    assert (answer.error, answer.record_errors) == (ErrorCode.INVALID_TIMESTAMP, (0, 1))
    without_time = batch_of((0, None), attributes=LOG_APPEND_TIME, max_timestamp_ms=-1)
    assert refused(without_time).record_errors == (0,)
    too_late = batch_of((0, None), attributes=LOG_APPEND_TIME, max_timestamp_ms=START_MS + HOUR_MS + 1)
    assert refused(too_late).record_errors == (0,)


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_an_unknown_compression_is_an_error_of_the_server_even_before_the_count(codec: int) -> None:
    answer = refused(batch_of((0, None), attributes=codec, record_count=5))
    assert (answer.error, answer.found_in_log) == (ErrorCode.UNKNOWN_SERVER_ERROR, True)


@pytest.mark.parametrize("compression", COMPRESSIONS[1:])
@pytest.mark.parametrize("payload", [b"", b"no compression at all, just text", b"\x1f\x8b\x08\x00\x00\x00"])
def test_garbage_that_claims_compression_is_an_error_of_the_server(compression: str, payload: bytes) -> None:
    batch = opened(batch_bytes(payload, attributes=CODECS[compression]))
    answer = refused(batch)
    assert (answer.error, answer.found_in_log) == (ErrorCode.UNKNOWN_SERVER_ERROR, True)
    with pytest.raises(RequestError):
        decode_records(batch)


def test_gzip_that_ends_too_early_is_an_invalid_record() -> None:
    payload = gzip.compress(record_bytes(0, 0, None, b"v" * 50), mtime=0)[:-12]
    assert refused(opened(batch_bytes(payload, attributes=1))).error is ErrorCode.INVALID_RECORD


def test_gzip_may_come_in_several_members_with_anything_behind() -> None:
    records = [record_bytes(index, 0, None, b"v%d" % index) for index in range(3)]
    payload = b"".join([gzip.compress(each) for each in records]) + b"\x00padding"
    batch = opened(batch_bytes(payload, attributes=1, record_count=3, last_offset_delta=2))
    assert check_batch(batch, LogSettings(), START_MS) is batch
    assert [record.value for record in decode_records(batch)] == [b"v0", b"v1", b"v2"]


def test_snappy_comes_as_one_block_or_framed() -> None:
    records = [record_bytes(index, 0, None, b"v%d" % index * 30) for index in range(3)]
    lies = {"attributes": CODECS["snappy"], "record_count": 3, "last_offset_delta": 2}
    block = opened(batch_bytes(compressed("snappy", b"".join(records)), **lies))
    framed = opened(batch_bytes(xerial(records[0] + records[1][:5], records[1][5:], records[2]), **lies))
    assert decode_records(framed) == decode_records(block)
    assert check_batch(framed, LogSettings(), START_MS) is framed
    rest = opened(batch_bytes(xerial(*records) + b"\x00\x00\x00", **lies))
    assert decode_records(rest) == decode_records(block)
    cut = opened(batch_bytes(xerial(*records)[:-1], **lies))
    assert refused(cut).error is ErrorCode.UNKNOWN_SERVER_ERROR


def test_an_unpacked_batch_is_no_longer_compressed() -> None:
    there = unpack(batch_of((0, None), (4, b"k"), compression="lz4"))
    assert isinstance(there.records, tuple)
    assert there.attributes == 0
    assert there.size_bytes == batch_size_bytes(there.records) == len(encode_batch(there))


@pytest.mark.parametrize("compression", COMPRESSIONS[1:])
def test_decompression_stops_at_the_limit(compression: str) -> None:
    value = bytes(3_000_000)
    payload = record_bytes(0, 0, None, value)
    batch = opened(batch_bytes(compressed(compression, payload), attributes=CODECS[compression]))
    assert check_batch(batch, LogSettings(), START_MS, limit_bytes=len(payload)) is batch
    assert decode_records(batch, limit_bytes=len(payload))[0].value == value
    answer = check_batch(batch, LogSettings(), START_MS, limit_bytes=len(payload) - 1)
    assert isinstance(answer, Refusal)
    assert (answer.error, answer.found_in_log) == (ErrorCode.MESSAGE_TOO_LARGE, False)
    with pytest.raises(RequestError, match="more than 2999999 bytes"):
        decode_records(batch, limit_bytes=2_999_999)


def test_a_bomb_in_blocks_or_members_stops_at_the_limit_too() -> None:
    part = record_bytes(0, 0, None, bytes(1_000_000))
    for payload, codec in ((xerial(*[part] * 10), 2), (gzip.compress(part) * 10, 1)):
        batch = opened(batch_bytes(payload, attributes=codec))
        answer = check_batch(batch, LogSettings(), START_MS, limit_bytes=5_000_000)
        assert isinstance(answer, Refusal)
        assert answer.error is ErrorCode.MESSAGE_TOO_LARGE


def test_a_snappy_block_that_claims_four_gigabytes_takes_none() -> None:
    claims = b"\xff\xff\xff\xff\x0f" + bytes(cramjam.snappy.compress_raw(b"x"))[1:]
    assert refused(opened(batch_bytes(claims, attributes=2))).error is ErrorCode.MESSAGE_TOO_LARGE


@pytest.mark.parametrize("compression", ["snappy", "lz4", "zstd"])
def test_without_cramjam_the_error_names_what_to_install(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of((0, None), compression=compression)
    monkeypatch.setitem(sys.modules, "cramjam", None)
    answer = refused(batch)
    assert (answer.error, answer.found_in_log) == (ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, False)
    with pytest.raises(RequestError, match=r"eventlog-broker\[compression\]") as raised:
        decode_records(batch)
    assert raised.value.code is ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_without_cramjam_what_python_can_read_is_read(compression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of((0, None), compression=compression)
    monkeypatch.setitem(sys.modules, "cramjam", None)
    assert check_batch(batch, LogSettings(), START_MS) is batch


def test_varints_that_are_too_long_are_refused() -> None:
    good = record_bytes(0, 0, None, b"v")
    for payload in (
        b"\x80\x80\x80\x80\x80\x00" + good[1:],
        struct.pack("b", 2 * (len(good) + 9)) + b"\x00" + b"\x80" * 10 + b"\x00" + good[3:],
    ):
        assert refused(opened(batch_bytes(payload))).error is ErrorCode.INVALID_RECORD


def test_varints_longer_than_needed_are_read() -> None:
    """Five bytes for a length, ten for a timestamp. What is beyond 32 or 64 bits is dropped, as in Java."""
    body = (
        b"\x00"
        + b"\x82"
        + b"\x80" * 8
        + b"\x7e"
        + b"\x80\x80\x00"
        + b"\x81\x00"
        + b"\x82\x80\x80\x80\x70v"
        + b"\x80\x00"
    )
    length = 2 * len(body)
    payload = bytes([length & 0x7F | 0x80, length >> 7 | 0x80, 0x80, 0x80, 0]) + body
    batch = opened(batch_bytes(payload, max_timestamp_ms=START_MS + 1))
    assert check_batch(batch, LogSettings(), START_MS) is batch
    assert decode_records(batch) == (Record(None, b"v", START_MS + 1),)
