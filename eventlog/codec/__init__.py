"""Floor 1: record batches as bytes, in Kafka's format version 2, and back.

A batch that was written in this process is made of objects; one that came over a wire stays the bytes that came. Here
is all that turns one into the other, and the only look that a leader takes inside a client's bytes.

| room | what |
|---|---|
| `batch` | the 61 bytes of the header: open, encode, pack, unpack, and batches out of a torn file |
| `records` | the records behind it: write them, read them, walk over them without making them |
| `compression` | gzip, snappy, lz4, zstd into plain bytes, never more than a limit |
| `checking` | what Kafka's leader checks before it appends |

A client's bytes go through two doors. `open_batch` is the network's: exactly one batch, whole, of version 2; else
`Unreadable`, and the log is not asked. `check_batch` is the log's: checksum, records, keys, timestamps; else a
`Refusal`. What the header alone gives away (its count, its sequence, a base offset that is not 0, its size) is the log's
own business, for objects and bytes alike: `check_batch` hands such a batch on, and the log refuses it.

K1. `encode_batch` of objects takes exactly `batch_size_bytes` of them; `unpack(pack(batch))` equals `batch`, but
    for `send_number`, which is never written.
K2. A packed batch is encoded with its own bytes: only its place changes (offset, leader epoch), which the checksum does
    not cover; the checksum is made anew only if the attributes or the max timestamp were changed.
K3. Nothing that a peer sends makes `open_batch`, `check_batch` or `read_batches` raise: what is wrong is a value.
K4. A batch that passed `check_batch` can be decoded. Others may raise `RequestError`, with Kafka's error as `code`.
K5. Decompression stops at a limit, so that a small batch can't fill the memory.

Why two loops over records, one that makes them and one that only walks: a leader walks over every batch that comes, and
making records takes twice as long.

Where Kafka is laxer: in a compressed batch it does not compare a record's length with what is in it; here both kinds are
walked in the same way, since a batch that lies there would fail at every reader.

Not here: where a batch goes (log), who may send what (broker), frames and requests (wire), files (storage). snappy, lz4
and zstd need the package cramjam: `pip install 'eventlog-broker[compression]'`.
Source: Kafka's `DefaultRecordBatch`, `DefaultRecord`, `LogValidator`, `UnifiedLog` and `ProduceRequest`.
"""

from eventlog.codec.batch import batch_pieces, encode_batch, open_batch, pack, read_batches, unpack
from eventlog.codec.checking import Refusal, check_batch
from eventlog.codec.compression import MAX_DECOMPRESSED_BYTES
from eventlog.codec.records import decode_records

__all__ = [
    "MAX_DECOMPRESSED_BYTES",
    "Refusal",
    "batch_pieces",
    "check_batch",
    "decode_records",
    "encode_batch",
    "open_batch",
    "pack",
    "read_batches",
    "unpack",
]
