"""Transaction markers: the one record of a control batch, which ends a producer's transaction in a partition.

Layout as in Kafka (`EndTransactionMarker`, `ControlRecordType`): key = version int16 0, type int16 (0 abort, 1 commit);
value = version int16 0, coordinator epoch int32; big-endian.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.codec import decode_records
from eventlog.values.record import Record, RecordBatch, record_batch


class Marker(NamedTuple):
    is_commit: bool
    coordinator_epoch: int


def marker_batch(
    producer_id: int, producer_epoch: int, is_commit: bool, coordinator_epoch: int, timestamp_ms: int
) -> RecordBatch:
    """A fresh control batch that ends the producer's transaction."""
    record = Record(
        b"\x00\x00" + int(is_commit).to_bytes(2, "big"),
        b"\x00\x00" + coordinator_epoch.to_bytes(4, "big", signed=True),
        timestamp_ms,
    )
    return record_batch((record,), producer_id, producer_epoch, -1, is_transactional=True, is_control=True)


def marker_of(batch: RecordBatch) -> Marker:
    """What a control batch says, whether it was written in this process or came packed."""
    records = batch.records
    record = (decode_records(batch) if isinstance(records, bytes) else records)[0]
    key, value = record.key or b"", record.value or b""
    return Marker(key[3] == 1, int.from_bytes(value[2:6], "big", signed=True))
