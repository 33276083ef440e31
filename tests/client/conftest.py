from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from client_stage import Stage


@pytest.fixture(params=[False, True], ids=["alive", "thawed at every step"])
def stage(request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """Makes stages; each test runs a second time with its engine frozen and thawed at every step."""

    def make(**settings: Any) -> Stage:
        return Stage(thawing=request.param, **settings)

    return make
