"""Notebooks run from top to bottom, quickly, and print what is stored in them; each teaches and each asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
WIDGET = "application/vnd.jupyter.widget-view+json"
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


def store(notebook: Any, path: Path) -> None:
    """Write it with all that it shows, but for what ends with its kernel: when it ran, and its widgets."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        whole: list[Any] = []
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
            if whole and output.output_type == whole[-1].output_type == "stream" and output.name == whole[-1].name:
                whole[-1].text += output.text
            else:
                whole.append(output)
        if whole:
            cell.outputs = whole
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored_in_it(path: Path, request: pytest.FixtureRequest) -> None:
    again = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(again, timeout=60, kernel_name="python3").execute()
    shown = printed(again)
    if request.config.getoption("--rewrite-notebooks", default=False):
        store(again, path)
    stored = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    assert shown == printed(stored)


def test_no_stored_widget_waits_for_a_kernel_that_is_gone() -> None:
    """A viewer that trusts the notebook would show an error in its place, and not the picture beside it."""
    for path in NOTEBOOKS:
        assert WIDGET not in path.read_text("utf-8"), path


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_is_learned_and_ends_with_exercises_whose_answers_are_hidden(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells  # type: ignore[no-untyped-call]
    assert "**What you will learn:**" in cells[0].source
    assert "## Exercises" in cells[-1].source
    assert "<details><summary>Answers</summary>" in cells[-1].source


def test_the_notebooks_are_those_that_are_promised() -> None:
    assert [path.stem for path in NOTEBOOKS] == SUBJECTS
