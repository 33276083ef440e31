"""What kio read from a broker's answer, as the project's own reply."""

from __future__ import annotations

from typing import Any

from wire_stage import FETCH, LIST_OFFSETS, PRODUCE

from eventlog.codec import read_batches
from eventlog.errors import ErrorCode
from eventlog.messages.broker_api import (
    FetchPartitionReply,
    InitProducerIdReply,
    ListOffsetsPartitionReply,
    ListOffsetsReply,
    ProducePartitionReply,
    ProduceReply,
)
from eventlog.messages.controller_api import TopicRecord
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import TopicPartition
from eventlog.wire import fetch


class Image(MetadataImage):
    """Knows every topic id: each is the name of its topic."""

    def topic_of(self, uuid: Any) -> str:
        name = uuid.hex if uuid is not None else "0"
        self.topics[name] = TopicRecord(name, name, ())
        return name


def reply_of(entity: Any, key: int, image: Image) -> Any:
    """The reply in our words that these recorded fields stand for."""

    def at(topic: Any, attribute: str, index: int) -> TopicPartition:
        known = getattr(topic, attribute) if hasattr(topic, attribute) else image.topic_of(topic.topic_id)
        return TopicPartition(known, index)

    if key == PRODUCE:
        return ProduceReply(
            tuple(
                [
                    ProducePartitionReply(
                        at(topic, "name", each.index),
                        ErrorCode(each.error_code),
                        each.base_offset,
                        -1 if each.log_append_time is None else round(each.log_append_time.timestamp() * 1000),
                        getattr(each, "log_start_offset", -1),
                        error_message=getattr(each, "error_message", None) or "",
                        record_errors=tuple([record.batch_index for record in getattr(each, "record_errors", ())]),
                    )
                    for topic in entity.responses
                    for each in topic.partition_responses
                ]
            )
        )
    if key == FETCH:
        return fetch.Answer(
            getattr(entity, "error_code", 0),
            tuple(
                [
                    FetchPartitionReply(
                        at(topic, "topic", each.partition_index),
                        ErrorCode(each.error_code),
                        each.high_watermark,
                        each.last_stable_offset,
                        getattr(each, "log_start_offset", -1),
                        tuple(read_batches(each.records or b"")[0]),
                        aborted=None
                        if each.aborted_transactions is None
                        else tuple([(one.producer_id, one.first_offset) for one in each.aborted_transactions]),
                    )
                    for topic in entity.responses
                    for each in topic.partitions
                ]
            ),
        )
    if key == LIST_OFFSETS:
        return ListOffsetsReply(
            tuple(
                [
                    ListOffsetsPartitionReply(
                        TopicPartition(topic.name, each.partition_index),
                        ErrorCode(each.error_code),
                        each.timestamp,
                        each.offset,
                        getattr(each, "leader_epoch", -1),
                    )
                    for topic in entity.topics
                    for each in topic.partitions
                ]
            )
        )
    return InitProducerIdReply(ErrorCode(entity.error_code), entity.producer_id, entity.producer_epoch)
