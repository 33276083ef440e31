"""A checker that finds every refusal right."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.check import refusals
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(refusals, "_expected", lambda index, case: (case.row.error, ""))
