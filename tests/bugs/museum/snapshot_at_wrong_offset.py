"""A snapshot under another offset than the one up to which it knows the producers: one batch is remembered twice.

Seen in Kafka when segments were recovered (KAFKA-5249, KAFKA-10832).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog._write_snapshot

    def write(log: PartitionLog, offset: int) -> None:
        original(log, offset - 1)

    return replaced(PartitionLog, "_write_snapshot", write)
