"""A reader that goes on at its position though the log was cut before it: what was written there instead is passed over.

Java's consumer did so until KIP-320.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.reader import Reader
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def part(reader: Reader, policy: str, leader_epoch: int, end_offset: int) -> None:
        reader.last_epoch = -1

    return replaced(Reader, "part", part)
