"""Every answer that a real broker gave to the hand-written scripts, given again by this one, compared with `==`.

The scripts were recorded from Apache Kafka 4.3.1. What is not replayed is named here with its reason, so that nothing is
left out in silence.
"""

from __future__ import annotations

from typing import Any

import pytest
from recorded_stage import Stage, read_scripts

BYTES = "needs a byte-level door: "

NOT_REPLAYED = {
    "two-batches-in-partition": BYTES + "two batches concatenated; a ProducePartition holds exactly one",
    "corrupt": BYTES + "a wrong CRC",
    "count-mismatch": BYTES + "a header whose count differs from the records really inside",
    "count-mismatch-inside-compressed": BYTES + "the same inside a compressed payload",
    "offsets-not-dense": BYTES + "offset deltas written in the records, which a Record doesn't have",
    "offsets-not-dense-compressed": BYTES + "the same inside a compressed payload",
    "magic-old": BYTES + "another magic byte",
    "garbage": BYTES + "bytes that are no batch",
    "length-wrong": BYTES + "a wrong batch length",
}

WITHOUT_RECORD_ERRORS = ("timestamp-too-far",)
"""Equal but for `record_errors` (which records of the batch offend), which a ProducePartitionReply doesn't tell."""

SCRIPTS = read_scripts("idempotence-hand.jsonl")
REPLAYED = [name for name in SCRIPTS if name not in NOT_REPLAYED]


def expected(name: str, step: dict[str, Any]) -> Any:
    answer = step.get("answer")
    if name in WITHOUT_RECORD_ERRORS and step["op"] == "produce":
        return [{field: value for field, value in each.items() if field != "record_errors"} for each in answer]
    return answer


@pytest.mark.parametrize("name", REPLAYED)
def test_every_step_is_answered_as_the_real_broker_did(name: str) -> None:
    script = SCRIPTS[name]
    stage = Stage(script)
    for number, step in enumerate(script["steps"]):
        assert stage.play(step) == expected(name, step), f"{name}, step {number}: {script['notes']}"


def test_every_script_is_replayed_or_named_with_a_reason() -> None:
    assert sorted([*REPLAYED, *NOT_REPLAYED]) == sorted(SCRIPTS)
    assert set(WITHOUT_RECORD_ERRORS) <= set(REPLAYED)
    assert all(len(reason) > len(BYTES) for reason in NOT_REPLAYED.values())
    assert len(REPLAYED) == 58


def test_a_script_that_is_not_replayed_says_so_by_its_own_steps() -> None:
    """A reason may not outlive its cause: each such script really holds what can't be said in process."""
    marks = ("corrupt", "raw", "magic", "length_error", "offset_deltas", "header_count", "last_offset_delta")
    for name in NOT_REPLAYED:
        entries = [entry for step in SCRIPTS[name]["steps"] for entry in step.get("partitions", [])]
        batches = [entry["batches"] for entry in entries if isinstance(entry, dict) and "batches" in entry]
        fields = {field for several in batches for batch in several for field in batch}
        assert fields & set(marks) or any(len(several) != 1 for several in batches), name
