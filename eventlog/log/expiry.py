"""In which order producers expire, so that nobody looks through all of them for the few that are due.

A producer stands in one bucket, by the time of its newest record when it was put there. Later records don't move it:
when its bucket is due it is looked at, and put where it belongs by then. Only a record *older* than its place moves it
at once (`ProducerState` sees to that), so nobody is due before its bucket is.

Cost of a sweep: those that are due, and those in the same second as the limit. A producer that writes all the time is
looked at once per expiry period. 8 bytes a producer.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Final

NEVER: Final = -(2**63)
"""The place of a producer that can't expire (its transaction is open): no record is older."""
_BITS: Final = 10


def bucket_of(at_ms: int) -> int:
    """The bucket for this time; one spans 1024 ms."""
    return at_ms >> _BITS


class ExpiryQueue:
    """Producer ids by the time before which they can't be due. One that moved away is still listed where it was."""

    __slots__ = ("_buckets", "_keys")

    def __init__(self) -> None:
        self._buckets: dict[int, list[int]] = {}
        self._keys: list[int] = []

    def add(self, producer_id: int, at_ms: int) -> None:
        """O(1); O(log buckets) for the first one in its bucket."""
        key = at_ms >> _BITS
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = [producer_id]
            heappush(self._keys, key)
        else:
            bucket.append(producer_id)

    def take_due(self, limit_ms: int) -> Iterator[tuple[int, int]]:
        """(producer id, bucket) of everyone listed up to the bucket of `limit_ms`, who is thereby no longer listed."""
        due = []
        while self._keys and self._keys[0] <= limit_ms >> _BITS:
            due.append(heappop(self._keys))
        for key in due:
            for producer_id in dict.fromkeys(self._buckets.pop(key)):
                yield producer_id, key
