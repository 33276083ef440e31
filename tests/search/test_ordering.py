"""In which order plans are run that can't be frozen: by their number, and guided by what runs showed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice

from eventlog.errors import ErrorCode
from eventlog.hunting import hunt, marks_of
from eventlog.messages.broker_api import ProduceReply
from eventlog.museum.gallery import gallery
from eventlog.rehearsal import Rehearsal
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation
from eventlog.sim.ordering import Plan, by_deviations


def offers(plan: Plan) -> list[Deviation]:
    """Twelve crashes of three brokers and one lost answer, each time."""
    found = [Deviation(f"{len(plan)}.{at}", 1, "crash", f"broker-{at % 3 + 1}", 0) for at in range(12)]
    return [*found, Deviation(f"{len(plan)}.12", 1, "reply_lost", "broker-1>writer", 0)]


def plans(marks: Callable[[Plan], list[Hashable]], most: int = 1_000) -> list[Plan]:
    return [plan for plan, _ in islice(by_deviations(lambda plan: plan, offers, 2, marks_of=marks), most)]


def guided(marks: Callable[[Plan], list[Hashable]], most: int = 12) -> list[Plan]:
    """Of the pairs every second one, from the second on."""
    return plans(marks)[15 : 15 + 2 * most : 2]


def test_every_plan_comes_once_and_single_deviations_first() -> None:
    found = plans(lambda plan: [len(plan)])
    assert [len(plan) for plan in found[:14]] == [0] + [1] * 13
    assert len(found) == len(set(found)) == 1 + 13 + 13 * 13


def test_the_same_marks_give_the_same_order() -> None:
    assert plans(lambda plan: [plan[-1:]]) == plans(lambda plan: [plan[-1:]])


def test_a_run_that_showed_something_rare_is_continued_before_others() -> None:
    rare = (offers(())[7],)
    found = guided(lambda plan: ["rare"] if plan == rare else ["usual"])
    assert rare in [plan[:1] for plan in found[:4]]
    assert sum([plan[:1] == rare for plan in found]) > 2


def test_a_kind_with_few_opportunities_has_its_turn_as_often_as_one_with_many() -> None:
    kinds = [tuple([deviation.fault for deviation in plan]) for plan in guided(lambda plan: [], most=4)]
    assert sorted(kinds) == [
        ("crash", "crash"),
        ("crash", "reply_lost"),
        ("reply_lost", "crash"),
        ("reply_lost", "reply_lost"),
    ]


def test_the_same_machine_is_struck_again_first_and_soon() -> None:
    first = [plan for plan in guided(lambda plan: []) if plan[0].fault == plan[1].fault == "crash"][:2]
    assert len(first) == 2
    for one, other in first:
        assert other.target == one.target
        assert int(other.event.partition(".")[2]) < 3


def test_a_run_is_marked_by_what_was_said_and_with_which_outcome() -> None:
    rehearsal = Rehearsal(find_scenario("one broker"))
    lost = Deviation("answer: writer produces events-0 @1 try 0", 1, "reply_lost", "broker-1>writer", 0)
    benign, other = (dict.fromkeys(marks_of(rehearsal.play(plan))) for plan in ((), (lost,)))
    assert benign == dict.fromkeys(marks_of(rehearsal.play(())))
    is_duplicate = (ProduceReply, ErrorCode.NONE, True)
    assert [any(mark[:3] == is_duplicate for mark in marks) for marks in (benign, other)] == [False, True]


def test_the_hole_over_a_failover_is_found_by_every_seed_of_a_hunt() -> None:
    """Three deviations that go together: by number alone it takes thousands of runs."""
    exhibit = gallery()["failover_remembers_one_batch"]
    found = [hunt(exhibit.scenario, runs=1_000, seed=seed, excused=True, shrinks=False) for seed in (1, 2)]
    assert [hunted.failure for hunted in found] == ["H2 (excused)"] * 2
