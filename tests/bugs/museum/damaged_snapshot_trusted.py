"""A start that reads a snapshot without looking at its checksum."""

from __future__ import annotations

from contextlib import AbstractContextManager

from crc32c import crc32c

from eventlog.log import kept_log
from eventlog.log.snapshot import ProducerSnapshot, Unusable, decode_snapshot

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def decode(data: bytes) -> tuple[ProducerSnapshot, ...] | Unusable:
        return decode_snapshot(data[:2] + crc32c(data[6:]).to_bytes(4, "big") + data[6:])

    return replaced(kept_log, "decode_snapshot", decode)
