"""A client that believes whoever it asked last about the leader, also a broker that lags behind."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.client.metadata import MetadataClient

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def learn(metadata: MetadataClient, topic_partition: Any, leader_id: int, leader_epoch: int) -> bool:
        is_other = metadata.leaders.get(topic_partition) != (leader_id, leader_epoch)
        metadata.leaders[topic_partition] = (leader_id, leader_epoch)
        metadata.tried.pop(topic_partition, None)
        return is_other

    return replaced(MetadataClient, "learn", learn)
