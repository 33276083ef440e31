"""A checker that finds no copies: who watches it must count for himself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.check import logs

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""
    with replaced(logs, "copies", lambda index: []):
        yield
