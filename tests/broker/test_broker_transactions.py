"""Transactions as a broker's partitions have them: batches and markers come in, readers ask. The test coordinates."""

from __future__ import annotations

from broker_stage import T0, TP, A, B, Stage, fetch_request

from eventlog.messages.broker_api import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    FetchPartition,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ProducePartition,
    ProduceRequest,
    TxnMarker,
    WriteTxnMarkersRequest,
)
from eventlog.values import Record, TopicPartition, record_batch

OTHER = TopicPartition("u", 0)
BOTH = (TP, OTHER)
LATEST = -1


def with_two_topics() -> Stage:
    stage = Stage(transaction_partition_verification_enable=False)
    stage.create("u")
    return stage


def leader_of(stage: Stage, topic_partition: TopicPartition) -> int:
    return stage.world.controller.image.partitions[topic_partition].leader_id


def write(stage: Stage, to: TopicPartition, producer_id: int, base_sequence: int, *values: str, at_ms: int = 0) -> int:
    records = tuple(Record(None, value.encode(), T0 + at_ms) for value in values)
    each = record_batch(records, producer_id, 0, base_sequence, is_transactional=True)
    request = ProduceRequest(-1, 2_000, (ProducePartition(to, each),), "T")
    (reply,) = stage.ask(leader_of(stage, to), request).partitions
    assert not reply.error
    offset: int = reply.base_offset
    return offset


def end(stage: Stage, producer_id: int, is_commit: bool) -> None:
    for to in BOTH:
        marker = TxnMarker(producer_id, 0, is_commit, 0, (to,))
        reply = stage.ask(leader_of(stage, to), WriteTxnMarkersRequest((marker,)))
        assert [int(error) for _, _, error in reply.partitions] == [0]


def read(stage: Stage, topic_partition: TopicPartition, isolation_level: int) -> list[str]:
    """What a consumer hands out: data below the limit, without those that the list of aborted transactions names."""
    request = fetch_request(0)._replace(
        isolation_level=isolation_level, partitions=(FetchPartition(topic_partition, 0),)
    )
    (reply,) = stage.ask(leader_of(stage, topic_partition), request).partitions
    aborted = dict(reply.aborted or ())
    seen = []
    for each in reply.batches:
        if each.is_control:
            aborted.pop(each.producer_id, None)
        elif aborted.get(each.producer_id, each.end_offset) > each.base_offset:
            seen += [record.value.decode() for record in each.records]
    return seen


def test_tx_12_committed_readers_see_what_was_committed_and_others_everything() -> None:
    stage = with_two_topics()
    for first, is_commit in ((0, False), (1, True)):
        for to in BOTH:
            write(stage, to, A, first, f"{to.topic}{first}")
        end(stage, A, is_commit)
    assert [read(stage, each, READ_COMMITTED) for each in BOTH] == [["t1"], ["u1"]]
    assert [read(stage, each, READ_UNCOMMITTED) for each in BOTH] == [["t0", "t1"], ["u0", "u1"]]


def test_tx_13_committed_readers_see_nothing_behind_an_open_transaction() -> None:
    stage = with_two_topics()
    for to in BOTH:
        assert write(stage, to, B, 0, "x1", at_ms=0) == 0
        assert write(stage, to, A, 0, "a", "b", at_ms=1) == 1
        assert write(stage, to, B, 1, "x2", at_ms=1) == 3
    end(stage, B, True)
    for to in BOTH:
        assert read(stage, to, READ_UNCOMMITTED) == ["x1", "a", "b", "x2"]
        assert read(stage, to, READ_COMMITTED) == ["x1"]
        for level, latest, found in ((READ_UNCOMMITTED, 5, 1), (READ_COMMITTED, 1, -1)):
            asked = tuple(ListOffsetsPartition(to, each) for each in (LATEST, T0 + 1))
            replies = stage.ask(leader_of(stage, to), ListOffsetsRequest(-1, level, asked)).partitions
            assert [(int(each.error), each.offset) for each in replies] == [(0, latest), (0, found)]
