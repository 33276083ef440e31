"""The Explorer's script in a real browser, with the real Explorer behind it: what a notebook does between the two (a value
that changes on one side changes on the other) is done here by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventlog import Cluster
from eventlog.scenarios import play, scenario_of
from eventlog.sim.literal import read_literal
from eventlog.views.explorer import Explorer

NAMES = tuple(Explorer.class_own_traits(sync=True))
HOST = """
const heard = {};
const values = JSON.parse(await readAll());
const changed = (name, value) => {
  if (JSON.stringify(values[name]) === JSON.stringify(value)) return;
  values[name] = value;
  for (const act of heard["change:" + name] || []) act();
};
const take = (text) => { for (const [name, value] of Object.entries(JSON.parse(text))) changed(name, value); };
const waiting = {};
const model = {
  get: (name) => values[name],
  set: (name, value) => { waiting[name] = value; changed(name, value); },
  save_changes: async () => { const sent = JSON.stringify(waiting); take(await save(sent)); },
  send: async (what) => take(await ask(JSON.stringify(what))),
  on: (name, act) => (heard[name] = heard[name] || []).push(act),
};
widget.render({model, el: document.getElementById("here")});
"""


class Hosted:
    def __init__(self, page: Any, explorer: Explorer) -> None:
        self.page = page
        self.explorer = explorer
        page.expose_function("readAll", self.values)
        page.expose_function("save", self.save)
        page.expose_function("ask", self.ask)
        script = Explorer._esm if isinstance(Explorer._esm, str) else str(Explorer._esm)
        script = script.replace("export default {render};", "const widget = {render};")
        style = Explorer._css if isinstance(Explorer._css, str) else str(Explorer._css)
        page.set_content(f"<style>{style}</style><div id=here></div>")
        page.evaluate("(async () => {" + script + HOST + "})()")
        page.wait_for_selector(".el svg")

    def values(self) -> str:
        return json.dumps({name: getattr(self.explorer, name) for name in NAMES})

    def save(self, text: str) -> str:
        for name, value in json.loads(text).items():
            setattr(self.explorer, name, value)
        return self.values()

    def ask(self, text: str) -> str:
        self.explorer._asked(self.explorer, json.loads(text), [])
        return self.values()


@pytest.fixture
def hosted(page: Any) -> Hosted:
    return Hosted(page, Explorer("P3", batches=5))


def wait_for_index(hosted: Hosted, index: int) -> None:
    hosted.page.wait_for_function(f"document.querySelector('.where').textContent.startsWith('event {index} of')")
    assert hosted.explorer.index == index


def test_the_slider_and_the_keys_go_through_the_run(hosted: Hosted) -> None:
    explorer, page = hosted.explorer, hosted.page
    assert explorer.index == explorer.last
    stops = list(explorer.stops)
    page.locator(".slider").focus()
    for key, index in (("Home", stops[0]), ("ArrowRight", stops[1]), ("Space", stops[2]), ("Shift+Space", stops[1])):
        page.keyboard.press(key)
        wait_for_index(hosted, index)
    page.locator(".slider").fill(str(stops[4]))
    wait_for_index(hosted, stops[4])
    # The first stop of all shows nothing yet; each after it has one step more.
    page.wait_for_function("document.querySelectorAll('.picture [data-step]').length === 4")
    page.get_by_label("last step (End)").click()
    wait_for_index(hosted, explorer.last)


def test_the_past_is_forked_by_a_click_and_the_fork_is_a_literal(hosted: Hosted) -> None:
    explorer, page = hosted.explorer, hosted.page
    whole = explorer.last
    page.locator(".slider").fill(str(explorer.stops[1]))
    wait_for_index(hosted, explorer.stops[1])
    page.locator(".forks button", has_text="drop the answer").first.click()
    page.wait_for_function("document.querySelector('.literal').textContent.includes('reply_lost')")
    assert explorer.last > whole
    assert page.locator(".picture").get_by_text("DUPLICATE").count() > 0
    scenario, deviations = read_literal(page.locator(".literal").inner_text())
    assert play(scenario_of(scenario), deviations).unused == ()
    assert "Held" in page.locator(".verdict").inner_text()


def test_a_broker_is_crashed_healed_and_the_fork_undone(hosted: Hosted) -> None:
    explorer, page = hosted.explorer, hosted.page
    page.locator(".slider").fill(str(explorer.stops[1]))
    wait_for_index(hosted, explorer.stops[1])
    assert page.locator(".heal").is_disabled()
    page.locator(".forks button", has_text="crash broker-1").click()
    page.wait_for_function("document.querySelector('.literal').textContent.includes('crash')")
    struck = next(index for index, stop in enumerate(explorer.stops) if explorer.past.standing(stop))
    page.locator(".slider").fill(str(explorer.stops[struck + 1]))
    page.wait_for_function("!document.querySelector('.heal').disabled")
    page.locator(".heal").click()
    page.wait_for_function("!document.querySelector('.literal').textContent.includes('-1)')")
    assert explorer.depth == 2
    page.locator(".back").click()
    page.locator(".back").click()
    page.wait_for_function("document.querySelector('.back').disabled")
    assert explorer.past.deviations == ()


def test_a_plain_writer_is_broken_by_two_clicks(page: Any) -> None:
    hosted = Hosted(page, Explorer("P3", batches=3, enable_idempotence=False))
    explorer = hosted.explorer
    page.locator(".slider").fill(str(explorer.stops[1]))
    wait_for_index(hosted, explorer.stops[1])
    page.locator(".forks button", has_text="drop the answer").first.click()
    page.wait_for_function("document.querySelector('.literal').textContent.includes('reply_lost')")
    assert "duplicated" in page.locator(".verdict").inner_text()
    assert " 0 duplicated" not in page.locator(".verdict").inner_text()


def shop(cluster: Cluster) -> None:
    cluster.create_topic("orders")
    producer = cluster.producer("shop", idempotence=False, request_timeout_ms=1000, linger_ms=0, batch_size=0)
    for number in range(12):
        producer.send("orders", f"order-{number}")
        producer.flush()


def test_a_program_of_ones_own_is_forked_and_the_step_of_now_is_in_sight(page: Any) -> None:
    hosted = Hosted(page, Explorer(shop))
    explorer = hosted.explorer
    inside = """() => {
      const all = document.querySelectorAll(".picture [data-step]"), step = all[all.length - 1].getBoundingClientRect();
      const view = document.querySelector(".picture").getBoundingClientRect();
      return view.top <= step.top && step.bottom <= view.bottom;
    }"""
    page.wait_for_function(inside)
    assert page.evaluate("document.querySelector('.picture').scrollTop > 0")
    assert "Explorer(the program, deviations=the literal) takes it" in page.locator(".el").inner_text()
    page.locator(".slider").fill(str(explorer.stops[6]))
    wait_for_index(hosted, explorer.stops[6])
    page.locator(".forks button", has_text="drop the answer: shop produces").first.click()
    page.wait_for_function("document.querySelector('.verdict').textContent.includes(' 1 duplicated')")
    page.wait_for_function(inside)


def test_a_click_on_a_message_says_why(hosted: Hosted) -> None:
    hosted.page.locator(".picture [data-step='1']").click()
    assert "m1 · seq 1" in hosted.page.locator(".why").inner_text()
