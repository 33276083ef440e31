"""Which partition a record goes to: by its key's hash, or by staying with one partition for a while.

Both answers must be those of Kafka's own clients, because records that different clients write under one key have to
meet in one partition. Sources: `org.apache.kafka.common.utils.Utils.murmur2`, `BuiltInPartitioner`, KIP-480, KIP-794.
"""

from __future__ import annotations

from eventlog.values import draw

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The 32-bit Murmur2 hash of `key` as a signed number, with Kafka's seed. O(len(key))."""
    length = len(key)
    digest = (_SEED ^ length) & _WORD
    whole = length & ~3
    for index in range(0, whole, 4):
        word = (int.from_bytes(key[index : index + 4], "little") * _M) & _WORD
        word ^= word >> 24
        digest = (digest * _M) & _WORD
        digest ^= (word * _M) & _WORD
    if whole < length:
        digest ^= int.from_bytes(key[whole:], "little")
        digest = (digest * _M) & _WORD
    digest ^= digest >> 13
    digest = (digest * _M) & _WORD
    digest ^= digest >> 15
    return digest - 0x100000000 if digest & 0x80000000 else digest


def partition_for_key(key: bytes, partition_count: int) -> int:
    """The partition of a record with this key: the hash without its sign bit, modulo the number of partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def sticky_partition(seed: int, client: str, topic: str, choice: int, available: tuple[int, ...]) -> int:
    """The partition that records without a key stay with after this client's `choice`-th change in `topic`.

    `available` are the partitions to choose from; the same one may be drawn again, as in Kafka (KIP-794).
    """
    return available[draw(seed, f"sticky {client} {topic} {choice}", len(available))]
