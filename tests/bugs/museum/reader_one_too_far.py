"""A reader whose position after a fetch is one too far."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.reader import Reader
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Reader.take

    def take(reader: Reader, answer: Any, *, read_committed: bool) -> None:
        original(reader, answer, read_committed=read_committed)
        reader.position += bool(answer.batches)

    return replaced(Reader, "take", take)
