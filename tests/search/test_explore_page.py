"""The page on the search: its Python runs as one story, its commands run, and what it shows is what comes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from eventlog.cli import main
from eventlog.cli.explore import add_explore

PAGE = (Path(__file__).parents[2] / "docs" / "explore.md").read_text()
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def assert_shown(shown: str, told: str) -> None:
    """Every line of the page stands in what was told, up to its dots."""
    lines = [line.rstrip() for line in told.splitlines()]
    for line in shown.splitlines():
        start = line.partition("...")[0].rstrip()
        assert any(told_line.startswith(start) for told_line in lines), line


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "docs/explore.md", "exec"), names)
    assert_shown(SHOWN[1], capsys.readouterr().out)


def test_the_pages_command_runs_and_says_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert main(shlex.split(command)[1:]) == 0
    assert_shown(SHOWN[0], capsys.readouterr().out)


def test_every_option_of_the_pages_table_is_one() -> None:
    import argparse

    commands = argparse.ArgumentParser().add_subparsers()
    add_explore(commands)
    known = commands.choices["explore"]._option_string_actions
    options = re.findall(r"`(-[^`]*)`", PAGE)
    assert len(options) > 10
    for option in options:
        for word in shlex.split(option.replace("LITERAL", "")):
            assert not word.startswith("-") or word in known, word


def test_progress_says_states_rate_level_and_frontier_where_somebody_looks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["explore", "one broker", "-k", "1"]) == 0
    assert re.search(r"\r\d+ states, [\d,]+ a second, 0 deviations, 0 of 1 ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["P9"], "no scenario 'P9'; the scenarios are: P3, P2, one broker"),
        (["P2", "-k", "65"], "max_deviations must be from 0 to 64, not 65"),
        (["P2", "--states", "0"], "max_states must be 1 or more, not 0"),
        (["P2", "--budget", "flood=1"], "a budget is FAULT=N with a fault of the table, not 'flood=1'"),
        (["P2", "--jobs", "0"], "jobs must be from 1 to 1024, not 0"),
    ],
)
def test_what_cannot_be_explored_is_one_line_that_says_why(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["explore", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_counterexample_of_another_version_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    literal = "{'eventlog': 2, 'scenario': {'scenario': {'name': 'P2'}}, 'deviations': []}"
    assert main(["replay", literal]) == 2
    assert "has format 2; this version reads format 1" in capsys.readouterr().err
