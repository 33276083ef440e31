"""Every failover scenario recorded from a real cluster of Apache Kafka 4.3.1, in the world: every answer equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from failover_stage import FailoverStage

RECORDED = json.loads((Path(__file__).parent / "failover.json").read_text())
SCENARIOS = {scenario["name"]: scenario for scenario in RECORDED["scenarios"]}


def expected(step: dict[str, Any]) -> Any:
    answer = step.get("answer")
    if isinstance(answer, dict) and "isr" in answer:
        return {**answer, "isr": sorted(answer["isr"])}
    return answer


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step_is_answered_as_the_real_cluster_did(name: str) -> None:
    scenario = SCENARIOS[name]
    stage = FailoverStage(scenario)
    for number, step in enumerate(scenario["steps"]):
        assert stage.play(step) == expected(step), f"{name}, step {number} ({step['do']}): {scenario['about']}"


def test_all_scenarios_are_here() -> None:
    assert len(SCENARIOS) == 25
    assert sum(len(scenario["steps"]) for scenario in SCENARIOS.values()) == 525
