"""Every client scenario has a test that carries its id in its name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TRANSACTIONAL = {
    "CR-16": "a rewrite under the same epoch: only a transactional producer renumbers without raising the epoch",
    "CR-30": "an aborted transaction gives the failed sequence out again; an idempotent producer raises the epoch",
    "DT-09": "an unresolved sequence makes a transaction abortable; there is no transaction to abort",
    "DT-10": "a coordinator that can't raise epochs; an idempotent producer raises its own",
}
"""Scenarios of a transactional producer, which is not built."""

SCENARIOS = (
    *(f"CR-{number:02}" for number in (1, *range(3, 27), 28, 30)),
    *(f"DT-{number:02}" for number in (1, 4, 5, 6, 7, 9, 10, 13, 15, 17, 18)),
    *(f"RC-{number:02}" for number in (1, 2, 3, 5, 6, 7, 9)),
)


def ids_of_tests() -> list[str]:
    found: dict[str, None] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for chapter, number in re.findall(r"_(cr|dt|rc)_(\d+)(?=_)", node.name):
                    found[f"{chapter.upper()}-{number}"] = None
    return sorted(found)


def test_every_scenario_has_a_test_or_a_reason() -> None:
    assert ids_of_tests() == sorted(each for each in SCENARIOS if each not in TRANSACTIONAL)
    assert len(SCENARIOS) == 45
    assert all(each in SCENARIOS and reason for each, reason in TRANSACTIONAL.items())
