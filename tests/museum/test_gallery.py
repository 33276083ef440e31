"""Every exhibit, whatever they are: its plan breaks what it says, mends without the mistake, and is found by who looks."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from eventlog.campaigns import campaign
from eventlog.cli import main
from eventlog.errors import RequestError
from eventlog.exploring import Counterexample, Proof, explore
from eventlog.hunting import hunt
from eventlog.log.producer_state import ProducerEntry
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.museum.gallery import WAITING, find_exhibit, gallery
from eventlog.museum.table import explore_exhibit, hunt_exhibit, hypothesis_seconds, tell_table
from eventlog.museum.telling import show, tell

GALLERY = gallery()
each_exhibit = pytest.mark.parametrize("exhibit", [pytest.param(one, id=name) for name, one in GALLERY.items()])


@each_exhibit
def test_its_shortest_plan_breaks_the_named_promise_and_none_without_the_mistake(exhibit: Exhibit) -> None:
    assert exhibit.shortest is not None
    played = exhibit.play(exhibit.shortest)
    assert (exhibit.failure(played), played.unused) == (exhibit.breaks, ())
    cured = exhibit.play_cured(exhibit.shortest)
    assert exhibit.failure(cured) == ""
    assert cured.verdict is not None


@each_exhibit
def test_no_deviation_of_its_plan_can_be_left_out(exhibit: Exhibit) -> None:
    plan = exhibit.shortest or ()
    for place in range(len(plan)):
        assert exhibit.failure(exhibit.play((*plan[:place], *plan[place + 1 :]))) != exhibit.breaks


@each_exhibit
def test_the_explorer_finds_it_within_a_deviation_more_than_its_plan_has(exhibit: Exhibit) -> None:
    assert exhibit.shortest is not None
    # The world looks at each step more closely than the explorer does, and may see it one deviation earlier.
    deviations, _, _ = explore_exhibit(exhibit, len(exhibit.shortest) + 1, time_limit_s=None)
    assert 0 <= deviations <= len(exhibit.shortest) + 1


@each_exhibit
def test_walks_find_it(exhibit: Exhibit) -> None:
    with exhibit.planted():
        hunted = hunt(exhibit.scenario, runs=2_000, seed=1, excused=exhibit.is_excused, shrinks=False)
    assert hunted.failure


@each_exhibit
def test_its_story_has_a_before_and_an_after(exhibit: Exhibit) -> None:
    told = tell(exhibit)
    assert f"with the mistake: {exhibit.breaks} is broken" in told
    assert "without it: nothing is broken" in told
    assert 3 <= len(exhibit.story.splitlines()) <= 6
    assert exhibit.reference
    assert re.search(r"^(They|Both runs) ", told, re.MULTILINE)


def test_the_two_runs_stand_side_by_side_about_the_partition_that_the_last_fault_names() -> None:
    shown = show("26")
    assert [sheet.title for sheet in shown.sheets] == ["with the mistake", "without it"]
    assert "with the mistake: m1 m3 m3; without it: m1 m3." in shown.note
    assert shown.svg.count("the answer to m3") >= 2
    assert "because sequence 1 is already at offset 1" in shown.text
    assert "logs (3)" in shown.text  # as they were, so the runs were filmed


def test_the_two_runs_of_an_exhibit_make_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "fourteen.html"
    assert main(["museum", "14", "--html", str(page)]) == 0
    assert capsys.readouterr().out == f"written: {page}\n"
    assert "with the mistake" in page.read_text("utf-8")
    assert "without it" in page.read_text("utf-8")


def test_a_mistake_is_gone_when_its_time_is_over() -> None:
    exhibit = GALLERY["window_of_one"]
    with exhibit.planted():
        pass
    assert exhibit.failure(exhibit.play_cured(exhibit.shortest or ())) == ""


def test_every_number_is_one_exhibits_or_waits() -> None:
    numbers = [exhibit.number for exhibit in GALLERY.values() if exhibit.number]
    assert len(set(numbers)) == len(numbers)
    assert not set(numbers) & set(WAITING)


def test_the_table_has_a_row_with_all_figures() -> None:
    row = hunt_exhibit(GALLERY["window_of_one"], seeds=2, examples=50)
    assert (row.deviations, len(row.walks), row.close, row.optimum) == (1, 2, 2, 1)
    assert row.hypothesis_s >= 0
    told = tell_table([row])
    assert "| 14 | window_of_one | 1 |" in told
    assert "shrunk to the optimum + 3 or less: 100 % of 2" in told


def test_hypothesis_does_not_find_what_needs_more_than_it_may_try() -> None:
    assert hypothesis_seconds(GALLERY["failover_remembers_one_batch"], examples=2) < 0


# --- what is not an exhibit -------------------------------------------------------------------------------------------


def test_an_exhibit_is_found_by_number_and_by_name() -> None:
    assert find_exhibit("14") == find_exhibit("window_of_one") == GALLERY["window_of_one"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["99"], "there is no exhibit '99'; there are: 1 truncate_to_high_watermark"),
        (["nonsense"], "there is no exhibit 'nonsense'"),
        (["32"], "exhibit 32 can't be shown yet: a hanging transaction"),
        (["--package", "nowhere.at_all"], "'nowhere.at_all' can't be imported"),
        (["--package", "eventlog.values.faults"], "there are no exhibits in eventlog.values.faults"),
        (["--hunt", "--seeds", "0"], "--seeds 0 must be 1 or more"),
        (["14", "--hunt", "--examples", "-1"], "--examples -1 0 or more"),
        (["--html", "x.html"], "--html is for one exhibit and its story"),
        (["14", "--hunt", "--html", "x.html"], "--html is for one exhibit and its story"),
        (["14", "--html", "nowhere/x.html"], "nowhere/x.html"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(asked: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["museum", *asked]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


GOOD = '''"""A broker that knows no duplicates.

A repeated batch is out of order to it.
"""
from eventlog.log.producer_state import ProducerEntry
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario

EXHIBIT = Exhibit("no batch is known again", "H14", "nobody", find_scenario("one broker"))


def plant():
    return replaced(ProducerEntry, "find_duplicate", lambda entry, batch: None)
'''


def test_one_module_in_a_package_of_ones_own_takes_part_in_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "my_exhibits"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nobody_is_known.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["museum", "--package", "my_exhibits"]) == 0
    assert "nobody_is_known  H14  A broker that knows no duplicates" in capsys.readouterr().out
    asked = ["museum", "nobody_is_known", "--hunt", "--seeds", "2", "--examples", "50", "--package", "my_exhibits"]
    assert main(asked) == 0
    assert "|  | nobody_is_known | 1 |" in capsys.readouterr().out
    assert main(["museum", "nobody_is_known", "--package", "my_exhibits"]) == 0
    assert "mistake    no batch is known again" in capsys.readouterr().out


def test_its_rule_is_replaced_by_name_in_workers_that_are_fresh_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "far_exhibits"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "nobody_is_known.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    exhibit = find_exhibit("nobody_is_known", "far_exhibits")
    assert exhibit.plants == ("far_exhibits.nobody_is_known:plant",)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        found = explore(exhibit.scenario, 1, plants=exhibit.plants, executor=executor)
        hunted = campaign([exhibit.scenario], range(2), runs=60, plants=exhibit.plants, executor=executor)
    assert isinstance(found, Counterexample)
    assert [find.failure for find in hunted.finds] == ["H14", "H14"]
    # And nowhere else.
    assert isinstance(explore(exhibit.scenario, 1), Proof)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"""Nothing."""', "is not an exhibit: it needs an EXHIBIT"),
        (GOOD.partition("\n\n\ndef plant")[0], "makes no mistake: it needs a plant"),
        (GOOD[GOOD.index("from eventlog") :], "has no docstring"),
    ],
)
def test_a_module_that_is_no_exhibit_is_named(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bad_exhibits"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "wrong.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("bad_exhibits", "bad_exhibits.wrong"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        with pytest.raises(RequestError, match=rf"bad_exhibits\.wrong {said}"):
            gallery("bad_exhibits")
    finally:
        for name in ("bad_exhibits", "bad_exhibits.wrong"):
            sys.modules.pop(name, None)


def test_a_rule_that_is_not_there_cannot_be_replaced() -> None:
    with pytest.raises(KeyError, match="find_duplicates"), replaced(ProducerEntry, "find_duplicates", None):
        pass


def test_a_rule_is_put_back_where_it_was_also_when_a_run_ends_badly() -> None:
    original = ProducerEntry.__dict__["find_duplicate"]
    with pytest.raises(ZeroDivisionError), replaced(ProducerEntry, "find_duplicate", None):
        raise ZeroDivisionError
    assert ProducerEntry.__dict__["find_duplicate"] is original


def test_a_table_of_no_seeds_is_refused() -> None:
    with pytest.raises(RequestError, match="hunted with 1 seed or more, not 0"):
        hunt_exhibit(GALLERY["window_of_one"], seeds=0)


def test_a_smaller_world_that_never_begins_is_no_reason_to_stop_shrinking() -> None:
    exhibit = GALLERY["follower_judges"]
    with exhibit.planted():
        hunted = hunt(exhibit.scenario, runs=1, seed=0)
    assert hunted.failure == "H13"
    assert hunted.told is not None
