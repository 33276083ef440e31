"""A checker that believes readers everything."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.check import readers
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(readers, "_is_in", lambda final, record: True)
