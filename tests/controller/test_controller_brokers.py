"""Brokers that begin, fall silent, stop and come back, and what becomes of what they led."""

from __future__ import annotations

import pytest
from controller_stage import ControllerStage

from eventlog.messages.controller_api import (
    ControlledShutdownReply,
    ControlledShutdownRequest,
    ElectLeaderRequest,
    FenceBrokerRecord,
    HeartbeatsResumed,
    ShuttingDownBrokerRecord,
)

# --- recorded from a real broker: everything down, brokers crash one after the other ------------------------------


def all_down(**settings: object) -> ControllerStage:
    stage = ControllerStage(min_insync_replicas=2, **settings)
    stage.crash(2)
    assert stage.state == (1, 0, (1, 3), (), -1)
    stage.crash(3)
    assert stage.state[:3] == (1, 0, (1,))
    stage.crash(1)
    return stage


def test_all_down_the_last_known_leader_leads_once_all_others_are_ruled_out() -> None:
    stage = all_down()
    assert stage.state == (-1, 1, (), (1, 3), 1)
    stage.start(2)
    assert stage.state == (-1, 1, (), (1, 3), 1), "never eligible, so it changes nothing"
    stage.start(1)
    assert stage.state == (-1, 1, (), (3,), 1), "its restart was unclean, and broker 3 may have more"
    stage.start(3)
    assert stage.state == (1, 2, (1,), (), -1)
    assert stage.wish(1, 2, 3).error == 0
    assert stage.state == (1, 2, (1, 2, 3), (), -1)


def test_all_down_without_eligible_replicas_the_last_in_sync_is_waited_for() -> None:
    stage = all_down(eligible_leader_replicas_enable=False)
    assert stage.state == (-1, 1, (1,), (), -1)
    stage.start(2)
    assert stage.state == (-1, 1, (1,), (), -1)
    stage.start(1)
    assert stage.state == (1, 2, (1,), (), -1)
    stage.start(3)
    assert stage.wish(1, 3).error == 0
    assert stage.state == (1, 2, (1, 3), (), -1)


def test_the_last_known_leader_leads_when_it_comes_back_last() -> None:
    stage = all_down()
    stage.start(3)
    assert stage.state == (-1, 1, (), (1,), 1)
    stage.register(1)
    assert stage.state == (-1, 1, (), (), 1), "registered, but not yet heard of"
    stage.catch_up(1)
    assert stage.state == (1, 2, (1,), (), -1)


@pytest.mark.parametrize("is_eligibility_on", [True, False])
@pytest.mark.parametrize("is_session_over", [True, False])
def test_one_replica_killed_and_restarted_leads_in_the_next_epoch_but_one(
    is_eligibility_on: bool, is_session_over: bool
) -> None:
    stage = ControllerStage(1, eligible_leader_replicas_enable=is_eligibility_on)
    stage.fall_silent(1)
    if is_session_over:
        stage.end_session(1)
        assert stage.state[:2] == (-1, 1)
    stage.register(1)
    assert stage.state == ((-1, 1, (), (), 1) if is_eligibility_on else (-1, 1, (1,), (), -1))
    stage.catch_up(1)
    assert stage.state == (1, 2, (1,), (), -1)


def test_followers_that_crash_leave_the_leader_its_epoch() -> None:
    """As recorded: the in-sync replicas shrink to the leader and grow again, all in leader epoch 0."""
    stage = ControllerStage(min_insync_replicas=2)
    stage.crash(2)
    stage.crash(3)
    assert stage.state == (1, 0, (1,), (3,), -1)
    stage.start(2)
    stage.start(3)
    assert stage.state == (1, 0, (1,), (), -1)
    assert [stage.wish(1, 2).error, stage.wish(1, 2, 3).error] == [0, 0]
    assert stage.state == (1, 0, (1, 2, 3), (), -1)


# --- sessions ----------------------------------------------------------------------------------------------------


def test_a_broker_that_was_only_cut_off_stays_eligible_and_leads_again() -> None:
    """It is the same process with all it had, so nothing is held against it."""
    stage = ControllerStage(min_insync_replicas=3)
    stage.fall_silent(2)
    stage.end_session(2)
    assert stage.state == (1, 0, (1, 3), (2,), -1)
    stage.crash(3)
    stage.crash(1)
    assert stage.state == (-1, 1, (), (1, 2, 3), 1)
    stage.tell(HeartbeatsResumed(2))
    stage.catch_up(2)
    assert stage.state == (2, 2, (2,), (1, 3), -1)


def test_with_one_copy_enough_the_last_in_sync_alone_is_eligible() -> None:
    stage = ControllerStage()
    for broker_id in (2, 3, 1):
        stage.crash(broker_id)
    assert stage.state == (-1, 1, (), (1,), 1)
    stage.start(2)
    stage.start(3)
    assert stage.state == (-1, 1, (), (1,), 1)


def test_rf_14_what_counts_as_enough_is_capped_by_the_number_of_replicas() -> None:
    stage = ControllerStage(2, min_insync_replicas=3)
    assert stage.wish(1).error == 0
    assert stage.state == (1, 0, (1,), (2,), -1)
    assert stage.wish(1, 2).error == 0
    assert stage.state == (1, 0, (1, 2), (), -1), "two of two are enough, though three are asked for"


def test_a_topics_own_min_insync_replicas_counts() -> None:
    stage = ControllerStage(min_insync_replicas=1, topic={"min_insync_replicas": 3})
    stage.crash(3)
    assert stage.state == (1, 0, (1, 2), (3,), -1)


def test_rf_26_an_unclean_election_keeps_only_the_new_leader() -> None:
    stage = ControllerStage(unclean_leader_election_enable=True, min_insync_replicas=2)
    assert stage.wish(1, 2).error == 0
    stage.crash(2)
    stage.crash(1)
    assert stage.state == (3, 1, (3,), (), -1)


# --- registration -------------------------------------------------------------------------------------------------


def test_an_unclean_restart_within_the_session_gives_up_every_role() -> None:
    stage = ControllerStage(min_insync_replicas=3)
    stage.register(1)
    assert stage.state == (2, 1, (2, 3), (), -1), "not eligible, though it left when too few were in sync"
    assert not stage.controller.image.is_alive(1)
    stage.catch_up(1)
    assert stage.controller.image.is_alive(1)


def test_a_clean_restart_stays_eligible() -> None:
    stage = ControllerStage(min_insync_replicas=3)
    stage.start_clean(1)
    assert stage.state == (2, 1, (2, 3), (1,), -1)
    stage.crash(2)
    stage.crash(3)
    assert stage.state == (1, 3, (1,), (2, 3), -1)


def test_a_proof_of_an_older_process_proves_nothing() -> None:
    stage = ControllerStage(min_insync_replicas=3)
    old = stage.epoch(1)
    stage.stop(1)
    stage.start(1, old)
    assert stage.state == (2, 1, (2, 3), (1,), -1)
    stage.start(1, old)
    assert stage.state == (2, 1, (2, 3), (), -1)


def test_every_registration_has_a_higher_broker_epoch() -> None:
    stage = ControllerStage()
    epochs = [stage.epoch(1)]
    for _ in range(3):
        stage.start(1)
        epochs.append(stage.epoch(1))
    assert epochs == sorted(dict.fromkeys(epochs))


# --- controlled shutdown ------------------------------------------------------------------------------------------


def test_a_clean_stop_hands_leadership_over_at_once() -> None:
    """As recorded: epoch 1 at the first follower; back in sync; moved back in epoch 2."""
    stage = ControllerStage(min_insync_replicas=2)
    stage.stop(1)
    assert stage.state == (2, 1, (2, 3), (), -1)
    assert stage.controller.deadlines() == {}, "no session is waited for"
    stage.start_clean(1)
    assert stage.wish(2, 3, 1).error == 0
    assert stage.ask(ElectLeaderRequest(stage.partition.topic_partition, 1)).error == 0
    assert stage.state == (1, 2, (2, 3, 1), (), -1)


def test_clean_stops_of_the_followers_leave_the_leader_its_epoch() -> None:
    """As recorded for too few replicas."""
    stage = ControllerStage(min_insync_replicas=2)
    stage.stop(2)
    stage.stop(3)
    assert stage.state == (1, 0, (1,), (3,), -1)
    stage.start_clean(2)
    assert stage.state == (1, 0, (1,), (3,), -1)
    assert stage.wish(1, 2).error == 0
    assert stage.state == (1, 0, (1, 2), (), -1)


def test_the_last_one_stopped_in_order_leads_when_it_is_back() -> None:
    stage = ControllerStage(min_insync_replicas=2)
    for broker_id in (1, 2, 3):
        stage.stop(broker_id)
    assert stage.state == (-1, 3, (), (2, 3), 3)
    stage.start_clean(1)
    assert stage.state == (-1, 3, (), (2, 3), 3), "it was gone before the last was written"
    stage.start_clean(2)
    assert stage.state == (2, 4, (2,), (3,), -1), "eligible, and no less complete than the last leader"


def test_a_clean_stop_of_one_replica_keeps_it_eligible() -> None:
    stage = ControllerStage(1)
    stage.stop(1)
    assert stage.state == (-1, 1, (), (1,), 1)
    stage.register(1, stage.epoch(1))
    assert stage.state == (-1, 1, (), (1,), 1)
    stage.catch_up(1)
    assert stage.state == (1, 2, (1,), (), -1)


def test_a_clean_stop_without_eligible_replicas_keeps_the_last_in_sync() -> None:
    stage = ControllerStage(1, eligible_leader_replicas_enable=False)
    stage.stop(1)
    assert stage.state == (-1, 1, (1,), (), -1)
    stage.start_clean(1)
    assert stage.state == (1, 2, (1,), (), -1)


def test_a_broker_that_stops_is_never_unfenced_as_long_as_it_runs() -> None:
    stage = ControllerStage()
    epoch = stage.epoch(1)
    start = len(stage.controller.log)
    request = ControlledShutdownRequest(1, epoch)
    assert stage.ask(request, 1) == ControlledShutdownReply(0, True)
    assert stage.controller.log[start] == ShuttingDownBrokerRecord(1, epoch)
    assert stage.controller.log[-1] == FenceBrokerRecord(1, epoch)
    stage.catch_up(1)
    stage.fall_silent(1)
    stage.tell(HeartbeatsResumed(1))
    stage.catch_up(1)
    assert stage.controller.log[-1] == FenceBrokerRecord(1, epoch), "nor is it said to be"
    assert not stage.controller.image.is_alive(1)
    end = len(stage.controller.log)
    assert stage.ask(request, 1) == ControlledShutdownReply(0, True), "it may ask again"
    assert len(stage.controller.log) == end
    stage.start_clean(1)
    assert stage.controller.image.is_alive(1)


def test_a_broker_that_stops_while_its_session_runs_out_is_not_fenced_twice() -> None:
    stage = ControllerStage()
    stage.fall_silent(1)
    stage.stop(1)
    assert stage.controller.deadlines() == {}


@pytest.mark.parametrize("broker_id", [1, 9])
def test_only_the_registered_process_may_stop(broker_id: int) -> None:
    stage = ControllerStage()
    known = stage.partition
    broker_epoch = stage.epoch(broker_id) - (broker_id == 1)
    assert stage.ask(ControlledShutdownRequest(broker_id, broker_epoch)) == ControlledShutdownReply(77, False)
    assert stage.partition == known
