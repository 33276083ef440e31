"""A new leader that takes a follower back at its own high watermark, which is behind: the start of its term is
not asked for.

Kafka did so until KAFKA-7128.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.broker.leader import Leadership
from eventlog.messages.metadata_image import MetadataImage
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Leadership.find_expansion

    def find_expansion(leadership: Leadership, replica: int, image: MetadataImage) -> tuple[int, ...] | None:
        start_offset, leadership.epoch_start_offset = leadership.epoch_start_offset, 0
        expanded = original(leadership, replica, image)
        leadership.epoch_start_offset = start_offset
        return expanded

    return replaced(Leadership, "find_expansion", find_expansion)
