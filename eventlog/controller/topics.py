"""What an administrator asks about topics: each function looks and returns the records to write and the reply."""

from __future__ import annotations

from eventlog.controller.election import elect, reconsider, rules_of, without_eligible
from eventlog.errors import ErrorCode, RequestError
from eventlog.messages.controller_api import (
    NO_LEADER,
    AlterTopicReply,
    AlterTopicRequest,
    CreatePartitionsReply,
    CreatePartitionsRequest,
    CreateTopicReply,
    CreateTopicRequest,
    DeleteTopicReply,
    DeleteTopicRequest,
    ElectLeaderReply,
    ElectLeaderRequest,
    ElectLeadersReply,
    ElectLeadersRequest,
    MetadataRecord,
    PartitionRecord,
    RemoveTopicRecord,
    TopicRecord,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings, TopicPartition, TopicSettings, with_settings

Records = list[MetadataRecord]
Overrides = tuple[tuple[str, int | str | bool], ...]
NONE = ErrorCode.NONE
MAX_NEW_PARTITIONS = 10_000
"""No request makes more: Kafka's `MAX_PARTITIONS_PER_BATCH`."""


def create_topic(image: MetadataImage, request: CreateTopicRequest, topic_id: str) -> tuple[Records, CreateTopicReply]:
    """A new topic, its partitions spread over the brokers that are alive."""
    topic = request.topic
    alive = image.alive()
    factor = min(3, len(alive)) if request.replication_factor == -1 else request.replication_factor
    if topic in image.topics:
        return [], CreateTopicReply(topic, ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {topic!r} exists already")
    overrides, refusal = _check_overrides(request.settings)
    if refusal:
        return [], CreateTopicReply(topic, ErrorCode.INVALID_CONFIG, refusal)
    if request.partitions < 1:
        message = f"a topic needs 1 partition or more, not {request.partitions}"
        return [], CreateTopicReply(topic, ErrorCode.INVALID_PARTITIONS, message)
    if request.partitions > MAX_NEW_PARTITIONS:
        return [], CreateTopicReply(topic, ErrorCode.POLICY_VIOLATION, too_many(request.partitions))
    if not 1 <= factor <= len(alive):
        message = f"the replication factor must be from 1 to the {len(alive)} brokers that are alive, not {factor}"
        return [], CreateTopicReply(topic, ErrorCode.INVALID_REPLICATION_FACTOR, message)
    records: Records = [TopicRecord(topic, topic_id, overrides)]
    records += _spread(topic, range(request.partitions), factor, alive, image.deleted.get(topic, 0))
    return records, CreateTopicReply(topic, NONE)


def delete_topic(image: MetadataImage, request: DeleteTopicRequest) -> tuple[Records, DeleteTopicReply]:
    """No such topic any more: its partitions go with it, and what is in them."""
    topic = request.topic
    if topic not in image.topics:
        message = f"there is no topic {topic!r}"
        return [], DeleteTopicReply(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    newest = max([partition.leader_epoch for partition in image.partitions_of(topic)])
    return [RemoveTopicRecord(topic, newest + 1)], DeleteTopicReply(topic, NONE)


def create_partitions(image: MetadataImage, request: CreatePartitionsRequest) -> tuple[Records, CreatePartitionsReply]:
    """More partitions of a topic, spread as if the topic had been created with them."""
    topic = request.topic
    if topic not in image.topics:
        message = f"there is no topic {topic!r}; create it first"
        return [], CreatePartitionsReply(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    present = image.partitions_of(topic)
    if request.partitions <= len(present):
        message = f"topic {topic!r} has {len(present)} partitions; more are needed, not {request.partitions}"
        return [], CreatePartitionsReply(topic, ErrorCode.INVALID_PARTITIONS, message)
    if request.partitions - len(present) > MAX_NEW_PARTITIONS:
        message = too_many(request.partitions - len(present))
        return [], CreatePartitionsReply(topic, ErrorCode.POLICY_VIOLATION, message)
    alive = image.alive()
    factor = len(present[0].replicas)
    if factor > len(alive):
        message = f"topic {topic!r} has {factor} replicas of a partition, but only {len(alive)} brokers are alive"
        return [], CreatePartitionsReply(topic, ErrorCode.INVALID_REPLICATION_FACTOR, message)
    new = range(len(present), request.partitions)
    records = _spread(topic, new, factor, alive, image.deleted.get(topic, 0))
    return records, CreatePartitionsReply(topic, NONE)


def too_many(partitions: int) -> str:
    """Why so many new partitions are refused."""
    return f"a request makes at most {MAX_NEW_PARTITIONS} partitions, not {partitions}; ask several times"


def _spread(topic: str, partitions: range, factor: int, alive: tuple[int, ...], leader_epoch: int) -> Records:
    """New partitions, round robin over the brokers."""
    records: Records = []
    for partition in partitions:
        replicas = tuple([alive[(partition + index) % len(alive)] for index in range(factor)])
        records.append(PartitionRecord(TopicPartition(topic, partition), replicas, replicas, replicas[0], leader_epoch, 0))
    return records


def alter_topic(
    image: MetadataImage, settings: BrokerSettings, request: AlterTopicRequest
) -> tuple[Records, AlterTopicReply]:
    """Other overrides for a topic.

    Another `min_insync_replicas` ends all eligibility, which was judged by the old number. Unclean election, once
    allowed, happens at once where nobody leads (Kafka: within `unclean.leader.election.interval.ms`).
    """
    topic = request.topic
    known = image.topics.get(topic)
    if known is None:
        message = f"there is no topic {topic!r}; create it first"
        return [], AlterTopicReply(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
    removed = [_field_name(name) for name, value in request.settings if value is None]
    kept = [(name, value) for name, value in known.settings if name not in removed]
    given = [(name, value) for name, value in request.settings if value is not None]
    overrides, refusal = _check_overrides((*kept, *given))
    if refusal:
        return [], AlterTopicReply(topic, ErrorCode.INVALID_CONFIG, refusal)
    if overrides == known.settings:
        return [], AlterTopicReply(topic, NONE)
    altered = known._replace(settings=overrides)
    records: Records = [altered]
    before, rules = rules_of(settings, known), rules_of(settings, altered)
    for partition in image.partitions_of(topic):
        changed = partition
        if rules.min_insync_replicas != before.min_insync_replicas:
            changed = without_eligible(changed)
        if changed.leader_id == NO_LEADER:
            changed = reconsider(changed, changed.in_sync_replicas, image.alive(), rules) or changed
        if changed != partition:
            records.append(changed)
    return records, AlterTopicReply(topic, NONE)


def _field_name(name: str) -> str:
    return name.replace(".", "_")


def _check_overrides(settings: Overrides) -> tuple[Overrides, str]:
    """The overrides under their names here, each once; and what is wrong with them ("" if nothing)."""
    overrides = {_field_name(name): value for name, value in settings}
    try:
        with_settings(TopicSettings(), overrides)
    except RequestError as error:
        return (), str(error)
    return tuple(overrides.items()), ""


def elect_leader(image: MetadataImage, request: ElectLeaderRequest) -> tuple[Records, ElectLeaderReply]:
    """The named replica leads, if it is in sync and alive."""
    partition = image.partitions.get(request.topic_partition)
    error = NONE
    records: Records = []
    if partition is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif partition.leader_id == request.leader_id:
        error = ErrorCode.ELECTION_NOT_NEEDED
    elif request.leader_id not in partition.in_sync_replicas or not image.is_alive(request.leader_id):
        error = ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
    else:
        records.append(elect(partition, request.leader_id))
    return records, ElectLeaderReply(request.topic_partition, error)


def elect_leaders(
    image: MetadataImage, settings: BrokerSettings, request: ElectLeadersRequest
) -> tuple[Records, ElectLeadersReply]:
    """Kafka's two elections on demand: the preferred leader (the assignment's first), or an unclean one."""
    partition = image.partitions.get(request.topic_partition)
    error = NONE
    records: Records = []
    if partition is None:
        error = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif request.is_unclean:
        rules = rules_of(settings, image.topics[request.topic_partition.topic])._replace(is_unclean_allowed=True)
        if partition.leader_id != NO_LEADER:
            error = ErrorCode.ELECTION_NOT_NEEDED
        else:
            changed = reconsider(partition, partition.in_sync_replicas, image.alive(), rules)
            if changed is None:
                error = ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE
            else:
                records.append(changed)
    else:
        preferred = partition.replicas[0]
        if partition.leader_id == preferred:
            error = ErrorCode.ELECTION_NOT_NEEDED
        elif preferred not in partition.in_sync_replicas or not image.is_alive(preferred):
            error = ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE
        else:
            records.append(elect(partition, preferred))
    return records, ElectLeadersReply(request.topic_partition, error)
