"""A checker that finds no copies: who watches it must count for himself."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.check import logs
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(logs, "copies", lambda index: [])
