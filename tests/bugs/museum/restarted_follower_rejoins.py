"""A leader that counts for a restarted follower what the process before it had: the broker epoch is not looked at.

Its disk may hold less (KIP-903).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.broker.leader import UNKNOWN, RemoteReplica

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = RemoteReplica.fetched_from

    def fetched_from(
        remote: RemoteReplica, offset: int, leader_end_offset: int, now_ms: int, broker_epoch: int
    ) -> None:
        original(remote, offset, leader_end_offset, now_ms, UNKNOWN)

    return replaced(RemoteReplica, "fetched_from", fetched_from)
