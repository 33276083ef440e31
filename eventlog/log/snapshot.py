"""Snapshots of the producer state as files: what is left of the memory when the process is gone.

Kafka's format, byte for byte (version 1): version int16, CRC-32C uint32 over what follows, then an int32-counted array
of one entry per producer. An entry holds the *newest batch only*, and that is why a restarted broker recognises one
batch of each producer and not five.

Version 1005 is our own, for `producer_snapshot_batches=5`: the same frame, but an entry holds all remembered batches.
Kafka would refuse it as an unknown version, and so ends up where it ends up with a damaged file.

| field of an entry | version 1 | version 1005 |
|---|---|---|
| producer_id i64, producer_epoch i16 | yes | yes |
| last_sequence i32, last_offset i64, offset_delta i32 | of the newest batch (-1, -1, 0: none) | after the rest, counted |
| timestamp i64 | the entry's: newest batch's or a later marker's | the same, and each batch's own |
| coordinator_epoch i32, current_txn_first_offset i64 | yes | yes |

Not in it: verifications under way, transactions whose end is not yet replicated, the aborted ones. A file that is
damaged, cut short or of another version is a value, `Unusable`: whoever reads it deletes it and takes the next older.

Source: Kafka's `ProducerStateManager` (`ProducerSnapshot` schema, version 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

from eventlog.codec.batch import checksum

KAFKA_VERSION: Final = 1
OWN_VERSION: Final = 1005
_HEAD: Final = Struct(">hI")
_COUNT: Final = Struct(">i")
_ENTRY: Final = Struct(">qhiqiqiq")
_OWN_ENTRY: Final = Struct(">qhqiqi")
_OWN_BATCH: Final = Struct(">iqiq")


class KnownBatch(NamedTuple):
    """One remembered batch."""

    last_sequence: int
    last_offset: int
    offset_delta: int
    timestamp_ms: int


class ProducerSnapshot(NamedTuple):
    """One producer's entry; `batches` oldest first."""

    producer_id: int
    producer_epoch: int
    batches: tuple[KnownBatch, ...]
    timestamp_ms: int
    coordinator_epoch: int
    txn_first_offset: int


class Unusable(NamedTuple):
    """Bytes that are no snapshot, and why."""

    message: str


def encode_snapshot(entries: Iterable[ProducerSnapshot], batches: int = 1) -> bytes:
    """The file's bytes, with the newest batch of each entry (`batches` 1: Kafka's own format) or with all of them."""
    parts = []
    count = 0
    for producer_id, epoch, known, timestamp_ms, coordinator_epoch, txn_first_offset in entries:
        count += 1
        if batches == 1:
            last_sequence, last_offset, delta, _ = known[-1] if known else (-1, -1, 0, -1)
            newest = (last_sequence, last_offset, delta)
            parts.append(_ENTRY.pack(producer_id, epoch, *newest, timestamp_ms, coordinator_epoch, txn_first_offset))
        else:
            kept = known[-batches:]
            entry = (producer_id, epoch, timestamp_ms, coordinator_epoch, txn_first_offset, len(kept))
            parts.append(_OWN_ENTRY.pack(*entry))
            parts += [_OWN_BATCH.pack(*each) for each in kept]
    body = _COUNT.pack(count) + b"".join(parts)
    return _HEAD.pack(KAFKA_VERSION if batches == 1 else OWN_VERSION, checksum(body)) + body


def decode_snapshot(data: bytes) -> tuple[ProducerSnapshot, ...] | Unusable:
    """The entries, or why they can't be had. Never raises, whatever the bytes are."""
    if len(data) < _HEAD.size + _COUNT.size:
        return Unusable(f"{len(data)} bytes are no snapshot: its head alone takes {_HEAD.size + _COUNT.size}")
    version, crc = _HEAD.unpack_from(data)
    if version not in (KAFKA_VERSION, OWN_VERSION):
        return Unusable(f"version {version} came, {KAFKA_VERSION} or {OWN_VERSION} was expected")
    body = data[_HEAD.size :]
    if checksum(body) != crc:
        return Unusable("the checksum is wrong: the file is damaged or cut short")
    (count,) = _COUNT.unpack_from(body)
    entries = _kafkas(body, count) if version == KAFKA_VERSION else _own(body, count)
    if entries is None:
        return Unusable(f"{count} entries are announced, which is not what {len(body)} bytes hold")
    return entries


def _kafkas(body: bytes, count: int) -> tuple[ProducerSnapshot, ...] | None:
    if count < 0 or len(body) != _COUNT.size + count * _ENTRY.size:
        return None
    entries = []
    for fields in _ENTRY.iter_unpack(body[_COUNT.size :]):
        producer_id, epoch, last_sequence, last_offset, delta, timestamp_ms, coordinator_epoch, txn = fields
        known = (KnownBatch(last_sequence, last_offset, delta, timestamp_ms),) if last_offset >= 0 else ()
        entries.append(ProducerSnapshot(producer_id, epoch, known, timestamp_ms, coordinator_epoch, txn))
    return tuple(entries)


def _own(body: bytes, count: int) -> tuple[ProducerSnapshot, ...] | None:
    entries = []
    at = _COUNT.size
    for _ in range(count):
        if at + _OWN_ENTRY.size > len(body):
            return None
        producer_id, epoch, timestamp_ms, coordinator_epoch, txn, batches = _OWN_ENTRY.unpack_from(body, at)
        at += _OWN_ENTRY.size
        end = at + batches * _OWN_BATCH.size
        if batches < 0 or end > len(body):
            return None
        known = tuple([KnownBatch(*fields) for fields in _OWN_BATCH.iter_unpack(body[at:end])])
        entries.append(ProducerSnapshot(producer_id, epoch, known, timestamp_ms, coordinator_epoch, txn))
        at = end
    return tuple(entries) if at == len(body) and count >= 0 else None
