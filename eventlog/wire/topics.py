"""Topics by name and by id: newer versions of several APIs name topics by their ids alone."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from eventlog.messages.metadata_image import MetadataImage
from eventlog.wire.primitives import NO_UUID, Reader, Writer

INTERNAL: Final = ("__consumer_offsets", "__transaction_state", "__share_group_state")
_LONGEST_NAME: Final = 249
_IN_NAMES: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def uuid_of(topic_id: str) -> bytes:
    """The 16 bytes of a topic id; zeros for none."""
    return bytes.fromhex(topic_id.zfill(32)) if topic_id else NO_UUID


def bytes_of(uuid: UUID | None) -> bytes:
    """As kio has it, where zeros are None."""
    return NO_UUID if uuid is None else uuid.bytes


def find_topic(image: MetadataImage, uuid: bytes) -> str | None:
    """The name of the topic with this id. O(topics)."""
    for topic, record in image.topics.items():
        if uuid_of(record.topic_id) == uuid:
            return topic
    return None


def topic_of(image: MetadataImage, uuid: bytes) -> str:
    """The topic's name. An unknown id stands in for a name that no topic can have. O(topics)."""
    topic = find_topic(image, uuid)
    return f"id:{uuid.hex()}" if topic is None else topic


def is_unknown_id(topic: str) -> bool:
    return topic.startswith("id:")


def id_of_topic(image: MetadataImage, topic: str) -> bytes:
    """The 16 bytes, also of an unknown id; zeros for a name that no topic has."""
    if is_unknown_id(topic):
        return bytes.fromhex(topic.removeprefix("id:"))
    record = image.topics.get(topic)
    return NO_UUID if record is None else uuid_of(record.topic_id)


def read_topic(body: Reader, image: MetadataImage, is_by_id: bool) -> str:
    """The topic's name, as `topic_of` has it."""
    return topic_of(image, body.uuid()) if is_by_id else body.string()


def write_topic(writer: Writer, image: MetadataImage, topic: str, is_by_id: bool) -> None:
    """As `read_topic` read it."""
    if is_by_id:
        writer.raw(id_of_topic(image, topic))
    else:
        writer.string(topic)


def is_legal_name(topic: str) -> bool:
    """May a topic be called so? (Kafka's `Topic.validate`.)"""
    return 0 < len(topic) <= _LONGEST_NAME and topic not in (".", "..") and not topic.strip(_IN_NAMES)
