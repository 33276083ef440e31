from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-pictures", action="store_true", help="write the scenes' pictures of now into their files")
