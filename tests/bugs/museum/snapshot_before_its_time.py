"""A snapshot that says it knows the producers up to a place behind the newest batch: that batch is passed over at the
next start.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog._roll

    def roll(log: PartitionLog, base_offset: int) -> None:
        log._snapshot_offset = base_offset
        original(log, base_offset)

    return replaced(PartitionLog, "_roll", roll)
