"""A truncation that leaves the list of leader epochs as it was: it says of later records that an older leader wrote them."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.leader_epochs import LeaderEpochs

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(LeaderEpochs, "truncate_from_end", lambda epochs, end_offset: False)
