"""A reader that goes to the end of the log when its position is out of range, where it was told to go to the beginning."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.client.reader import Reader
from eventlog.messages.broker_api import LATEST_TIMESTAMP

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def out_of_range(reader: Reader, policy: str) -> None:
        reader.position = -1
        reader.reset_to = LATEST_TIMESTAMP

    return replaced(Reader, "out_of_range", out_of_range)
