"""Every answer that a real broker gave to recorded scripts, given again by this one, compared with `==`.

The scripts were recorded from Apache Kafka 4.3.1. They come in as bytes, as a client packs them; those whose batches
don't lie are played with objects as well, which is how a producer in this process sends.
"""

from __future__ import annotations

from typing import Any

import pytest
from recorded_stage import Stage, read_scripts

HAND = read_scripts("idempotence-hand.jsonl")
RANDOM = read_scripts("idempotence-random.jsonl")
RESTART = read_scripts("restart-hand.jsonl")

LIES = (
    "corrupt",
    "raw",
    "payload",
    "magic",
    "length_error",
    "offset_deltas",
    "header_count",
    "last_offset_delta",
)
"""Fields of a batch that only bytes can hold: a batch of objects can't contradict itself."""


def lies(script: dict[str, Any]) -> bool:
    """Is any batch of the script one that objects can't say?"""
    steps = [each for step in script["steps"] for each in step.get("steps", [step])]
    entries = [entry for step in steps for entry in step.get("partitions", []) if isinstance(entry, dict)]
    batches = [entry["batches"] for entry in entries if "batches" in entry]
    return any(len(several) != 1 or any(field in LIES for field in several[0]) for several in batches)


def play(script: dict[str, Any], through_bytes: bool) -> None:
    stage = Stage(script, through_bytes)
    for number, step in enumerate(script["steps"]):
        assert stage.play(step) == step.get("answer"), f"{script['name']}, step {number}: {script['notes']}"


@pytest.mark.parametrize("name", HAND)
def test_every_step_of_a_written_script_is_answered_as_the_real_broker_did(name: str) -> None:
    play(HAND[name], through_bytes=True)


@pytest.mark.parametrize("name", RESTART)
def test_every_step_around_a_restart_is_answered_as_the_real_broker_did(name: str) -> None:
    play(RESTART[name], through_bytes=True)


@pytest.mark.parametrize("name", RANDOM)
def test_every_step_of_a_random_script_is_answered_as_the_real_broker_did(name: str) -> None:
    play(RANDOM[name], through_bytes=True)


@pytest.mark.parametrize("name", [name for name, script in (HAND | RANDOM).items() if not lies(script)])
def test_batches_of_objects_get_the_same_answers(name: str) -> None:
    play((HAND | RANDOM)[name], through_bytes=False)


def test_all_scripts_are_here() -> None:
    assert (len(HAND), len(RANDOM), len(RESTART)) == (67, 132, 6)
    assert sum(not lies(script) for script in (HAND | RANDOM).values()) == 159
