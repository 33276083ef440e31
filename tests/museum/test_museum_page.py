"""The page on the museum: its commands say what is shown, its exhibit is one, and its table names every exhibit."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from eventlog.cli import main
from eventlog.cli.museum import add_museum
from eventlog.museum.gallery import gallery
from eventlog.museum.table import explore_exhibit

PAGE = (Path(__file__).parents[2] / "docs" / "museum.md").read_text()
SHOWN = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("command", "shown"), list(zip(COMMANDS, SHOWN, strict=True)))
def test_a_command_says_what_is_shown(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(command)[1:]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    for line in shown.splitlines():
        start = line.partition("...")[0].rstrip()
        assert any(told.startswith(start) for told in lines), line


def test_the_pages_exhibit_is_one_and_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = [block for block in BLOCKS if "EXHIBIT" in block]
    package = tmp_path / "page_exhibits"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "unknown_again.py").write_text(block)
    monkeypatch.syspath_prepend(str(tmp_path))
    (exhibit,) = gallery("page_exhibits").values()
    assert exhibit.title == "A broker that knows no duplicates"
    assert explore_exhibit(exhibit, 2, time_limit_s=None)[0] == 1


def test_the_other_blocks_run_as_they_stand() -> None:
    others = [block for block in BLOCKS if "EXHIBIT" not in block]
    assert others
    for block in others:
        exec(block, {})


def test_the_table_has_a_row_for_every_exhibit_and_for_nothing_else() -> None:
    rows = re.findall(r"^\| *\d* *\| (\w+) \|", PAGE, re.MULTILINE)
    assert rows == ["exhibit", *gallery()]


def test_every_option_of_the_page_is_one() -> None:
    commands = argparse.ArgumentParser().add_subparsers()
    add_museum(commands)
    known = commands.choices["museum"]._option_string_actions
    options = re.findall(r"`(--[^` ]*)", PAGE)
    assert len(options) >= 3
    for option in options:
        assert option in known, option
