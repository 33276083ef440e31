from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-notebooks", action="store_true", help="store what the notebooks show now in them")
