"""Excuses are granted on evidence only: with the row that proves one it stands, without it the promise is broken."""

import pytest
from check_rows import LED, RUN, acked, batch, history, in_sync, log, refused, sent, status, tail

from eventlog.check import BROKEN, EXCUSED, HELD, NOT_PROMISED, Acked, Failed, Fault, Forgot, LeaderChanged, judge

LIBRDKAFKA = RUN._replace(client="librdkafka")


def stands(promise, *rows, run=RUN, healed=False):
    result = judge(history(*rows, run=run, healed=healed)).promise(promise)
    return result.status, result.why


# -- success without an offset


def implied(*numbers, sequence=0, is_implied=True):
    return Acked(50, "p", "t", 0, -1, numbers, 7, 0, sequence, 1, is_implied)


def hole(first, **log_fields):
    """m0 was refused, m1 taken as an unknown producer's first; the client took m0 for written because m1 was."""
    return (LED, sent(0, 1), first, acked(0, 1, sequence=1), log(batch(0, 1, sequence=1), **log_fields))


def test_a_success_that_is_only_implied_is_excused_where_an_unknown_producer_began_behind_it():
    assert stands("A3", *hole(implied(0))) == (EXCUSED, "unknown-producer rule")
    assert stands("H5", *hole(implied(0)))[0] == HELD


def test_a_success_that_is_not_in_the_log_is_broken_without_that_hole():
    assert stands("A3", *hole(implied(0, is_implied=False)))[0] == BROKEN
    assert stands("A3", *hole(implied(0, sequence=2)))[0] == BROKEN
    zero = RUN._replace(unknown_producer_first_sequence="zero")
    assert stands("A3", *hole(implied(0)), run=zero)[0] == BROKEN
    rows = (LED, sent(0, 1, 2), acked(0, 1, sequence=0), implied(0, sequence=1), log(batch(0, 1)))
    assert stands("A3", *rows)[0] == BROKEN


def test_a_success_without_an_offset_that_is_in_the_log_is_true():
    assert stands("A3", LED, sent(0), implied(0), log(batch(0, 0)))[0] == HELD


def test_acks_0_promises_no_success():
    run = RUN._replace(acks=0, writer="plain")
    assert stands("A3", LED, sent(0), implied(0, is_implied=False), log(), run=run)[0] == NOT_PROMISED


def test_an_unknown_producers_first_sequence_is_no_excuse_where_it_must_be_zero():
    zero = RUN._replace(unknown_producer_first_sequence="zero")
    assert stands("H4", *hole(implied(0)))[0] == EXCUSED
    assert stands("H4", *hole(implied(0)), run=zero)[0] == BROKEN


# -- a forgotten producer

EXPIRED = Forgot(40, 1, "t", 0, "expired", (7,), 2)
AFTER_EXPIRY = {
    "H2": [batch(0, 0), batch(1, 1), batch(2, 1, sequence=1)],
    "I11": [batch(0, 0), batch(1, 1), batch(2, 2, sequence=1)],
    "H9": [batch(0, 0, epoch=1), batch(1, 1, epoch=1), batch(2, 2, epoch=0, sequence=0)],
    "H4": [batch(0, 0), batch(1, 1), batch(2, 2, sequence=5)],
    "H3": [batch(0, 1), batch(1, 2), batch(2, 0, sequence=0)],
}


@pytest.mark.parametrize("promise", AFTER_EXPIRY)
def test_what_a_forgotten_producer_may_do_is_excused_on_evidence(promise):
    def stand(*rows):
        return stands(promise, LED, sent(0, 1, 2), *rows, log(*AFTER_EXPIRY[promise]))

    assert stand(EXPIRED) == (EXCUSED, "producer expired")
    assert stand(EXPIRED._replace(log_end_offset=-1)) == (EXCUSED, "producer expired")
    assert stand()[0] == BROKEN
    assert stand(EXPIRED._replace(producer_ids=(8,)))[0] == BROKEN
    assert stand(EXPIRED._replace(broker=2))[0] == BROKEN  # broker 1 led, and took it
    assert stand(EXPIRED._replace(why="restart"))[0] == BROKEN
    assert stand(EXPIRED._replace(log_end_offset=3))[0] == BROKEN  # only afterwards
    assert stand(EXPIRED._replace(log_end_offset=0))[0] == BROKEN  # and came back since


# -- more in flight than a broker remembers: five on the connection to the old leader, more to the new one


def written_again(*rows, refusal=None, run=RUN, newer=5):
    """Record 0 is refused by the new leader, which has it behind `newer` others, and is written again in epoch 1."""
    numbers = range(newer + 1)
    first = [batch(number, number) for number in numbers]
    again = batch(newer + 1, 0, leader_epoch=1, epoch=1, sequence=0)
    refusal = refused(0, end=newer + 1, broker=2) if refusal is None else refusal
    later = [acked(number, number, at_ms=40) for number in numbers if number]
    end = acked(newer + 1, 0, epoch=1, sequence=0, at_ms=80)
    whole = log(*first, again, broker=2, is_leader=True)
    return stands("H2", LED, sent(*numbers), later, *rows, refusal, end, whole, run=run)


MOVED = LeaderChanged(30, "t", 0, 2, 1, (1, 2, 3))
LIED = Fault(30, "error_after_append", "broker-1>p:REQUEST_TIMED_OUT", "", -1)


@pytest.mark.parametrize("why", [MOVED, LIED], ids=["leadership moved", "an answer lied"])
def test_a_copy_is_excused_when_the_batch_was_there_behind_five_newer_ones(why):
    assert written_again(why) == (EXCUSED, "more in flight than remembered")
    assert written_again(why, newer=4)[0] == BROKEN  # it was one of the five
    assert written_again(why, refusal=refused(0, end=5, broker=2))[0] == BROKEN  # and was so then
    assert written_again(why, refusal=refused(0, end=6, producer_id=8, broker=2))[0] == BROKEN
    assert written_again(why, refusal=refused(9, end=6, broker=2))[0] == BROKEN
    assert written_again(why, refusal=refused(0, "INVALID_PRODUCER_EPOCH", end=6, broker=2))[0] == BROKEN


def test_a_client_that_sends_too_many_at_once_is_not_excused():
    assert written_again()[0] == BROKEN
    assert written_again(LeaderChanged(30, "t", 0, 1, 0, (1, 2)))[0] == BROKEN


# -- losses


def lost(*rows, run=RUN):
    return stands("H5", LED, sent(0), acked(0, 0), *rows, log(), log(broker=2), log(broker=3), run=run)


ASKED_FOR = Fault(60, "unclean_election", "t-0>broker-3", "", -1)


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_loss_is_excused_when_one_that_was_neither_in_sync_nor_eligible_led_by_right(is_allowed):
    run = RUN._replace(unclean_leader_election_enable=is_allowed)
    asked = () if is_allowed else (ASKED_FOR,)
    shrunk = LeaderChanged(60, "t", 0, -1, 1, (1,), (2,))
    assert lost(*asked, shrunk, in_sync(3, leader=3, epoch=2), run=run) == (EXCUSED, "unclean election")
    assert lost(*asked, shrunk, in_sync(2, leader=2, epoch=2), run=run)[0] == BROKEN
    assert lost(*asked, shrunk, in_sync(1, leader=1, epoch=2), run=run)[0] == BROKEN


def test_an_unclean_election_that_nobody_allowed_excuses_nothing():
    shrunk = LeaderChanged(60, "t", 0, -1, 1, (1,), (2,))
    assert lost(shrunk, in_sync(3, leader=3, epoch=2))[0] == BROKEN
    assert lost(shrunk, in_sync(3, leader=3, epoch=2), ASKED_FOR)[0] == BROKEN  # only afterwards


def test_where_nobody_is_left_the_last_leader_may_lead_again_and_no_other():
    everything_gone = LeaderChanged(61, "t", 0, -1, 2, (), ())
    assert lost(everything_gone, in_sync(1, leader=1, epoch=3)) == (EXCUSED, "unclean election")
    assert lost(everything_gone, in_sync(3, leader=3, epoch=3))[0] == BROKEN


def test_an_unclean_election_before_the_send_excuses_nothing():
    rows = (in_sync(2, epoch=1, leader=2), in_sync(1, epoch=2), sent(0), acked(0, 0), log())
    assert stands("H5", LED, *rows)[0] == BROKEN


def wiped(broker):
    return Fault(60, "crash_wiped", f"broker-{broker}", "", -1)


def test_a_loss_is_excused_when_the_disks_that_held_it_were_wiped():
    assert lost(wiped(1), wiped(2), wiped(3)) == (EXCUSED, "disk wiped")
    assert lost(wiped(1), tail(2), tail(3)) == (EXCUSED, "disk wiped")
    assert lost(tail(1), tail(2), tail(3)) == (EXCUSED, "every in-sync copy lost")
    assert lost(wiped(1), wiped(2))[0] == BROKEN


def test_an_eligible_replica_holds_what_is_committed():
    alone = LeaderChanged(60, "t", 0, 1, 0, (1,), (2,))
    assert lost(alone, tail(1))[0] == BROKEN
    assert lost(alone, tail(1), tail(2))[0] == EXCUSED


# -- late copies


def late_copy(*given_up, epoch=1):
    """m0 times out; m1, appended but unanswered, is sent again under a raised epoch."""
    rows = (batch(0, 0), batch(1, 1), batch(2, 1, epoch=epoch, sequence=0))
    return (sent(0, 1), *given_up, acked(2, 1, epoch=epoch, sequence=0), log(*rows))


def test_librdkafkas_late_copy_is_excused_by_the_message_that_timed_out():
    timed_out = Failed(50, "p", "t", 0, (0,), "REQUEST_TIMED_OUT", True, 2)
    assert stands("H2", *late_copy(timed_out), run=LIBRDKAFKA) == (EXCUSED, "late copy")
    assert stands("H2", *late_copy(timed_out), run=RUN._replace(client="java"))[0] == BROKEN
    assert stands("H2", *late_copy(), run=LIBRDKAFKA)[0] == BROKEN
    for other in ({"may_be_written": False}, {"producer": "q"}, {"send_numbers": (2,)}):
        assert stands("H2", *late_copy(timed_out._replace(**other)), run=LIBRDKAFKA)[0] == BROKEN


# -- an epoch raised for all partitions


def raised_elsewhere(*refusals, epoch=1):
    """m0 is appended and unanswered; meanwhile the epoch is raised, and m0 is sent again under it."""
    rows = (batch(0, 0), batch(1, 0, epoch=epoch, sequence=0))
    return (sent(0), *refusals, acked(1, 0, epoch=epoch, sequence=0), log(*rows))


def test_librdkafkas_epoch_for_all_partitions_is_excused_by_the_refusal_in_another():
    there = refused(2, end=1)._replace(partition=1)
    assert stands("H2", *raised_elsewhere(there), run=LIBRDKAFKA) == (EXCUSED, "epoch raised elsewhere")
    assert stands("H2", *raised_elsewhere(there), run=RUN._replace(client="java"))[0] == BROKEN
    assert stands("H2", *raised_elsewhere(), run=LIBRDKAFKA)[0] == BROKEN
    for other in ({"partition": 0}, {"producer_id": 8}, {"producer_epoch": 1}, {"error": "INVALID_PRODUCER_EPOCH"}):
        assert stands("H2", *raised_elsewhere(there._replace(**other)), run=LIBRDKAFKA)[0] == BROKEN


def test_librdkafkas_epoch_for_all_partitions_is_excused_by_a_message_to_another_that_timed_out():
    timed_out = Failed(50, "p", "t", 1, (5,), "REQUEST_TIMED_OUT", True, 2)
    assert stands("H2", *raised_elsewhere(timed_out), run=LIBRDKAFKA) == (EXCUSED, "epoch raised elsewhere")
    assert stands("H2", *raised_elsewhere(timed_out), run=RUN._replace(client="java"))[0] == BROKEN
    for other in ({"may_be_written": False}, {"producer": "q"}, {"partition": 0}):
        assert stands("H2", *raised_elsewhere(timed_out._replace(**other)), run=LIBRDKAFKA)[0] == BROKEN


# -- recovery


def recovers(*rows, run=RUN):
    return stands("H13", LED, *rows, log(), log(broker=2), log(broker=3), run=run, healed=True)


def gone(in_sync_replicas=(), eligible=()):
    return LeaderChanged(70, "t", 0, -1, 1, in_sync_replicas, eligible)


def test_a_partition_without_a_leader_is_excused_when_all_who_might_lead_were_killed():
    kills = [Fault(60, fault, f"broker-{n}", "", -1) for n, fault in ((1, "crash"), (2, "crash_wiped"), (3, "crash"))]
    assert recovers(*kills, gone()) == (EXCUSED, "nobody left to lead")
    assert recovers(Fault(60, "power_cut", "", "", -1), gone())[0] == EXCUSED
    assert recovers(*kills[1:], gone())[0] == BROKEN
    assert recovers(*kills, gone(eligible=(2,)))[0] == BROKEN
    assert recovers(*kills, gone(in_sync_replicas=(2,)))[0] == BROKEN
    assert recovers(kills[0]._replace(fault="pause"), *kills[1:], gone())[0] == BROKEN
    assert recovers(kills[0], LeaderChanged(65, "t", 0, 1, 0, (1,), ()), gone())[0] == EXCUSED


def test_what_a_client_in_a_fatal_error_still_held_has_no_end():
    fatal = Failed(50, "p", "t", 0, (0,), "OUT_OF_ORDER_SEQUENCE_NUMBER", True, 2)
    assert recovers(sent(0, 1), fatal, run=LIBRDKAFKA) == (EXCUSED, "client in a fatal error")
    assert recovers(sent(0, 1), fatal)[0] == BROKEN
    assert recovers(sent(0, 1), fatal._replace(error="REQUEST_TIMED_OUT"), run=LIBRDKAFKA)[0] == BROKEN
    assert recovers(sent(0), sent(1, producer="q"), fatal, run=LIBRDKAFKA)[0] == BROKEN


def test_the_snapshot_hole_is_told_in_one_sentence():
    crash = Fault(20, "crash", "broker-1", "", 30)
    rows = (sent(0), crash, acked(1, 0, epoch=1, sequence=0), log(batch(0, 0), batch(1, 0, epoch=1, sequence=0)))
    verdict = judge(history(*rows))
    assert status(verdict, "H2") == BROKEN
    sentence = "the broker that judged the retry had lost its memory of all but the newest batch"
    assert verdict.promise("H2").why == sentence


def test_the_page_says_what_an_excuse_means():
    page = judge(history(LED, sent(0), acked(0, 0), tail(1), tail(2), tail(3), log())).report()
    assert "every in-sync copy lost: every in-sync replica that held the" in " ".join(page.split())


def test_who_is_made_leader_was_not_put_out_of_reach_by_that():
    """The only holder left stands aside for one that lost its tail: that excuses nothing while the holder lives."""
    moved = LeaderChanged(75, "t", 0, 2, 1, (2,))
    for harmless in ("election", "unclean_election"):
        struck = Fault(65, harmless, "t-0>broker-1", "", -1)
        dead = Fault(66, "crash", "broker-3", "", -1)
        assert lost(struck, tail(2), dead, moved)[0] == BROKEN
    dead = [Fault(66, "crash", f"broker-{broker}", "", -1) for broker in (1, 3)]
    assert lost(tail(2), *dead, moved) == (EXCUSED, "every in-sync copy lost")
