"""Every answer that a real broker gave to recorded scripts, given again by this one, over a socket."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_stage import read_scripts
from scripts_stage import WireStage

HAND = read_scripts("idempotence-hand.jsonl")
RANDOM = read_scripts("idempotence-random.jsonl")
RESTART = read_scripts("restart-hand.jsonl")


def play(script: dict[str, Any]) -> None:
    stage = WireStage(script)
    try:
        for number, step in enumerate(script["steps"]):
            assert stage.play(step) == step.get("answer"), f"{script['name']}, step {number}: {script['notes']}"
        assert stage.door.failure is None
    finally:
        stage.close()


@pytest.mark.parametrize("name", HAND)
def test_every_step_of_a_written_script_is_answered_as_the_real_broker_did(name: str) -> None:
    play(HAND[name])


@pytest.mark.parametrize("name", RESTART)
def test_every_step_around_a_restart_is_answered_as_the_real_broker_did(name: str) -> None:
    play(RESTART[name])


@pytest.mark.parametrize("name", RANDOM)
def test_every_step_of_a_random_script_is_answered_as_the_real_broker_did(name: str) -> None:
    play(RANDOM[name])
