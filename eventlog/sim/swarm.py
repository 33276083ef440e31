"""Profiles of seeded walks: which faults a walk may take, how often and how many of each, drawn before it begins.

A *swarm* walk takes some of the faults, each with a weight of its own; what is left out can't get in the way of what is
taken. A *uniform* walk takes all of them, each at the same rate. How many faults there are in a run depends on how many
opportunities it has for them, so a profile is drawn for a count of those.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from eventlog.sim.faults import FaultPlan, FaultRate
from eventlog.values import chance, draw

MILLION: Final = 1_000_000
MOST_PER_MILLION: Final = 400_000
WEIGHTS: Final = (1, 2, 4)
FAULTS_A_RUN: Final = (2, 3, 5)
"""How many faults a walk has on an average; one of them is drawn."""


class Profile(NamedTuple):
    """What one walk may do. Its text is one line."""

    kind: str
    seed: int
    plan: FaultPlan

    def __str__(self) -> str:
        faults = [f"{name} {rate.per_million / 10_000:.1f} % x{rate.budget}" for name, rate in self.plan.rates]
        return f"{self.kind} walk, seed {self.seed}: {', '.join(faults) or 'no faults'}"


def swarm_profile(seed: int, budgets: Mapping[str, int], opportunities: Mapping[str, int]) -> Profile:
    """Some of the faults, by `seed`. `budgets`: how many of each at most; `opportunities`: of each in a benign run."""
    possible = [fault for fault, budget in budgets.items() if budget and opportunities.get(fault)]
    chosen = [fault for fault in possible if draw(seed, f"takes {fault}", 3)]
    if possible and not chosen:
        chosen = [possible[draw(seed, "takes one", len(possible))]]
    weights = {fault: WEIGHTS[draw(seed, f"weight of {fault}", len(WEIGHTS))] for fault in chosen}
    count = FAULTS_A_RUN[draw(seed, "faults a run", len(FAULTS_A_RUN))]
    total = sum(weights.values())
    rates = []
    for fault, weight in weights.items():
        per_million = MILLION * count * weight // (total * opportunities[fault])
        budget = 1 + draw(seed, f"budget of {fault}", budgets[fault])
        rates.append((fault, FaultRate(min(per_million, MOST_PER_MILLION), budget)))
    return Profile("swarm", chance(seed, "walk"), FaultPlan(tuple(rates)))


def uniform_profile(seed: int, budgets: Mapping[str, int], opportunities: Mapping[str, int]) -> Profile:
    """All of the faults, each as often as the others where it can happen."""
    possible = [fault for fault, budget in budgets.items() if budget and opportunities.get(fault)]
    offers = sum([opportunities[fault] for fault in possible])
    count = FAULTS_A_RUN[draw(seed, "faults a run", len(FAULTS_A_RUN))]
    per_million = min(MILLION * count // max(offers, 1), MOST_PER_MILLION)
    rates = [(fault, FaultRate(per_million, budgets[fault])) for fault in possible]
    return Profile("uniform", chance(seed, "walk"), FaultPlan(tuple(rates)))
