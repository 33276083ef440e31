"""The page of a run: whole in itself, harmless whatever is written in an event, and true to the logs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eventlog import Cluster
from eventlog.errors import RequestError
from eventlog.views.film import Film, watch
from eventlog.views.page import page_html, run_of, run_of_sheet, write_page
from eventlog.views.scenes import find_scene
from eventlog.views.sheet import strips_of


def filmed(*values: bytes, idempotence: bool = True) -> Film:
    cluster = Cluster(3, min_insync_replicas=2)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("writer", request_timeout_ms=1000, linger_ms=0, batch_size=0, idempotence=idempotence)
    writer.send("orders", b"m0")
    writer.flush()
    cluster.lose_next_ack()
    for value in values:
        writer.send("orders", value)
    writer.flush()
    cluster.advance(600)
    return film


def data_of(page: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="runs">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return list(json.loads(found[1]))


def test_a_page_fetches_nothing_and_may_not() -> None:
    page = page_html(run_of(filmed(b"m1")))
    assert """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style""" in page
    assert not re.search(r"(src|href)=", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_what_is_written_in_an_event_stays_text() -> None:
    page = page_html(run_of(filmed(b"</script><script>alert(1)</script>", b"x" * 100_000), title="<b>&"))
    assert "<script>alert" not in page
    assert "<b>&" not in page
    assert len(page) < 100_000
    assert page.count("</script>") == 2
    assert data_of(page)[0]["title"] == "<b>&"


@pytest.mark.parametrize("idempotence", [True, False])
def test_the_logs_of_a_page_are_those_of_the_film(idempotence: bool) -> None:
    film = filmed(*[f"m{number}".encode() for number in range(1, 6)], idempotence=idempotence)
    run = run_of(film)
    last = {strip.broker_id: strip for _, strip, _ in run.states}
    end = len(film.cluster.recorder.events)
    from eventlog.values import TopicPartition
    from eventlog.views.reading import Reading

    reading = Reading(film.cluster.recorder.events, film, None, False)
    reading.read(0, end)
    wanted = strips_of(reading.names, film.replicas(end, TopicPartition("orders", 0)))
    assert tuple(last[strip.broker_id] for strip in wanted) == wanted
    assert any(cell.is_copy for strip in wanted for cell in strip.cells) is not idempotence


def test_a_log_that_is_cut_shows_what_is_gone() -> None:
    (take,) = (act for _, act in find_scene("failover").takes)
    film, start, end, _ = take()
    run = run_of(film, start, end, with_replication=True)
    assert [row.event for row in run.sheet.rows] == sorted([row.event for row in run.sheet.rows])
    assert {strip.role for _, strip, _ in run.states} == {"leader", "follower", "down"}


def test_a_page_is_written_from_whatever_is_shown(tmp_path: Path) -> None:
    film = filmed(b"m1")
    (sheet,) = find_scene("lost-ack").sheets()
    for number, shown in enumerate((film, film.cluster, sheet, [run_of(film), run_of_sheet(sheet)])):
        path = write_page(shown, tmp_path / f"{number}.html")
        assert path.read_text("utf-8").startswith("<!doctype html>")


def test_nothing_to_show_and_nowhere_to_write_are_said(tmp_path: Path) -> None:
    film = filmed(b"m1")
    with pytest.raises(RequestError, match="nothing to show"):
        run_of(film, 10**9)
    with pytest.raises(RequestError, match="can't be written"):
        write_page(film, tmp_path / "no" / "such.html")
    with pytest.raises(RequestError, match="needs a run"):
        page_html()
