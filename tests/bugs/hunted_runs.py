"""The runs of a hunt: four for each seed, of a few dozen sends each, with faults all along.

| run | who writes | what strikes | what it may cost |
|---|---|---|---|
| `calm` | two idempotent producers, acks=all | nothing | not even a retry |
| `hardy` | the same | everything that leaves disks alone, many crashes among it | nothing |
| `frail` | the same | the same but crashes; once, one broker loses the end of its log, or its disk | nothing: two had it |
| `plain` | one producer, plain, acks=1 | also unclean elections and lost tails, more than once | copies, order, records |

Two readers, one of each isolation level, read along, and to the end when all is healed. Settings go by the seed alone:
sequences near the wrap, small segments, one batch or five in a snapshot, batches of one record or of several, producers
that expire soon, deleted records, spoiled snapshots, eligible leader replicas.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog import Cluster, InvariantViolation
from eventlog.client import ProducerEngine
from eventlog.clients import Consumer, Delivery
from eventlog.sim.faults import FaultPlan, FaultRate
from eventlog.values import FAULTS, MAX_SEQUENCE, chance

CALM, HARDY, FRAIL, PLAIN = "calm", "hardy", "frail", "plain"
TOPIC = "events"
PARTITIONS = 2
SENDS = 48
LONG_MS = 86_400_000
EXPIRY_MS = 200_000  # longer than any run: nobody may be forgotten in it, and everybody after it
DELIVERY_MS = 60_000
RECOVERY_MS = 80_000
MOST_EVENTS = 15_000
REMEMBERED = 5

# Per million, and at most so often: about one fault to every six sends, with elections and crashes near lost answers.
_MESSAGES = {
    "request_lost": FaultRate(20_000, 3),
    "reply_lost": FaultRate(60_000, 6),
    "delay": FaultRate(30_000, 6),
    "disconnect": FaultRate(30_000, 5),
    "cut": FaultRate(15_000, 2),
    "cut_one_way": FaultRate(15_000, 3),
    "clog": FaultRate(15_000, 2),
    "client_timeout": FaultRate(20_000, 3),
    "append_fails": FaultRate(60_000, 8),
    "error_after_append": FaultRate(20_000, 3),
    "request_duplicated": FaultRate(60_000, 10),
    "reply_duplicated": FaultRate(80_000, 8),
}
_LEADERS = {
    "isolate": FaultRate(25_000, 3),
    "pause": FaultRate(10_000, 1),
    "election": FaultRate(40_000, 8),
    "slow_follower": FaultRate(15_000, 3),
    "stuck_fetcher": FaultRate(10_000, 2),
    "isr_shrink": FaultRate(60_000, 6),
    "isr_expand": FaultRate(30_000, 4),
    "metadata_delay": FaultRate(10_000, 2),
    "clean_restart": FaultRate(10_000, 2),
}
_DEATHS = {"crash": FaultRate(25_000, 4), "power_cut": FaultRate(5_000, 1)}
_LOSSES = {
    "crash_losing_tail": FaultRate(90_000, 8),
    "unclean_election": FaultRate(60_000, 4),
    "stuck_fetcher": FaultRate(40_000, 4),
}
_SPOILED = {name: FaultRate(60_000, 3) for name in ("snapshot_lost", "snapshot_old", "snapshot_corrupt")}
_DELETED = {"log_start_moved": FaultRate(50_000, 3)}


def kinds_of(seed: int) -> tuple[str, ...]:
    """The calm one only while its settings are other ones."""
    return (CALM, HARDY, FRAIL, PLAIN) if seed < 4 else (HARDY, FRAIL, PLAIN)


def fault_plan_of(seed: int, kind: str) -> FaultPlan:
    """What may strike this run."""
    rates = {**_MESSAGES, **_LEADERS} if kind != CALM else {}
    if kind == FRAIL:
        rates |= {("crash_losing_tail", "crash_wiped")[seed % 2]: FaultRate(30_000, 1)}
    elif kind == PLAIN:
        rates |= {**_DEATHS, **_LOSSES}
    elif kind == HARDY:
        rates |= _DEATHS
        rates |= _SPOILED if seed % 4 == 3 else {}
    if kind == HARDY and seed % 4 == 2:
        rates |= _DELETED
    return FaultPlan(tuple([(name, rates[name]) for name in FAULTS if name in rates]))


class Hunted(NamedTuple):
    """One run at its end: the cluster, what was sent by whom, and what each reader got."""

    kind: str
    cluster: Cluster
    sends: list[tuple[str, Delivery]]
    reads: dict[str, list[tuple[int, int, int, int]]]
    """(partition, offset, leader epoch, send number) of all that a reader got, in its order."""
    expiry_ms: int


def run(seed: int, kind: str) -> Hunted:
    """One run, written, healed and read to its end. Raises InvariantViolation when a promise breaks on the way."""
    expiry_ms = EXPIRY_MS if seed % 5 == 3 and kind != PLAIN else LONG_MS
    has_spoiled = kind == HARDY and seed % 4 == 3  # a snapshot is only read where something was flushed
    cluster = Cluster(
        3,
        seed,
        faults=fault_plan_of(seed, kind),
        checks="cheap" if seed % 4 == 1 or kind == CALM else "full",
        min_insync_replicas=1 if kind == PLAIN else 2,
        broker_session_timeout_ms=1_500,
        replica_lag_time_max_ms=300,
        replica_fetch_backoff_ms=100,
        replica_fetch_max_bytes=200 if seed % 4 == 0 else 1_000_000,
        producer_snapshot_batches=1 if seed % 4 in (0, 3) else 5,
        log_flush_interval_ms=400 if has_spoiled else 10_000,
        replica_high_watermark_checkpoint_interval_ms=300 if has_spoiled else 5_000,
        log_segment_bytes=400 if seed % 3 else 1_000_000,
        producer_id_expiration_ms=expiry_ms,
        producer_id_expiration_check_interval_ms=1_000,
        eligible_leader_replicas_enable=kind == FRAIL or seed % 4 < 2,
    )
    several = seed % 4 >= 2
    names = ("plain",) if kind == PLAIN else ("left", "right")
    producers = [
        cluster.producer(
            name,
            enable_idempotence=kind != PLAIN,
            acks=1 if kind == PLAIN else -1,
            linger_ms=3 if several else 0,
            batch_size=300 if several else 0,
            request_timeout_ms=400,
            delivery_timeout_ms=DELIVERY_MS,
            retry_backoff_ms=50,
            initial_sequence=MAX_SEQUENCE - 4 if seed % 2 else 0,
        )
        for name in names
    ]
    cluster.create_topic(TOPIC, PARTITIONS)
    where = [(TOPIC, partition) for partition in range(PARTITIONS)]
    readers = [
        cluster.consumer(*where, name=level, isolation_level=level, request_timeout_ms=400, retry_backoff_ms=50)
        for level in ("read_uncommitted", "read_committed")
    ]
    hunted = Hunted(kind, cluster, [], {reader.name: [] for reader in readers}, expiry_ms)
    for number in range(SENDS):
        luck = chance(seed, f"send {number}")
        producer = producers[luck % len(producers)]
        delivery = producer.send(TOPIC, b"%d" % number, partition=(luck >> 8) % PARTITIONS)
        hunted.sends.append((producer.name, delivery))
        if (luck >> 16) % (4 if seed % 2 else 7) == 0:
            _watch(cluster, kind, 1 + (luck >> 24) % 2_400)
            _read(hunted, readers[luck >> 40 & 1], 20)
        elif kind == PLAIN and seed % 2:
            _read(hunted, readers[luck >> 40 & 1], 20)
    recover(cluster)
    for reader in readers:
        while _read(hunted, reader, 3_000):
            pass
    return hunted


def recover(cluster: Cluster) -> None:
    """Heal everything and wait until all is well, or nothing happens any more, or far too much does."""
    world = cluster._world
    until_ms, before_ms = world.now_ms + RECOVERY_MS, -1
    most = world.event_number + MOST_EVENTS
    while before_ms < world.now_ms < until_ms:
        before_ms = world.now_ms
        cluster.recover(1_000)
        if cluster._has_recovered():
            return
        if world.event_number > most:
            raise InvariantViolation(f"{MOST_EVENTS} events and no rest\n{cluster.literal}", "restless")


def _watch(cluster: Cluster, kind: str, by_ms: int) -> None:
    """Let time pass; whenever the in-sync replicas are other ones, all that run must have what is committed. And
    never are more requests in flight than a broker remembers batches."""
    world, invariants = cluster._world, cluster._world.invariants
    assert invariants is not None
    until_ms = world.now_ms + by_ms
    known = 0
    producers = [machine for machine in world.machines.values() if isinstance(machine, ProducerEngine)]
    while world.step(until_ms):
        for link in [link for producer in producers for link in producer.links.values()]:
            if len(link.in_flight) > REMEMBERED:
                raise InvariantViolation(f"{link.client} has {len(link.in_flight)} requests in flight", "in flight")
        if kind == PLAIN or known == len(world.controller.log):
            continue
        known = len(world.controller.log)
        for topic_partition, partition in world.controller.image.partitions.items():
            committed = invariants.committed.get(topic_partition)
            if committed is None or topic_partition in invariants.losses:
                continue
            for broker_id in partition.in_sync_replicas:
                broker = world.find_broker(broker_id)
                replica = None if broker is None else broker.replicas.get(topic_partition)
                if replica is not None and replica.log.log_end_offset < committed.end_offset:
                    end_offset = replica.log.log_end_offset
                    raise InvariantViolation(
                        f"{topic_partition}: broker {broker_id} is in sync and ends at {end_offset}, committed is what "
                        f"lies below {committed.end_offset}\n{cluster.literal}",
                        "in sync",
                    )
    cluster.advance(until_ms - world.now_ms)


def _read(hunted: Hunted, reader: Consumer, timeout_ms: int) -> int:
    """One poll: how many records it brought."""
    records = reader.poll(timeout_ms)
    hunted.reads[reader.name] += [
        (each.topic_partition.partition, each.offset, each.leader_epoch, each.record.send_number) for each in records
    ]
    return len(records)
