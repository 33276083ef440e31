"""The page on Hypothesis: every block of Python runs, and its tests pass."""

from __future__ import annotations

import re
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

PAGE = Path(__file__).parents[2] / "docs" / "hypothesis.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def few_examples() -> Iterator[None]:
    """What the page leaves to the reader's profile is little here."""
    before = settings.get_current_profile_name()
    settings.register_profile("page", max_examples=5, derandomize=True, database=None)
    settings.load_profile("page")
    yield
    settings.load_profile(before)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_python_block_of_the_page_runs(number: int, few_examples: None) -> None:
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[number], str(PAGE), "exec"), names)
    tests = [value for name, value in names.items() if name.lower().startswith("test")]
    assert len(tests) == BLOCKS[number].count("\ndef test_") + BLOCKS[number].count("\nTest") // 2
    for test in tests:
        if isinstance(test, type) and issubclass(test, unittest.TestCase):
            test("runTest").debug()
        else:
            test()


def test_the_failure_that_the_page_shows_is_the_one_that_comes(few_examples: None) -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(BLOCKS[0].replace("enable_idempotence=True", "enable_idempotence=False"), str(PAGE), "exec"), names)
    with pytest.raises(AssertionError) as caught:
        names["test_every_order_is_there_once"]()
    told = "\n".join(caught.value.__notes__)
    assert "What it takes:" in told
    assert "values=[b'']," in told
    assert "see it again: give walks(..., replay=[" in told
    for words in ("What it takes:", "values=[b'']", "see it again: give walks(..., replay=["):
        assert words in shown
