"""A controller that gives the same block of producer ids to every broker that asks: two producers, one memory."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.messages.controller_api import ProducerIdsRecord
from eventlog.messages.metadata_image import MetadataImage
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = MetadataImage.replay

    def replay(image: MetadataImage, record: Any) -> None:
        start = image.next_producer_id
        original(image, record)
        if isinstance(record, ProducerIdsRecord):
            image.next_producer_id = start

    return replaced(MetadataImage, "replay", replay)
