"""A broker that begins with an empty memory when it restarts over a full log."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog.__init__

    def begin(log: PartitionLog, *given: Any) -> None:
        original(log, *given)
        log.producer_state.forget_all(log.log_end_offset)

    return replaced(PartitionLog, "__init__", begin)
