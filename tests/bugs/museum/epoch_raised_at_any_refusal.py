"""A producer that raises its epoch whenever it is told "out of order", also when only an earlier batch is late.

KIP-360 asks first whether the refused batch is the next one that is expected.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client import sender
from eventlog.client.batches import Batch
from eventlog.errors import ErrorCode

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def judge(batch: Batch, error: ErrorCode, log_start_offset: int) -> bool:
        return not batch.reopened

    return replaced(sender, "judge", judge)
