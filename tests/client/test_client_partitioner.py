"""Keys are hashed as by Kafka's own clients; the vectors are those of `UtilsTest.testMurmur2`."""

from __future__ import annotations

import pytest

from eventlog.client.partitioner import murmur2, partition_for_key, sticky_partition

VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", list(VECTORS))
def test_murmur2_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == VECTORS[key]


def test_the_sign_bit_is_dropped_before_the_modulo() -> None:
    assert partition_for_key(b"21", 1_000) == (-973932308 & 0x7FFFFFFF) % 1_000
    assert partition_for_key(b"foobar", 1) == 0


def test_the_sticky_partition_is_one_of_those_available() -> None:
    drawn = [sticky_partition(1, "p", "t", choice, (3, 5, 9)) for choice in range(50)]
    assert sorted(dict.fromkeys(drawn)) == [3, 5, 9]
