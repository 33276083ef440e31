"""Who is in sync and how high the high watermark may rise; the controller as a broker meets it."""

from __future__ import annotations

import pytest
from broker_stage import TP, A, B, Stage

from eventlog.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Connection, Envelope
from eventlog.messages.broker_api import InitProducerIdRequest
from eventlog.messages.controller_api import (
    AllocateProducerIdsRequest,
    AlterPartitionRequest,
    FenceBrokerRecord,
    RegisterBrokerRecord,
    UnfenceBrokerRecord,
)
from eventlog.messages.metadata_image import MetadataImage
from eventlog.values import BrokerSettings


def in_sync(stage: Stage) -> tuple[int, ...]:
    return stage.partition.in_sync_replicas


# --- shrinking, growing, the high watermark -----------------------------------------------------------------------


def test_a_follower_that_lags_too_long_is_put_out_and_the_waiting_are_let_go() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.run(5_000)
    stage.stop_replication(3)
    start = stage.now
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=10_000)
    stage.run(990)
    assert in_sync(stage) == (1, 2, 3)
    assert stage.outcome(waiting) is None
    stage.run(1_600)
    assert in_sync(stage) == (1, 2)
    assert stage.outcome(waiting) == 1
    assert stage.answered_at(waiting) > start + 1_000
    assert (stage.partition.leader_epoch, stage.partition.partition_epoch) == (0, 1)


def test_a_follower_that_is_level_stays_in_sync_however_long_nothing_comes() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.run(60_000)
    assert in_sync(stage) == (1, 2, 3)
    assert stage.partition.partition_epoch == 0


def test_a_follower_joins_again_once_it_has_what_is_committed() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(3)
    stage.produce(1, A, 0, 1, acks=1)
    stage.run(3_000)
    assert in_sync(stage) == (1, 2)
    assert stage.produce(1, A, 0, 2) == 2
    stage.let_replicate(3)
    stage.run(3_000)
    assert in_sync(stage) == (1, 2, 3)
    assert stage.ends() == [(3, 3)] * 3


def test_with_too_few_in_sync_the_high_watermark_does_not_rise_and_nobody_who_lags_is_taken_back() -> None:
    stage = Stage(min_insync_replicas=2, replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(2, 3)
    assert stage.produce(1, A, 0, 1, acks=1) == 1
    stage.run(2_000)
    for _ in range(10):
        assert in_sync(stage) == (1,)
        assert stage.ends()[0] == (2, 1)
        stage.run(700)
    stage.let_replicate(2)
    stage.run(2_000)
    assert in_sync(stage) == (1, 2)
    assert stage.ends()[0] == (2, 2)


def test_with_the_minimum_at_one_a_lone_leader_commits_by_itself() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(2, 3)
    stage.produce(1, A, 0, 1, acks=1)
    stage.run(3_000)
    assert in_sync(stage) == (1,)
    assert stage.ends()[0] == (2, 2)


def test_the_minimum_is_never_above_the_number_of_replicas() -> None:
    stage = Stage(1, topic={"min_insync_replicas": 2})
    assert stage.produce(1, A, 0, 0) == 0


def test_a_topics_own_minimum_goes_before_the_brokers() -> None:
    stage = Stage(2, topic={"min_insync_replicas": 2})
    stage.world.crash(2)
    stage.run(12_000)
    assert stage.produce(1, A, 0, 0) == "19 at -1"
    assert stage.produce(1, A, 0, 0, acks=1) == 0


# --- elections ----------------------------------------------------------------------------------------------------


def test_the_first_of_the_assignment_that_is_in_sync_leads_next() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(2)
    stage.stop_replication(2, leader=3)
    stage.produce(1, A, 0, 1, acks=1)
    stage.run(3_000)
    assert in_sync(stage) == (1, 3)
    stage.world.crash(1)
    stage.run(8_900)
    assert stage.partition.leader_id == 1, "its session still runs"
    stage.run(200)
    assert (stage.partition.leader_id, stage.partition.leader_epoch, in_sync(stage)) == (3, 1, (3,))


def test_the_last_in_sync_replica_is_waited_for() -> None:
    stage = Stage(2)
    stage.produce(1, A, 0, 0)
    stage.world.crash(2)
    stage.run(10_000)
    stage.produce(1, A, 0, 1)
    stage.world.crash(1)
    stage.world.restart(2)
    stage.run(20_000)
    assert (stage.partition.leader_id, in_sync(stage)) == (-1, ())
    assert stage.partition.eligible_leader_replicas == (1,)
    stage.world.restart(1)
    stage.run(3_000)
    assert stage.partition.leader_id == 1
    assert stage.produce(1, A, 0, 1) == "dup@1"
    assert stage.ends() == [(2, 2)] * 2


def test_an_unclean_election_loses_what_only_the_dead_had_and_must_be_allowed() -> None:
    stage = Stage(2, topic={"unclean_leader_election_enable": True})
    stage.world.invariants = None
    stage.produce(1, A, 0, 0)
    stage.world.crash(2)
    stage.run(10_000)
    stage.produce(1, A, 0, 1)
    stage.world.crash(1)
    stage.world.restart(2)
    stage.run(20_000)
    assert (stage.partition.leader_id, in_sync(stage)) == (2, (2,))
    assert stage.produce(2, A, 0, 2) == "45 at -1"
    assert stage.produce(2, B, 0, 0) == 1
    stage.world.restart(1)
    stage.run(5_000)
    assert stage.ends() == [(2, 2)] * 2
    assert [each.producer_id for each in stage.replica(1).log.read(0, 2, 2**20)] == [A, B]


def image_of(*alive: int, fenced: tuple[int, ...] = ()) -> MetadataImage:
    image = MetadataImage()
    for broker_id in (*alive, *fenced):
        image.replay(RegisterBrokerRecord(broker_id, 10 + broker_id, 0))
        image.replay(UnfenceBrokerRecord(broker_id, 10 + broker_id))
    for broker_id in fenced:
        image.replay(FenceBrokerRecord(broker_id, 10 + broker_id))
    return image


# --- the controller -----------------------------------------------------------------------------------------------


def alter(stage: Stage, **changes: object) -> ErrorCode:
    """What the controller answers replica 1 for an honest request with `changes`."""
    image = stage.world.controller.image
    known = stage.partition
    request = AlterPartitionRequest(
        1, image.broker_epoch(1), TP, known.leader_epoch, known.partition_epoch, ((1, -1), (2, image.broker_epoch(2)))
    )
    connection = Connection("broker-1", CONTROLLER, "test", 0)
    controller = stage.world.controller
    frozen = controller.freeze(0)
    twin = Controller.thaw(frozen, 0, stage.settings, 0)
    out = twin.receive(Envelope("broker-1", CONTROLLER, connection, 0, request._replace(**changes)), 0)  # type: ignore[arg-type]
    assert controller.freeze(0) == frozen
    error: ErrorCode = out[-1].message.error
    assert (twin.image.partitions[TP] == known) == (error is not ErrorCode.NONE)
    return error


def test_the_controller_refuses_every_kind_of_stale_or_impossible_wish() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.elect(2)
    stage.run(3_000)
    stage.elect(1)
    stage.run(3_000)
    known = stage.partition
    assert known.leader_epoch == 2
    fenced = stage.world.controller.image.broker_epoch(3)
    assert alter(stage) is ErrorCode.NONE
    assert alter(stage, broker_epoch=-1) is ErrorCode.STALE_BROKER_EPOCH
    assert alter(stage, leader_epoch=3) is ErrorCode.NOT_CONTROLLER
    assert alter(stage, partition_epoch=known.partition_epoch + 1) is ErrorCode.NOT_CONTROLLER
    assert alter(stage, leader_epoch=1) is ErrorCode.FENCED_LEADER_EPOCH
    assert alter(stage, leader_epoch=1, partition_epoch=0) is ErrorCode.FENCED_LEADER_EPOCH
    assert alter(stage, partition_epoch=known.partition_epoch - 1) is ErrorCode.INVALID_UPDATE_VERSION
    assert alter(stage, new_in_sync_replicas=((2, -1),)) is ErrorCode.INVALID_REQUEST
    assert alter(stage, new_in_sync_replicas=((1, -1), (9, -1))) is ErrorCode.INVALID_REQUEST
    assert alter(stage, new_in_sync_replicas=((1, -1), (3, fenced - 1))) is ErrorCode.INELIGIBLE_REPLICA
    stage.world.crash(3)
    stage.run(10_000)
    assert alter(stage, new_in_sync_replicas=((1, -1), (3, fenced))) is ErrorCode.INELIGIBLE_REPLICA


@pytest.mark.parametrize(
    ("partitions", "factor", "error"),
    [(1, 3, 0), (1, -1, 36), (0, -1, 37), (1, 0, 38), (1, 4, 38), (1, -2, 38)],
)
def test_a_topic_that_cannot_be_is_refused(partitions: int, factor: int, error: int) -> None:
    stage = Stage()
    name = "t" if error == 36 else "u"
    assert int(stage.create(name, partitions, factor).error) == error


def test_replicas_are_spread_round_the_brokers() -> None:
    stage = Stage(4)
    stage.create("u", partitions=5)
    known = stage.world.controller.image.partitions_of("u")
    assert [each.replicas for each in known] == [(1, 2, 3), (2, 3, 4), (3, 4, 1), (4, 1, 2), (1, 2, 3)]
    assert all(each.in_sync_replicas == each.replicas and each.leader_id == each.replicas[0] for each in known)


# --- producer ids -------------------------------------------------------------------------------------------------


def new_id(stage: Stage, broker_id: int, **fields: int) -> tuple[int, int, int]:
    reply = stage.ask(broker_id, InitProducerIdRequest(**fields))
    return int(reply.error), reply.producer_id, reply.producer_epoch


def test_brokers_draw_producer_ids_from_blocks_of_1000() -> None:
    stage = Stage()
    assert new_id(stage, 2) == (14, -1, -1), "the first block is only asked for now"
    assert [new_id(stage, 2) for _ in range(3)] == [(0, each, 0) for each in range(3)]
    assert new_id(stage, 1) == (14, -1, -1)
    assert new_id(stage, 1) == (0, 1_000, 0)
    assert new_id(stage, 2, producer_id=2, producer_epoch=7) == (0, 3, 0), "always a new one"
    assert new_id(stage, 2, producer_id=2) == (42, -1, -1)
    assert new_id(stage, 2, producer_epoch=2) == (42, -1, -1)


def test_the_next_block_is_there_before_the_first_is_used_up() -> None:
    stage = Stage(1)
    new_id(stage, 1)
    stage.check = lambda: None  # type: ignore[method-assign]
    given = [new_id(stage, 1) for _ in range(1_100)]
    assert given == [(0, each, 0) for each in range(1_100)]


def test_a_restart_loses_the_rest_of_its_block_and_no_id_comes_twice() -> None:
    stage = Stage(1)
    new_id(stage, 1)
    assert new_id(stage, 1) == (0, 0, 0)
    stage.world.crash(1)
    stage.world.restart(1)
    stage.run(1_000)
    new_id(stage, 1)
    assert new_id(stage, 1) == (0, 1_000, 0)


def test_the_last_block_of_ids_is_not_given_out() -> None:
    controller = Controller(BrokerSettings())
    controller.image = image_of(1)
    request = AllocateProducerIdsRequest(1, 11)
    connection = Connection("broker-1", CONTROLLER, "producer ids", 0)
    for start, error in ((2**63 - 1 - 1_000, ErrorCode.NONE), (2**63 - 1_000, ErrorCode.UNKNOWN_SERVER_ERROR)):
        controller.image.next_producer_id = start
        (*_, told) = controller.receive(Envelope("broker-1", CONTROLLER, connection, 0, request), 0)
        assert told.message.error is error
    stale = request._replace(broker_epoch=10)
    (told,) = controller.receive(Envelope("broker-1", CONTROLLER, connection, 0, stale), 0)
    assert told.message.error is ErrorCode.STALE_BROKER_EPOCH


def test_a_metadata_image_is_thawed_equal() -> None:
    image = Stage().world.controller.image
    assert MetadataImage.thaw(image.freeze()).freeze() == image.freeze()
    assert image.is_alive(1)
    assert not image.is_alive(9)
    assert image.broker_epoch(9) == -1
