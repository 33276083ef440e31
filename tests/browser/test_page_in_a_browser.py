"""The page of a run in a real browser: slide, step, why, keys, offline, and quick with thousands of events.

Not among the tests that run by themselves: they need Chromium. `.ci/browser` installs it and runs them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventlog import Cluster
from eventlog.views.film import watch
from eventlog.views.page import run_of, write_page
from eventlog.views.scenes import SCENES, find_scene

STEP = """async (keys) => {
  const out = [];
  for (const key of keys) {
    const began = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    document.body.offsetHeight;
    out.push(performance.now() - began);
    await new Promise((done) => requestAnimationFrame(done));
  }
  return out.sort((one, other) => one - other);
}"""


def written(name: str, folder: Path) -> Path:
    runs = []
    for title, act in find_scene(name).takes:
        film, start, end, options = act()
        kept = {key: value for key, value in options.items() if key in ("about", "with_replication")}
        runs.append(run_of(film, start, end, title=title, **kept))
    return write_page(runs, folder / f"{name}.html", title=find_scene(name).title)


def cells(found: Any) -> str:
    return " ".join([text.split("\n")[0] for text in found.all_inner_texts()])


def where(page: Any) -> str:
    return str(page.locator(".where").inner_text())


def test_keys_step_and_the_slider_slides(page: Any, tmp_path: Path) -> None:
    page.goto(written("lost-ack", tmp_path).as_uri())
    count = int(page.locator("#slider").get_attribute("max"))
    assert where(page).startswith(f"step 1 of {count}")
    for key, step in (("ArrowRight", 2), (" ", 3), ("Shift+ ", 2), ("ArrowLeft", 1), ("ArrowLeft", 1), ("End", count)):
        page.keyboard.press(key.replace(" ", "Space"))
        assert where(page).startswith(f"step {step} of "), key
    page.keyboard.press("Home")
    page.locator("#slider").fill("3")
    assert where(page).startswith("step 3 of ")
    assert page.locator(".row.now").get_attribute("data-step") == "2"
    assert page.locator(".row.later").count() == count - 3
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    assert where(page).startswith("step 4 of ")  # once, not once for the slider and once for the page


def test_a_click_on_a_message_says_why(page: Any, tmp_path: Path) -> None:
    page.goto(written("lost-ack", tmp_path).as_uri())
    page.locator(".row text", has_text="DUPLICATE").click()
    assert "sequence 1 is already at offset 1, written under leader_epoch 0" in page.locator(".why").inner_text()
    assert "The user hears: m1 is acknowledged at offset 1" in page.locator(".why").inner_text()


def test_the_logs_are_those_of_the_step(page: Any, tmp_path: Path) -> None:
    page.goto(written("mirror", tmp_path).as_uri())
    page.keyboard.press("End")
    first = page.locator(".log").first.locator(".cell")
    assert [text.split("\n")[0] for text in first.all_inner_texts()] == [
        "m0",
        "m1",
        "m2",
        "m3",
        "m4",
        "m5",
        "m5",
        "m4",
        "m3",
        "m2",
        "m1",
    ]
    assert page.locator(".log").first.locator(".copy").count() == 5
    page.locator("select").select_option("1")
    page.keyboard.press("Escape")
    page.locator(".rows").focus()
    page.keyboard.press("End")
    assert cells(first) == "m0 m1 m2 m3 m4 m5"


@pytest.mark.parametrize("name", list(SCENES))
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_text_of_a_scene_is_cut_and_every_step_is_spoken(page: Any, tmp_path: Path, name: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.goto(written(name, tmp_path).as_uri())
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".row text")].filter((text) => {
             const box = text.getBBox(); return box.x < 0 || box.x + box.width > text.ownerSVGElement.width.baseVal.value;
           }).map((text) => text.textContent)"""
    )
    assert cut == []
    for row in page.locator(".row").all():
        assert row.get_attribute("role") == "option"
        assert row.get_attribute("aria-label").startswith("step ")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)"
    )


def test_the_signs_that_occur_are_explained(page: Any, tmp_path: Path) -> None:
    page.goto(written("zombie", tmp_path).as_uri())
    said = page.locator(".hint").last.inner_text()
    assert "solid: arrives · grey: late, from before" in said
    assert "A1:0: sequence 0 of the writer A in its producer_epoch 1" in said
    assert "double" not in said
    page.goto(written("mirror", tmp_path).as_uri())
    assert "double red frame: the same record again" in page.locator(".hint").last.inner_text()
    page.locator("select").select_option("1")
    assert "double red frame" not in page.locator(".hint").last.inner_text()
    assert "A1: sequence 1 of the writer A" in page.locator(".hint").last.inner_text()


def test_light_and_dark_are_at_a_button(page: Any, tmp_path: Path) -> None:
    page.goto(written("wrap", tmp_path).as_uri())
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_label("light or dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before


def test_what_is_written_in_an_event_does_not_run(page: Any, tmp_path: Path) -> None:
    cluster = Cluster(3)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("writer")
    writer.send("orders", "<img src=x onerror=document.title='run'>")
    writer.flush()
    page.goto(write_page(film, tmp_path / "x.html", title="<script>document.title='run'</script>").as_uri())
    page.keyboard.press("End")
    assert page.title() != "run"
    assert page.locator("img").count() == 0


def test_a_run_of_5000_events_is_walked_through(page: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it prints should stay below: first paint 1 s, a step 50 ms."""
    cluster = Cluster(3, min_insync_replicas=2)
    film = watch(cluster)
    cluster.create_topic("orders")
    writer = cluster.producer("writer", request_timeout_ms=1000, linger_ms=0, batch_size=0)
    number = 0
    while len(cluster.recorder.events) < 5_000:
        writer.send("orders", f"m{number}")
        cluster.advance(3)
        number += 1
        if number % 100 == 0:
            cluster.lose_next_ack()
            writer.flush()
    run = run_of(film, 0, 5_000, with_replication=True)
    page.goto(write_page(run, tmp_path / "long.html").as_uri())
    page.wait_for_function("document.documentElement.dataset.ready")
    ready_ms = int(page.evaluate("document.documentElement.dataset.ready"))
    paint_ms = page.evaluate(
        """() => new Promise((done) => new PerformanceObserver((list) =>
             done(list.getEntries()[0].startTime)).observe({type: "paint", buffered: true}))"""
    )
    keys = ["ArrowRight"] * 100 + ["PageDown"] * 50 + ["End", "Home"] * 25
    steps = page.evaluate(STEP, keys)
    with capsys.disabled():
        print(
            f"\n5,000 events, {len(run.sheet.rows):,} rows: first paint {paint_ms:.0f} ms, usable after {ready_ms} ms, "
            f"a step {steps[len(steps) // 2]:.1f} ms (half), {steps[-1]:.1f} ms (slowest)"
        )
    assert len(steps) == len(keys)
    assert 0 < page.locator(".row").count() < 60
