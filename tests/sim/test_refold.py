"""The second writing of the rules: what a log allows a leader to answer, and that a wrong answer is noticed."""

from __future__ import annotations

from typing import Any

import pytest
from sim_runs import SETTINGS

from eventlog import Cluster, InvariantViolation
from eventlog.broker import Broker
from eventlog.errors import ErrorCode
from eventlog.log.producer_state import REMEMBERED_BATCHES
from eventlog.messages import Connection, Envelope
from eventlog.messages.broker_api import ProducePartition, ProducePartitionReply, ProduceReply, ProduceRequest
from eventlog.sim.refold import ACCEPTED, DUPLICATE, FENCED, MOST_REMEMBERED, OUT_OF_ORDER, answer_of, right_answers
from eventlog.values import MAX_SEQUENCE, Record, RecordBatch, TopicPartition, record_batch

EVENTS = TopicPartition("events", 0)


def batch(
    base_sequence: int, base_offset: int = 0, epoch: int = 0, count: int = 1, producer_id: int = 7
) -> RecordBatch:
    records = tuple([Record(None, b"value", 1_700_000_000_000)] * count)
    return record_batch(records, producer_id, epoch, base_sequence)._replace(base_offset=base_offset, leader_epoch=0)


class Log:
    """As much of a log as is looked at."""

    def __init__(self, *batches: RecordBatch, log_start_offset: int = 0) -> None:
        self.batches = batches
        self.log_start_offset = log_start_offset

    def read(self, offset: int, end_offset: int, max_bytes: int) -> tuple[RecordBatch, ...]:
        return tuple([each for each in self.batches if each.end_offset > offset and each.base_offset < end_offset])


def right(log: Log, asked: RecordBatch, forgot_below: int = 0, unknown: bool = False, zero: bool = False) -> Any:
    end_offset = log.batches[-1].end_offset if log.batches else 0
    return right_answers(log, asked, end_offset, forgot_below, unknown, zero)


def test_it_remembers_as_many_batches_as_the_log_does() -> None:
    assert MOST_REMEMBERED == REMEMBERED_BATCHES


@pytest.mark.parametrize(
    ("known", "asked", "answer"),
    [
        ([], batch(9), ACCEPTED),
        ([batch(4)], batch(5), ACCEPTED),
        ([batch(4, 30)], batch(4), f"{DUPLICATE} of 30"),
        ([batch(4, 30)], batch(4, count=2), OUT_OF_ORDER),
        ([batch(4)], batch(6), OUT_OF_ORDER),
        ([batch(4)], batch(3), OUT_OF_ORDER),
        ([batch(4, epoch=2)], batch(5, epoch=1), FENCED),
        ([batch(4, epoch=2)], batch(0, epoch=3), ACCEPTED),
        ([batch(4, epoch=2)], batch(5, epoch=3), OUT_OF_ORDER),
        ([batch(MAX_SEQUENCE)], batch(0), ACCEPTED),
        ([batch(MAX_SEQUENCE)], batch(1), OUT_OF_ORDER),
    ],
)
def test_the_table(known: list[RecordBatch], asked: RecordBatch, answer: str) -> None:
    assert answer_of(known, asked, False) == answer


def test_an_unknown_producer_must_begin_at_zero_where_the_setting_says_so() -> None:
    assert right(Log(), batch(3), zero=True) == (OUT_OF_ORDER,)
    assert right(Log(), batch(0), zero=True) == (ACCEPTED,)


def test_a_duplicate_is_one_of_the_five_newest() -> None:
    log = Log(*[batch(number, number) for number in range(6)])
    assert right(log, batch(1)) == (f"{DUPLICATE} of 1",)
    assert right(log, batch(0)) == (OUT_OF_ORDER,)


def test_other_producers_and_older_epochs_do_not_count() -> None:
    log = Log(batch(0, 0), batch(1, 1), batch(0, 2, epoch=1), batch(5, 3, producer_id=8))
    assert right(log, batch(1)) == (FENCED,)
    assert right(log, batch(1, epoch=1)) == (ACCEPTED,)


def test_a_producer_far_back_in_a_long_log_is_found() -> None:
    log = Log(batch(0, 0), *[batch(number, number + 1, producer_id=8) for number in range(1_000)])
    assert right(log, batch(0)) == (f"{DUPLICATE} of 0",)


def test_where_a_restart_may_have_forgotten_two_answers_are_right() -> None:
    log = Log(*[batch(number, number) for number in range(4)])
    assert right(log, batch(1), forgot_below=4) == (OUT_OF_ORDER, f"{DUPLICATE} of 1")
    assert right(log, batch(3), forgot_below=4) == (f"{DUPLICATE} of 3",)
    assert right(log, batch(2), forgot_below=2) == (f"{DUPLICATE} of 2",)
    assert right(log, batch(9), unknown=True) == (ACCEPTED, OUT_OF_ORDER)


def test_a_log_without_its_head_or_with_transactions_says_nothing() -> None:
    assert right(Log(batch(1, 5), log_start_offset=5), batch(0)) == ()
    marker = batch(0, 1)._replace(attributes=0x30)
    assert right(Log(batch(0, 0), marker), batch(1)) == ()


# --- in a world -------------------------------------------------------------------------------------------------------


def answered(asked: int, error: ErrorCode, base_offset: int, log_append_time_ms: int = -1, forgot: int = 0) -> None:
    """Broker 1, whose log has sequences 0 to 2 at offsets 0 to 2, answers a batch with sequence `asked` so."""
    cluster = Cluster(3, checks="full", **SETTINGS)
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0, batch_size=0)
    for value in (b"0", b"1", b"2"):
        writer.send("events", value)
        writer.flush()
    world = cluster._world
    broker = world.find_broker(1)
    assert isinstance(broker, Broker)
    assert world.invariants is not None
    if forgot:
        world.invariants.forgot("broker-1", EVENTS, forgot)
    known = broker.replicas[EVENTS].log.read(0, 3, 2**62)[0]
    fresh = known._replace(base_sequence=asked, base_offset=0)
    connection = Connection("writer", "broker-1", "produce", 0)
    request = ProduceRequest(-1, 1_000, (ProducePartition(EVENTS, fresh),))
    reply = ProduceReply((ProducePartitionReply(EVENTS, error, base_offset, log_append_time_ms),))
    world.invariants.after(
        broker,
        Envelope("writer", "broker-1", connection, 9, request),
        world,
        [Envelope("broker-1", "writer", connection, 9, reply)],
    )


@pytest.mark.parametrize(
    ("asked", "error", "base_offset", "log_append_time_ms"),
    [
        (1, ErrorCode.NONE, 2, 5),  # recognised, with another batch's offset
        (3, ErrorCode.NONE, 2, 5),  # not seen before, and yet "recognised"
        (1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1, -1),
        (3, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1, -1),
        (3, ErrorCode.INVALID_PRODUCER_EPOCH, -1, -1),
        (5, ErrorCode.UNKNOWN_PRODUCER_ID, -1, -1),
        (7, ErrorCode.NONE, 2, -1),  # written, though it was not the next
    ],
)
def test_a_wrong_answer_is_noticed(asked: int, error: ErrorCode, base_offset: int, log_append_time_ms: int) -> None:
    with pytest.raises(InvariantViolation) as caught:
        answered(asked, error, base_offset, log_append_time_ms)
    assert caught.value.promise == "H14"


def test_right_answers_are_let_pass() -> None:
    answered(1, ErrorCode.NONE, 1, 5)
    answered(5, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1)
    answered(2, ErrorCode.NONE, 2)  # the newest batch, just written
    answered(3, ErrorCode.NOT_LEADER_OR_FOLLOWER, -1)
    answered(1, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, -1, forgot=3)
