"""Values kept once each, by number: what the many states of a machine are made of.

One step changes few of a machine's fields, so a state is written as the numbers of its fields' values, and equal states
are equal numbers.

Equal values at the same place have one number; the number of a value never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Pieces:
    """All values, and their numbers by place. Places of different kinds are told apart: named tuples of different types
    are equal when their fields are."""

    __slots__ = ("_numbers", "values")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, list[dict[Any, int]]] = {}

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
