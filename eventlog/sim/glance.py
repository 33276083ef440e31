"""The promises of `invariants` once more, stateless: what one state of a machine, one step of it, or one state of all of
them breaks. The search remembers each answer, so none of this looks at what was before.

| | where |
|---|---|
| H2 H3 | a replica's committed log holds an idempotent writer's record once, behind what was sent before it |
| H5 | what was acknowledged stands in the log of whom the controller calls leader |
| H7 | committed logs agree; a leader's high watermark doesn't go back in its term |
| H8 | one leader to a leader epoch |
| H10 | producer state is the fold of the log (`PartitionLog.check_invariants`, with L1 to L5) |
| H12 | every in-sync replica that runs has the leader's committed log |
| H14 | a refusal is what the log says (see `refold`) |

Each function gives the promise and a sentence, or "".
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any, NamedTuple

from eventlog.broker import Broker
from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.messages.broker_api import ProduceReply, ProduceRequest
from eventlog.messages.controller_api import PartitionRecord
from eventlog.sim.refold import REFUSALS, right_answers
from eventlog.values import Record, RecordBatch, TopicPartition

Outcomes = tuple[tuple[int, int, int], ...]
"""(send number, partition, offset) of what was acknowledged: -1 at an unknown offset; -2: told as failed."""
NONE = ErrorCode.NONE
NO_LIMIT = 2**62


def broken_broker(broker: Broker) -> str:
    """What one broker's state breaks by itself. O(its logs)."""
    for topic_partition, replica in broker.replicas.items():
        try:
            replica.log.check_invariants()
        except InvariantViolation as violation:
            return f"{violation.promise}: {violation}"
        broken = _broken_order(replica.log)
        if broken:
            return f"{broken} of {broker.name} {topic_partition}"
    return ""


def _broken_order(log: Any) -> str:
    seen: dict[int, int] = {}
    newest: dict[int, int] = {}
    for batch in log.read(log.log_start_offset, log.high_watermark, NO_LIMIT):
        if batch.producer_id < 0 or batch.is_control:
            continue
        for record in batch.records:
            number = record.send_number
            if number in seen:
                return f"H2: record {number} stands at {seen[number]} and again at {batch.base_offset} in the log"
            seen[number] = batch.base_offset
            if number < newest.get(batch.producer_id, -1):
                return f"H3: record {number} stands behind record {newest[batch.producer_id]} in the log"
            newest[batch.producer_id] = number
    return ""


class Seen(NamedTuple):
    """What the promises ask of one replica. `led_epoch`: the leader epoch it leads in, -1 as a follower."""

    topic_partition: TopicPartition
    leader_epoch: int
    led_epoch: int
    high_watermark: int
    log_start_offset: int
    batches: tuple[RecordBatch, ...]

    def part(self, start_offset: int, end_offset: int) -> list[RecordBatch]:
        """The batches that begin in [start_offset, end_offset)."""
        return [batch for batch in self.batches if start_offset <= batch.base_offset < end_offset]


def see(broker: Broker) -> tuple[Seen, ...]:
    """All replicas of a broker. O(its logs)."""
    return tuple(
        [
            Seen(
                topic_partition,
                replica.partition.leader_epoch,
                -1 if replica.leadership is None else replica.leadership.leader_epoch,
                replica.log.high_watermark,
                replica.log.log_start_offset,
                replica.log.read(0, replica.log.log_end_offset, NO_LIMIT),
            )
            for topic_partition, replica in broker.replicas.items()
        ]
    )


def broken_step(name: str, before: tuple[Seen, ...], after: tuple[Seen, ...]) -> str:
    """What a broker's step breaks."""
    for was, now in zip(before, after, strict=False):
        if was.topic_partition != now.topic_partition:
            continue
        if now.leader_epoch < was.leader_epoch:
            return f"H8: {name} {now.topic_partition}: the leader epoch went back"
        if was.led_epoch == now.led_epoch >= 0 and now.high_watermark < was.high_watermark:
            return f"H7: {name} {now.topic_partition}: the high watermark went back in its term"
    return ""


def broken_answer(broker: Broker, request: ProduceRequest, answer: ProduceReply) -> str:
    """H14 for what is answered at once: only refusals are, and the log is as it was when they were judged."""
    asked = {wanted.topic_partition: wanted.batch for wanted in request.partitions}
    for reply in answer.partitions:
        batch = asked.get(reply.topic_partition)
        replica = broker.replicas.get(reply.topic_partition)
        if not isinstance(batch, RecordBatch) or batch.producer_id < 0 or replica is None or batch.is_transactional:
            continue
        if reply.error.name not in REFUSALS:
            continue
        log = replica.log
        settings = broker.settings
        forgot_below = log.log_end_offset if settings.producer_snapshot_batches == 1 else 0
        must_begin_at_zero = settings.unknown_producer_first_sequence == "zero"
        right = right_answers(
            log, batch, log.log_end_offset, forgot_below, log.producer_state.has_expired, must_begin_at_zero
        )
        if right and reply.error.name not in right:
            return f"H14: {broker.name}: {batch} was answered {reply.error.name}; by the log it is {' or '.join(right)}"
    return ""


def broken_state(
    partitions: Iterable[PartitionRecord],
    brokers: dict[int, tuple[Seen, ...]],
    outcomes: Outcomes,
    waits_for_all: bool,
) -> str:
    """What the machines break together. `partitions`: as the controller knows them; `brokers`: the replicas of those
    that run. O(brokers squared x log)."""
    for partition in partitions:
        topic_partition = partition.topic_partition
        replicas = {
            broker_id: seen
            for broker_id, all_seen in brokers.items()
            for seen in all_seen
            if seen.topic_partition == topic_partition
        }
        for one, other in combinations(replicas, 2):
            # What one has deleted, or never got because it was, is nobody's business.
            start = max(replicas[one].log_start_offset, replicas[other].log_start_offset)
            end = min(replicas[one].high_watermark, replicas[other].high_watermark)
            if replicas[one].part(start, end) != replicas[other].part(start, end):
                return f"H7: {topic_partition}: what is committed on broker {one} and {other} differs"
            if replicas[one].led_epoch == replicas[other].led_epoch >= 0:
                return f"H8: {topic_partition}: brokers {one} and {other} lead in epoch {replicas[one].led_epoch}"
        leader = replicas.get(partition.leader_id)
        if leader is None:
            continue
        if leader.led_epoch == partition.leader_epoch:
            end = leader.high_watermark
            for member in partition.in_sync_replicas:
                if member not in replicas:
                    continue
                start = max(leader.log_start_offset, replicas[member].log_start_offset)
                if replicas[member].part(start, end) != leader.part(start, end):
                    return f"H12: {topic_partition}: broker {member} is in sync and lacks what is committed"
        if waits_for_all and outcomes:
            broken = _broken_acknowledgement(leader, outcomes)
            if broken:
                return f"{broken} of {topic_partition}, whose leader is broker {partition.leader_id}"
    return ""


def _broken_acknowledgement(leader: Seen, outcomes: Outcomes) -> str:
    places: dict[int, list[int]] = {}
    for batch in leader.batches:
        for index, record in enumerate(batch.records):
            if isinstance(record, Record):
                places.setdefault(record.send_number, []).append(batch.base_offset + index)
    for number, partition, offset in outcomes:
        if partition != leader.topic_partition.partition:
            continue
        found = places.get(number, [])
        if 0 <= offset < leader.log_start_offset:
            continue  # deleted since
        if (offset >= 0 and offset not in found) or (offset == -1 and not found):
            return f"H5: record {number} was acknowledged{f' at {offset}' if offset >= 0 else ''} and is not in the log"
    return ""
