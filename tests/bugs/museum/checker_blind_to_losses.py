"""A checker that misses nothing, whatever is lost."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.check import ends
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(ends, "lost", lambda index: [])
