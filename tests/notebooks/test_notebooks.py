"""Notebooks run from top to bottom, and print what is stored in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def printed(notebook: Any) -> list[list[str]]:
    """What each code cell shows, as plain text and pictures."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shown = [output.get("text") or "" for output in cell.outputs if output.output_type == "stream"]
            for output in cell.outputs:
                data = output.get("data", {})
                shown += [data[kind] for kind in ("text/html", "text/plain") if kind in data]
                assert output.output_type != "error", output
            found.append(shown)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored_in_it(path: Path) -> None:
    stored = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    again = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(again, timeout=60, kernel_name="python3").execute()
    assert printed(again) == printed(stored)


def test_there_is_a_notebook() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["idempotent_writer"]
