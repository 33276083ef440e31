"""The main job, seed by seed: what the README's table says of a hundred seeds, on the first of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventlog.run import IDEMPOTENT, PLAIN, SAMPLE_KEY, SAMPLE_TIME, Job, read_events, run, sample_lines
from eventlog.summary import Summary, print_ending

EVENTS = read_events(sample_lines(), SAMPLE_KEY, SAMPLE_TIME).events


@pytest.mark.parametrize("seed", range(8))
def test_the_plain_writer_duplicates_and_the_idempotent_one_never_where_brokers_remember(seed: int) -> None:
    job = replace(Job(), seed=seed, producer_snapshot_batches=5)
    plain = run(job, EVENTS, PLAIN)
    assert plain.verdict.counts.duplicated > 0
    idempotent = run(job, EVENTS, IDEMPOTENT)
    assert idempotent.verdict.held
    counts = idempotent.verdict.counts
    assert (counts.duplicated, counts.lost, counts.out_of_order) == (0, 0, 0)
    assert counts.acknowledged + counts.failed == len(EVENTS)
    assert idempotent.duplicates_recognised > 0
    assert idempotent.failovers > 0


@pytest.mark.parametrize(("seed", "duplicated"), [(5, False), (15, True)])
def test_what_a_restarted_broker_forgot_is_all_that_duplicates_an_idempotent_write(seed: int, duplicated: bool) -> None:
    """Kafka's own hole: a broker that came back knows one batch of a producer, and the client writes the others again."""
    verdict = run(replace(Job(), seed=seed), EVENTS, IDEMPOTENT).verdict
    assert verdict.held
    assert (verdict.counts.duplicated > 0) is duplicated
    assert verdict.promise("H2").why == ("memory of one batch" if duplicated else "")
    assert verdict.promise("H2").excused == verdict.counts.duplicated


def test_both_writers_meet_the_same_first_fault() -> None:
    job = replace(Job(), seed=3)
    plain, idempotent = run(job, EVENTS, PLAIN), run(job, EVENTS, IDEMPOTENT)
    assert plain.cluster.deviations[0] == idempotent.cluster.deviations[0]


def test_what_is_counted_is_what_is_in_the_log() -> None:
    outcome = run(replace(Job(), seed=1), EVENTS, PLAIN)
    log = outcome.log()
    copies: dict[int, int] = {}
    for found in log:
        copies[found.record.send_number] = copies.get(found.record.send_number, 0) + 1
    assert outcome.verdict.counts.in_log == len(log)
    assert outcome.verdict.counts.duplicated == sum(count - 1 for count in copies.values())


def test_the_same_seed_is_the_same_run_and_another_seed_is_not() -> None:
    events = EVENTS[:200]
    digests = [run(replace(Job(), seed=seed), events).cluster.trace_digest() for seed in (5, 5, 6)]
    assert digests[0] == digests[1] != digests[2]


def test_checks_change_nothing() -> None:
    events = EVENTS[:200]
    digests = [run(Job(), events, checks=checks).cluster.trace_digest() for checks in ("off", "cheap", "full")]
    assert digests[0] == digests[1] == digests[2]


def test_where_librdkafkas_producer_is_finished_by_an_error_another_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(replace(Job(), seed=126, behaves_like="librdkafka"), EVENTS[:300], IDEMPOTENT)
    assert [producer.name for producer in outcome.producers] == ["writer", "writer-2"]
    assert outcome.verdict.held
    counts = outcome.verdict.counts
    assert counts.sent == 301, "the one that was not taken was sent again"
    assert counts.acknowledged + counts.failed == 301
    assert outcome.retries == sum(producer.retries for producer in outcome.producers) > 0
    print_ending([Summary(outcome, outcome, 300, 0.0, 126)], 300)
    assert "1 idempotent producer was finished by an error" in capsys.readouterr().out


def test_what_is_excused_is_told_beside_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run(replace(Job(), seed=15), EVENTS, IDEMPOTENT)
    (excused,) = [promise for promise in outcome.verdict.promises if promise.promise == "H2"]
    assert excused.excuse == "memory of one batch"
    both = excused._replace(status="broken", broken=1, why="the broker did not recognise it")
    broken = replace(outcome.verdict, promises=(both,))
    print_ending([Summary(outcome._replace(verdict=broken), outcome._replace(verdict=broken), 842, 0.0, 15)], 842)
    assert "Excused, memory of one batch" in capsys.readouterr().out
