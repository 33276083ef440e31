"""Each promise that is checked at every step, broken by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sim_runs import SETTINGS

from eventlog import Cluster, InvariantViolation
from eventlog.broker import Broker
from eventlog.errors import ErrorCode
from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ProducerState
from eventlog.messages.user_api import SendsResolved
from eventlog.sim.invariants import Invariants
from eventlog.sim.world import World
from eventlog.values import RecordBatch, TopicPartition

EVENTS = TopicPartition("events", 0)


class Stage:
    """Three brokers with three committed batches of one producer, seen by everybody's checks."""

    def __init__(self) -> None:
        cluster = Cluster(3, checks="full", **SETTINGS)
        cluster.create_topic("events")
        writer = cluster.producer("writer", linger_ms=0, batch_size=0)
        for value in (b"0", b"1", b"2"):
            writer.send("events", value)
            writer.flush()
        cluster.advance(2_000)
        self.world: World = cluster._world
        assert isinstance(self.world.invariants, Invariants)
        self.invariants: Invariants = self.world.invariants

    def broker(self, broker_id: int) -> Broker:
        broker = self.world.find_broker(broker_id)
        assert broker is not None
        return broker

    def log(self, broker_id: int) -> PartitionLog:
        return self.broker(broker_id).replicas[EVENTS].log

    def batch(self, index: int) -> RecordBatch:
        return self.log(1).read(0, 3, 2**62)[index]

    def append(self, broker_id: int, batch: RecordBatch) -> None:
        self.log(broker_id).append_as_follower((batch._replace(base_offset=3),))

    def commit(self, broker_id: int) -> None:
        log = self.log(broker_id)
        log.high_watermark = log.log_end_offset

    def look(self, broker_id: int) -> None:
        self.invariants.after(self.broker(broker_id), None, self.world)

    def broken(self, breaks: Callable[[Stage], None], broker_id: int) -> None:
        breaks(self)
        self.look(broker_id)

    def acknowledge(self, base_offset: int, base_sequence: int) -> None:
        batch = self.batch(0)
        told = SendsResolved(EVENTS, (), base_offset, ErrorCode.NONE, False, "", 1, batch.producer_id, 0, base_sequence)
        self.invariants.resolved(told, self.world)


def another_offset(stage: Stage) -> None:
    stage.acknowledge(1, 0)


def acknowledged_too_early(stage: Stage) -> None:
    stage.acknowledge(3, 3)


def written_twice(stage: Stage) -> None:
    stage.append(1, stage.batch(1))
    stage.commit(1)


def out_of_order(stage: Stage) -> None:
    committed = stage.invariants.committed[EVENTS]
    del committed.identities[(stage.batch(0).producer_id, 0, 0)]
    stage.append(1, stage.batch(0))
    stage.commit(1)


def watermark_goes_back(stage: Stage) -> None:
    stage.log(1).high_watermark = 1


def replicas_differ(stage: Stage) -> None:
    log = stage.log(2)
    log.truncate_to(2)
    stage.invariants.crashed("broker-2")
    log.append_as_follower((stage.batch(2)._replace(max_timestamp_ms=1),))
    stage.commit(2)


def committed_is_cut(stage: Stage) -> None:
    stage.log(2).truncate_to(1)


def two_leaders(stage: Stage) -> None:
    replica = stage.broker(2).replicas[EVENTS]
    replica.leadership = stage.broker(1).replicas[EVENTS].leadership
    replica.log.high_watermark = 2


def leader_epoch_goes_back(stage: Stage) -> None:
    replica = stage.broker(2).replicas[EVENTS]
    replica.partition = replica.partition._replace(leader_epoch=-1)


def batches_epoch_goes_back(stage: Stage) -> None:
    batch = stage.batch(2)
    stage.log(1).store.append(batch._replace(base_offset=3, base_sequence=3, leader_epoch=-1))
    stage.log(1).log_end_offset = 4


def fenced_writer(stage: Stage) -> None:
    batch = stage.batch(2)
    stage.append(1, batch._replace(producer_epoch=1, base_sequence=0))
    stage.log(1).append_as_follower((batch._replace(base_offset=4, base_sequence=3),))
    stage.commit(1)


def nothing_remembered(stage: Stage) -> None:
    stage.append(1, stage.batch(2)._replace(base_sequence=3))
    stage.log(1).producer_state = ProducerState()


def too_much_remembered(stage: Stage) -> None:
    known = stage.log(2).producer_state
    stage.log(2).truncate_to(2)
    stage.log(2).producer_state = known
    known.remember(stage.batch(2)._replace(base_sequence=3, base_offset=3))


def in_sync_without_it(stage: Stage) -> None:
    stage.append(1, stage.batch(2)._replace(base_sequence=3))
    stage.commit(1)


def in_sync_with_another_batch(stage: Stage) -> None:
    own = stage.batch(2)._replace(base_sequence=3)
    for broker_id in (2, 3):
        stage.append(broker_id, own._replace(max_timestamp_ms=1))
    stage.append(1, own)
    stage.commit(1)


def in_sync_and_cut(stage: Stage) -> None:
    stage.log(2).truncate_to(2)
    stage.invariants.committed.clear()


def watermark_beyond_the_end(stage: Stage) -> None:
    stage.log(1).high_watermark = 9


@pytest.mark.parametrize(
    ("promise", "broker_id", "breaks"),
    [
        ("H1", 1, another_offset),
        ("H2", 1, written_twice),
        ("H3", 1, out_of_order),
        ("H5", 1, acknowledged_too_early),
        ("H7", 1, watermark_goes_back),
        ("H7", 2, replicas_differ),
        ("H7", 2, committed_is_cut),
        ("H8", 2, two_leaders),
        ("H8", 2, leader_epoch_goes_back),
        ("H8", 1, batches_epoch_goes_back),
        ("H9", 1, fenced_writer),
        ("H10", 1, nothing_remembered),
        ("H10", 2, too_much_remembered),
        ("H12", 1, in_sync_without_it),
        ("H12", 1, in_sync_with_another_batch),
        ("H12", 2, in_sync_and_cut),
        ("I3", 1, watermark_beyond_the_end),
    ],
)
def test_a_promise_broken_by_hand_is_noticed(promise: str, broker_id: int, breaks: Callable[[Stage], None]) -> None:
    stage = Stage()
    stage.look(broker_id)
    with pytest.raises(InvariantViolation) as caught:
        stage.broken(breaks, broker_id)
    assert caught.value.promise == promise
    assert "seed 0" in str(caught.value)


def test_whom_the_controller_takes_in_without_what_is_committed_is_noticed_at_once() -> None:
    stage = Stage()
    image = stage.world.controller.image
    partition = image.partitions[EVENTS]
    stage.invariants.controller_moved(stage.world)
    stage.log(3).truncate_to(1)
    stage.world.controller.log.append(partition._replace(partition_epoch=partition.partition_epoch + 1))
    with pytest.raises(InvariantViolation) as caught:
        stage.invariants.controller_moved(stage.world)
    assert caught.value.promise == "H12"
    assert "in-sync broker-3 ends at 1" in str(caught.value)


@pytest.mark.parametrize("rule", ["L1", "L2", "L3", "P1"])
def test_full_checks_also_look_at_whole_logs(rule: str) -> None:
    stage = Stage()
    log = stage.log(1)
    entry = log.producer_state.find_entry(stage.batch(0).producer_id)
    assert entry is not None
    if rule == "L1":
        log.store.append(stage.batch(0))
        log.log_end_offset = 3
    elif rule == "L2":
        log.store.append(stage.batch(2)._replace(base_offset=3, leader_epoch=-1, producer_id=-1))
        log.log_end_offset = 4
    elif rule == "L3":
        entry.batches[0] = entry.batches[0]._replace(base_sequence=7)
    else:
        entry.batches[:] = [stage.batch(0)] * 6
    with pytest.raises(InvariantViolation) as caught:
        stage.look(1)
    assert caught.value.promise in (rule, "L3", "H8")


def test_a_lost_tail_is_an_excuse_and_only_when_it_was_needed() -> None:
    for order, is_needed in (((2, 3, 1), True), ((2,), False)):
        cluster = Cluster(3, checks="full", **SETTINGS)
        cluster.create_topic("events")
        writer = cluster.producer("writer", linger_ms=0)
        writer.send("events", b"0")
        writer.flush()
        for broker_id in order:
            cluster.crash(broker_id, losing_tail=True)
        for broker_id in order:
            cluster.restart(broker_id)
        writer.send("events", b"1")
        writer.flush()
        assert cluster.check().held
        assert cluster._world.invariants is not None
        assert (EVENTS in cluster._world.invariants.has_lost) is is_needed
