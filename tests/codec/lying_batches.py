"""Batches as bytes in which every field may lie: what a recorded script calls a batch, turned into what went over the wire.

Written from the format alone, without the code under test.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Any

import cramjam
from crc32c import crc32c

START_MS = 1_700_000_000_000
CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def compressed(name: str, data: bytes) -> bytes:
    """snappy is one raw block, as most clients send it."""
    if name == "none":
        return data
    if name == "gzip":
        return gzip.compress(data, mtime=0)
    if name == "snappy":
        return bytes(cramjam.snappy.compress_raw(data))
    return bytes(getattr(cramjam, name).compress(data))


def xerial(*blocks: bytes) -> bytes:
    """Snappy in the framing of the Java clients."""
    framed = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    for block in blocks:
        packed = bytes(cramjam.snappy.compress_raw(block))
        framed += struct.pack(">i", len(packed)) + packed
    return framed


def varint(number: int) -> bytes:
    raw = number * 2 if number >= 0 else -number * 2 - 1
    encoded = b""
    while raw >= 128:
        encoded += bytes([raw % 128 + 128])
        raw //= 128
    return encoded + bytes([raw])


def nullable(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def record_bytes(
    offset_delta: int,
    timestamp_delta_ms: int,
    key: bytes | None,
    value: bytes | None,
    headers: tuple[tuple[bytes, bytes | None], ...] = (),
) -> bytes:
    body = b"\x00" + varint(timestamp_delta_ms) + varint(offset_delta) + nullable(key) + nullable(value)
    body += varint(len(headers)) + b"".join([nullable(name) + nullable(content) for name, content in headers])
    return varint(len(body)) + body


def batch_bytes(
    payload: bytes,
    *,
    base_offset: int = 0,
    leader_epoch: int = -1,
    magic: int = 2,
    attributes: int = 0,
    last_offset_delta: int = 0,
    base_timestamp_ms: int = START_MS,
    max_timestamp_ms: int = START_MS,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    record_count: int = 1,
    length_error: int = 0,
    corrupt: bool = False,
) -> bytes:
    covered = struct.pack(
        ">hiqqqhii", attributes, last_offset_delta, base_timestamp_ms, max_timestamp_ms, producer_id, producer_epoch,
        base_sequence, record_count,
    ) + payload  # fmt: skip
    checksum = crc32c(covered) ^ int(corrupt)
    return struct.pack(">qiibI", base_offset, 9 + len(covered) + length_error, leader_epoch, magic, checksum) + covered


def old_message(magic: int, timestamp_ms: int, key: bytes | None, value: bytes) -> bytes:
    """One message in format 0 or 1."""
    body = struct.pack(">bb", magic, 0)
    if magic == 1:
        body += struct.pack(">q", timestamp_ms)
    for content in (key, value):
        body += struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content
    return struct.pack(">qiI", 0, 4 + len(body), zlib.crc32(body)) + body


def vector_batch_bytes(batch: dict[str, Any], producer_ids: dict[str, int], now_ms: int) -> bytes:
    """The bytes of a recorded script's batch. `producer_ids`: what its symbols stand for; `now_ms`: the broker's time."""
    if "raw" in batch:
        return bytes.fromhex(batch["raw"])
    producer = batch.get("producer", -1)
    count = batch.get("count", 1)
    key = None if batch.get("key") is None else batch["key"].encode()
    values = [
        f"{batch.get('value', 'v')}.{index}".encode().ljust(batch.get("value_size", 0), b".") for index in range(count)
    ]
    base_ms = batch.get("timestamp", START_MS)
    if isinstance(base_ms, str):
        base_ms = now_ms + int(base_ms.removeprefix("now") or 0)
    step_ms = batch.get("timestamp_step", 0)
    magic = batch.get("magic", 2)
    if magic < 2:
        return old_message(magic, base_ms, key, values[0])
    offset_deltas = batch.get("offset_deltas", range(count))
    payload = b"".join(
        [record_bytes(offset_deltas[index], index * step_ms, key, value) for index, value in enumerate(values)]
    )
    compression = batch.get("compression", "none")
    attributes = (
        CODECS[compression] | (0x10 if batch.get("transactional") else 0) | (0x20 if batch.get("control") else 0)
    )
    if "attributes" in batch:
        attributes, compression = batch["attributes"], "none"
    payload = bytes.fromhex(batch["payload"]) if "payload" in batch else compressed(compression, payload)
    return batch_bytes(
        payload,
        base_offset=batch.get("base_offset", 0),
        leader_epoch=batch.get("leader_epoch", -1),
        magic=magic,
        attributes=attributes,
        last_offset_delta=batch.get("last_offset_delta", count - 1),
        base_timestamp_ms=base_ms,
        max_timestamp_ms=batch.get("max_timestamp", base_ms + max(0, count - 1) * step_ms),
        producer_id=producer_ids[producer] if isinstance(producer, str) else producer,
        producer_epoch=batch.get("epoch", -1),
        base_sequence=batch.get("sequence", -1),
        record_count=batch.get("header_count", count),
        length_error=batch.get("length_error", 0),
        corrupt=batch.get("corrupt", False),
    )
