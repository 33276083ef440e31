"""A leader that takes a follower back as soon as it fetches, wherever it is."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.broker.leader import Leadership
from eventlog.messages.metadata_image import MetadataImage
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def find_expansion(leadership: Leadership, replica: int, image: MetadataImage) -> tuple[int, ...] | None:
        if replica in leadership.in_sync_replicas or leadership.wished_in_sync_replicas is not None:
            return None
        is_eligible = leadership._is_eligible(replica, leadership.remotes[replica], image)
        return (*leadership.in_sync_replicas, replica) if is_eligible else None

    return replaced(Leadership, "find_expansion", find_expansion)
