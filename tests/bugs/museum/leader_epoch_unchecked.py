"""A broker that serves whoever asks, by whatever leader epoch: a follower of another epoch is aligned with it and counted.

KIP-320 came of it (KAFKA-6880).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.broker.replica import Replica
from eventlog.errors import ErrorCode

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    return replaced(Replica, "check_leader_epoch", lambda replica, current_leader_epoch: ErrorCode.NONE)
