"""A leader's wish about who is in sync: what is checked, in which order, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from controller_stage import TP, ControllerStage

from eventlog.messages.controller_api import AlterPartitionRequest, ElectLeaderRequest
from eventlog.values import TopicPartition


def stage_in_epoch_two() -> ControllerStage:
    """Broker 1 leads in leader epoch 2; all are in sync."""
    stage = ControllerStage()
    for broker_id in (2, 1):
        stage.ask(ElectLeaderRequest(TP, broker_id))
    assert (stage.partition.leader_epoch, stage.partition.partition_epoch) == (2, 2)
    return stage


# Each is wrong in one way; a request that is wrong in several gets the error of the first line it breaks.
WRONGS: list[tuple[int, dict[str, Any]]] = [
    (77, {"broker_epoch": 99}),
    (3, {"topic_partition": TopicPartition("t", 1)}),
    (41, {"leader_epoch": 3}),
    (41, {"partition_epoch": 3}),
    (74, {"leader_epoch": 1}),
    (42, {"broker_id": 2}),
    (95, {"partition_epoch": 1}),
    (42, {"new_in_sync_replicas": ((1, -1), (9, -1))}),
    (42, {"new_in_sync_replicas": ((1, -1), (2, -1), (2, -1))}),
    (42, {"new_in_sync_replicas": ((2, -1),)}),
    (42, {"new_in_sync_replicas": ()}),
    (107, {"new_in_sync_replicas": ((1, -1), (2, 0))}),
]


@pytest.mark.parametrize("first", range(len(WRONGS)))
def test_the_first_of_several_wrongs_is_answered(first: int) -> None:
    stage = stage_in_epoch_two()
    known = stage.partition
    for second in range(first, len(WRONGS)):
        error, changes = WRONGS[first]
        changes = {**WRONGS[second][1], **changes}
        if "broker_id" in changes and "broker_epoch" not in changes:
            changes["broker_epoch"] = stage.epoch(changes["broker_id"])
        assert stage.wish(1, 2, **changes)[1:3] == (
            changes.get("partition_epoch", known.partition_epoch),
            error,
        )
    assert stage.partition == known


def test_rf_06_a_replica_that_is_fenced_or_shutting_down_is_ineligible() -> None:
    stage = ControllerStage()
    stage.crash(2)
    assert stage.wish(1, 3, 2).error == 107
    stage.stop(3)
    assert stage.wish(1, 3).error == 107
    stage.register(2)
    assert stage.wish(1, 2).error == 107, "registered, but fenced until it has caught up with the metadata"
    stage.catch_up(2)
    assert stage.wish(1, 2, new_in_sync_replicas=((1, -1), (2, stage.epoch(2) - 1))).error == 107
    assert stage.wish(1, 2).error == 0
    assert stage.state == (1, 0, (1, 2), (), -1)


def test_rf_28_a_leader_that_was_replaced_is_fenced() -> None:
    stage = ControllerStage()
    known = stage.partition
    stage.fall_silent(1)
    stage.end_session(1)
    assert stage.state[:3] == (2, 1, (2, 3))
    zombie = AlterPartitionRequest(1, stage.epoch(1), TP, known.leader_epoch, known.partition_epoch, ((1, -1),))
    assert stage.ask(zombie, 1).error == 74
    assert stage.state[:3] == (2, 1, (2, 3))


def test_a_granted_wish_tells_the_new_registration() -> None:
    stage = ControllerStage(min_insync_replicas=2)
    assert stage.wish(1) == (TP, 0, 0, 1, 0, (1,), 1)
    assert stage.state == (1, 0, (1,), (2, 3), -1), "who lags out when too few are left is eligible"
    assert stage.wish(1, 3) == (TP, 1, 0, 1, 0, (1, 3), 2)
    assert stage.state == (1, 0, (1, 3), (), -1)


def test_a_wish_for_what_is_writes_nothing() -> None:
    stage = ControllerStage()
    end = len(stage.controller.log)
    assert stage.wish(1, 2, 3) == (TP, 0, 0, 1, 0, (1, 2, 3), 0)
    assert len(stage.controller.log) == end
