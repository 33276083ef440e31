"""What a hunt looks at: signs that something is wrong with a run, whatever it may be.

It counts for itself, by what it sent, was answered and read, and by the logs as they are in the end. So a checker that
sees nothing does not go unnoticed either.
"""

from __future__ import annotations

from typing import Any

from eventlog.check import BROKEN, EXCUSED, Verdict, judge
from eventlog.check.history import Forgot, LogStartMoved, Refused, TailLost, Truncated
from eventlog.clients import Producer
from eventlog.log.producer_state import ACCEPTED
from eventlog.messages import Envelope
from eventlog.messages.broker_api import ProduceRequest
from eventlog.sim.world import START_MS
from eventlog.values import TopicPartition, chance

from .hunted_runs import CALM, LONG_MS, PARTITIONS, PLAIN, TOPIC, Hunted, recover

Sign = tuple[str, str]
"""What gave it away, and in words."""


def find_sign(hunted: Hunted, seed: int) -> Sign | None:
    """The first thing that is wrong with a run, or None. Raises InvariantViolation when the last look breaks a promise."""
    cluster = hunted.cluster
    verdict = judge(cluster.history(healed=True))
    if not verdict.held:
        broken = verdict.of(BROKEN)
        return (broken[0].promise, verdict.report() + "\n" + cluster.literal)
    sign = (
        find_miscount(hunted, verdict)
        or find_failure(hunted, verdict)
        or find_unrest(hunted)
        or find_loss(hunted, verdict)
        or find_unread(hunted)
        or find_taken_again(hunted)
        or find_forgotten(hunted)
        or find_standstill(hunted, seed)
        or find_remembered(hunted)
    )
    return None if sign is None else (sign[0], sign[1] + "\n" + cluster.literal)


def find_miscount(hunted: Hunted, verdict: Verdict) -> Sign | None:
    """The checker says other numbers than one finds by counting."""
    counts = verdict.counts
    for what, own, said in (
        ("copies", count_copies(hunted), counts.duplicated),
        ("records out of order", count_late(hunted), counts.out_of_order),
        ("records lost", count_lost(hunted), counts.lost),
        ("dirty reads", count_dirty_reads(hunted), verdict.promise("H6").places),
    ):
        if own != said:
            return (f"count: {what}", f"{own} {what}, the checker says {said}")
    refusals = count_false_refusals(hunted)
    if refusals and not verdict.promise("H14").places:
        return ("count: false refusals", f"{refusals} batches were refused that were there, the checker knows of none")
    return None


def count_copies(hunted: Hunted) -> int:
    """Records of the committed log that stand there before."""
    written = [each.record.send_number for each in hunted.cluster.records(TOPIC)]
    return len(written) - len(set(written))


def count_late(hunted: Hunted) -> int:
    """Records of the committed log behind a later one of their producer."""
    producers = {delivery.number: name for name, delivery in hunted.sends}
    late = 0
    for partition in range(PARTITIONS):
        highest: dict[str, int] = {}
        for each in hunted.cluster.records(TOPIC, partition):
            number = each.record.send_number
            producer = producers[number]
            late += number < highest.get(producer, -1)
            highest[producer] = max(number, highest.get(producer, -1))
    return late


def count_lost(hunted: Hunted) -> int:
    """Acknowledged records that are nowhere in the committed log, nor deleted from its beginning."""
    cluster = hunted.cluster
    written = {each.record.send_number for each in cluster.records(TOPIC)}
    starts = log_starts(hunted)
    return sum(
        delivery.done
        and delivery.error is None
        and delivery.number not in written
        and not 0 <= delivery.offset < starts[delivery.partition]
        for _, delivery in hunted.sends
    )


def count_dirty_reads(hunted: Hunted) -> int:
    """What a reader got that is not in the committed log, at that offset and of that leader epoch."""
    starts = log_starts(hunted)
    written = {
        (each.topic_partition.partition, each.offset, each.leader_epoch, each.record.send_number)
        for each in hunted.cluster.records(TOPIC)
    }
    return sum(read not in written and read[1] >= starts[read[0]] for reads in hunted.reads.values() for read in reads)


def count_false_refusals(hunted: Hunted) -> int:
    """Batches that a leader refused though they are in the committed log, and were in its own, among the five newest of
    their producer."""
    rows = hunted.cluster.recorder.history.rows
    cut = [(row.broker, row.partition) for row in rows if isinstance(row, Truncated | TailLost)]
    count = 0
    for row in rows:
        if not isinstance(row, Refused):
            continue
        log = leader_log(hunted, row.partition)
        if (row.broker, row.partition) in cut:
            continue
        mine = [
            batch
            for batch in log.read(0, min(row.log_end_offset, log.high_watermark), 2**62)
            if batch.producer_id == row.producer_id
        ]
        count += any(
            (each.producer_epoch, each.base_sequence, each.record_count)
            == (row.producer_epoch, row.base_sequence, row.record_count)
            for each in mine[-5:]
        )
    return count


def leader_log(hunted: Hunted, partition: int) -> Any:
    """The log of the partition's leader."""
    leader = hunted.cluster._world.find_broker(hunted.cluster.leader(TOPIC, partition))
    assert leader is not None
    return leader.replicas[TopicPartition(TOPIC, partition)].log


def log_starts(hunted: Hunted) -> list[int]:
    """Where the partitions begin."""
    return [leader_log(hunted, partition).log_start_offset for partition in range(PARTITIONS)]


def find_failure(hunted: Hunted, verdict: Verdict) -> Sign | None:
    """A send that failed or has no end, though every fault was over long before its time was.

    One failure is Kafka's own: the first batch of a producer was refused and a later one accepted as its first.
    """
    failed = 0 if verdict.promise("H4").excused else verdict.counts.failed
    bad = verdict.counts.unresolved + failed
    return ("failed sends", f"{bad} sends were not acknowledged") if bad else None


def find_unrest(hunted: Hunted) -> Sign | None:
    """Where nothing goes wrong nothing is refused, tried again or begun anew."""
    if hunted.kind != CALM:
        return None
    cluster = hunted.cluster
    refused = [row for row in cluster.recorder.history.rows if isinstance(row, Refused)]
    for name, client in cluster._clients.items():
        if isinstance(client, Producer) and (client.retries or client.epoch_bumps or refused):
            return ("unrest", f"{name}: {client.retries} retries, {client.epoch_bumps} new epochs; {refused}")
    return None


def find_loss(hunted: Hunted, verdict: Verdict) -> Sign | None:
    """Two replicas had what was acknowledged, and no more than one disk lost anything: nothing may be missing."""
    if hunted.kind == PLAIN:
        return None
    for promise in ("H5", "H6", "H7", "A1", "A3"):
        result = verdict.promise(promise)
        if result.status == EXCUSED:
            return ("loss by one disk", f"{promise} is excused in {result.excused} places: {result.why}")
    return None


def find_unread(hunted: Hunted) -> Sign | None:
    """A reader that polled until nothing came has not seen the whole log."""
    starts = log_starts(hunted)
    for row in hunted.cluster.recorder.history.rows:
        if isinstance(row, LogStartMoved):  # a crash soon after brings back what was deleted
            starts[row.partition] = max(starts[row.partition], row.to_offset)
    for name, reads in hunted.reads.items():
        seen = {(partition, offset, number) for partition, offset, _, number in reads}
        for each in hunted.cluster.records(TOPIC):
            partition = each.topic_partition.partition
            if each.offset >= starts[partition] and (partition, each.offset, each.record.send_number) not in seen:
                return ("unread records", f"{name} never got record {each.record.send_number} at {each.offset}")
    return None


def find_taken_again(hunted: Hunted) -> Sign | None:
    """When every send has its acknowledgement, a leader that gets an old request again must not write it."""
    spoiled = [row for row in hunted.cluster.recorder.history.rows if isinstance(row, Forgot) and row.why == "snapshot"]
    if hunted.kind == PLAIN or spoiled:
        return None
    for _, _, what in hunted.cluster.recorder.events:
        if isinstance(what, Envelope) and isinstance(what.message, ProduceRequest):
            for wanted in what.message.partitions:
                log = leader_log(hunted, wanted.topic_partition.partition)
                if log.producer_state.judge(wanted.batch) == ACCEPTED:
                    return ("taken again", f"{wanted.batch} of {wanted.topic_partition}")
    return None


def find_forgotten(hunted: Hunted) -> Sign | None:
    """A producer was forgotten for its age before the run was that old."""
    for row in hunted.cluster.recorder.history.rows:
        if isinstance(row, Forgot) and row.why == "expired" and row.at_ms - START_MS < hunted.expiry_ms:
            return ("expired too early", f"after {row.at_ms - START_MS} ms: {row}")
    return None


def find_standstill(hunted: Hunted, seed: int) -> Sign | None:
    """With one of three brokers down, or alive but fetching nothing, a send must get its acknowledgement all the same."""
    cluster = hunted.cluster
    luck = chance(seed, "standstill")
    broker_id = 1 + luck % 3
    if luck >> 8 & 1:
        cluster.crash(broker_id)
    else:
        cluster._world.stick(f"broker-{broker_id}")
    producer = next(iter(cluster._clients.values()))
    deliveries = [producer.send(TOPIC, b"probe", partition=partition) for partition in range(PARTITIONS)]
    cluster.advance(6_000)
    late = [delivery for delivery in deliveries if not delivery.done or delivery.error is not None]
    if late:
        return ("standstill", f"without broker {broker_id}: {late}")
    recover(cluster)
    # A high watermark that a follower has not heard of while nothing is written keeps nobody from anything.
    left = [text for text in cluster._world.find_unrecovered() if "committed is" not in text]
    return ("not whole", "; ".join(left)) if left else None


def find_remembered(hunted: Hunted) -> Sign | None:
    """Producers are remembered though they were idle for longer than they may be."""
    if hunted.expiry_ms == LONG_MS:
        return None
    cluster = hunted.cluster
    cluster.advance(hunted.expiry_ms + 3_000)
    for broker in cluster._world.brokers():
        for topic_partition, replica in broker.replicas.items():
            if len(replica.log.producer_state):
                return ("never expired", f"{broker.name} {topic_partition}")
    return None
