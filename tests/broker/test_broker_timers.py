"""What a broker does by its clock or because a connection broke, and what the controller says to an election."""

from __future__ import annotations

from typing import Any

import pytest
from broker_stage import T0, TP, A, B, Stage, batch, fetch_request, produce_request

from eventlog.controller import Controller
from eventlog.errors import ErrorCode
from eventlog.messages import CONTROLLER, Connection, Disconnected, Envelope
from eventlog.messages.broker_api import DescribeProducersRequest
from eventlog.messages.controller_api import AlterPartitionRequest, ElectLeaderRequest, FetchMetadataRequest
from eventlog.storage import MemoryLogStore
from eventlog.values import TopicPartition


def store_of(stage: Stage, broker_id: int) -> MemoryLogStore:
    return stage.world.stores[broker_id].logs[TP]


# --- by the clock -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broker_id", [1, 2])
def test_the_high_watermark_is_checkpointed_five_seconds_after_it_rose(broker_id: int) -> None:
    stage = Stage()
    start = stage.now
    for sequence in range(3):
        stage.produce(1, A, 0, sequence)
    stage.run(4_900 - (stage.now - start))
    assert store_of(stage, broker_id).read_checkpoint("high_watermark", 0) == 0
    stage.run(1_000)
    assert store_of(stage, broker_id).read_checkpoint("high_watermark", 0) == 3
    assert stage.produce(1, A, 0, 3) == 3
    stage.run(6_000)
    assert store_of(stage, broker_id).read_checkpoint("high_watermark", 0) == 4


@pytest.mark.parametrize("broker_id", [1, 2])
def test_an_appended_batch_is_flushed_after_ten_seconds(broker_id: int) -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(9_900)
    assert store_of(stage, broker_id).durable_end_offset == 0
    stage.run(200)
    assert store_of(stage, broker_id).durable_end_offset == 1
    stage.produce(1, A, 0, 1)
    assert store_of(stage, broker_id).durable_end_offset == 1
    stage.run(10_100)
    assert store_of(stage, broker_id).durable_end_offset == 2


def test_an_idle_broker_has_no_timers_but_for_what_grows_too_old() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(86_400_000)
    assert [list(broker.deadlines()) for broker in stage.world.brokers()] == [["retention"]] * 3
    week_ms = 604_800_000
    assert all(0 <= broker.deadlines()["retention"] - T0 - week_ms <= 300_000 for broker in stage.world.brokers())


def test_a_limit_in_bytes_holds_at_every_check_on_every_replica_while_more_is_written() -> None:
    stage = Stage(log_retention_bytes=200, log_segment_bytes=100, log_retention_check_interval_ms=1_000)
    for number in range(30):
        assert stage.produce(1, A, 0, number) == number
        stage.run(1_000)
    stage.run(2_000)
    assert all(stage.replica(each).log.log_start_offset >= 24 for each in (1, 2, 3))


def test_an_idle_broker_that_keeps_everything_has_no_timers() -> None:
    stage = Stage(log_retention_ms=-1)
    stage.produce(1, A, 0, 0)
    stage.run(86_400_000 + 2 * 600_000)
    assert [dict(broker.deadlines()) for broker in stage.world.brokers()] == [{}, {}, {}]
    assert stage.produce(1, A, 0, 7) == 1, "forgotten for its age, so any sequence goes"


def test_leader_and_followers_forget_an_old_producer_each_at_its_own_check() -> None:
    stage = Stage(producer_id_expiration_ms=1_000, producer_id_expiration_check_interval_ms=400)
    stage.produce(1, A, 0, 0)
    stage.run(700)
    assert [len(stage.replica(each).log.producer_state) for each in (1, 2, 3)] == [1, 1, 1]
    stage.run(1_000)
    replies = [stage.ask(each, DescribeProducersRequest((TP,))).partitions for each in (1, 2, 3)]
    assert replies == [((TP, ErrorCode.NONE, ()),)] * 3


def test_a_follower_that_waits_hears_of_a_new_high_watermark_within_half_a_second() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    assert stage.ends() == [(1, 1), (1, 0), (1, 0)]
    stage.run(450)
    assert stage.ends() == [(1, 1), (1, 0), (1, 0)]
    stage.run(100)
    assert stage.ends() == [(1, 1), (1, 1), (1, 1)]


# --- broken connections -------------------------------------------------------------------------------------------


def test_a_follower_whose_connection_broke_fetches_again_after_its_back_off() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    following = stage.replica(2).following
    assert following is not None
    assert following.connection is not None
    start = stage.now
    stage.world.break_connection(following.connection)
    waiting = stage.start_produce(1, A, 0, 1, timeout_ms=10_000)
    stage.run(900)
    assert stage.outcome(waiting) is None
    stage.run(200)
    assert stage.outcome(waiting) == 1
    assert 1_000 <= stage.answered_at(waiting) - start <= 1_010


def test_who_still_waits_is_answered_when_another_gave_up() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    first = stage.start_produce(1, A, 0, 0, timeout_ms=10_000)
    second = stage.start_produce(1, B, 0, 0, timeout_ms=10_000)
    stage.give_up(first)
    stage.run(5)
    stage.let_replicate(2, 3)
    stage.run(2_000)
    assert (stage.outcome(first), stage.outcome(second)) == (None, 1)
    assert stage.replica(1).log.high_watermark == 2, "what the first wrote is committed all the same"


def test_the_one_whose_time_runs_out_first_is_answered_first() -> None:
    stage = Stage()
    stage.stop_replication(2, 3)
    long = stage.start_produce(1, A, 0, 0, timeout_ms=900)
    short = stage.start_produce(1, A, 0, 1, timeout_ms=300)
    stage.run(400)
    assert (stage.outcome(long), stage.outcome(short)) == (None, "7 at 1")
    stage.run(600)
    assert stage.outcome(long) == "7 at 0"


def test_an_answered_fetch_no_longer_waits() -> None:
    stage = Stage(1)
    broker = stage.world.find_broker(1)
    assert broker is not None
    fetching = stage.send(1, fetch_request(0, wait_ms=10_000))
    stage.run(5)
    assert list(broker.waiting.fetches) == [fetching]
    stage.produce(1, A, 0, 0)
    first = stage.answered_at(fetching)
    stage.produce(1, A, 0, 1)
    stage.run(11_000)
    assert stage.answered_at(fetching) == first
    assert broker.waiting.fetches == {}


# --- the controller -----------------------------------------------------------------------------------------------


def controller_says(stage: Stage, request: Any) -> Any:
    told: list[Any] = []
    stage.world.user_inbox = lambda envelope: told.append(envelope.message)
    stage.world.ask(CONTROLLER, request)
    stage.run(5)
    (reply,) = told
    return reply


def test_an_election_needs_another_live_member_in_sync() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.stop_replication(3)
    stage.produce(1, A, 0, 0, acks=1)
    stage.run(3_000)
    assert stage.partition.in_sync_replicas == (1, 2)
    before = stage.partition
    for leader_id, error in ((1, 84), (3, 83), (9, 83)):
        assert int(controller_says(stage, ElectLeaderRequest(TP, leader_id)).error) == error
    assert int(controller_says(stage, ElectLeaderRequest(TopicPartition("t", 5), 2)).error) == 3
    assert stage.partition == before
    reply = controller_says(stage, ElectLeaderRequest(TP, 2))
    assert (reply.topic_partition, reply.error) == (TP, ErrorCode.NONE)
    assert (stage.partition.leader_id, stage.partition.leader_epoch) == (2, 1)


def test_an_in_sync_member_that_is_down_can_not_be_elected() -> None:
    stage = Stage(2, eligible_leader_replicas_enable=False)
    stage.world.crash(2)
    stage.run(100)
    stage.world.crash(1)
    stage.run(20_000)
    assert (stage.partition.leader_id, stage.partition.in_sync_replicas) == (-1, (1,))
    assert int(controller_says(stage, ElectLeaderRequest(TP, 1)).error) == 83


def test_a_process_that_registers_before_its_predecessors_session_ended_gives_up_its_roles_first() -> None:
    """Its disk may lack a tail, so it is not simply taken for the one that led."""
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.world.crash(1)
    stage.run(100)
    assert stage.partition.leader_id == 1, "its session still runs"
    stage.world.restart(1)
    stage.run(20)
    assert (stage.partition.leader_id, stage.partition.leader_epoch) == (2, 1)
    stage.run(5_000)
    assert stage.partition.in_sync_replicas == (2, 3, 1)
    assert stage.world.controller.image.is_alive(1)
    stage.run(20_000)
    assert stage.world.controller.image.is_alive(1), "nothing is left of the old session"


def test_a_granted_wish_names_the_request_and_the_new_registration() -> None:
    stage = Stage()
    known = stage.partition
    image = stage.world.controller.image
    twin = Controller.thaw(stage.world.controller.freeze(0), 0, stage.settings, 0)
    wanted = tuple((each, image.broker_epoch(each)) for each in (1, 3))
    request = AlterPartitionRequest(1, image.broker_epoch(1), TP, known.leader_epoch, known.partition_epoch, wanted)
    connection = Connection("broker-1", CONTROLLER, "alter", 0)
    *_, told = twin.receive(Envelope("broker-1", CONTROLLER, connection, 7, request), 0)
    assert (told.destination, told.connection, told.correlation_id) == ("broker-1", connection, 7)
    assert told.message == (TP, known.partition_epoch, ErrorCode.NONE, 1, 0, (1, 3), known.partition_epoch + 1)
    *_, late = twin.receive(Envelope("broker-1", CONTROLLER, connection, 8, request), 0)
    assert late.message == (TP, known.partition_epoch, ErrorCode.INVALID_UPDATE_VERSION, -1, -1, (), -1)


def test_a_metadata_fetch_on_a_broken_connection_is_not_waited_with() -> None:
    stage = Stage(1)
    controller = stage.world.controller
    twin = Controller.thaw(controller.freeze(0), 0, stage.settings, 0)
    epoch, end = controller.image.broker_epoch(1), controller.image.end_offset
    other = Connection("broker-1", CONTROLLER, "metadata", 99)
    twin.receive(Envelope("broker-1", CONTROLLER, other, 0, FetchMetadataRequest(1, epoch, end)), 0)
    stranger = other._replace(number=98)
    twin.receive(Envelope("broker-1", CONTROLLER, stranger, -1, Disconnected()), 0)
    assert [each[1][0] for each in twin.freeze(0)[2]] == [other]
    twin.receive(Envelope("broker-1", CONTROLLER, other, -1, Disconnected()), 0)
    assert twin.freeze(0)[2] == ()
    old = FetchMetadataRequest(1, epoch - 1, end)
    assert list(twin.receive(Envelope("broker-1", CONTROLLER, other, 0, old), 0)) == [], "a process that is no more"
    assert twin.freeze(0)[2] == ()


def test_metadata_that_comes_late_is_lag_and_the_old_leader_goes_on_until_it_hears() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.run(1_000)
    stage.world.cut_one_way(CONTROLLER, "broker-1")
    stage.elect(2)
    stage.run(100)
    assert stage.partition.leader_id == 2
    zombie = stage.send(1, produce_request(batch(A, 0, 1), timeout_ms=5_000))
    stage.run(100)
    assert stage.outcome(zombie) is None
    assert stage.replica(1).log.log_end_offset == 2
    assert stage.produce(2, A, 0, 1, acks=1) == 1
    stage.world.heal_one_way(CONTROLLER, "broker-1")
    stage.run(10)
    assert stage.outcome(zombie) == "6 at 1"
    stage.run(3_000)
    assert stage.ends() == [(2, 2)] * 3
    assert [each.leader_epoch for each in stage.replica(1).log.read(0, 2, 2**30)] == [0, 1]
