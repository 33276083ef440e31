"""Values kept once each, by number: what the many states of a machine are made of.

One step changes few of a machine's fields, so a state is written as the numbers of its fields' values, and equal states
are equal numbers.

Q1. Equal values at the same place have one number; the number of a value never changes.
Q2. A digest is the same in every process: 64 bits of the value as pickle writes it, nothing in it standing for something
    that was written before.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from io import BytesIO
from pickle import Pickler
from typing import Any, Final

PICKLE_PROTOCOL: Final = 5


def digest_of(value: Any) -> int:
    """64 bits of a frozen value."""
    written = BytesIO()
    pickler = Pickler(written, PICKLE_PROTOCOL)
    pickler.fast = True
    pickler.dump(value)
    return int.from_bytes(blake2b(written.getbuffer(), digest_size=8).digest())


def joined(digests: Iterable[int]) -> int:
    """The digest of a sequence of digests."""
    return int.from_bytes(blake2b(array("Q", digests).tobytes(), digest_size=8).digest())


class Pieces:
    """All values, and their numbers by place. Places of different kinds are told apart: named tuples of different types
    are equal when their fields are."""

    __slots__ = ("_digests", "_numbers", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, list[dict[Any, int]]] = {}
        self._digests: dict[int, int] = {}

    def numbers_of(self, kind: str, values: Sequence[Any]) -> list[int]:
        """The numbers of a state's fields, in their order. There are always as many to a kind."""
        places = self._numbers.get(kind)
        if places is None:
            places = self._numbers[kind] = [{} for _ in values]
        numbers = []
        kept = self.values
        for known, value in zip(places, values, strict=True):
            number = known.get(value)
            if number is None:
                number = known[value] = len(kept)
                kept.append(value)
            numbers.append(number)
        return numbers

    def digest(self, numbers: Sequence[int]) -> int:
        """The digest of a state."""
        digests, found = self._digests, []
        for number in numbers:
            digest = digests.get(number)
            if digest is None:
                digest = digests[number] = digest_of(self.values[number])
            found.append(digest)
        return joined(found)
