"""Compressed records into plain ones. Every failure is a `RequestError` whose `code` is what Kafka's leader answers.

gzip comes with Python; the others with the package cramjam, which is imported when the first such batch comes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

from eventlog.errors import ErrorCode, RequestError

CODEC_MASK: Final = 0x07
NO_COMPRESSION: Final = 0
GZIP: Final = 1
SNAPPY: Final = 2
LZ4: Final = 3
ZSTD: Final = 4
NAMES: Final = ("none", "gzip", "snappy", "lz4", "zstd")
"""By their number in a batch's attributes. 5 to 7 mean nothing."""

MAX_DECOMPRESSED_BYTES: Final = 134_217_728
"""How much one batch may hold when it is decompressed: 128 MiB. Kafka has no such limit; it reads as a stream."""

_GZIP_MAGIC: Final = b"\x1f\x8b"
_PIECE_BYTES: Final = 16_384
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_FIRST_GUESS_BYTES: Final = 65_536


def decompress(codec: int, payload: bytes, limit_bytes: int) -> bytes:
    """What `payload` holds, if that is at most `limit_bytes`. O(what it holds)."""
    if codec == GZIP:
        return _gunzip(payload, limit_bytes)
    if codec > ZSTD:
        raise RequestError(
            f"compression {codec} came; 0 to {ZSTD} ({', '.join(NAMES)}) are known", ErrorCode.UNKNOWN_SERVER_ERROR
        )
    cramjam = _cramjam(codec)
    try:
        if codec == SNAPPY:
            return _unsnappy(cramjam.snappy, payload, limit_bytes)
        return _grow(cramjam.lz4 if codec == LZ4 else cramjam.zstd, codec, payload, limit_bytes)
    except cramjam.DecompressionError as why:
        raise _broken(codec, str(why)) from why


def _cramjam(codec: int) -> Any:
    try:
        import cramjam
    except ImportError as why:
        raise RequestError(
            f"a batch compressed with {NAMES[codec]} came, and the package cramjam is not here to read it. "
            "Run: pip install 'eventlog-broker[compression]'",
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
        ) from why
    return cramjam


def _broken(codec: int, why: str, error: ErrorCode = ErrorCode.UNKNOWN_SERVER_ERROR) -> RequestError:
    return RequestError(f"the records can't be decompressed with {NAMES[codec]}: {why}", error)


def _too_large(codec: int, limit_bytes: int) -> RequestError:
    return RequestError(
        f"the records compressed with {NAMES[codec]} take more than {limit_bytes} bytes. Send smaller batches.",
        ErrorCode.MESSAGE_TOO_LARGE,
    )


def _gunzip(payload: bytes, limit_bytes: int) -> bytes:
    """One or more gzip members, one behind the other; other bytes behind them are left alone, as Java does."""
    parts: list[bytes] = []
    left_bytes = limit_bytes
    position = 0
    while position == 0 or payload.startswith(_GZIP_MAGIC, position):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            if position >= len(payload):
                # Java meets the missing end only after the header (10 bytes), while it reads records.
                error = ErrorCode.INVALID_RECORD if len(payload) >= 10 else ErrorCode.UNKNOWN_SERVER_ERROR
                raise _broken(GZIP, "it ends too early", error)
            # In pieces, since what a member leaves unused is copied: else many small ones would take very long.
            piece = payload[position : position + _PIECE_BYTES]
            position += len(piece)
            try:
                # One byte more than is left: whoever fills it holds too much.
                parts.append(member.decompress(piece, left_bytes + 1))
            except zlib.error as why:
                raise _broken(GZIP, str(why)) from why
            left_bytes -= len(parts[-1])
            if left_bytes < 0:
                raise _too_large(GZIP, limit_bytes)
        position -= len(member.unused_data)
    return b"".join(parts)


def _unsnappy(snappy: Any, payload: bytes, limit_bytes: int) -> bytes:
    """One raw block (librdkafka and others), or the Java clients' framing (xerial): blocks behind their lengths."""
    if payload[:8] != _XERIAL_MAGIC or len(payload) < _XERIAL_HEADER_BYTES:
        return _unsnappy_block(snappy, payload, limit_bytes, limit_bytes)
    blocks = []
    left_bytes = limit_bytes
    position = _XERIAL_HEADER_BYTES
    # Java takes less than a whole length at the end for the end.
    while position + 4 <= len(payload):
        end = position + 4 + int.from_bytes(payload[position : position + 4], "big")
        blocks.append(_unsnappy_block(snappy, payload[position + 4 : end], left_bytes, limit_bytes))
        left_bytes -= len(blocks[-1])
        position = end
    return b"".join(blocks)


def _unsnappy_block(snappy: Any, block: bytes, left_bytes: int, limit_bytes: int) -> bytes:
    if snappy.decompress_raw_len(block) > left_bytes:
        raise _too_large(SNAPPY, limit_bytes)
    return bytes(snappy.decompress_raw(block))


def _grow(module: Any, codec: int, payload: bytes, limit_bytes: int) -> bytes:
    """Into room for what is likely; while that is too small, into twice as much."""
    decompress_into: Callable[[bytes, bytearray], int] = module.decompress_into
    room_bytes = min(limit_bytes, max(_FIRST_GUESS_BYTES, 4 * len(payload)))
    while True:
        room = bytearray(room_bytes)
        try:
            used_bytes = decompress_into(payload, room)
        except Exception as why:
            if "whole buffer" not in str(why):
                raise
            if room_bytes >= limit_bytes:
                raise _too_large(codec, limit_bytes) from why
            room_bytes = min(limit_bytes, 2 * room_bytes)
        else:
            return bytes(memoryview(room)[:used_bytes])
