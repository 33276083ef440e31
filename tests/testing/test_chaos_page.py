"""The page on `chaos_test`: its tests do what it says they do, and its screens are those that come."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chaos_stage import run_pytest

from eventlog.testing import FAULT_GROUPS

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "chaos_test.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SCREENS = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def assert_shown(screen: str, told: str) -> None:
    """Every line of the page's screen stands in what was told, up to its dots."""
    lines = [line.rstrip() for line in told.splitlines()]
    for line in screen.replace("test_orders.py", "test_it.py").splitlines():
        start = line.partition("...")[0].rstrip()
        assert any(told_line.startswith(start) for told_line in lines), line


def test_the_first_test_fails_as_shown_and_passes_as_said(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, BLOCKS[0])
    assert code == 1
    assert_shown(SCREENS[0], told)
    code, told = run_pytest(pytester, BLOCKS[0].replace(", enable_idempotence=False", ""), "-v")
    assert code == 0
    assert_shown(SCREENS[1], told)


def test_the_relay_fails_and_the_marked_test_passes(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, BLOCKS[1])
    assert code == 1
    assert "THE PROCESS DIES at crash point after_publish" in told
    code, told = run_pytest(pytester, BLOCKS[3], "-W", "error")
    assert (code, "1 passed" in told) == (0, True)
    assert len(BLOCKS) == 4


def test_the_test_of_a_real_client_fails_as_shown_and_passes_as_said(pytester: pytest.Pytester) -> None:
    code, told = run_pytest(pytester, BLOCKS[2])
    assert code == 1
    assert_shown(SCREENS[2], told)
    idempotent = BLOCKS[2].replace("    producer =", '    settings["enable.idempotence"] = True\n    producer =')
    code, told = run_pytest(pytester, idempotent, "-v")
    assert code == 0
    assert_shown(SCREENS[3], told)


def test_the_page_names_every_group_and_every_example() -> None:
    for group in FAULT_GROUPS:
        assert f"`{group}`" in PAGE, group
    for example in sorted((ROOT / "examples").iterdir()):
        if list(example.glob("test_*.py")):
            assert f"`{example.name}`" in PAGE, example.name
