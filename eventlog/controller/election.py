"""Who leads: the rules, as functions from a partition's registration to its next one.

Source: Kafka's `ReplicationControlManager` and `PartitionChangeBuilder`, without eligible leader replicas.
"""

from __future__ import annotations

from eventlog.messages.controller_api import NO_LEADER, PartitionRecord
from eventlog.messages.metadata_image import MetadataImage


def elect(partition: PartitionRecord, leader_id: int) -> PartitionRecord:
    """`leader_id` leads from now on (NO_LEADER: nobody does). Both epochs rise, also for a re-election."""
    return partition._replace(
        leader_id=leader_id,
        leader_epoch=partition.leader_epoch + 1,
        partition_epoch=partition.partition_epoch + 1,
    )


def _next_leader(partition: PartitionRecord, image: MetadataImage, but: int = -1) -> int:
    """The first of the assignment that is in sync and alive; NO_LEADER when there is none."""
    for broker_id in partition.replicas:
        if broker_id != but and broker_id in partition.in_sync_replicas and image.is_alive(broker_id):
            return broker_id
    return NO_LEADER


def _unclean(partition: PartitionRecord, image: MetadataImage, but: int = -1) -> PartitionRecord | None:
    for broker_id in partition.replicas:
        if broker_id != but and image.is_alive(broker_id):
            return elect(partition._replace(in_sync_replicas=(broker_id,)), broker_id)
    return None


def after_fencing(
    partition: PartitionRecord, broker_id: int, image: MetadataImage, unclean_allowed: bool
) -> PartitionRecord | None:
    """The registration once `broker_id` no longer counts; None when it doesn't concern the partition.

    The last member of the in-sync replicas stays in them: it alone has everything, so its return is waited for.
    """
    if broker_id not in partition.in_sync_replicas and broker_id != partition.leader_id:
        return None
    remaining = tuple(member for member in partition.in_sync_replicas if member != broker_id)
    changed = partition._replace(in_sync_replicas=remaining or partition.in_sync_replicas)
    if partition.leader_id != broker_id:
        if changed == partition:
            return None
        return changed._replace(partition_epoch=partition.partition_epoch + 1)
    leader_id = _next_leader(changed, image, but=broker_id)
    if leader_id == NO_LEADER and unclean_allowed:
        forced = _unclean(changed, image, but=broker_id)
        if forced is not None:
            return forced
    return elect(changed, leader_id)


def after_unfencing(
    partition: PartitionRecord, broker_id: int, image: MetadataImage, unclean_allowed: bool
) -> PartitionRecord | None:
    """The registration once `broker_id` counts again: it leads where nobody does and it is in sync."""
    if partition.leader_id != NO_LEADER or broker_id not in partition.replicas:
        return None
    if broker_id in partition.in_sync_replicas:
        return elect(partition, broker_id)
    if unclean_allowed:
        return elect(partition._replace(in_sync_replicas=(broker_id,)), broker_id)
    return None
