"""The page on real clients: its Python runs as it stands there, and what it says is not served is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wire_stage import conversations, frames

from eventlog.wire.versions import APIS

PAGE = (Path(__file__).parents[2] / "docs" / "kafka_clients.md").read_text()
README = (Path(__file__).parents[2] / "README.md").read_text()
SNIPPETS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def test_" in block]
REFUSED = ("JoinGroup",)
"""Listed, and always answered with an error."""


def first_line(snippet: str) -> str:
    return re.findall(r"from (\w+) import", snippet)[0] + " " + re.findall(r"def (test_\w+)", snippet)[0]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=first_line)
def test_the_pages_tests_pass_as_they_stand_there(snippet: str, tmp_path: Path) -> None:
    (tmp_path / "test_page.py").write_text(snippet)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "eventlog.wire.fixtures", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "test_page.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert f"{4 if 'parametrize' in snippet else 1} passed" in done.stdout


def test_the_verdict_on_a_plain_producer_is_shown_as_it_is(tmp_path: Path) -> None:
    (snippet,) = [snippet for snippet in SNIPPETS if "judge()" in snippet]
    (shown,) = [screen for screen in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL) if screen.startswith("Held")]
    plain = snippet.replace(', "enable.idempotence": True', "").replace(
        "assert verdict.exactly_once, str(verdict)", "print(verdict)"
    )
    assert plain.count("\n") == snippet.count("\n")
    (tmp_path / "test_page.py").write_text(plain)
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    told = done.stdout.splitlines()
    for line in shown.splitlines():
        assert any(told_line.startswith(line.partition(" ...")[0]) for told_line in told), line


def test_the_story_takes_fifteen_lines_with_each_client_and_stands_in_the_readme() -> None:
    stories = [snippet for snippet in SNIPPETS if "crash_after" in snippet]
    assert len(stories) == 3
    assert all(len(story.splitlines()) <= 16 for story in stories)
    assert all(story in README for story in stories)


def test_what_the_page_says_is_not_served_is_what_clients_asked_for_and_is_not() -> None:
    asked = {frame["api"]: frame["api_key"] for name in conversations() for frame in frames(name)}
    unserved = {name for name, key in asked.items() if key not in APIS}
    section = PAGE.partition("## What clients ask for and is not served")[2]
    named = {word for word in re.findall(r"\w+", section) if word in asked}
    assert named - {"FindCoordinator", "InitProducerId", "ApiVersions"} == {*unserved, *REFUSED}
