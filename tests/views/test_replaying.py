"""Any moment of a run is had again, and a fork is the same past with one thing more."""

from __future__ import annotations

import sys

import pytest

from eventlog.errors import RequestError
from eventlog.scenarios import find_scenario, play, scenario_of
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal
from eventlog.views.replaying import Past, past_of


def five() -> Past:
    return Past(find_scenario("P3", batches=5))


def offer(past: Past, seen_events: int, fault: str) -> Deviation:
    return next(offered for offered in past.offers(seen_events) if offered.fault == fault)


def struck_at(past: Past) -> int:
    events = past.cluster.recorder.events
    return next(index for index, event in enumerate(events) if isinstance(event[2], Deviation)) + 1


def test_every_moment_of_a_run_is_had_again_by_the_real_code() -> None:
    past = five()
    whole = past.cluster.recorder.events
    for seen_events in range(past.first, past.last + 1):
        events = past.at(seen_events).recorder.events
        assert events == whole[: len(events)]
        # A step of the world may be several events: the moment is the end of its step.
        assert seen_events <= len(events)


@pytest.mark.parametrize("fault", ["reply_lost", "request_lost", "crash", "election", "cut", "pause", "isr_shrink"])
def test_a_fork_leaves_the_past_as_it_was_and_prints_as_a_literal(fault: str) -> None:
    past = five()
    middle = past.first + 2
    forked = past.fork(middle, offer(past, middle, fault))
    assert forked.cluster.recorder.events[:middle] == past.cluster.recorder.events[:middle]
    assert forked.cluster.trace_digest() != past.cluster.trace_digest()
    scenario, deviations = read_literal(forked.literal)
    again = play(scenario_of(scenario), deviations)
    assert again.deviations == forked.deviations == tuple(forked.cluster.deviations)
    assert again.unused == ()
    assert past_of(forked.literal).cluster.trace_digest() == forked.cluster.trace_digest()


def test_a_fork_of_a_fork_drops_what_came_later_in_the_run() -> None:
    past = five()
    late = past.fork(past.first + 20, offer(past, past.first + 20, "reply_lost"))
    early = late.fork(late.first + 4, offer(late, late.first + 4, "request_lost"))
    assert [deviation.fault for deviation in early.deviations] == ["request_lost"]


def test_what_is_broken_is_healed_from_that_moment_on_and_in_the_literal() -> None:
    past = five()
    broken = past.fork(past.first + 8, offer(past, past.first + 8, "crash"))
    assert [deviation.duration_ms for deviation in broken.deviations] == [-1]
    moment = struck_at(broken) + 6
    assert [deviation.fault for deviation in broken.standing(moment)] == ["crash"]
    assert broken.standing(broken.last) == ()  # at its end a run is healed
    healed = broken.heal(moment)
    assert healed.deviations[0].duration_ms > 0
    one, other = broken.cluster.recorder.events[:moment], healed.cluster.recorder.events[:moment]
    assert [event for event in one if not isinstance(event[2], Deviation)] == [
        event for event in other if not isinstance(event[2], Deviation)
    ]
    assert "restart" in [what[0] for _, _, what in healed.cluster.recorder.events if type(what).__name__ == "Ended"]
    assert past_of(healed.literal).cluster.trace_digest() == healed.cluster.trace_digest()


def test_nothing_that_is_whole_can_be_healed() -> None:
    past = five()
    with pytest.raises(RequestError, match="nothing is broken"):
        past.heal(past.last)


def test_a_moment_outside_the_run_is_refused() -> None:
    past = five()
    with pytest.raises(RequestError, match=f"from event {past.first} to {past.last}, not to 999999"):
        past.at(999_999)


def test_a_deviation_that_has_no_place_any_more_is_refused() -> None:
    past = five()
    with pytest.raises(RequestError, match="no place for"):
        past.fork(past.last, offer(past, past.first, "reply_lost"))
    with pytest.raises(RequestError, match="1 of 1 deviations no longer apply"):
        Past(find_scenario("P3"), [Deviation("writer produces events-0 @99 try 0", 1, "request_lost", "", 0)])


def test_a_literal_that_is_none_of_a_scenario_is_refused() -> None:
    with pytest.raises(RequestError, match="not of a scenario"):
        past_of("{'eventlog': 1, 'scenario': {'brokers': 3}, 'deviations': []}")


def test_a_plain_writer_forked_once_breaks_a_promise() -> None:
    past = Past(find_scenario("P3", batches=3, enable_idempotence=False))
    assert past.promise == ""
    forked = past.fork(past.first + 4, offer(past, past.first + 4, "reply_lost"))
    values = [found.record.value for found in forked.cluster.records("events")]
    assert len(values) > len(dict.fromkeys(values))


def test_the_widget_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "eventlog.views.explorer", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'eventlog-broker\[notebook\]'"):
        import eventlog.views.explorer  # noqa: F401
