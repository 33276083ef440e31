"""Every promise has a history that keeps it and one that breaks it, and its check is missed when it is switched off."""

import pytest
from check_rows import LED, RUN, acked, batch, history, in_sync, log, read, refused, sent, status, tail, unhealed

from eventlog.check import (
    BROKEN,
    CHECKS,
    EXCUSED,
    EXCUSES,
    HELD,
    NOT_CHECKABLE,
    NOT_PROMISED,
    PROMISES,
    Assigned,
    Failed,
    Fault,
    History,
    Truncated,
    judge,
    standing,
)
from eventlog.check.promises import EFFECTS, EFFECTS_OF
from eventlog.check.verdict import Outcome
from eventlog.errors import RequestError
from eventlog.values import FAULTS, MAX_SEQUENCE

WHOLE = (
    LED,
    sent(0, 1, 2),
    acked(0, 0),
    acked(1, 1, 2),
    Assigned(55, "c", "t", 0, 0),
    read((0, 0, 0), (1, 0, 1)),
    read((2, 0, 2)),
    refused(4, end=3),
    *(log(batch(0, 0), batch(1, 1, 2), broker=broker) for broker in (1, 2, 3)),
)


BREAKING = {
    "H1": unhealed(acked(0, -1), acked(1, -1, sequence=0), log(batch(0, -1))),
    "H2": unhealed(sent(0), log(batch(0, 0), batch(1, 0))),
    "H3": unhealed(sent(0, 1), log(batch(0, 1), batch(1, 0))),
    "H4": unhealed(sent(0, 1), log(batch(0, 0), batch(1, 1, sequence=2))),
    "H5": unhealed(LED, sent(0), acked(0, 0), log()),
    "H6": unhealed(sent(0, 1), read((0, 0, 1)), log(batch(0, 0))),
    "H7": unhealed(sent(0, 1), log(batch(0, 0)), log(batch(0, 1, leader_epoch=1), broker=2)),
    "H8": unhealed(LED, LED._replace(leader=2), log()),
    "H9": unhealed(sent(0, 1), log(batch(0, 0, epoch=1), batch(1, 1, epoch=0, sequence=0))),
    "H11": unhealed(sent(0, 1), log(batch(0, 0), batch(2, 1, sequence=1))),
    "H13": history(sent(0), log()),
    "H14": unhealed(sent(0), refused(1, end=1), log(batch(0, 0))),
    "I3": unhealed(log(high_watermark=1)),
    "I5": unhealed(
        sent(0, 1), log(batch(0, 0), high_watermark=0), log(batch(0, 1), broker=2, high_watermark=0, is_leader=False)
    ),
    "I11": unhealed(log(batch(0, -1), batch(1, -1, sequence=0))),
    "I33": unhealed(sent(0), acked(0, 0), acked(0, 0), log(batch(0, 0))),
    "G1a": unhealed(sent(0), Failed(50, "p", "t", 0, (0,), "INVALID_RECORD", False, 1), log(batch(0, 0))),
    "A1": unhealed(sent(0, 1), acked(1, 0, sequence=0), log(batch(0, 0), batch(1, 1))),
    "A2": unhealed(sent(0), log(batch(0, 0), batch(1, 9))),
    "A3": unhealed(LED, sent(0), acked(-1, 0, sequence=0), log()),
    "R1": unhealed(sent(0), read((0, 0, 0)), read((0, 0, 0)), log(batch(0, 0))),
    "R2": unhealed(sent(0, 1, 2), read((0, 0, 0)), read((2, 0, 2)), log(batch(0, 0, 1, 2))),
}
"""For each promise a history as small as can be that breaks it, and nothing else."""


def test_a_whole_history_holds_in_every_promise():
    verdict = judge(history(*WHOLE))
    assert verdict.held, verdict.report()
    assert [result.status for result in verdict.promises] == [HELD] * len(PROMISES)
    assert not verdict.findings
    assert not verdict.problems
    assert verdict.counts == (3, 3, 0, 0, 3, 0, 0, 0, 0, 0)
    assert verdict.sentence() == "Held: 3 sent, 3 acknowledged, 3 in the log, 0 duplicated, 0 lost, 0 out of order."


def test_every_promise_has_a_check_and_a_history_that_breaks_it():
    assert list(CHECKS) == list(PROMISES) == list(BREAKING)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_broken_promise_is_found(promise):
    verdict = judge(BREAKING[promise])
    assert not verdict.held
    assert status(verdict, promise) == BROKEN
    mine = [finding for finding in verdict.findings if finding.promise == promise]
    assert mine[0].status == BROKEN
    assert mine[0].sentence.endswith(".")
    assert mine[0].witness
    assert mine[0].cause
    assert f"{promise}: {mine[0].sentence}"[:30] in verdict.report(1000)


@pytest.mark.parametrize("promise", PROMISES)
def test_a_check_that_is_switched_off_is_missed(promise, monkeypatch):
    before = judge(BREAKING[promise])
    monkeypatch.setitem(CHECKS, promise, lambda index: Outcome())
    after = judge(BREAKING[promise])
    assert status(before, promise) == BROKEN
    assert status(after, promise) != BROKEN
    assert after.held  # nobody else saw it


def test_the_checks_tell_promises_apart():
    for promise, rows in BREAKING.items():
        assert [result.promise for result in judge(rows).of(BROKEN)] == [promise]


def test_a_numbered_record_with_two_places_has_two_ends_and_one_of_the_places_is_wrong():
    verdict = judge(unhealed(sent(0), acked(0, 0), acked(1, 0, sequence=0), log(batch(0, 0))))
    assert [result.promise for result in verdict.of(BROKEN)] == ["H1", "I33", "A1"]


# -- duplicates, order and their causes


def causes(rows, promise="H2"):
    return [(finding.status, finding.cause) for finding in judge(rows).findings if finding.promise == promise]


def test_the_same_sequence_twice_accuses_the_broker():
    rows = history(sent(0), log(batch(0, 0), batch(1, 0, sequence=0)))
    assert causes(rows) == [
        (BROKEN, "the broker did not recognise (producer_id 7, epoch 0, sequence 0)"),
    ]


def test_a_plain_writers_copies_are_counted_and_nobody_is_blamed():
    none = {"producer_id": -1, "epoch": -1, "sequence": -1}
    rows = history(
        sent(0, 1), log(batch(0, 0, **none), batch(1, 1, **none), batch(2, 0, **none)), run=RUN._replace(writer="plain")
    )
    rows.rows.insert(3, acked(0, 0, 1, **none))
    verdict = judge(rows)
    assert verdict.held, verdict.report()
    assert status(verdict, "H2") == status(verdict, "H3") == NOT_PROMISED
    assert (verdict.counts.duplicated, verdict.counts.duplicated_records, verdict.counts.out_of_order) == (1, 1, 1)
    assert causes(rows)[0][0] == NOT_PROMISED
    assert "Never promised: H2 no duplicate (1), H3 order (1)." in verdict.sentence()


def test_an_idempotent_writer_without_a_producer_id_is_broken():
    none = {"producer_id": -1, "epoch": -1, "sequence": -1}
    assert causes(history(sent(0), log(batch(0, 0, **none), batch(1, 0, **none))))[0][0] == BROKEN


def second_hole():
    """m0 refused, m1 taken as an unknown producer's first, its answer lost, the epoch raised, both written again."""
    return history(
        sent(0, 1),
        acked(1, 0, epoch=1, sequence=0),
        acked(2, 1, epoch=1, sequence=1),
        log(batch(0, 1, sequence=1), batch(1, 0, epoch=1, sequence=0), batch(2, 1, epoch=1, sequence=1)),
    )


def test_copies_after_a_refused_first_batch_are_excused_by_kafkas_own_rule():
    verdict = judge(second_hole())
    assert verdict.held, verdict.report()
    for promise in ("H2", "H3", "H4"):
        assert (status(verdict, promise), verdict.promise(promise).why) == (EXCUSED, "unknown-producer rule")
    assert verdict.counts.duplicated == 1
    assert verdict.counts.out_of_order == 1  # m0 behind m1; the second m1 is not lower than anything before it


def snapshot_hole(remembered, *faults):
    """m0, m1 appended, not answered; the broker restarts and refuses m0; the epoch is raised, both written again."""
    return history(
        sent(0, 1),
        *faults,
        acked(2, 0, epoch=1, sequence=0),
        acked(3, 1, epoch=1, sequence=1),
        log(batch(0, 0), batch(1, 1), batch(2, 0, epoch=1, sequence=0), batch(3, 1, epoch=1, sequence=1)),
        run=RUN._replace(producer_snapshot_batches=remembered),
    )


def test_copies_after_a_restart_are_excused_only_where_restarts_forget():
    crash = Fault(20, "crash", "broker 1", "", 30)
    lost = "the broker that judged the retry had lost its memory of all but the newest batch"
    assert causes(snapshot_hole(5, crash)) == [(BROKEN, lost)] * 2
    assert causes(snapshot_hole(1, crash)) == [(EXCUSED, "memory of one batch")] * 2
    assert causes(snapshot_hole(1)) == [(BROKEN, "the client raised its epoch from 0 to 1 and wrote again")] * 2
    finding = judge(snapshot_hole(5, crash)).findings[0]
    assert [row["fault"] for row in finding.faults] == ["crash"]


def test_a_copy_in_another_partition_is_a_copy():
    rows = history(sent(0, partition=-1), log(batch(0, 0)), log(batch(0, 0))._replace(partition=1))
    assert causes(rows) == [(BROKEN, "the client wrote the record to two partitions")]


def test_an_adjacent_repeat_is_not_out_of_order():
    verdict = judge(history(sent(0, 1), log(batch(0, 0), batch(1, 0, sequence=0), batch(2, 1, sequence=1))))
    assert (verdict.counts.duplicated, verdict.counts.out_of_order) == (1, 0)


def test_producers_are_ordered_each_by_itself():
    rows = [*sent(0), *sent(1, producer="q"), *sent(2)]
    verdict = judge(
        history(rows, log(batch(0, 1, producer_id=8, sequence=0), batch(1, 0, sequence=0), batch(2, 2, sequence=1)))
    )
    assert status(verdict, "H3") == HELD


# -- sequences


def test_sequences_wrap_without_a_gap():
    run = RUN._replace(initial_sequence=MAX_SEQUENCE)
    rows = log(batch(0, 0, sequence=MAX_SEQUENCE), batch(1, 1, 2, sequence=0), batch(3, 3, sequence=2))
    assert status(judge(history(sent(0, 1, 2, 3), rows, run=run)), "H4") == HELD
    assert status(judge(history(sent(0, 1, 2, 3), rows)), "H4") == EXCUSED  # where 0 is the start, an unknown's first


def test_a_raised_epoch_that_does_not_begin_at_the_start_is_broken():
    rows = log(batch(0, 0), batch(1, 1, epoch=1, sequence=1))
    assert status(judge(history(sent(0, 1), rows)), "H4") == BROKEN


def test_a_log_whose_start_moved_has_no_telling_first_sequence():
    verdict = judge(history(sent(5), log(batch(5, 5), start=5)))
    assert (status(verdict, "H4"), verdict.promise("H4").why) == (EXCUSED, "log start moved")


# -- losses and their excuses


def lost(*rows, run=RUN, final=None):
    """Record 0 is acknowledged at offset 0 and gone in the end."""
    final = log() if final is None else final
    return judge(history(LED, sent(0), acked(0, 0), *rows, final, log(broker=2), log(broker=3), run=run)).promise("H5")


def test_a_loss_is_excused_when_every_in_sync_replica_lost_its_tail():
    assert (lost(tail(1), tail(2), tail(3)).status, lost(tail(1), tail(2), tail(3)).why) == (
        EXCUSED,
        "every in-sync copy lost",
    )
    assert lost(in_sync(1), tail(1)).status == EXCUSED


def test_a_loss_is_excused_when_only_the_robbed_one_is_left_because_the_others_died():
    died = [Fault(69, "crash", f"broker-{broker}", "", -1) for broker in (2, 3)]
    assert lost(*died, tail(1), in_sync(1, 3), in_sync(1)).status == EXCUSED
    assert lost(died[0], tail(1), in_sync(1, 3), in_sync(1)).status == BROKEN


@pytest.mark.parametrize(
    "rows",
    [
        (),
        (tail(1), tail(2)),
        (tail(1), tail(2), tail(3, first=1)),
        (tail(1), in_sync(2, 3), in_sync(1, 2, 3), tail(2), tail(3)),
        (tail(1), in_sync(1), tail(1)),
        (in_sync(4), tail(4)),
    ],
    ids=["nothing", "one left", "not this offset", "one came back with it", "elected without it", "unclean"],
)
def test_a_loss_is_broken_while_an_in_sync_replica_had_the_record(rows):
    assert lost(*rows).status == BROKEN


def test_a_loss_before_the_send_is_no_excuse():
    verdict = judge(history(LED, tail(1), tail(2), tail(3), sent(0), acked(0, 0), log()))
    assert status(verdict, "H5") == BROKEN


def test_acks_1_promises_only_while_the_leader_stays():
    run = RUN._replace(acks=1, writer="plain")
    assert lost(run=run).status == BROKEN
    assert lost(in_sync(2, 3, leader=2), run=run).status == EXCUSED
    assert lost(tail(1), run=run).status == EXCUSED
    assert lost(tail(2), run=run).status == BROKEN
    assert lost(in_sync(2, 3, leader=2)).status == BROKEN


def test_what_a_deposed_leader_took_unawares_may_be_cut_off_with_acks_1():
    run = RUN._replace(acks=1, writer="plain")
    assert lost(Truncated(30, 1, "t", 0, 0, 5), run=run).status == EXCUSED
    assert lost(Truncated(30, 1, "t", 0, 3, 5), run=run).status == BROKEN  # it kept the record
    assert lost(Truncated(30, 2, "t", 0, 0, 5), run=run).status == BROKEN  # it never led
    assert lost(Truncated(30, 1, "t", 0, 0, 5)).status == BROKEN


def test_acks_0_promises_nothing():
    result = lost(run=RUN._replace(acks=0, writer="plain"))
    assert (result.status, result.places) == (NOT_PROMISED, 1)


def test_a_record_above_a_late_high_watermark_is_not_lost():
    result = lost(final=log(batch(0, 0), high_watermark=0))
    assert (result.status, result.why) == (EXCUSED, "high_watermark behind")


def test_records_before_the_log_start_are_not_lost():
    verdict = judge(history(sent(0, 1), acked(0, 0), acked(1, 1), log(batch(1, 1), start=1)))
    assert status(verdict, "H5") == status(verdict, "A1") == HELD


def test_a_dirty_read_is_excused_when_every_in_sync_replica_lost_the_record():
    rows = (LED, sent(0), read((0, 0, 0)), tail(1), tail(2), tail(3), log(), log(broker=2), log(broker=3))
    assert status(judge(history(*rows)), "H6") == EXCUSED
    assert status(judge(history(*(row for row in rows if row != tail(2)))), "H6") == BROKEN


# -- whole batches


def test_an_acknowledgement_of_another_epochs_batch_is_not_that_batchs():
    rows = (sent(0, 1), acked(1, 1, epoch=0, sequence=0), log(batch(0, 0), batch(1, 1, epoch=1, sequence=0)))
    assert status(judge(unhealed(*rows)), "H11") == BROKEN


def test_a_batch_without_a_record_is_no_batch():
    assert status(judge(unhealed(sent(0), log(batch(0, 0), batch(1)))), "H11") == BROKEN


# -- reads


@pytest.mark.parametrize(("put_at", "promise"), [(0, "R2"), (2, "R1")])
def test_a_reader_begins_where_it_was_put(put_at, promise):
    rows = (sent(0, 1, 2), Assigned(55, "c", "t", 0, put_at), read((1, 0, 1), (2, 0, 2)), log(batch(0, 0, 1, 2)))
    assert [result.promise for result in judge(unhealed(*rows)).of(BROKEN)] == [promise]


def test_a_reader_may_go_back_when_it_is_put_there():
    rows = (sent(0), read((0, 0, 0)), Assigned(61, "c", "t", 0, 0), read((0, 0, 0)), log(batch(0, 0)))
    assert judge(history(*rows)).promise("R1").status == HELD


def test_readers_are_judged_each_by_itself():
    rows = (sent(0, 1), read((0, 0, 0), (1, 0, 1)), read((0, 0, 0), consumer="d"), log(batch(0, 0, 1)))
    assert judge(history(*rows)).promise("R1").status == HELD


def test_a_reader_passes_over_markers():
    rows = (
        sent(0, 1),
        read((0, 0, 0)),
        read((2, 0, 1)),
        log(batch(0, 0), batch(1, -1, sequence=-1), batch(2, 1, sequence=1)),
    )
    verdict = judge(history(*rows))
    assert status(verdict, "R2") == HELD
    assert verdict.counts.in_log == 2


def test_a_record_of_another_leader_epoch_is_another_record():
    rows = (sent(0), read((0, 0, 0)), log(batch(0, 0, leader_epoch=1)))
    assert status(judge(history(*rows)), "H6") == BROKEN
    assert status(judge(history(sent(0), read((0, -1, 0)), rows[2])), "H6") == HELD


# -- what can't be told


@pytest.mark.parametrize("promise", ["H2", "H5", "H6", "H7", "A1", "R2"])
def test_without_logs_nothing_about_logs_is_claimed(promise):
    verdict = judge(history(LED, sent(0), acked(0, 0), read((0, 0, 0))))
    assert verdict.held
    assert (status(verdict, promise), verdict.promise(promise).why) == (NOT_CHECKABLE, "no Log row")


def test_a_partition_without_a_log_is_named():
    verdict = judge(history(sent(0), acked(0, 0)._replace(partition=1), log()))
    assert (status(verdict, "H5"), verdict.promise("H5").why) == (NOT_CHECKABLE, "no Log row for t-1")
    assert any("t-1" in note for note in verdict.notes)


def test_recovery_is_judged_only_after_healing():
    assert status(judge(history(sent(0), log(), healed=False)), "H13") == NOT_CHECKABLE
    shrunk = history(LED, in_sync(1, 2), log(), log(broker=2), log(broker=3))
    assert status(judge(shrunk), "H13") == BROKEN


def test_an_empty_history_is_not_called_held():
    verdict = judge(History())
    assert verdict.sentence().startswith("Nothing could be checked")
    assert [problem.text for problem in verdict.problems] == ["no Run row"]


def test_without_a_leader_the_longest_log_of_the_last_leader_epoch_counts_and_is_noted():
    verdict = judge(
        history(
            sent(0, 1),
            log(batch(0, 0), batch(1, 1), is_leader=False),
            log(batch(0, 0), batch(1, 1, leader_epoch=1), broker=2, is_leader=False),
        )
    )
    assert "broker 2" in verdict.notes[0]
    assert verdict.counts.in_log == 2


# -- the table of promises


def test_the_table_answers_for_every_fault_and_promise():
    for fault in FAULTS:
        for promise in PROMISES:
            for writer, acks in (("idempotent", -1), ("plain", -1), ("plain", 1), ("plain", 0)):
                answer = standing(fault, promise, writer, acks)
                assert answer.status in (HELD, EXCUSED, NOT_PROMISED)
                assert answer.reason
                assert all(excuse in EXCUSES for excuse in answer.excuses)
    assert standing("reply_lost", "H2").status == HELD
    assert standing("reply_lost", "H2", "plain").status == NOT_PROMISED
    assert standing("crash", "H2").excuses == (
        "unknown-producer rule",
        "memory of one batch",
        "more in flight than remembered",
    )
    assert standing("crash", "H5").excuses == ("high_watermark behind",)
    assert standing("crash_losing_tail", "H5").excuses == (
        "every in-sync copy lost",
        "unclean election",
        "high_watermark behind",
    )
    assert standing("reply_lost", "H2", client="librdkafka").excuses == ("late copy", "epoch raised elsewhere")
    assert "epoch raised elsewhere" in standing("election", "H2", client="librdkafka").excuses
    assert standing("election", "A1").excuses == ("high_watermark behind",)
    assert standing("election", "A1", acks=1).excuses == ("leader moved after acks=1", "high_watermark behind")


def test_every_fault_is_classified_by_what_it_can_do():
    assert sorted(FAULTS) == sorted(EFFECTS_OF)
    assert all(effect in EFFECTS for effects in EFFECTS_OF.values() for effect in effects)


def test_a_fault_that_nobody_classified_is_not_called_harmless(monkeypatch):
    monkeypatch.setitem(FAULTS, "rain", FAULTS["crash"]._replace(name="rain"))
    for promise in PROMISES:
        worst = [standing(fault, promise) for fault in EFFECTS_OF if fault in FAULTS]
        if any(answer.status == EXCUSED for answer in worst):
            assert standing("rain", promise).status == EXCUSED


def test_the_table_refuses_what_it_does_not_know():
    with pytest.raises(RequestError, match="unknown fault"):
        standing("rain", "H2")
    with pytest.raises(RequestError, match="unknown promise"):
        standing("crash", "H99")


# -- the page


def test_the_report_shows_the_most_damning_first_and_how_to_repeat_it():
    rows = history(LED, sent(0, 1, 2), acked(0, 0), log(batch(0, 1), batch(1, 1, sequence=0), batch(2, 2, sequence=7)))
    verdict = judge(rows)
    report = verdict.report(80)
    assert report.startswith("BROKEN: H2 no duplicate (1)")
    assert report.index("H5: Record 0") < report.index("H2: Record 1") < report.index("H4: t-0@2")
    assert report.endswith("Repeat it with: replay('x')")
    assert max(map(len, report.splitlines())) <= 80
    assert report == judge(rows).report(80)


def test_thousands_of_findings_are_counted_and_few_are_shown():
    batches = [batch(offset, offset // 2, sequence=offset // 2) for offset in range(2000)]
    verdict = judge(history(sent(*range(1000)), log(*batches)))
    assert verdict.promise("H2").places == verdict.counts.duplicated == 1000
    assert len([finding for finding in verdict.findings if finding.promise == "H2"]) == 32
    assert verdict.report().count("[broken]") == 8


def test_a_hole_below_the_log_start_is_nobodys_business():
    deleted = log(batch(0, 0), batch(3, 3, sequence=3), batch(4, 4), start=3)
    assert status(judge(history(sent(0, 3, 4), deleted)), "H11") == HELD
    assert status(judge(history(sent(0, 3, 4), deleted._replace(log_start_offset=2))), "H11") == BROKEN
