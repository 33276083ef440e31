"""How a rule is replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """`owner.name` is `value` for a while, in the class that defines it when `owner` is a class that inherits it.

    Raises KeyError when there is no such name: a bug planted beside the rule would prove nothing.
    """
    if isinstance(owner, type):
        owner = next((base for base in owner.__mro__ if name in base.__dict__), owner)
    original = owner.__dict__[name]
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
