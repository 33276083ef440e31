"""Notebooks run from top to bottom, quickly, and print what is stored in them; each teaches and each asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
SUBJECTS = [
    "01_idempotent_writer",
    "02_replication",
    "03_chaos",
    "04_break_it_yourself",
    "05_the_pattern",
    "06_search_finds_your_bug",
]


def printed(notebook: Any) -> list[list[str]]:
    """What each code cell shows, as plain text and pictures."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            # How a stream is cut into pieces is the kernel's affair.
            streams = [output.get("text") or "" for output in cell.outputs if output.output_type == "stream"]
            shown = ["".join(streams)] if streams else []
            for output in cell.outputs:
                data = output.get("data", {})
                shown += [data[kind] for kind in ("text/html", "image/svg+xml", "text/plain") if kind in data]
                assert output.output_type != "error", output
            found.append(shown)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored_in_it(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    again = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(again, timeout=60, kernel_name="python3").execute()
    assert printed(again) == printed(stored)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_is_learned_and_ends_with_exercises_whose_answers_are_hidden(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    assert "**What you will learn:**" in cells[0].source
    assert "## Exercises" in cells[-1].source
    assert "<details><summary>Answers</summary>" in cells[-1].source


def test_the_notebooks_are_those_that_are_promised() -> None:
    assert [path.stem for path in NOTEBOOKS] == SUBJECTS
