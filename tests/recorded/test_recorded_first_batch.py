"""A new producer's first batch is refused, the one behind it taken: what real producers made of it, in a whole cluster.

A broker takes any first sequence from a producer that the partition does not know. Recorded with kafka-clients 4.3.1 and
librdkafka: two or five in flight, one record a batch, m0 refused with 19 or 6, m1 taken as the first.
"""

from __future__ import annotations

from typing import Any

import pytest
from recorded_run import Run, at, names, numbered

from eventlog.check.promises import UNKNOWN_PRODUCER

BOTH = pytest.mark.parametrize("client", ["java", "librdkafka"])
IN_FLIGHT = pytest.mark.parametrize("in_flight", [2, 5])
OUT_OF_ORDER, PURGED, TIMED_OUT = "OUT_OF_ORDER_SEQUENCE_NUMBER", "PRODUCER_FENCED", "REQUEST_TIMED_OUT"
ZERO: dict[str, Any] = {"unknown_producer_first_sequence": "zero"}
LATER = 3
SHORT: dict[str, Any] = {"request_timeout_ms": 10_000, "delivery_timeout_ms": 10_000}


def first_on_its_way(it: Run, in_flight: int) -> None:
    """m0 and those in flight behind it, sent at one time, are held before the broker sees any of them."""
    it.send(*names(0, in_flight - 1))
    it.until(lambda: 1 in it.engine.links and len(it.engine.links[1].in_flight) == in_flight)
    it.hold_requests(1)
    it.until(lambda: len(it.held("writer", "broker-1")) == in_flight)


def refused_with_19(
    client: str, in_flight: int, *, known: bool = False, timeouts: dict[str, Any] = SHORT, **broker: Any
) -> Run:
    """In-sync replicas {1}, two are needed. m0 is answered 19; the others wait until all three are in sync again."""
    it = Run(client, in_flight, broker=broker, **timeouts)
    if known:
        it.acknowledged("m")
    it.cluster.stop(2)
    it.cluster.stop(3)
    it.wait_in_sync(1)
    first_on_its_way(it, in_flight)
    it.let_requests(1, 1)
    it.cluster.restart(2)
    it.cluster.restart(3)
    it.wait_in_sync()
    assert it.told() == ({"m": "0"} if known else {}) | dict.fromkeys(names(0, in_flight - 1), "nothing")
    return it


def with_answers(it: Run, in_flight: int) -> Run:
    """What was held is let through, and every answer arrives."""
    it.let_requests(1)
    it.cluster.advance(100)
    it.send(*names(in_flight, in_flight + LATER - 1))
    it.settle()
    return it


def without_answers(it: Run, in_flight: int) -> Run:
    """What was held is let through; the connection is lost, and the answers with it."""
    it.send(*names(in_flight, in_flight + LATER - 1))
    it.hold_answers(1)
    it.let_requests(1)
    it.cluster.advance(300)
    it.close_connection(1)
    it.settle()
    return it


def refused_with_6(client: str, in_flight: int, **broker: Any) -> Run:
    """Broker 2 leads when m0 comes to broker 1, whose answer is held until it leads again and has taken m1."""
    it = Run(client, in_flight, broker=broker, **SHORT)
    first_on_its_way(it, in_flight)
    it.elect(2)
    it.hold_answers(1)
    it.let_requests(1, 1)
    it.elect(1)
    it.let_requests(1)
    it.cluster.advance(50)
    it.let_answers(1)
    it.cluster.advance(100)
    it.send(*names(in_flight, in_flight + LATER - 1))
    it.settle()
    return it


def refused_then_answered(client: str, in_flight: int, error: int, **broker: Any) -> Run:
    if error == 19:
        return with_answers(refused_with_19(client, in_flight, **broker), in_flight)
    return refused_with_6(client, in_flight, **broker)


@pytest.mark.parametrize("error", [19, 6])
@IN_FLIGHT
def test_java_retries_the_first_until_its_delivery_timeout_and_says_that_it_failed(in_flight: int, error: int) -> None:
    """3.4, rows 1 to 3: no epoch bump; 45 again and again; the rest is success."""
    it = refused_then_answered("java", in_flight, error)
    rest = names(1, in_flight + LATER - 1)
    assert it.log() == numbered(0, 1, rest)
    assert it.told() == {"m0": TIMED_OUT} | at(0, rest)
    assert it.ends["m0"].attempts > 5
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 0, 0)
    assert it.excused() == {"H4": UNKNOWN_PRODUCER}


def test_java_with_its_default_delivery_timeout_is_refused_more_than_a_hundred_times_before_it_says_so() -> None:
    """3.4: once with 120 s, 117 times 45, then the same end."""
    it = with_answers(refused_with_19("java", 2, timeouts={}), 2)
    assert it.told() == {"m0": TIMED_OUT} | at(0, names(1, 4))
    assert 100 < len(it.refusals()) < 130
    assert set(it.refusals()) == {f"0/0 {OUT_OF_ORDER}"}


@pytest.mark.parametrize("error", [19, 6])
@IN_FLIGHT
def test_librdkafka_reports_the_first_as_delivered_and_it_is_nowhere(in_flight: int, error: int) -> None:
    """3.4, rows 7 and 8: a silent loss, told as a success at an unknown offset; m0 is sent once."""
    it = refused_then_answered("librdkafka", in_flight, error)
    rest = names(1, in_flight + LATER - 1)
    assert it.log() == numbered(0, 1, rest)
    assert it.told() == {"m0": "implied"} | at(0, rest)
    assert it.ends["m0"].attempts == 1
    assert (it.epoch(), it.producer.epoch_bumps) == (0, 0)
    assert it.excused() == {"H4": UNKNOWN_PRODUCER, "A3": UNKNOWN_PRODUCER}


@IN_FLIGHT
def test_java_without_the_other_answers_writes_them_twice_and_out_of_order_and_calls_it_success(in_flight: int) -> None:
    """3.4, rows 4 and 5: m0 counts as the next one, so 45 raises the epoch. One and four duplicates."""
    it = without_answers(refused_with_19("java", in_flight), in_flight)
    rest, everything = names(1, in_flight - 1), names(0, in_flight + LATER - 1)
    assert it.log() == [*numbered(0, 1, rest), *numbered(1, 0, everything)]
    assert it.told() == at(in_flight - 1, everything)
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (in_flight - 1, 1, 1)
    assert it.excused() == dict.fromkeys(("H2", "H3", "H4"), UNKNOWN_PRODUCER)


@IN_FLIGHT
def test_librdkafka_without_the_other_answers_is_finished_and_reports_what_is_in_the_log_as_failed(
    in_flight: int,
) -> None:
    """3.4, rows 9 and 10: m0 failed; nothing later is sent."""
    it = without_answers(refused_with_19("librdkafka", in_flight), in_flight)
    rest = names(1, in_flight - 1)
    assert it.log() == numbered(0, 1, rest)
    assert it.told() == {"m0": OUT_OF_ORDER} | dict.fromkeys(names(1, in_flight + LATER - 1), PURGED)
    assert all(it.ends[value].may_be_written for value in rest)
    assert it.excused() == {"H4": UNKNOWN_PRODUCER}


@IN_FLIGHT
@BOTH
def test_one_batch_acknowledged_before_closes_the_hole(client: str, in_flight: int) -> None:
    """3.4, rows 6 and 11, the controls: all once, in order, success; Java stays in epoch 0."""
    it = without_answers(refused_with_19(client, in_flight, known=True), in_flight)
    everything = ["m", *names(0, in_flight + LATER - 1)]
    assert it.contents() == everything
    assert it.told() == at(0, everything)
    if client == "java":
        assert it.log() == numbered(0, 0, everything)
    assert it.excused() == {}


@pytest.mark.parametrize("error", [19, 6])
@IN_FLIGHT
@BOTH
def test_where_only_zero_may_begin_nothing_is_lost_and_nothing_twice(client: str, in_flight: int, error: int) -> None:
    """3.4, with the one switch that Kafka does not have."""
    it = refused_then_answered(client, in_flight, error, **ZERO)
    everything = names(0, in_flight + LATER - 1)
    assert it.contents() == everything
    assert it.told() == at(0, everything)
    assert it.excused() == {}


@IN_FLIGHT
@BOTH
def test_where_only_zero_may_begin_lost_answers_do_no_harm(client: str, in_flight: int) -> None:
    """3.4, the same with the second answer lost as well."""
    it = without_answers(refused_with_19(client, in_flight, **ZERO), in_flight)
    everything = names(0, in_flight + LATER - 1)
    assert it.contents() == everything
    assert it.told() == at(0, everything)
    assert it.excused() == {}


# By itself: the first moments of a partition on its leader.


def as_soon_as_it_is_named(client: str, refusals: int, **broker: Any) -> Run:
    """Another broker names the leader of a topic that was just created, and that leader has not heard of it: it does
    when it has refused the first `refusals` of five requests."""
    it = Run(client, broker=broker, leader_unaware=True, **SHORT)
    first_on_its_way(it, 5)
    it.let_requests(1, refusals)
    it.tell_leader()
    it.let_requests(1)
    it.cluster.advance(200)
    it.send(*names(5, 6))
    it.settle()
    return it


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_java_loses_with_an_error_what_came_before_the_leader_knew_its_topic(refusals: int) -> None:
    """3.4, by itself: CreateTopics answered, five records written at once; the log begins with sequence 2."""
    it = as_soon_as_it_is_named("java", refusals)
    rest = names(refusals, 6)
    assert it.log() == numbered(0, refusals, rest)
    assert it.told() == dict.fromkeys(names(0, refusals - 1), TIMED_OUT) | at(0, rest)
    assert it.epoch() == 0
    assert it.excused() == {"H4": UNKNOWN_PRODUCER}


@pytest.mark.parametrize("refusals", [1, 2, 3])
def test_librdkafka_loses_in_silence_what_came_before_the_leader_knew_its_topic(refusals: int) -> None:
    """3.4, by itself: the same, told as success."""
    it = as_soon_as_it_is_named("librdkafka", refusals)
    rest = names(refusals, 6)
    assert it.log() == numbered(0, refusals, rest)
    assert it.told() == dict.fromkeys(names(0, refusals - 1), "implied") | at(0, rest)
    assert it.excused() == {"H4": UNKNOWN_PRODUCER, "A3": UNKNOWN_PRODUCER}


@BOTH
def test_with_one_in_flight_a_leader_that_does_not_know_its_topic_yet_costs_nothing(client: str) -> None:
    """3.4, the condition: two or more in flight."""
    it = Run(client, 1, leader_unaware=True, **SHORT)
    first_on_its_way(it, 1)
    it.send(*names(1, 4))
    it.let_requests(1, 1)
    it.tell_leader()
    it.let_requests(1)
    it.settle()
    assert it.contents() == names(0, 4)
    assert it.told() == at(0, names(0, 4))
    assert it.excused() == {}


@BOTH
def test_where_only_zero_may_begin_a_leader_that_does_not_know_its_topic_yet_costs_nothing(client: str) -> None:
    """3.4, by itself, with the one switch that Kafka does not have."""
    it = as_soon_as_it_is_named(client, 2, **ZERO)
    assert it.contents() == names(0, 6)
    assert it.told() == at(0, names(0, 6))
    assert it.excused() == {}
