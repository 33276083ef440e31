"""A door leaves nothing open, and warns of nothing: in these tests every warning is an error.

But for those with real clients, which warn of themselves and leave a socket open now and then.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
WITH_CLIENTS = ("test_administrators", "test_judged_clients", "test_python_clients", "test_recording")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.path.stem not in WITH_CLIENTS:
            item.add_marker(pytest.mark.filterwarnings("error"))
