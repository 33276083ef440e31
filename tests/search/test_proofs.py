"""What is proven each time the tests run: no run of these small worlds within so many deviations breaks a promise that the
table holds. Nothing else in the tests takes as long; see the README for the proofs that take longer still."""

from __future__ import annotations

import pytest

from eventlog.exploring import Proof, explore
from eventlog.scenarios import Scenario, find_scenario

SEEN = ("duplicate recognised", "truncation", "broker fenced", "restart", "new leader", "in-sync replicas shrunk")


def assert_proven(scenario: Scenario, max_deviations: int, states: tuple[int, ...]) -> None:
    found = explore(scenario, max_deviations, sometimes=SEEN)
    assert isinstance(found, Proof), found.report()
    print(found.report())
    assert found.held, found.report()
    assert found.searched.levels == states
    assert found.searched.finals > 0
    assert found.searched.cycles == 0


def test_three_brokers_within_four_deviations_in_coarse_steps() -> None:
    assert_proven(find_scenario("P3"), 4, (9, 217, 3_738, 39_059, 223_707))


def test_three_brokers_within_two_deviations_in_fine_steps() -> None:
    assert_proven(find_scenario("P3", is_coarse=False), 2, (13, 376, 5_580))


def test_two_brokers_within_six_deviations_in_coarse_steps() -> None:
    assert_proven(find_scenario("P2"), 6, (7, 125, 1_132, 8_079, 32_673, 55_782, 13_282))


@pytest.mark.parametrize(
    ("name", "max_deviations", "states"), [("P3", 2, (11, 275, 4_747)), ("P2", 3, (8, 143, 1_412, 10_195))]
)
def test_a_cold_producer_whose_partition_begins_at_zero(
    name: str, max_deviations: int, states: tuple[int, ...]
) -> None:
    scenario = find_scenario(name, is_warm=False, unknown_producer_first_sequence="zero")
    assert_proven(scenario, max_deviations, states)
