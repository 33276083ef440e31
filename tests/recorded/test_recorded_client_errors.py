"""What producers of both kinds did after an error, in a whole cluster with somebody in the middle.

Recorded with kafka-clients 4.3.1 and librdkafka: m0 and m1 are acknowledged, m2 to m6 in flight, m7 and m8 follow; one
record a batch. The proxy of the recordings is a link that is cut: what it holds is spoiled, rewritten or thrown away.
"""

from __future__ import annotations

from typing import Any

import pytest
from recorded_run import Run, at, names, numbered

from eventlog.check.promises import LATE_COPY
from eventlog.errors import ErrorCode, FatalError

BOTH = pytest.mark.parametrize("client", ["java", "librdkafka"])
PLACES = pytest.mark.parametrize("place", [0, 2], ids=["first", "third"])
OUT_OF_ORDER, UNKNOWN = ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID
TIMED_OUT = "REQUEST_TIMED_OUT"


# The broker really refuses.


@pytest.mark.parametrize(("client", "epoch"), [("java", 0), ("librdkafka", 1)])
def test_the_first_of_five_is_refused_with_2_and_those_behind_it_are_out_of_order(client: str, epoch: int) -> None:
    """7.1, row 1: Java retries one after another in epoch 0, librdkafka drains and sends all five under epoch 1."""
    it = Run(client)
    it.acknowledged("m0", "m1")
    it.hold_requests(1)
    it.send(*names(2, 6))
    it.until(lambda: len(it.held("writer", "broker-1")) == 5)
    it.spoil_request(1, 0)
    it.let_requests(1)
    it.settle()
    it.acknowledged("m7", "m8")
    later = names(2, 8)
    assert it.log() == [*numbered(0, 0, ["m0", "m1"]), *numbered(epoch, 0 if epoch else 2, later)]
    assert it.told() == at(0, names(0, 8))
    assert it.refusals() == [f"0/{sequence} {OUT_OF_ORDER.name}" for sequence in range(3, 7)]
    assert (it.epoch(), it.producer.epoch_bumps) == (epoch, epoch)
    assert it.excused() == {}


# The broker appended, and the answer says otherwise.


def misinformed(client: str, error: ErrorCode, place: int) -> Run:
    """All five are appended; the answer to the `place`-th (from 0) says `error`."""
    it = Run(client)
    it.acknowledged("m0", "m1")
    it.hold_answers(1)
    it.send(*names(2, 6))
    it.until(lambda: len(it.held("broker-1", "writer")) == 5)
    it.rewrite_answer(1, place, error)
    it.let_answers(1)
    it.settle()
    return it


def goes_on(it: Run) -> None:
    it.acknowledged("m7")
    it.acknowledged("m8")


@PLACES
@pytest.mark.parametrize("error", [OUT_OF_ORDER, UNKNOWN])
def test_java_told_45_or_59_of_an_appended_batch_writes_that_one_twice_and_bumps_twice(
    error: ErrorCode, place: int
) -> None:
    """7.2, rows 1 to 3: epoch 1 for the copy; the others' success leaves a gap under it, so epoch 2 for what follows."""
    it = misinformed("java", error, place)
    goes_on(it)
    twice = f"m{place + 2}"
    assert it.log() == [*numbered(0, 0, names(0, 6)), f"1/0 {twice}", *numbered(2, 0, ["m7", "m8"])]
    assert it.told() == at(0, names(0, 6)) | {twice: "7", "m7": "8", "m8": "9"}
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (1, 2, 2)
    # All that were in flight got new numbers, from 0, and only one was sent again. (Recorded: one number lower, where the
    # client took two answers in one turn; here each answer is a turn.)
    assert it.refusals()[0] == f"1/{5 - place} {OUT_OF_ORDER.name}"
    # Nobody lies in a world without a proxy, so nothing excuses this one: the client is named.
    assert it.broken()["H2"] == "the client raised its epoch from 0 to 1 and wrote again"


@PLACES
def test_librdkafka_told_45_of_the_next_expected_batch_is_finished_and_the_others_succeed(place: int) -> None:
    """7.2, rows 1 and 2: that record is reported failed, though it is in the log."""
    it = misinformed("librdkafka", OUT_OF_ORDER, place)
    assert it.log() == numbered(0, 0, names(0, 6))
    assert it.told() == at(0, names(0, 6)) | {f"m{place + 2}": OUT_OF_ORDER.name}
    assert it.ends[f"m{place + 2}"].may_be_written
    with pytest.raises(FatalError, match="can't be used any more"):
        it.send("m7")


@PLACES
def test_librdkafka_told_59_takes_it_for_written_when_a_later_one_succeeds(place: int) -> None:
    """7.2, row 3: no duplicate; epoch 1 from the next record on."""
    it = misinformed("librdkafka", UNKNOWN, place)
    goes_on(it)
    assert it.log() == [*numbered(0, 0, names(0, 6)), *numbered(1, 0, ["m7", "m8"])]
    assert it.told() == at(0, names(0, 8)) | {f"m{place + 2}": "implied"}
    assert (it.duplicates(), it.epoch()) == (0, 1)
    assert it.excused() == {}


@BOTH
def test_46_is_a_success_at_an_unknown_offset_and_no_reason_to_bump(client: str) -> None:
    """7.2, row 4."""
    it = misinformed(client, ErrorCode.DUPLICATE_SEQUENCE_NUMBER, 0)
    goes_on(it)
    assert it.log() == numbered(0, 0, names(0, 8))
    assert it.told() == at(0, names(0, 8)) | {"m2": "unknown offset"}
    assert (it.epoch(), it.producer.epoch_bumps) == (0, 0)
    assert it.excused() == {}


@pytest.mark.parametrize(("client", "epoch"), [("java", 2), ("librdkafka", 1)])
def test_47_fails_that_record_though_it_is_in_the_log_and_nothing_is_written_twice(client: str, epoch: int) -> None:
    """7.2, row 5: two bumps with Java, for others were in flight; not fatal for either."""
    it = misinformed(client, ErrorCode.INVALID_PRODUCER_EPOCH, 0)
    goes_on(it)
    assert it.log() == [*numbered(0, 0, names(0, 6)), *numbered(epoch, 0, ["m7", "m8"])]
    assert it.told() == at(0, names(0, 8)) | {"m2": "INVALID_PRODUCER_EPOCH"}
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, epoch, epoch)


@BOTH
def test_47_with_nothing_else_in_flight_bumps_once(client: str) -> None:
    """7.2, row 5, the other half."""
    it = Run(client)
    it.acknowledged("m0", "m1")
    it.hold_answers(1)
    it.send("m2")
    it.until(lambda: len(it.held("broker-1", "writer")) == 1)
    it.rewrite_answer(1, 0, ErrorCode.INVALID_PRODUCER_EPOCH)
    it.let_answers(1)
    it.settle()
    it.acknowledged("m3")
    assert it.log() == [*numbered(0, 0, names(0, 2)), "1/0 m3"]
    assert it.told() == at(0, names(0, 3)) | {"m2": "INVALID_PRODUCER_EPOCH"}
    assert it.producer.epoch_bumps == 1


# The delivery timeout: requests wait 1.5 s, records 4 s; m3 is 2.2 s younger than m2.

SHORT: dict[str, Any] = {"request_timeout_ms": 1_500, "delivery_timeout_ms": 4_000}


def m2_expires(client: str, what_is_lost: str) -> Run:
    """m2 and m3 get no answer until m2 has expired; m2 never arrives, or "answers" alone are lost."""
    it = Run(client, **SHORT)
    it.acknowledged("m0", "m1")
    if what_is_lost == "requests":
        it.hold_requests(1)
    else:
        it.hold_answers(1)
    it.send("m2")
    it.cluster.advance(2_200)
    it.send("m3")
    it.cluster.advance(1_850)
    assert it.told()["m2"] == TIMED_OUT
    assert it.told()["m3"] == "nothing"
    it.close_connection(1)
    return it


@BOTH
def test_m2_never_arrives_and_expires_and_m3_goes_on_under_the_next_epoch(client: str) -> None:
    """7.3, row 1: m2 is lost, and the application was told."""
    it = m2_expires(client, "requests")
    it.settle()
    it.acknowledged("m4")
    assert it.log() == [*numbered(0, 0, ["m0", "m1"]), *numbered(1, 0, ["m3", "m4"])]
    assert it.told() == {"m0": "0", "m1": "1", "m2": TIMED_OUT, "m3": "2", "m4": "3"}
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 1, 1)
    # Java asks, and is refused directly behind the unresolved one; librdkafka does not ask.
    assert it.refusals() == ([f"0/3 {OUT_OF_ORDER.name}"] if client == "java" else [])
    assert it.excused() == {}


def test_java_whose_m3_expires_as_well_while_its_copy_is_out_bumps_a_second_time() -> None:
    """7.3, row 1, two of the three runs: m3 is reported failed though it is in the log; epoch 2 follows at once."""
    it = m2_expires("java", "requests")
    it.wait_appended(3, 1)
    it.hold_answers(1)
    it.until(lambda: it.told()["m3"] != "nothing")
    assert it.told()["m3"] == TIMED_OUT
    assert it.ends["m3"].may_be_written
    it.close_connection(1)
    it.acknowledged("m4")
    assert it.log() == [*numbered(0, 0, ["m0", "m1"]), "1/0 m3", "2/0 m4"]
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 2, 2)
    assert it.excused() == {}


def test_java_learns_from_m3_that_m2_is_in_the_log_and_stays_in_its_epoch() -> None:
    """7.3, row 2: the retry of m3 is answered as a duplicate, which settles what became of m2."""
    it = m2_expires("java", "answers")
    it.settle()
    it.acknowledged("m4")
    assert it.log() == numbered(0, 0, names(0, 4))
    assert it.told() == at(0, names(0, 4)) | {"m2": TIMED_OUT}
    assert it.ends["m2"].may_be_written
    assert (it.epoch(), it.producer.epoch_bumps) == (0, 0)
    assert it.excused() == {}


def test_librdkafka_does_not_wait_for_that_and_writes_m3_twice() -> None:
    """7.3, row 2, and 8.5: one duplicate, reported once, as success; no broker fault at all."""
    it = m2_expires("librdkafka", "answers")
    it.settle()
    it.acknowledged("m4")
    assert it.log() == [*numbered(0, 0, names(0, 3)), "1/0 m3", "1/1 m4"]
    assert it.told() == {"m0": "0", "m1": "1", "m2": TIMED_OUT, "m3": "4", "m4": "5"}
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (1, 1, 1)
    assert it.excused()["H2"] == LATE_COPY


@BOTH
def test_five_that_are_appended_and_expire_unanswered_are_five_false_failures(client: str) -> None:
    """7.3, row 3: the next record begins epoch 1; nothing twice."""
    it = Run(client, **SHORT)
    it.acknowledged("m0", "m1")
    it.hold_answers(1)
    it.send(*names(2, 6))
    it.cluster.advance(4_500)
    it.close_connection(1)
    it.acknowledged("m7")
    assert it.log() == [*numbered(0, 0, names(0, 6)), "1/0 m7"]
    assert it.told() == at(0, names(0, 7)) | dict.fromkeys(names(2, 6), TIMED_OUT)
    assert all(it.ends[value].may_be_written for value in names(2, 6))
    assert (it.duplicates(), it.epoch(), it.producer.epoch_bumps) == (0, 1, 1)
    assert it.excused() == {}
