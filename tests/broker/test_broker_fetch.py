"""What a fetch, a look-up of offsets and a question for an epoch's end are answered, as a real cluster answered them."""

from __future__ import annotations

import pytest
from broker_stage import T0, TP, A, Stage

from eventlog.messages.broker_api import DeleteRecordsRequest

NONE, OLD, SAME, NEWER = -1, 0, 1, 2


def led_by_two() -> Stage:
    """Leader epoch 1: replica 2 leads, replica 1 was demoted and follows."""
    stage = Stage()
    stage.produce(1, A, 0, 0)
    stage.elect(2)
    stage.run(3_000)
    assert stage.produce(2, A, 0, 1) == 1
    stage.run(1_000)
    return stage


@pytest.fixture(scope="module")
def demoted() -> Stage:
    return led_by_two()


@pytest.fixture(scope="module")
def three_epochs() -> Stage:
    """3 records in leader epoch 0, 2 in epoch 1, 4 in epoch 2; replica 1 leads."""
    stage = Stage()
    stage.produce(1, A, 0, 0, 3)
    stage.elect(2)
    stage.run(3_000)
    stage.produce(2, A, 0, 3, 2)
    stage.elect(1)
    stage.run(3_000)
    stage.produce(1, A, 0, 5, 4)
    stage.run(1_000)
    assert stage.ends() == [(9, 9)] * 3
    return stage


@pytest.mark.parametrize(("epoch", "error"), [(NONE, 0), (OLD, 74), (SAME, 0), (NEWER, 75)])
@pytest.mark.parametrize("broker_id", [1, 2, 3])
def test_a_consumer_is_served_by_leader_and_followers_and_told_a_wrong_epoch(
    demoted: Stage, broker_id: int, epoch: int, error: int
) -> None:
    found = demoted.fetch(broker_id, 0, epoch=epoch)
    assert int(found.error) == error
    assert len(found.batches) == (0 if error else 2)


@pytest.mark.parametrize(("epoch", "error"), [(NONE, 6), (OLD, 74), (SAME, 6), (NEWER, 75)])
@pytest.mark.parametrize("broker_id", [1, 3])
def test_at_a_follower_the_epoch_is_compared_before_leadership(
    demoted: Stage, broker_id: int, epoch: int, error: int
) -> None:
    assert int(demoted.fetch(broker_id, 2, epoch=epoch, replica_id=3).error) == error
    assert demoted.list_offsets(broker_id, epoch=epoch)[0] == error
    assert demoted.epoch_end(broker_id, 0, epoch)[0] == error


@pytest.mark.parametrize(("epoch", "error"), [(NONE, 0), (OLD, 74), (SAME, 0), (NEWER, 75)])
def test_at_the_leader_only_a_wrong_epoch_is_an_error(demoted: Stage, epoch: int, error: int) -> None:
    assert int(demoted.fetch(2, 2, epoch=epoch, replica_id=3).error) == error
    assert demoted.list_offsets(2, epoch=epoch)[0] == error
    assert demoted.epoch_end(2, 0, epoch) == ((0, 0, 1) if error == 0 else (error, -1, -1))


def test_a_replica_that_is_not_assigned_is_refused(demoted: Stage) -> None:
    assert int(demoted.fetch(2, 0, epoch=1, replica_id=9).error) == 75
    assert int(demoted.fetch(2, 0, replica_id=9).error) == 6


def test_a_follower_serves_consumers_up_to_its_own_high_watermark() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0)
    assert stage.replica(2).log.log_end_offset == 1
    assert stage.replica(2).log.high_watermark == 0, "it hears of it later"
    assert stage.fetch(2, 0).batches == ()
    stage.run(1_000)
    assert len(stage.fetch(2, 0).batches) == 1


@pytest.mark.parametrize(
    ("asked", "answer"), [(0, (0, 0, 3)), (1, (0, 1, 5)), (2, (0, 2, 9)), (3, (0, -1, -1)), (-1, (0, -1, -1))]
)
def test_where_three_epochs_end(three_epochs: Stage, asked: int, answer: tuple[int, int, int]) -> None:
    assert three_epochs.epoch_end(1, asked) == answer


def test_offsets_of_three_epochs(three_epochs: Stage) -> None:
    assert three_epochs.list_offsets(1) == (0, 9, 2)
    assert three_epochs.list_offsets(1, -2) == (0, 0, 0)
    assert three_epochs.list_offsets(1, T0) == (0, 0, 0)
    assert three_epochs.list_offsets(1, T0 + 1) == (0, -1, -1)
    assert three_epochs.list_offsets(1, -3) == (0, 0, 0)


@pytest.mark.parametrize(
    ("offset", "last_epoch", "answer"),
    [
        (3, 0, [3, 5]),
        (4, 0, (0, 3)),
        (5, 1, [5]),
        (6, 1, (1, 5)),
        (9, 2, []),
        (9, 1, (1, 5)),
        (10, 2, (2, 9)),
        (5, 3, 1),
        (2, -1, [0, 3, 5]),
        (10, -1, 1),
    ],
)
def test_a_fetch_that_names_its_last_epoch_is_told_where_the_logs_part(
    three_epochs: Stage, offset: int, last_epoch: int, answer: object
) -> None:
    found = three_epochs.fetch(1, offset, last_epoch=last_epoch, wait_ms=5)
    if isinstance(answer, int):
        assert int(found.error) == answer
        assert (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (-1, -1, -1)
    elif isinstance(answer, tuple):
        assert (int(found.error), found.batches) == (0, ())
        assert (found.diverging_epoch, found.diverging_end_offset) == answer
    else:
        assert found.diverging_epoch == -1
        assert [each.base_offset for each in found.batches] == answer


def test_the_size_limit_cuts_between_batches_and_never_before_the_first() -> None:
    stage = Stage(1)
    for sequence in range(4):
        stage.produce(1, A, 0, sequence)
    size = stage.replica(1).log.read(0, 1, 0)[0].size_bytes
    for limit, count in ((1, 1), (size, 1), (2 * size - 1, 1), (2 * size, 2), (9 * size, 4)):
        assert len(stage.fetch(1, 0, max_bytes=limit).batches) == count


def test_a_new_leader_does_not_tell_an_end_below_its_epochs_start() -> None:
    stage = Stage()
    for sequence in range(3):
        stage.produce(1, A, 0, sequence)
    stage.run(1_000)
    stage.stop_replication(3)
    assert stage.produce(1, A, 0, 3, acks=1) == 3
    stage.run(100)
    stage.stop_replication(3, leader=2)
    stage.world.crash(1)
    stage.run(10_000)
    assert (stage.partition.leader_id, stage.partition.leader_epoch) == (2, 1)
    assert stage.list_offsets(2) == (78, -1, -1)
    found = stage.fetch(2, 0)
    assert (found.high_watermark, [each.base_offset for each in found.batches]) == (3, [0, 1, 2])
    assert stage.produce(2, A, 0, 3, acks=1) == "dup@3"
    assert stage.produce(2, A, 0, 2) == "dup@2"
    waiting = stage.start_produce(2, A, 0, 3, timeout_ms=20_000)
    stage.run(500)
    assert stage.outcome(waiting) is None
    stage.let_replicate(3, leader=2)
    stage.run(2_000)
    assert stage.outcome(waiting) == "dup@3"
    assert stage.list_offsets(2) == (0, 4, 1)


def test_a_refused_batch_leaves_its_leader_epoch_behind() -> None:
    stage = Stage()
    for sequence in range(2):
        stage.produce(1, A, 0, sequence)
    stage.elect(2)
    stage.run(10)
    assert stage.produce(2, A, 0, 7, acks=1) == "45 at -1"
    assert stage.epoch_end(2, 1) == (0, 1, 2)


def test_deleted_records_are_gone_for_readers_and_followers_learn_of_it() -> None:
    stage = Stage()
    stage.produce(1, A, 0, 0, 5)
    stage.produce(1, A, 0, 5, 5)
    stage.run(1_000)
    assert [int(each[1]) for each in stage.ask(2, DeleteRecordsRequest(((TP, 3),))).partitions] == [6]
    assert stage.ask(1, DeleteRecordsRequest(((TP, 11),))).partitions == ((TP, 1, -1),)
    assert stage.ask(1, DeleteRecordsRequest(((TP, 7),))).partitions == ((TP, 0, 7),)
    assert int(stage.fetch(1, 6).error) == 1
    assert [each.base_offset for each in stage.fetch(1, 7).batches] == [5]
    assert stage.list_offsets(1, -2) == (0, 7, 0)
    stage.produce(1, A, 0, 10)
    stage.run(1_000)
    assert [stage.replica(each).log.log_start_offset for each in (1, 2, 3)] == [7, 7, 7]
    assert stage.produce(1, A, 0, 5, 5) == "dup@5"


def test_a_follower_whose_end_lies_below_the_leaders_start_begins_there() -> None:
    stage = Stage(replica_lag_time_max_ms=1_000)
    stage.produce(1, A, 0, 0)
    stage.stop_replication(3)
    for sequence in range(1, 9):
        stage.produce(1, A, 0, sequence, acks=1)
    stage.run(3_000)
    assert stage.partition.in_sync_replicas == (1, 2)
    stage.ask(1, DeleteRecordsRequest(((TP, 5),)))
    stage.let_replicate(3)
    stage.run(5_000)
    log = stage.replica(3).log
    assert (log.log_start_offset, log.log_end_offset) == (5, 9)
    assert sorted(stage.partition.in_sync_replicas) == [1, 2, 3]
