"""A checker that finds every order right."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.check import logs
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(logs, "late_records", lambda index: [])
