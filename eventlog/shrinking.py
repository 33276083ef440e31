"""Between floors 6 and 7: a failing run of a scenario made small: fewer deviations, a smaller scenario, simpler values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from eventlog.check import EXCUSED
from eventlog.errors import InvariantViolation, RequestError, UnknownOutcomeError
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import Played, Scenario
from eventlog.sim.choices import ANYBODY
from eventlog.sim.faults import Deviation
from eventlog.sim.shrink import MOST_RUNS, Outcome, Plan, Run, Shrunk, shrink

_FIRST_RECORD = re.compile(r" @(\d+)")
_BROKER = re.compile(r"broker-(\d+)")


def failure_of(played: Played, excused: bool = False) -> str:
    """What is wrong with a run: the promise broken, or with `excused` one that was not kept and is excused; ""."""
    if played.promise or not excused or played.verdict is None:
        return played.promise
    known = played.verdict.of(EXCUSED)
    return f"{known[0].promise} (excused)" if known else ""


def shrink_played(rehearsal: Rehearsal, played: Played, excused: bool = False) -> tuple[Shrunk, Played]:
    """(the fewer and simpler deviations in the same scenario, the smallest run found that fails in the same way)."""
    wanted = failure_of(played, excused)
    shrunk = shrink(_judge(rehearsal, wanted, excused), played.deviations)
    smallest, runs = shrink_scenario(rehearsal, shrunk.deviations, wanted, excused)
    return shrunk._replace(runs=shrunk.runs + runs), smallest


def _judge(rehearsal: Rehearsal, wanted: str, excused: bool) -> Run:
    def run(plan: Plan) -> Outcome:
        played = rehearsal.play(plan)
        return Outcome(failure_of(played, excused) == wanted, played.unused, played.deviations)

    return run


def shrink_scenario(
    rehearsal: Rehearsal, deviations: Plan, wanted: str, excused: bool = False, most_runs: int = MOST_RUNS
) -> tuple[Played, int]:
    """(the run of the smallest scenario found that fails in the same way, how many runs that took).

    `wanted`: what is wrong with it (see `failure_of`). Raises RequestError when the first run isn't.
    """
    best = rehearsal.play(deviations)
    if failure_of(best, excused) != wanted:
        raise RequestError(f"this run does not break {wanted or 'anything'}, so it can't be shrunk. {best.literal}")
    runs = 1
    is_smaller = True
    while is_smaller and runs < most_runs:
        is_smaller = False
        for smaller, plan in _smaller(best.stage.scenario, best.deviations):
            runs += 1
            played = _play_anew(rehearsal, smaller, plan)
            if played is not None and failure_of(played, excused) == wanted:
                best, is_smaller = played, True
                break
    used = Counter([deviation.fault for deviation in best.deviations])
    exact = replace(best.stage.scenario, budgets=tuple(used.items()))
    return best._replace(stage=best.stage._replace(scenario=exact)), runs


def _play_anew(rehearsal: Rehearsal, scenario: Scenario, plan: Plan) -> Played | None:
    """None: it breaks before it begins, never begins, or asks for what this scenario does not have."""
    try:
        return Rehearsal(scenario, rehearsal.checks, rehearsal.most_events).play(plan)
    except (InvariantViolation, RequestError, UnknownOutcomeError):
        return None


def _smaller(scenario: Scenario, plan: Plan) -> Iterator[tuple[Scenario, Plan]]:
    """Scenarios that are a little smaller, the greatest step of each kind first."""
    for name, values in (
        ("batches", (1, scenario.batches // 2, scenario.batches - 1)),
        ("partitions", (1, scenario.partitions - 1)),
        ("brokers", (1, scenario.brokers - 1)),
        ("max_in_flight", (1, scenario.batches)),
    ):
        for less in dict.fromkeys(values):
            if 0 < less < getattr(scenario, name):
                changed: dict[str, Any] = {name: less}
                yield replace(scenario, **changed), _aimed(plan, less) if name == "brokers" else plan
    first = int(scenario.is_warm)
    if scenario.records > 1:
        # The plan's names say which record a batch begins with.
        yield replace(scenario, records=1), _moved(plan, lambda at: first + (at - first) // scenario.records)
    if not scenario.is_warm:
        yield replace(scenario, is_warm=True), plan
        # With a batch before them, the others come one place later.
        yield replace(scenario, is_warm=True), _moved(plan, lambda at: at + 1)


def _aimed(plan: Plan, brokers: int) -> Plan:
    """What was aimed at a broker that is gone strikes whom its event names."""

    def is_there(deviation: Deviation) -> bool:
        return all(int(number) <= brokers for number in _BROKER.findall(deviation.target))

    return tuple([one if is_there(one) else one._replace(target=ANYBODY) for one in plan])


def _moved(plan: Plan, move: Callable[[int], int]) -> Plan:
    return tuple([d._replace(event=_FIRST_RECORD.sub(lambda at: f" @{move(int(at[1]))}", d.event)) for d in plan])
