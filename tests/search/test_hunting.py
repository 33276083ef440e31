"""Walks and the portfolio: what is drawn, in which order runs come, and that what is told was seen twice."""

from __future__ import annotations

from collections import Counter

import pytest

from eventlog.errors import RequestError
from eventlog.exploring import explore
from eventlog.hunting import PORTFOLIO, Progress, hunt
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import find_scenario, play
from eventlog.sim.choices import MOST_TARGETS, Options, Seeded, find_targets
from eventlog.sim.faults import Deviation
from eventlog.sim.ordering import by_deviations, scattered
from eventlog.sim.swarm import swarm_profile, uniform_profile

BUDGETS = {"reply_lost": 1, "request_lost": 1, "crash": 1, "election": 2, "isr_shrink": 1}
OPPORTUNITIES = {"reply_lost": 4, "request_lost": 4, "crash": 20, "election": 9}


# --- profiles -----------------------------------------------------------------------------------------------------


def test_swarm_walks_differ_in_what_they_take_and_keep_to_the_budgets() -> None:
    profiles = [swarm_profile(seed, BUDGETS, OPPORTUNITIES) for seed in range(200)]
    taken = Counter([tuple(sorted(name for name, _ in profile.plan.rates)) for profile in profiles])
    assert len(taken) > 10
    assert all(names for names in taken)
    assert "isr_shrink" not in {name for names in taken for name in names}  # it has no opportunity
    for profile in profiles:
        for name, rate in profile.plan.rates:
            assert 1 <= rate.budget <= BUDGETS[name]
            assert 0 < rate.per_million <= 400_000


def test_a_uniform_walk_takes_all_of_them_each_at_the_same_rate() -> None:
    profile = uniform_profile(7, BUDGETS, OPPORTUNITIES)
    assert [name for name, _ in profile.plan.rates] == ["reply_lost", "request_lost", "crash", "election"]
    assert len({rate.per_million for _, rate in profile.plan.rates}) == 1


def test_a_profile_is_one_printed_line_and_comes_again_from_its_seed() -> None:
    one, other = (swarm_profile(11, BUDGETS, OPPORTUNITIES) for _ in range(2))
    assert one == other
    assert str(one).startswith("swarm walk, seed ")
    assert "\n" not in str(one)
    for name, _ in one.plan.rates:
        assert name in str(one)


def test_nothing_that_can_happen_gives_a_walk_without_faults() -> None:
    assert str(swarm_profile(1, {}, {})).endswith("no faults")


# --- in order of deviations ---------------------------------------------------------------------------------------


def test_the_benign_run_comes_first_then_each_deviation_then_pairs() -> None:
    def run(plan: tuple[Deviation, ...]) -> int:
        return len(plan)

    def offers(level: int) -> list[Deviation]:
        return [Deviation(f"{level}.{number}", 1, "crash", "broker-1", 0) for number in range(3)]

    plans = [plan for plan, _ in by_deviations(run, offers, 2)]
    assert [len(plan) for plan in plans] == [0] + [1] * 3 + [2] * 9
    assert len(set(plans)) == len(plans)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 16, 33])
def test_scattered_places_are_all_places_and_both_ends_come_first(count: int) -> None:
    places = scattered(count)
    assert sorted(places) == list(range(count))
    assert places[:2] == [0, count - 1][:count]


# --- the hunt -----------------------------------------------------------------------------------------------------


def test_of_ten_runs_six_come_in_order_three_are_swarm_and_one_is_uniform() -> None:
    assert Counter(PORTFOLIO) == {"d": 6, "s": 3, "u": 1}
    hunted = hunt("one broker", runs=100, seed=1)
    assert hunted.failure == ""
    assert dict(hunted.counts) == {"benign": 1, "in order": 60, "swarm": 30, "uniform": 10}
    assert "nothing was found in one broker by 100 runs" in hunted.report()


def test_the_same_hunt_finds_the_same() -> None:
    one, other = (
        hunt(find_scenario("P2", min_insync_replicas=1, acks=1, enable_idempotence=False), runs=60, seed=4)
        for _ in range(2)
    )
    assert (one.failure, one.runs, one.literal) == (other.failure, other.runs, other.literal)


@pytest.mark.parametrize("portfolio", ["d", "s", "u", PORTFOLIO])
def test_every_way_finds_the_hole_and_the_world_repeats_it_by_its_deviations(portfolio: str) -> None:
    hunted = hunt(find_scenario("one broker", producer_snapshot_batches=1), runs=400, excused=True, portfolio=portfolio)
    assert hunted.failure == "H2 (excused)"
    assert hunted.found is not None
    assert hunted.told is not None
    assert play(hunted.found.stage.scenario, hunted.found.deviations).deviations == hunted.found.deviations
    assert hunted.told.literal.startswith("{'eventlog': 1")
    assert len(hunted.told.deviations) <= 2


def test_what_the_table_excuses_is_no_find_unless_asked_for() -> None:
    assert hunt(find_scenario("one broker", producer_snapshot_batches=1), runs=60).failure == ""


def test_an_explorer_does_the_runs_in_order_from_frozen_states() -> None:
    hunted = hunt(find_scenario("one broker", producer_snapshot_batches=1), runs=40, excused=True, explore=explore)
    assert hunted.failure == "H2 (excused)"
    assert hunted.by.startswith(("every run within", "swarm walk", "uniform walk"))


def test_time_ends_a_hunt() -> None:
    ticks = iter(range(10_000))
    hunted = hunt("one broker", seconds=20, clock=lambda: float(next(ticks)))
    assert 0 < hunted.runs < 40
    assert hunted.failure == ""


def test_progress_is_told_while_it_runs() -> None:
    told: list[Progress] = []
    hunt("one broker", runs=100, progress=told.append)
    assert [progress.runs for progress in told] == [50, 100]


def test_a_rehearsed_run_is_the_run() -> None:
    scenario = find_scenario("P3", producer_snapshot_batches=1)
    rehearsal = Rehearsal(scenario)
    for seed in range(5):
        one = play(scenario, Seeded(seed, scenario.plan(4)))
        other = rehearsal.play(Seeded(seed, scenario.plan(4)))
        assert one.deviations == other.deviations
        assert one.stage.cluster.trace_digest() == other.stage.cluster.trace_digest()
        assert (one.promise, one.verdict) == (other.promise, other.verdict)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"portfolio": ""}, "a portfolio is made of d, s and u, not ''"),
        ({"portfolio": "dx"}, "not 'dx'"),
        ({"runs": -1}, "runs must be 0 or more, not -1"),
        ({"seconds": -0.5}, "seconds must be 0 or more, not -0.5"),
        ({"runs": True}, "runs must be 0 or more, not True"),
    ],
)
def test_what_no_hunt_can_be_is_said(asked: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        hunt("one broker", **asked)  # type: ignore[arg-type]


def test_an_unknown_scenario_is_said() -> None:
    with pytest.raises(RequestError, match="there is no scenario 'P9'"):
        hunt("P9", runs=1)


class Comparing:
    """Answers nothing, and compares who could be struck with whom luck could aim at."""

    def __init__(self) -> None:
        self.several: set[str] = set()

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> None:
        for fault in faults:
            aimed = [options.find_target(fault, event, occurrence, luck) for luck in range(MOST_TARGETS)]
            found = list(find_targets(fault, event, occurrence, options))
            assert found == [target for target in dict.fromkeys(aimed) if target is not None], fault
            if len(found) > 1:
                self.several.add(fault)

    def freeze(self) -> tuple[str]:
        return ("Comparing",)


def test_whom_a_fault_may_strike_is_whom_luck_could_aim_it_at() -> None:
    comparing = Comparing()
    Rehearsal(find_scenario("P3", is_coarse=False)).play(comparing)
    assert {"election", "isr_shrink", "split"} <= comparing.several
