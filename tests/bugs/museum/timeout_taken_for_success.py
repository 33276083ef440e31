"""A producer that takes "the replicas did not answer in time" for a success: it was written, after all."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client import sender
from eventlog.client.verdicts import ACTIONS, SUCCEED, Row
from eventlog.errors import ErrorCode
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    actions = {**ACTIONS, ErrorCode.REQUEST_TIMED_OUT: Row(SUCCEED, SUCCEED)}
    return replaced(sender, "ACTIONS", actions)
