"""The snapshot hole, whole: a broker that was restarted knows one batch of a producer, and five were in flight.

Recorded with kafka-clients 4.3.1 and librdkafka before Apache Kafka 4.3.1: m0 is acknowledged; the answers to the next
ones are held back, all are appended and replicated; the broker that will judge the retries loses its memory.
"""

from __future__ import annotations

import pytest
from recorded_run import SESSION_TIMEOUT_MS, Run, at, names, numbered

from eventlog.check.promises import EXCUSES, ONE_BATCH_MEMORY
from eventlog.errors import FatalError

BOTH = pytest.mark.parametrize("client", ["java", "librdkafka"])
HOW = pytest.mark.parametrize("how", ["clean", "killed"])
PLACES = pytest.mark.parametrize(
    ("brokers", "in_flight", "down_ms"),
    [(1, 5, 500), (1, 2, 500), (3, 5, 500), (3, 5, 2 * SESSION_TIMEOUT_MS)],
    ids=["one broker, 5", "one broker, 2", "power cut", "long power cut"],
)
OUT_OF_ORDER, PURGED = "OUT_OF_ORDER_SEQUENCE_NUMBER", "PRODUCER_FENCED"
TWO_WAITING = 2


def appended_unanswered(it: Run, in_flight: int) -> None:
    """m0 acknowledged; then `in_flight` in all logs and not one answered; two more wait behind them."""
    it.acknowledged("m0")
    it.hold_answers(1)
    it.send(*names(1, in_flight + TWO_WAITING))
    it.wait_appended(1 + in_flight)
    it.cluster.advance(200)
    assert it.told() == {"m0": "0"} | dict.fromkeys(names(1, in_flight + TWO_WAITING), "nothing")


def after_failover(client: str, how: str, snapshot_batches: int = 1) -> Run:
    """Broker 2 is restarted as `how` says ("never": it is not) while the five wait; then broker 1 is killed."""
    it = Run(client, broker={"producer_snapshot_batches": snapshot_batches})
    appended_unanswered(it, 5)
    if how != "never":
        it.restart(2, how)
    it.cluster.crash(1)
    it.let_answers(1)
    it.settle()
    assert it.cluster.leader("t") == 2
    return it


def after_power_cut(client: str, brokers: int, in_flight: int, down_ms: int, snapshot_batches: int = 1) -> Run:
    """Everybody is killed at once and comes back."""
    it = Run(client, in_flight, brokers, broker={"producer_snapshot_batches": snapshot_batches})
    appended_unanswered(it, in_flight)
    for broker_id in range(1, brokers + 1):
        it.cluster.crash(broker_id)
    it.let_answers(1)
    it.cluster.advance(down_ms)
    for broker_id in range(1, brokers + 1):
        it.cluster.restart(broker_id)
    it.settle()
    return it


def assert_all_twice(it: Run, in_flight: int) -> None:
    """All in flight stand in the log twice, under epoch 0 and under epoch 1; all is success."""
    first = names(1, in_flight)
    later = [*first, *names(in_flight + 1, in_flight + TWO_WAITING)]
    assert it.log() == [*numbered(0, 0, ["m0", *first]), *numbered(1, 0, later)]
    assert it.told() == {"m0": "0"} | at(1 + in_flight, later)
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (in_flight, 1, 1)


def assert_all_once(it: Run, in_flight: int) -> None:
    everything = names(0, in_flight + TWO_WAITING)
    assert it.log() == numbered(0, 0, everything)
    assert it.told() == at(0, everything)
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 0, 0)
    assert it.excused() == {}


def assert_finished(it: Run, in_flight: int) -> None:
    """librdkafka: nothing twice; the first is reported failed though it is in the log, the rest is taken for written."""
    assert it.log() == numbered(0, 0, names(0, in_flight))
    told = {"m0": "0", "m1": OUT_OF_ORDER} | dict.fromkeys(names(2, in_flight - 1), "implied")
    told |= {f"m{in_flight}": str(in_flight)}
    assert it.told() == told | dict.fromkeys(names(in_flight + 1, in_flight + TWO_WAITING), PURGED)
    assert it.ends["m1"].may_be_written
    assert (it.duplicates(), it.epoch()) == (0, 0)
    with pytest.raises(FatalError, match="can't be used any more"):
        it.send("later")


# Java.


@HOW
def test_java_writes_five_twice_after_a_failover_to_a_restarted_broker_and_calls_it_success(how: str) -> None:
    """3.2, rows 1 and 2, and 8.1: five duplicates, no error; m6 and m7 follow under epoch 1."""
    it = after_failover("java", how)
    assert_all_twice(it, 5)
    it.acknowledged("m8")
    assert it.contents() == [*names(0, 5), *names(1, 8)]
    assert it.told()["m8"] == "13"
    assert it.excused() == {"H2": ONE_BATCH_MEMORY, "H3": ONE_BATCH_MEMORY, "H14": ONE_BATCH_MEMORY}


@PLACES
def test_java_writes_all_in_flight_twice_where_the_only_memory_was_killed(
    brokers: int, in_flight: int, down_ms: int
) -> None:
    """3.2, rows 4 to 6: one broker with one replica, and all three at once. No failover is needed."""
    it = after_power_cut("java", brokers, in_flight, down_ms)
    assert_all_twice(it, in_flight)
    assert it.excused() == {"H2": ONE_BATCH_MEMORY, "H3": ONE_BATCH_MEMORY, "H14": ONE_BATCH_MEMORY}


# librdkafka.


@HOW
def test_librdkafka_is_finished_by_a_failover_to_a_restarted_broker(how: str) -> None:
    """3.3, row 1."""
    it = after_failover("librdkafka", how)
    assert_finished(it, 5)
    assert it.excused() == {"H14": ONE_BATCH_MEMORY}


@PLACES
def test_librdkafka_is_finished_where_the_only_memory_was_killed(brokers: int, in_flight: int, down_ms: int) -> None:
    """3.3, row 3."""
    it = after_power_cut("librdkafka", brokers, in_flight, down_ms)
    assert_finished(it, in_flight)
    assert it.excused() == {"H14": ONE_BATCH_MEMORY}


def test_the_failed_record_sent_again_with_a_new_producer_is_the_applications_own_duplicate() -> None:
    """3.3, the last line: the broker can't know it, and every promise is kept."""
    it = after_failover("librdkafka", "killed")
    again = it.cluster.producer("second", linger_ms=0)
    assert again.send("t", "m1", partition=0).offset == 6
    assert it.contents() == [*names(0, 5), "m1"]
    assert it.duplicates() == 1


# Controls.


@BOTH
def test_a_failover_to_a_broker_that_was_never_restarted_costs_nothing(client: str) -> None:
    """3.2, row 3; 3.3, row 2."""
    assert_all_once(after_failover(client, "never"), 5)


@HOW
@BOTH
def test_a_restarted_broker_whose_snapshot_keeps_five_batches_costs_nothing(client: str, how: str) -> None:
    """3, with the one switch that Kafka does not have."""
    assert_all_once(after_failover(client, how, snapshot_batches=5), 5)


@PLACES
@BOTH
def test_brokers_whose_snapshots_keep_five_batches_may_all_be_killed(
    client: str, brokers: int, in_flight: int, down_ms: int
) -> None:
    """3, the same."""
    assert_all_once(after_power_cut(client, brokers, in_flight, down_ms, snapshot_batches=5), in_flight)


@BOTH
def test_with_one_in_flight_there_is_no_hole(client: str) -> None:
    """3.2, the condition: two batches at least; the snapshot has the one."""
    assert_all_once(after_power_cut(client, 1, 1, 500), 1)


# The story.


@pytest.mark.parametrize(("snapshot_batches", "expected"), [(1, "m1 m2 m1 m2"), (5, "m1 m2")])
def test_kafkas_own_hole_told_as_a_story(snapshot_batches: int, expected: str) -> None:
    """8.1: one broker, two batches in flight, both appended, answers lost, crash, restart. Two successes, no error."""
    it = Run(in_flight=2, brokers=1, broker={"producer_snapshot_batches": snapshot_batches})
    it.hold_answers(1)
    it.send("m1", "m2")
    # Whom to ask, and for which id, it learns from this broker too.
    it.let_answers(1)
    it.until(lambda: it.served(1) > 0)
    it.hold_answers(1)
    it.wait_appended(2)
    it.cluster.crash(1)
    it.let_answers(1)
    it.cluster.restart(1)
    it.settle()
    assert it.contents() == expected.split()
    is_hole = snapshot_batches == 1
    assert it.told() == at(2 if is_hole else 0, ["m1", "m2"])
    assert it.epoch() == (1 if is_hole else 0)
    verdict = it.cluster.check()
    assert verdict.held
    assert verdict.counts.duplicated == (2 if is_hole else 0)
    named = [finding for finding in verdict.findings if finding.promise == "H2"]
    assert [finding.cause for finding in named] == ([ONE_BATCH_MEMORY] * 2 if is_hole else [])
    assert "had lost its memory of all but the newest batch" in EXCUSES[ONE_BATCH_MEMORY]
    assert (ONE_BATCH_MEMORY in str(verdict)) is is_hole
