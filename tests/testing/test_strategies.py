"""What the strategies draw: code that can be kept, faults that mean the same when others go, nothing as the least of it."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, find, given, settings
from hypothesis import strategies as st

from eventlog import Cluster, RequestError
from eventlog.scenarios import SCENARIOS, Scenario, play
from eventlog.testing import strategies
from eventlog.testing.planned import MILD_TO_SEVERE, Plan, PlannedFault, moments_of
from eventlog.values import (
    FAULTS,
    MAX_PRODUCER_EPOCH,
    MAX_SEQUENCE,
    ProducerSettings,
    Record,
    RecordBatch,
    increment,
    with_settings,
)

SETTINGS = settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)
SEARCH = settings(SETTINGS, max_examples=2_000)
FIRST = settings(SETTINGS, max_examples=200, phases=(Phase.generate,))


def least(strategy: st.SearchStrategy[Any], wanted: Any = lambda _: True) -> Any:
    """What Hypothesis shrinks to among the values that are `wanted`."""
    return find(strategy, wanted, settings=SEARCH)


def written_in_threes(cluster: Cluster) -> None:
    """Three batches, one after the other."""
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0, batch_size=0)
    for number in range(3):
        writer.send("events", b"%d" % number, partition=0)
        writer.flush()


# --- plans ------------------------------------------------------------------------------------------------------------


@SETTINGS
@given(strategies.fault_plans())
def test_a_plan_prints_as_the_code_that_makes_it(plan: Plan) -> None:
    assert eval(repr(plan)) == plan


def test_the_least_plan_is_no_faults() -> None:
    assert least(strategies.fault_plans()) == Plan()


def test_a_plan_shrinks_to_fewer_milder_and_earlier_faults() -> None:
    plans = strategies.fault_plans(["crash", "reply_lost", "delay"])
    assert least(plans, lambda plan: any(each.fault != "delay" for each in plan.faults)) == Plan(
        (PlannedFault("reply_lost", 1, at="answer to a produce"),)
    )
    assert least(plans, lambda plan: len(plan.faults) == 1).faults[0].fault == "delay"


def test_every_kind_of_fault_has_its_severity_and_can_be_planned() -> None:
    assert sorted(MILD_TO_SEVERE) == sorted(FAULTS)
    for fault in FAULTS:
        assert moments_of(fault)
        assert least(strategies.fault_plans([fault]), lambda plan: plan.faults).faults[0].fault == fault


@SETTINGS
@given(strategies.fault_plans(["crash", "election"], max_events=2, latest=3, who=["writer"]))
def test_a_plan_keeps_to_what_was_asked_for(plan: Plan) -> None:
    assert len(plan.faults) <= 2
    for planned in plan.faults:
        assert planned.fault in ("crash", "election")
        assert planned.who == "writer"
        assert 1 <= planned.nth <= 3


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"kinds": ["meteorite"]}, "unknown fault 'meteorite'"),
        ({"kinds": []}, "at least one fault"),
        ({"kinds": ["client_crash"]}, "client_crash happens in `walks`"),
        ({"max_events": -1}, "max_events must be 0 or more"),
        ({"latest": 0}, "latest must be 1 or more"),
    ],
)
def test_an_impossible_request_for_plans_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        strategies.fault_plans(**asked)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("meteorite",), "unknown fault"),
        (("reply_lost", 0), "nth counts from 1"),
        (("reply_lost", 1, "produce"), "reply_lost does not happen at 'produce'"),
        (("reply_lost", 1, "", "", -1), "pick must be 0 or more"),
    ],
)
def test_an_impossible_planned_fault_is_refused(fields: tuple[Any, ...], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        PlannedFault(*fields)
    with pytest.raises(RequestError, match="a plan is made of PlannedFault"):
        Plan((fields,))  # type: ignore[arg-type]


def test_a_planned_fault_strikes_at_its_moment() -> None:
    plan = Plan((PlannedFault("reply_lost", 2, at="answer to a produce"),))
    with plan.cluster(brokers=3) as cluster:
        written_in_threes(cluster)
    (struck,) = cluster.deviations
    assert struck[:3] == ("answer: writer produces events-0 @1 try 0", 1, "reply_lost")


def test_a_planned_fault_without_a_moment_counts_whatever_it_fits() -> None:
    with Plan((PlannedFault("reply_lost"),)).cluster() as cluster:
        written_in_threes(cluster)
    assert cluster.deviations[0].event == "answer: writer asks broker-1 for a producer id"


def test_a_planned_fault_can_be_meant_for_one_client() -> None:
    plan = Plan((PlannedFault("reply_lost", at="answer to a produce", who="other"),))
    with plan.cluster() as cluster:
        written_in_threes(cluster)
        assert cluster.deviations == ()
        cluster.producer("other").send("events", b"mine").offset  # noqa: B018 (waits)
    assert [struck.target.partition(">")[2] for struck in cluster.deviations] == ["other"]


def test_faults_left_out_of_a_plan_leave_the_others_where_they_were() -> None:
    early = PlannedFault("delay", 1, at="answer to a produce")
    late = PlannedFault("crash", 3, at="answer to a produce")
    struck = []
    for plan in (Plan((early, late)), Plan((late,))):
        with plan.cluster() as cluster:
            written_in_threes(cluster)
        struck.append(cluster.deviations)
    assert struck[0][-1] == struck[1][-1]
    assert len(struck[0]) == 2


def test_two_faults_planned_for_one_moment_strike_one_after_the_other() -> None:
    plan = Plan((PlannedFault("delay", at="produce"), PlannedFault("election", at="produce")))
    with plan.cluster() as cluster:
        following = plan.follow(cluster)
        written_in_threes(cluster)
    assert [struck.fault for struck in cluster.deviations] == ["delay", "election"]
    assert following.unused == ()


def test_what_did_not_apply_is_reported() -> None:
    far, impossible = PlannedFault("delay", 99), PlannedFault("election")
    with Cluster(brokers=1) as cluster:  # nobody else could be elected
        following = Plan((far, impossible)).follow(cluster)
        written_in_threes(cluster)
    assert following.unused == (far, impossible)


@SETTINGS
@given(plan=strategies.fault_plans(max_events=3))
@example(plan=Plan((PlannedFault("crash", at="produce"), PlannedFault("delay", 2, at="replication"))))
def test_a_planned_run_is_a_literal_that_repeats_it(plan: Plan) -> None:
    with plan.cluster(checks="full", min_insync_replicas=2, producer_snapshot_batches=5) as cluster:
        written_in_threes(cluster)
    with Cluster(
        deviations=cluster.deviations, checks="full", min_insync_replicas=2, producer_snapshot_batches=5
    ) as again:
        written_in_threes(again)
    assert again.trace_digest() == cluster.trace_digest()


@SETTINGS
@given(plan=strategies.fault_plans(), values=st.lists(st.binary(max_size=3), min_size=1, max_size=4))
def test_plans_go_together_with_the_users_own_inputs(plan: Plan, values: list[bytes]) -> None:
    with plan.cluster(brokers=3, min_insync_replicas=2) as cluster:
        cluster.create_topic("events")
        writer = cluster.producer("writer", delivery_timeout_ms=600_000)
        deliveries = [writer.send("events", value) for value in values]
        verdict = cluster.check()
        assert verdict.held, verdict.report()
        assert all(delivery.done for delivery in deliveries)


# --- what is written --------------------------------------------------------------------------------------------------


@SETTINGS
@given(st.one_of(strategies.records(), strategies.batches(), strategies.producer_settings(), strategies.scenarios()))
def test_what_is_drawn_prints_as_the_code_that_makes_it(drawn: Any) -> None:
    names = {"Record": Record, "RecordBatch": RecordBatch, "Scenario": Scenario}
    assert eval(repr(drawn), names) == drawn


def test_the_edges_of_sequences_and_epochs_are_drawn() -> None:
    assert least(strategies.sequences()) == 0
    assert least(strategies.sequences(), lambda sequence: sequence > 1_000) == MAX_SEQUENCE
    assert least(strategies.producer_epochs(), lambda epoch: epoch > 1_000) == MAX_PRODUCER_EPOCH
    assert least(strategies.batches(), lambda batch: batch.last_sequence < batch.base_sequence).record_count == 2
    assert least(strategies.batches(idempotent=False)).producer_id == -1


@SETTINGS
@given(strategies.batches_in_order())
def test_batches_in_order_follow_each_other(row: list[RecordBatch]) -> None:
    for before, after in pairwise(row):
        assert after.base_sequence == increment(before.last_sequence, 1)
        assert after[2:4] == before[2:4]


def test_batches_in_order_are_often_more_than_a_broker_remembers() -> None:
    rows = strategies.batches_in_order(max_records=1)
    assert len(find(rows, lambda row: len(row) > 5, settings=FIRST)) > 5
    assert find(rows, lambda row: any(batch.base_sequence == 0 for batch in row[1:]), settings=FIRST)


def test_keys_meet_again() -> None:
    pair = least(st.tuples(strategies.keys(), strategies.keys()), lambda keys: keys[0] == keys[1] is not None)
    assert pair == (b"a", b"a")
    assert least(strategies.keys()) is None
    assert least(strategies.keys(with_none=False)) == b"a"


@settings(SETTINGS, max_examples=200)
@given(strategies.producer_settings(idempotent=True), strategies.producer_settings())
def test_producer_settings_fit_together(safe: dict[str, Any], drawn: dict[str, Any]) -> None:
    assert with_settings(ProducerSettings(), safe).enable_idempotence
    with_settings(ProducerSettings(), drawn)


def test_producer_settings_are_what_a_producer_takes() -> None:
    drawn = least(strategies.producer_settings(), lambda drawn: len(drawn) > 2)
    with Cluster(brokers=1) as cluster:
        cluster.create_topic("events")
        assert cluster.producer(**drawn).send("events", b"x").offset == 0


def test_producer_settings_shrink_to_the_defaults() -> None:
    assert least(strategies.producer_settings()) == {}
    assert least(strategies.producer_settings(idempotent=False)) == {"enable_idempotence": False}


@settings(SETTINGS, max_examples=10)
@given(strategies.scenarios())
def test_every_drawn_scenario_can_be_played(scenario: Scenario) -> None:
    assert play(scenario).promise == ""


def test_the_least_scenario_is_the_smallest() -> None:
    assert least(strategies.scenarios()).brokers == min(scenario.brokers for scenario in SCENARIOS.values())
    assert least(strategies.scenarios(["P3"])).name == "P3"
    with pytest.raises(RequestError, match="there is no scenario 'P9'"):
        strategies.scenarios(["P9"])


def test_a_plan_needs_no_hypothesis() -> None:
    code = (
        "import sys; from eventlog.testing import planned, forked; planned.Plan().cluster(); "
        "print([name for name in ('hypothesis', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
