"""What producers of both kinds did in front of a real broker, played again: logs, epochs, and what they were told.

One record in a batch (what waits behind five in flight shares one). m0 (and m1) are acknowledged first where it says
so; then five are in flight, then more follow.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from client_broker_stage import OUT_OF_ORDER, Play
from client_stage import TP0

from eventlog.errors import ErrorCode

MakePlay = Callable[..., Play]
BOTH = pytest.mark.parametrize("client", ["java", "librdkafka"])
TIMED_OUT = "REQUEST_TIMED_OUT"
GONE = "PRODUCER_FENCED"


def names(first: int, last: int) -> list[str]:
    return [f"m{number}" for number in range(first, last + 1)]


# A broker that was restarted remembers one batch.


def forgotten(play: MakePlay, client: str, in_flight: int, *, restarted: bool = True) -> Play:
    """m0 is acknowledged; the next `in_flight` are appended, their answers lost, the broker restarted; two more wait."""
    it = play(behaves_like=client, max_in_flight_requests_per_connection=in_flight)
    it.acknowledged("m0")
    it.send(*names(1, in_flight + 2))
    it.lose(in_flight)
    if restarted:
        it.logs[TP0].restart()
    it.break_connection()
    it.settle()
    return it


@pytest.mark.parametrize("in_flight", [2, 5])
def test_java_writes_everything_twice_after_a_restart_and_calls_it_success(play: MakePlay, in_flight: int) -> None:
    it = forgotten(play, "java", in_flight)
    twice, rest = names(1, in_flight), names(in_flight + 1, in_flight + 2)
    assert it.contents.split() == ["m0", *twice, *twice, *rest]
    assert it.log[in_flight + 1 :] == [f"1/{place} {value}" for place, value in enumerate([*twice, *rest])]
    assert it.told() == {"m0": "0"} | {value: str(in_flight + 1 + at) for at, value in enumerate([*twice, *rest])}
    assert (it.engine.producer_epoch, it.engine.epoch_bumps) == (1, 1)
    assert not it.fatal()


@pytest.mark.parametrize("in_flight", [2, 5])
def test_librdkafka_writes_nothing_twice_after_a_restart_and_ends_with_a_fatal_error(
    play: MakePlay, in_flight: int
) -> None:
    it = forgotten(play, "librdkafka", in_flight)
    assert it.contents.split() == names(0, in_flight)
    expected = {"m0": "0", "m1": OUT_OF_ORDER.name} | dict.fromkeys(names(2, in_flight - 1), "implied")
    expected |= {f"m{in_flight}": str(in_flight)} | dict.fromkeys(names(in_flight + 1, in_flight + 2), GONE)
    assert it.told() == expected
    assert it.fatal()
    assert it.refusals[-1].error is ErrorCode.PRODUCER_FENCED
    assert not any(each.may_be_written for each in it.results if each.error.name == GONE)
    assert it.engine.deadlines() == {}
    assert it.engine.buffered_bytes == 0


@BOTH
def test_in_front_of_a_broker_that_remembers_five_nothing_happens(play: MakePlay, client: str) -> None:
    it = forgotten(play, client, 5, restarted=False)
    assert it.contents.split() == names(0, 7)
    assert it.told() == {f"m{number}": str(number) for number in range(8)}
    assert it.engine.epoch_bumps == 0


# The first batch of a new producer is refused, a later one taken.


@pytest.mark.parametrize("error", [ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_LEADER_OR_FOLLOWER])
@pytest.mark.parametrize("in_flight", [2, 5])
@BOTH
def test_a_first_batch_refused_is_lost_with_java_saying_so_and_librdkafka_calling_it_delivered(
    play: MakePlay, client: str, in_flight: int, error: ErrorCode
) -> None:
    it = play(
        behaves_like=client,
        max_in_flight_requests_per_connection=in_flight,
        delivery_timeout_ms=10_000,
        request_timeout_ms=10_000,
    )
    it.send(*names(0, in_flight - 1))
    it.refuse(error)
    it.serve(in_flight - 1)
    it.send("later")
    if error is ErrorCode.NOT_LEADER_OR_FOLLOWER and client == "java":
        # The question for a newer leader is answered: the same one leads, in the next leader epoch.
        it.leaders = dict.fromkeys(it.leaders, (1, 1))
        it.answer_asked()
    it.settle()
    assert it.contents.split() == [*names(1, in_flight - 1), "later"]
    told = it.told()
    assert told.pop("m0") == (TIMED_OUT if client == "java" else "implied")
    assert list(told.values()) == [str(offset) for offset in range(in_flight)]
    assert it.engine.epoch_bumps == 0
    assert not it.fatal()
    if client == "librdkafka":
        first = next(each for each in it.results if each.is_implied)
        assert (first.base_offset, first.error, first.attempts) == (-1, ErrorCode.NONE, 1)


@pytest.mark.parametrize("in_flight", [2, 5])
@pytest.mark.parametrize("known", [False, True], ids=["new", "m acknowledged before"])
@BOTH
def test_a_first_batch_refused_and_the_other_answers_lost(
    play: MakePlay, client: str, in_flight: int, known: bool
) -> None:
    it = play(behaves_like=client, max_in_flight_requests_per_connection=in_flight, request_timeout_ms=5_000)
    if known:
        it.acknowledged("m")
    it.send(*names(0, in_flight + 1))
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS)
    it.lose(in_flight - 1)
    it.pass_time(300)
    it.break_connection()
    it.settle()
    rest = names(1, in_flight - 1)
    if known:
        assert it.contents.split() == ["m", *names(0, in_flight + 1)]
        assert "implied" not in it.told().values()
    elif client == "java":
        assert it.contents.split() == [*rest, "m0", *rest, *names(in_flight, in_flight + 1)]
        assert it.told() == {f"m{number}": str(in_flight - 1 + number) for number in range(in_flight + 2)}
        assert it.engine.epoch_bumps == 1
    else:
        # m0 is asked about alone: its back-off is over, the others' has just begun.
        assert it.contents.split() == rest
        assert it.told() == {"m0": OUT_OF_ORDER.name} | dict.fromkeys(names(1, in_flight + 1), GONE)
        assert it.fatal()
        written = {(each.records[0].value or b"").decode() for each in it.results if each.may_be_written}
        assert written == {"m0", *rest}


# No idempotence: which way the copies come back.


@pytest.mark.parametrize("closed", [False, True], ids=["stalled", "closed"])
@pytest.mark.parametrize("in_flight", [1, 5])
@BOTH
def test_a_plain_producer_repeats_what_was_in_flight(play: MakePlay, client: str, in_flight: int, closed: bool) -> None:
    it = play(
        behaves_like=client,
        enable_idempotence=False,
        max_in_flight_requests_per_connection=in_flight,
        request_timeout_ms=4_000,
    )
    it.acknowledged("m0")
    it.send(*names(1, 6))
    it.lose(in_flight)
    if closed:
        it.break_connection()
    it.settle()
    copies = names(1, in_flight)
    if client == "java":
        copies.reverse()
    assert it.contents.split() == ["m0", *names(1, in_flight), *copies, *names(in_flight + 1, 6)]
    assert all(error == "NONE" for _, error, _ in it.ends())


def test_a_plain_librdkafka_producer_keeps_the_order_of_a_refused_batch_before_what_is_fresh(play: MakePlay) -> None:
    it = play(behaves_like="librdkafka", enable_idempotence=False, max_in_flight_requests_per_connection=2)
    it.send(*names(0, 4))
    it.refuse(ErrorCode.NOT_ENOUGH_REPLICAS, 2)
    it.settle()
    assert it.contents.split() == names(0, 4)


# The broker refuses one of five.


def five_in_flight(play: MakePlay, client: str, **settings: int) -> Play:
    it = play(behaves_like=client, **settings)
    it.acknowledged("m0", "m1")
    it.send(*names(2, 6))
    return it


@BOTH
def test_the_first_is_refused_and_those_behind_it_are_out_of_order(play: MakePlay, client: str) -> None:
    it = five_in_flight(play, client)
    it.refuse(ErrorCode.CORRUPT_MESSAGE)
    it.serve(4)
    assert it.out == []
    seen = []
    while len(it.results) < 7:
        it.pass_time(50)
        if it.out:
            seen.append(len(it.out))
            it.serve(len(it.out))
    it.acknowledged("m7", "m8")
    assert it.contents.split() == names(0, 8)
    assert it.told() == {f"m{number}": str(number) for number in range(9)}
    bumps = {"java": 0, "librdkafka": 1}[client]
    assert (it.engine.producer_epoch, it.engine.epoch_bumps) == (bumps, bumps)
    # Java sends the oldest alone, librdkafka all of them again.
    assert seen == {"java": [1, 1, 1, 1, 1], "librdkafka": [5]}[client]
    if client == "librdkafka":
        assert it.log[2:7] == [f"1/{place} m{place + 2}" for place in range(5)]


# The broker appended, and the answer says otherwise.


def misinformed(play: MakePlay, client: str, error: ErrorCode, place: int) -> Play:
    """The `place`-th of five (from 0) is appended and answered with `error`; the others are told the truth."""
    it = five_in_flight(play, client)
    it.serve(place)
    it.serve(say=error)
    it.serve(4 - place)
    it.settle()
    it.send("m7")
    it.settle()
    it.send("m8")
    it.settle()
    return it


@pytest.mark.parametrize("error", [OUT_OF_ORDER, ErrorCode.UNKNOWN_PRODUCER_ID])
@pytest.mark.parametrize("place", [0, 2], ids=["first", "third"])
def test_java_told_45_or_59_of_an_appended_batch_writes_it_again_and_bumps_twice(
    play: MakePlay, place: int, error: ErrorCode
) -> None:
    it = misinformed(play, "java", error, place)
    assert it.contents.split() == [*names(0, 6), f"m{place + 2}", "m7", "m8"]
    assert (it.engine.producer_epoch, it.engine.epoch_bumps) == (2, 2)
    assert it.log[-3:] == [f"1/0 m{place + 2}", "2/0 m7", "2/1 m8"]
    assert it.told()[f"m{place + 2}"] == "7"
    assert all(error == "NONE" for _, error, _ in it.ends())


@pytest.mark.parametrize("place", [0, 2], ids=["first", "third"])
def test_librdkafka_told_45_of_the_next_batch_is_finished_and_the_others_succeed(play: MakePlay, place: int) -> None:
    it = misinformed(play, "librdkafka", OUT_OF_ORDER, place)
    assert it.contents.split() == names(0, 6)
    told = it.told()
    assert told.pop(f"m{place + 2}") == OUT_OF_ORDER.name
    assert all(end == value[1:] for value, end in told.items())
    assert it.fatal()


@pytest.mark.parametrize("place", [0, 2], ids=["first", "third"])
def test_librdkafka_told_59_concludes_from_the_next_success_that_it_was_written(play: MakePlay, place: int) -> None:
    it = misinformed(play, "librdkafka", ErrorCode.UNKNOWN_PRODUCER_ID, place)
    assert it.contents.split() == names(0, 8)
    assert it.told()[f"m{place + 2}"] == "implied"
    assert it.log[-2:] == ["1/0 m7", "1/1 m8"]
    assert it.engine.epoch_bumps == 1


@BOTH
def test_46_is_a_success_at_an_unknown_offset_and_nothing_else(play: MakePlay, client: str) -> None:
    it = misinformed(play, client, ErrorCode.DUPLICATE_SEQUENCE_NUMBER, 0)
    assert it.contents.split() == names(0, 8)
    assert it.told()["m2"] == "unknown offset"
    assert it.engine.epoch_bumps == 0


@BOTH
def test_47_fails_the_record_though_it_is_written(play: MakePlay, client: str) -> None:
    it = misinformed(play, client, ErrorCode.INVALID_PRODUCER_EPOCH, 0)
    assert it.contents.split() == names(0, 8)
    told = it.told()
    assert told.pop("m2") == "INVALID_PRODUCER_EPOCH"
    assert all(end == value[1:] for value, end in told.items())
    assert it.engine.epoch_bumps == {"java": 2, "librdkafka": 1}[client]
    assert not it.fatal()


@BOTH
def test_47_with_nothing_behind_it_bumps_once(play: MakePlay, client: str) -> None:
    it = play(behaves_like=client)
    it.acknowledged("m0", "m1")
    it.send("m2")
    it.serve(say=ErrorCode.INVALID_PRODUCER_EPOCH)
    it.acknowledged("m3", "m4")
    assert it.log == ["0/0 m0", "0/1 m1", "0/2 m2", "1/0 m3", "1/1 m4"]
    assert it.engine.epoch_bumps == 1


# The delivery timeout: m3 is 2.2 s younger than m2.


def short_of_time(play: MakePlay, client: str, what: str) -> Play:
    """m0 and m1 are acknowledged; m2 and m3 get lost (`drop`: never arrive; `lose`: unanswered) until m2 has expired."""
    it = play(behaves_like=client, request_timeout_ms=1_500, delivery_timeout_ms=4_000)
    it.acknowledged("m0", "m1")
    for now_ms in range(0, 4_000, 100):
        if now_ms == 0:
            it.send("m2")
        if now_ms == 2_200:
            it.send("m3")
        if what == "drop":
            it.drop()
        else:
            it.lose(len(it.out))
        it.pass_time(100)
    it.settle()
    it.acknowledged("m4")
    it.settle()
    return it


@BOTH
def test_m2_never_arrived_and_expires(play: MakePlay, client: str) -> None:
    it = short_of_time(play, client, "drop")
    assert it.log == ["0/0 m0", "0/1 m1", "1/0 m3", "1/1 m4"]
    assert it.told() == {"m0": "0", "m1": "1", "m2": TIMED_OUT, "m3": "2", "m4": "3"}
    assert it.engine.epoch_bumps == 1


def test_java_waits_for_m3_which_settles_what_became_of_m2(play: MakePlay) -> None:
    it = short_of_time(play, "java", "lose")
    assert it.log == ["0/0 m0", "0/1 m1", "0/2 m2", "0/3 m3", "0/4 m4"]
    assert it.told() == {"m0": "0", "m1": "1", "m2": TIMED_OUT, "m3": "3", "m4": "4"}
    assert it.engine.epoch_bumps == 0


def test_librdkafka_bumps_at_once_and_writes_m3_twice(play: MakePlay) -> None:
    it = short_of_time(play, "librdkafka", "lose")
    assert it.log == ["0/0 m0", "0/1 m1", "0/2 m2", "0/3 m3", "1/0 m3", "1/1 m4"]
    assert it.told() == {"m0": "0", "m1": "1", "m2": TIMED_OUT, "m3": "4", "m4": "5"}
    assert it.engine.epoch_bumps == 1


@BOTH
def test_all_five_are_appended_and_expire(play: MakePlay, client: str) -> None:
    it = five_in_flight(play, client, request_timeout_ms=1_500, delivery_timeout_ms=4_000)
    for _ in range(45):
        it.lose(len(it.out))
        it.pass_time(100)
    it.send("m7")
    it.settle()
    assert it.log == [*(f"0/{number} m{number}" for number in range(7)), "1/0 m7"]
    assert it.told() == {"m0": "0", "m1": "1"} | dict.fromkeys(names(2, 6), TIMED_OUT) | {"m7": "7"}
    assert it.engine.epoch_bumps == 1
