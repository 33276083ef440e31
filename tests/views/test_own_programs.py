"""A program of one's own is gone back in and forked like a scenario; what can't be played again says why."""

from __future__ import annotations

import subprocess
import sys
from base64 import b64encode
from contextlib import suppress
from itertools import count

import pytest

from eventlog import Cluster, EventLogError
from eventlog.errors import RequestError
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal
from eventlog.views.explorer import Explorer
from eventlog.views.replaying import Past


def shop(cluster: Cluster) -> None:
    """It breaks something itself, waits in the middle, passes over what goes wrong, and closes what it opened."""
    cluster.create_topic("orders", partitions=2)
    with cluster.producer("shop", linger_ms=0, batch_size=0, request_timeout_ms=1000) as producer:
        producer.send("orders", "order-1", partition=0)
        producer.flush()
        cluster.crash(3)
        cluster.lose_next_ack()
        producer.send("orders", "order-2", partition=0)
        producer.send("orders", "order-3", partition=1)
        with suppress(Exception):
            cluster.advance(2000)
    cluster.restart(3)
    cluster.advance(500)


def offer(past: Past, seen_events: int, fault: str) -> Deviation:
    return next(offered for offered in past.offers(seen_events) if offered.fault == fault)


def written(past: Past) -> int:
    """How long the trace is when order-1 is acknowledged."""
    return next(place for place, event in enumerate(past.cluster.recorder.events, 1) if "SendsResolved" in str(event))


def test_every_moment_of_a_program_is_had_again() -> None:
    past = Past(shop)
    whole = past.cluster.recorder.events
    for seen_events in range(past.first, past.last + 1, 3):
        cluster = past.at(seen_events)
        events = cluster.recorder.events
        assert events == whole[: len(events)]
        assert seen_events <= len(events) < seen_events + 12
        cluster.advance(10)  # and it goes on from there
    assert [found.record.value for found in past.cluster.records("orders")] == [b"order-1", b"order-2", b"order-3"]


@pytest.mark.parametrize("fault", ["reply_lost", "crash", "election", "cut"])
def test_a_fork_of_a_program_is_the_same_past_and_a_literal(fault: str) -> None:
    past = Past(shop, min_insync_replicas=1)
    middle = written(past)
    forked = past.fork(middle, offer(past, middle, fault))
    assert forked.cluster.recorder.events[:middle] == past.cluster.recorder.events[:middle]
    assert forked.cluster.trace_digest() != past.cluster.trace_digest()
    assert forked.promise == ""
    settings, deviations = read_literal(forked.literal)
    assert settings == {"min_insync_replicas": 1}
    assert Past(shop, deviations, **settings).cluster.trace_digest() == forked.cluster.trace_digest()
    # And without any of this: the program, on a cluster that is told what goes wrong.
    cluster = Cluster(deviations=deviations, **settings)
    shop(cluster)
    events = cluster.recorder.events
    assert events == forked.cluster.recorder.events[: len(events)]


def test_what_lasts_in_a_fork_of_a_program_is_healed() -> None:
    past = Past(shop, min_insync_replicas=1)
    broken = past.fork(written(past), offer(past, written(past), "crash"))
    assert [deviation.fault for deviation in broken.standing(broken.healed_from)] == ["crash"]
    healed = broken.heal(broken.healed_from - 5)
    assert healed.deviations[0].duration_ms > 0


def impatient(cluster: Cluster) -> None:
    cluster.create_topic("orders")
    producer = cluster.producer("shop", request_timeout_ms=500, delivery_timeout_ms=900)
    producer.send("orders", "order-1").offset  # noqa: B018 - waits for it, and raises


def test_a_program_that_a_fork_puts_an_end_to_says_what_ended_it() -> None:
    past = Past(impatient)
    assert "ended" not in past.message
    forked = past.fork(past.first, offer(past, past.first, "reply_lost"))
    assert "acknowledged" in forked.message
    assert " The program was ended by RetriableError: producer shop on orders-0: 1 records expired" in forked.message


def test_an_error_of_the_program_itself_is_the_callers() -> None:
    def wrong(cluster: Cluster) -> None:
        cluster.producer().send("nowhere", "m").offset  # noqa: B018

    with pytest.raises(EventLogError, match="nowhere"):
        Past(wrong)


def test_a_program_that_does_something_else_each_time_is_refused() -> None:
    calls = count()

    def moody(cluster: Cluster) -> None:
        cluster.create_topic("orders")
        cluster.producer("shop").send("orders", f"order-{next(calls)}").offset  # noqa: B018

    past = Past(moody)
    with pytest.raises(RequestError, match=r"moody does not do the same each time it is played: its event \d+ was another"):
        past.at(past.last)


def test_what_cannot_be_played_again_says_so() -> None:
    with pytest.raises(RequestError, match=r"a Cluster that has run already can't be played again.*give a function"):
        Explorer(Cluster(1))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"17 can't be played again"):
        Explorer(17)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"brokers: settings are for a program's cluster, a scenario has its own"):
        Past(find_scenario("P3"), brokers=2)
    with pytest.raises(RequestError, match="there is no scenario 'P9'"):
        Explorer("P9")
    with pytest.raises(RequestError, match="made with record=False"):
        Past(shop, record=False)


def test_the_widget_takes_a_program_and_the_literal_of_its_fork() -> None:
    explorer = Explorer(shop, min_insync_replicas=1)
    explorer.index = written(explorer.past)
    assert "order-1: ok, offset 0" in explorer.picture
    assert "order-2" not in explorer.picture
    explorer.fork(offer(explorer.past, explorer.index, "election"))
    assert "election" in explorer.literal
    assert explorer.repeated_by == "Explorer(the program, deviations=the literal) takes it"
    again = Explorer(shop, explorer.literal, min_insync_replicas=1)
    assert again.picture == explorer.picture
    assert again.past.deviations == explorer.past.deviations
    assert Explorer("P3", read_literal(Explorer("P3").literal)[1]).repeated_by == "eventlog replay takes it"


WITHOUT = "import sys; sys.modules['anywidget'] = None; "


def test_the_widget_is_found_where_the_views_are_and_only_it_needs_the_extra() -> None:
    from eventlog import views

    assert views.Explorer is Explorer
    assert "Explorer" in dir(views)
    done = subprocess.run([sys.executable, "-c", f"{WITHOUT}from eventlog.views import *; scene(1)"], check=False)
    assert done.returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", f"{WITHOUT}from eventlog.views import Explorer"], capture_output=True, text=True, check=False
    )
    assert "ImportError: the Explorer is a notebook widget and needs anywidget: pip install" in done.stderr


def test_the_widget_has_a_picture_for_whoever_has_no_kernel() -> None:
    explorer = Explorer("P3")
    data, _ = explorer._repr_mimebundle_()
    assert sorted(data) == ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    assert b64encode(explorer.picture.encode()).decode() in data["text/html"]
    assert "need a kernel" in data["text/html"]
    assert "<script" not in data["text/html"]
    explorer.index = explorer.first
    assert "<img" not in explorer._repr_mimebundle_()[0]["text/html"]
