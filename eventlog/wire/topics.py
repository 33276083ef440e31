"""Topics by name and by id: newer versions of several APIs name topics by their ids alone."""

from __future__ import annotations

from typing import Final

from eventlog.messages.metadata_image import MetadataImage
from eventlog.wire.primitives import NO_UUID, Reader, Writer

INTERNAL: Final = ("__consumer_offsets", "__transaction_state", "__share_group_state")
_LONGEST_NAME: Final = 249
_IN_NAMES: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"


def uuid_of(topic_id: str) -> bytes:
    """The 16 bytes of a topic id; zeros for none."""
    return bytes.fromhex(topic_id.zfill(32)) if topic_id else NO_UUID


def find_topic(image: MetadataImage, uuid: bytes) -> str | None:
    """The name of the topic with this id. O(topics)."""
    for topic, record in image.topics.items():
        if uuid_of(record.topic_id) == uuid:
            return topic
    return None


def read_topic(body: Reader, image: MetadataImage, is_by_id: bool) -> str:
    """The topic's name. An unknown id stands in for a name that no topic can have, and is written as it came."""
    if not is_by_id:
        return body.string()
    uuid = body.uuid()
    topic = find_topic(image, uuid)
    return f"id:{uuid.hex()}" if topic is None else topic


def is_unknown_id(topic: str) -> bool:
    return topic.startswith("id:")


def write_topic(writer: Writer, image: MetadataImage, topic: str, is_by_id: bool) -> None:
    """As `read_topic` read it."""
    if not is_by_id:
        writer.string(topic)
    elif is_unknown_id(topic):
        writer.raw(bytes.fromhex(topic.removeprefix("id:")))
    else:
        record = image.topics.get(topic)
        writer.raw(NO_UUID if record is None else uuid_of(record.topic_id))


def is_legal_name(topic: str) -> bool:
    """May a topic be called so? (Kafka's `Topic.validate`.)"""
    return 0 < len(topic) <= _LONGEST_NAME and topic not in (".", "..") and not topic.strip(_IN_NAMES)
