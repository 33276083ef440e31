"""What still waits for what, once every fault is over: the liveness side of H13, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlog.client import ProducerEngine
from eventlog.messages import broker_name
from eventlog.messages.controller_api import NO_LEADER, PartitionRecord

if TYPE_CHECKING:
    from eventlog.sim.state import WorldState


def find_unrecovered(world: WorldState) -> list[str]:
    """One sentence for each thing that keeps the world from being whole; none when it is.

    Whole: no fault is on, every broker runs, every send has its end, every replica is in sync, and all copies of a
    partition end at the same offset and have it committed. O(machines + replicas).
    """
    found = [*_faults(world), *_sends(world)]
    for partition in world.controller.image.partitions.values():
        found += _partition(world, partition)
    return found


def _faults(world: WorldState) -> list[str]:
    found = [f"{name} is down" for name, machine in world.machines.items() if machine is None]
    found += [f"{name} stands still; {len(held)} envelopes wait for it" for name, held in world.paused.items()]
    found += [f"{name} is coming to its orderly end" for name in world.stopping]
    found += [
        f"nothing passes from {source} to {destination}; {len(world.links.held[(source, destination)])} envelopes wait"
        for source, destination in world.links.cuts
    ]
    found += [f"{name} fetches late" for name in world.slow]
    found += [f"{name} does not fetch" for name in world.stuck]
    return found


def _sends(world: WorldState) -> list[str]:
    found = []
    for machine in world.machines.values():
        if not isinstance(machine, ProducerEngine):
            continue
        waits = ", ".join([f"{name} in {at_ms - world.now_ms} ms" for name, at_ms in machine.deadlines().items()])
        found += [
            f"{machine.name} has {len(topic.waiting)} records for {topic.topic}, of which it knows no partition; "
            f"its timers: {waits or 'none'}"
            for topic in machine._topics.values()
            if topic.waiting
        ]
        for queue in machine.queues():
            pending = {id(batch): batch for batch in (*queue.in_flight, *queue.queue, queue.open) if batch is not None}
            if pending:
                count = sum(len(batch.records) for batch in pending.values())
                found.append(
                    f"{machine.name} has {count} records for {queue.topic_partition} without an end "
                    f"({len(queue.in_flight)} batches in flight); its timers: {waits or 'none'}"
                )
    return found


def _partition(world: WorldState, partition: PartitionRecord) -> list[str]:
    name = partition.topic_partition
    if partition.leader_id == NO_LEADER:
        waited_for = (*partition.in_sync_replicas, *partition.eligible_leader_replicas)
        members = ", ".join(map(broker_name, waited_for)) or "nobody that may lead"
        return [f"{name} has no leader; it waits for {members}"]
    found = []
    out = [broker_name(member) for member in partition.replicas if member not in partition.in_sync_replicas]
    if out:
        found.append(f"{name}: {', '.join(out)} not in sync with {broker_name(partition.leader_id)}")
    ends: dict[str, tuple[int, int, int]] = {}
    for member in partition.replicas:
        broker = world.find_broker(member)
        replica = None if broker is None else broker.replicas.get(name)
        if replica is None:
            found.append(f"{name}: {broker_name(member)} has not opened its replica")
            continue
        log = replica.log
        ends[broker_name(member)] = (log.log_start_offset, log.high_watermark, log.log_end_offset)
        if replica.partition.leader_epoch < partition.leader_epoch:
            found.append(f"{name}: {broker_name(member)} has not heard of leader epoch {partition.leader_epoch}")
    if any(high_watermark != end_offset for _, high_watermark, end_offset in ends.values()) or (
        len({end_offset: None for _, _, end_offset in ends.values()}) > 1
    ):
        said = ", ".join([f"{member} {mark} of {end}" for member, (_, mark, end) in ends.items()])
        found.append(f"{name}: committed is {said}")
    return found
