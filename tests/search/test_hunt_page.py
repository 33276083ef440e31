"""The page on hunts: its Python runs, its command runs, and what it shows is what comes."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from eventlog.cli import main
from eventlog.cli.hunt import add_hunt

PAGE = (Path(__file__).parents[2] / "docs" / "hunt.md").read_text()
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def assert_shown(shown: str, told: str) -> None:
    """Every line of the page stands in what was told, up to its dots."""
    lines = [line.rstrip() for line in told.splitlines()]
    for line in shown.splitlines():
        start = line.partition("...")[0].rstrip()
        assert any(told_line.startswith(start) for told_line in lines), line


def test_the_pages_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(block, "docs/hunt.md", "exec"), names)
    assert_shown(SHOWN[1], capsys.readouterr().out)


def test_the_pages_command_finds_the_hole_and_its_literal_replays(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (command,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert main(shlex.split(command)[1:]) == 1
    told = capsys.readouterr().out
    assert_shown(SHOWN[0], told)
    literal = tmp_path / "literal.txt"
    literal.write_text(told.splitlines()[-1])
    main(["replay", str(literal)])
    assert "OUT_OF_ORDER_SEQUENCE_NUMBER" in capsys.readouterr().out


def test_without_the_switch_the_same_hunt_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", "one broker", "--excused", "--runs", "50"]) == 0
    assert capsys.readouterr().out.startswith("nothing was found in one broker by 50 runs (1 benign, 30 in order")


def test_many_hunts_are_a_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    asked = [
        "hunt",
        "one broker",
        "--snapshot-batches",
        "1",
        "--excused",
        "--runs",
        "50",
        "--seed",
        "3",
        "--seeds",
        "2",
    ]
    assert main(asked) == 1
    told = capsys.readouterr().out
    assert re.search(r"^\d+ runs in 2 slices, 2 of the hunts found something", told)
    assert "seed 3," in told
    assert "seed 4," in told


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["P9"], "there is no scenario 'P9'"),
        (["P2", "--seeds", "0"], "--seeds 0 and --jobs 1 must be 1 or more"),
        (["P2", "--seeds", "3", "--seconds", "1"], "--seconds is for one hunt"),
        (["P2", "--runs", "-1"], "runs must be 0 or more, not -1"),
        (["P2", "--plant", "nowhere:nothing"], "'nowhere:nothing' can't be imported"),
        (["P2", "--budget", "fire=1"], "a budget is FAULT=N"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(asked: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hunt", *asked]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_every_option_of_the_pages_table_is_one() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    add_hunt(commands)
    known = commands.choices["hunt"]._option_string_actions
    options = re.findall(r"`(--[^`]*)`", PAGE)
    assert len(options) > 6
    for option in options:
        for word in shlex.split(option):
            assert not word.startswith("-") or word in known, word
