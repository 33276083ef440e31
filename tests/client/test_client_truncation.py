"""A reader notices by leader epochs that the log behind it was cut, and goes on where the logs part."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_reader_stage import NONE, ReaderStage, batch_of
from client_stage import TP0

from eventlog import Cluster
from eventlog.clients import Consumer
from eventlog.errors import ErrorCode, RequestError

MakeStage = Callable[..., ReaderStage]


def asked(play: ReaderStage) -> list[tuple[int, int]]:
    """(offset, leader epoch of what was read before it) of every fetch that is out."""
    return [(part.fetch_offset, part.last_fetched_epoch) for each in play.out for part in each.message.partitions]


def read_three(reader_stage: MakeStage, policy: str) -> ReaderStage:
    """Three records of leader epochs 4 and 5 are read; the next poll asks."""
    play = reader_stage(auto_offset_reset=policy)
    play.seek(0)
    play.poll()
    assert asked(play) == [(0, -1)]
    play.answer(NONE, batch_of(0, "a", "b", leader_epoch=4), batch_of(2, "c", leader_epoch=5))
    play.poll()
    assert asked(play) == [(3, 5)]
    return play


@pytest.mark.parametrize("policy", ["earliest", "latest"])
def test_with_a_policy_reading_goes_on_where_the_logs_part(reader_stage: MakeStage, policy: str) -> None:
    play = read_three(reader_stage, policy)
    play.answer(NONE, diverging_epoch=4, diverging_end_offset=2)
    assert asked(play) == [(2, 4)]
    play.answer(NONE, batch_of(2, "instead", leader_epoch=6))
    assert play.read() == [(0, "a"), (1, "b"), (2, "c"), (2, "instead")]
    assert play.errors() == []


def test_without_a_policy_the_user_is_told_where_and_keeps_the_position_until_a_seek(reader_stage: MakeStage) -> None:
    play = read_three(reader_stage, "none")
    play.answer(NONE, diverging_epoch=4, diverging_end_offset=2)
    assert (play.errors(), play.polls[-1].truncated_to) == (["OFFSET_OUT_OF_RANGE"], 2)
    assert "cut at offset 2, before the position 3" in play.polls[-1].message
    play.poll()
    assert asked(play) == [(3, 5)]
    play.answer(NONE, diverging_epoch=4, diverging_end_offset=2)
    play.seek(2)
    play.poll()
    assert asked(play) == [(2, -1)]
    play.answer(NONE, batch_of(2, "instead", leader_epoch=6))
    assert play.read()[-1] == (2, "instead")
    assert play.polls[-1].truncated_to == -1


def test_a_log_that_ends_no_earlier_than_the_position_costs_nothing(reader_stage: MakeStage) -> None:
    play = read_three(reader_stage, "none")
    # The leader knows no epoch 5, and its epoch 4 is longer than what was read of it.
    play.answer(NONE, diverging_epoch=4, diverging_end_offset=7)
    assert asked(play) == [(3, 4)]
    assert play.errors() == []


@pytest.mark.parametrize(("policy", "told"), [("earliest", []), ("none", ["OFFSET_OUT_OF_RANGE"])])
def test_a_leader_that_can_tell_nothing_says_out_of_range(
    reader_stage: MakeStage, policy: str, told: list[str]
) -> None:
    play = read_three(reader_stage, policy)
    play.answer(ErrorCode.OFFSET_OUT_OF_RANGE)
    assert play.errors() == told
    assert [each.connection.purpose for each in play.out] == ([] if told else ["list_offsets"])


def test_an_offset_that_was_looked_up_brings_its_leader_epoch_along(reader_stage: MakeStage) -> None:
    play = reader_stage(auto_offset_reset="latest")
    play.poll()
    play.answer(NONE, offset=9, leader_epoch=3)
    assert asked(play) == [(9, 3)]


@pytest.mark.parametrize(
    ("error", "same_leader"),
    [
        (ErrorCode.NOT_LEADER_OR_FOLLOWER, False),
        (ErrorCode.FENCED_LEADER_EPOCH, False),
        (ErrorCode.UNKNOWN_LEADER_EPOCH, True),
        (ErrorCode.OFFSET_NOT_AVAILABLE, True),
    ],
)
def test_errors_about_leadership_keep_the_position_and_its_epoch(
    reader_stage: MakeStage, error: ErrorCode, same_leader: bool
) -> None:
    play = read_three(reader_stage, "none")
    play.answer(error)
    assert bool(play.asked) is not same_leader
    if not same_leader:
        play.leaders[TP0] = (2, 9)
        play.answer_asked()
    play.pass_time(130)
    assert asked(play) == [(3, 5)]
    assert play.out[0].destination == ("broker-1" if same_leader else "broker-2")
    assert play.errors() == []


# In a cluster.


def texts(consumer: Consumer, timeout_ms: int) -> list[str]:
    return [(each.record.value or b"").decode() for each in consumer.poll(timeout_ms)]


def cut_behind_a_reader(policy: str) -> list[str]:
    """A reader reads m0 and m1; m1 is then lost in an unclean election, and x is written in its place."""
    cluster = Cluster(brokers=3, checks="off", min_insync_replicas=1, unclean_leader_election_enable=True)
    cluster.create_topic("t")
    producer = cluster.producer("writer", linger_ms=0)
    producer.send("t", "m0").offset  # noqa: B018 (waits)
    consumer = cluster.consumer(("t", 0), auto_offset_reset=policy)
    if policy == "none":
        consumer.seek("t", 0, 0)
    leader = cluster.leader("t")
    others = [broker_id for broker_id in (1, 2, 3) if broker_id != leader]
    for broker_id in others:
        cluster.crash(broker_id)
    cluster.advance(30_000)
    producer.send("t", "m1").offset  # noqa: B018 (waits)
    cluster.advance(1_000)
    read = texts(consumer, 5_000)
    while len(read) < 2:
        read += texts(consumer, 5_000)
    assert read == ["m0", "m1"]
    cluster.crash(leader)
    cluster.advance(30_000)
    for broker_id in others:
        cluster.restart(broker_id)
    cluster.wait_for(lambda: cluster.leader("t") in others)
    cluster.producer("second", linger_ms=0, enable_idempotence=False).send("t", "x").offset  # noqa: B018 (waits)
    for _ in range(5):
        read += texts(consumer, 1_000)
    return read


def test_in_a_cluster_a_reader_reads_what_was_written_instead() -> None:
    assert cut_behind_a_reader("earliest") == ["m0", "m1", "x"]


def test_in_a_cluster_a_reader_without_a_policy_is_told() -> None:
    with pytest.raises(RequestError, match="cut at offset 1, before the position 2"):
        cut_behind_a_reader("none")
