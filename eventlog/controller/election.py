"""Who leads, who is in sync and who is eligible: rules as functions from a partition's registration to its next one.

Source: Kafka's `PartitionChangeBuilder` and `ReplicationControlManager` (4.3), KIP-966.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.messages.controller_api import NO_LEADER, PartitionRecord, TopicRecord
from eventlog.values import BrokerSettings, log_settings


class Rules(NamedTuple):
    """What a topic's settings say about its leaders. `keeps_eligible`: eligible leader replicas are on."""

    min_insync_replicas: int
    is_unclean_allowed: bool
    keeps_eligible: bool


def rules_of(settings: BrokerSettings, topic: TopicRecord) -> Rules:
    """The topic's own settings over the cluster's."""
    resolved = log_settings(settings, topic.settings)
    return Rules(
        resolved.min_insync_replicas,
        resolved.unclean_leader_election_enable,
        settings.eligible_leader_replicas_enable,
    )


def elect(partition: PartitionRecord, leader_id: int) -> PartitionRecord:
    """`leader_id` leads from now on (NO_LEADER: nobody does). Both epochs rise, also for a re-election."""
    return partition._replace(
        leader_id=leader_id,
        leader_epoch=partition.leader_epoch + 1,
        partition_epoch=partition.partition_epoch + 1,
    )


def reconsider(
    partition: PartitionRecord,
    in_sync_replicas: tuple[int, ...],
    alive: tuple[int, ...],
    rules: Rules,
    struck_off: int = -1,
) -> PartitionRecord | None:
    """The registration once `in_sync_replicas` are wanted and `alive` brokers may lead; None when it stays as it is.

    `struck_off` is a broker that can't vouch for its log: it doesn't become eligible and is so no longer.
    """
    changed = partition._replace(
        in_sync_replicas=in_sync_replicas, eligible_leader_replicas=(), last_known_leader=NO_LEADER
    )
    if rules.keeps_eligible:
        changed = changed._replace(
            eligible_leader_replicas=_eligible(partition, in_sync_replicas, rules, struck_off),
            last_known_leader=partition.last_known_leader,
        )
    elif not in_sync_replicas:
        # It alone has everything, so its return is waited for.
        changed = changed._replace(in_sync_replicas=partition.in_sync_replicas)
    leader_id = _next_leader(changed, alive)
    if leader_id == NO_LEADER:
        leader_id = _last_resort(changed, alive, rules)
        if leader_id != NO_LEADER:
            changed = changed._replace(in_sync_replicas=(leader_id,), eligible_leader_replicas=())
    elif leader_id not in changed.in_sync_replicas:
        others = tuple([member for member in changed.eligible_leader_replicas if member != leader_id])
        changed = changed._replace(in_sync_replicas=(leader_id,), eligible_leader_replicas=others)
    if leader_id != NO_LEADER:
        changed = changed._replace(last_known_leader=NO_LEADER)
    elif not changed.in_sync_replicas and partition.leader_id != NO_LEADER:
        changed = changed._replace(last_known_leader=partition.leader_id)
    if leader_id != partition.leader_id:
        return elect(changed, leader_id)
    return None if changed == partition else changed._replace(partition_epoch=partition.partition_epoch + 1)


def _eligible(
    partition: PartitionRecord, in_sync_replicas: tuple[int, ...], rules: Rules, struck_off: int
) -> tuple[int, ...]:
    """Nobody while enough are in sync; else whoever was in sync or eligible, and isn't in sync now."""
    if len(in_sync_replicas) >= rules.min_insync_replicas:
        return ()
    known = partition.in_sync_replicas + partition.eligible_leader_replicas
    return tuple(
        [
            member
            for member in partition.replicas
            if member in known and member not in in_sync_replicas and member != struck_off
        ]
    )


def _next_leader(partition: PartitionRecord, alive: tuple[int, ...]) -> int:
    """The present leader if it may stay, else the first of the assignment that may lead without loss; else NO_LEADER."""
    may_lead = partition.in_sync_replicas or partition.eligible_leader_replicas
    for broker_id in (partition.leader_id, *partition.replicas):
        if broker_id in may_lead and broker_id in alive:
            return broker_id
    return NO_LEADER


def _last_resort(partition: PartitionRecord, alive: tuple[int, ...], rules: Rules) -> int:
    """Who leads though it may lack what was committed; NO_LEADER when nobody shall."""
    if (
        not partition.in_sync_replicas
        and not partition.eligible_leader_replicas
        and partition.last_known_leader in alive
    ):
        return partition.last_known_leader
    if rules.is_unclean_allowed:
        for broker_id in partition.replicas:
            if broker_id in alive:
                return broker_id
    return NO_LEADER


def without_eligible(partition: PartitionRecord) -> PartitionRecord:
    """The registration when `min_insync_replicas` is another: what was eligible by the old number may not be any more."""
    if not partition.eligible_leader_replicas and partition.last_known_leader == NO_LEADER:
        return partition
    return partition._replace(
        eligible_leader_replicas=(),
        last_known_leader=NO_LEADER,
        partition_epoch=partition.partition_epoch + 1,
    )
