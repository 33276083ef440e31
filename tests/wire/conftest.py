"""A door leaves nothing open, and warns of nothing: in these tests every warning is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
OF_KAFKA_PYTHON = ("ignore:read_text is deprecated", "ignore:open_text is deprecated")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("error", *OF_KAFKA_PYTHON))
