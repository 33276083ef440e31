from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from client_broker_stage import Play
from client_reader_stage import ReaderStage
from client_stage import TP0, Stage


@pytest.fixture(params=[False, True], ids=["alive", "thawed at every step"])
def stage(request: pytest.FixtureRequest) -> Callable[..., Stage]:
    """Makes stages; each test runs a second time with its engine frozen and thawed at every step."""

    def make(**settings: Any) -> Stage:
        return Stage(thawing=request.param, **settings)

    return make


@pytest.fixture(params=[False, True], ids=["alive", "thawed at every step"])
def play(request: pytest.FixtureRequest) -> Callable[..., Play]:
    """Makes stages with a broker that keeps logs; each test runs a second time frozen and thawed at every step."""

    def make(**settings: Any) -> Play:
        return Play(thawing=request.param, **settings)

    return make


@pytest.fixture(params=[False, True], ids=["alive", "thawed at every step"])
def reader_stage(request: pytest.FixtureRequest) -> Callable[..., ReaderStage]:
    """Makes stages for consumers, with these batches in orders-0."""

    def make(*batches: Any, **settings: Any) -> ReaderStage:
        play = ReaderStage(thawing=request.param, **settings)
        play.logs[TP0] += batches
        return play

    return make
