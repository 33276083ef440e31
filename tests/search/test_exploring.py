"""The search on the product's own code: what it finds, what it proves, and that its worlds are the world's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eventlog.broker.leader import Leadership
from eventlog.check import Acked
from eventlog.client.batches import PartitionQueue
from eventlog.errors import RequestError
from eventlog.exploring import UNSEARCHED, Counterexample, Proof, deviations_of, explore, space_of
from eventlog.log.partition_log import PartitionLog
from eventlog.log.producer_state import ProducerState
from eventlog.scenarios import find_scenario, literal_of, play, scenario_of
from eventlog.sim.literal import read_literal
from eventlog.sim.search import retell
from eventlog.values import FAULTS, chance

GOLDEN = Path(__file__).parent / "answers_in_order.txt"


def test_kafkas_hole_is_found_on_one_broker_by_one_deviation_without_being_told() -> None:
    found = explore(find_scenario("one broker", producer_snapshot_batches=1), 2)
    assert isinstance(found, Counterexample)
    assert (found.promise, len(found.deviations), found.excused) == ("H2", 1, True)
    assert found.deviations[0].fault == "crash"
    assert found.played.verdict is not None
    assert found.played.verdict.promise("H2").why == "memory of one batch"


def test_kafkas_hole_is_gone_when_all_five_batches_are_kept() -> None:
    found = explore("one broker", 3)
    assert isinstance(found, Proof)
    assert found.held
    assert dict(found.marks)["restart"] > 0


@pytest.mark.parametrize("name", ["P2", "P3"])
def test_kafkas_hole_over_a_failover_is_a_lost_answer_a_restarted_follower_and_its_election(name: str) -> None:
    found = explore(find_scenario(name, producer_snapshot_batches=1), 3)
    assert isinstance(found, Counterexample)
    assert found.promise == "H2"
    assert [deviation.fault for deviation in found.deviations] == ["reply_lost", "crash", "election"]
    assert found.played.unused == ()


@pytest.mark.parametrize(("client", "promise", "faults"), [("librdkafka", "H5", 2), ("java", "H3", 3)])
def test_the_second_hole_opens_for_a_cold_producer(client: str, promise: str, faults: int) -> None:
    scenario = find_scenario("P2", is_warm=False, behaves_like=client)
    found = explore(scenario, 3)
    assert isinstance(found, Counterexample)
    assert (found.promise, len(found.deviations), found.excused) == (promise, faults, True)


def test_the_second_hole_is_closed_where_an_unknown_producer_begins_at_zero() -> None:
    scenario = find_scenario("P2", is_warm=False, behaves_like="librdkafka", unknown_producer_first_sequence="zero")
    found = explore(scenario, 2)
    assert isinstance(found, Proof)
    assert found.held


@pytest.mark.parametrize("is_coarse", [True, False])
def test_nothing_is_broken_within_two_deviations_and_what_was_seen_is_said(is_coarse: bool) -> None:
    found = explore(
        find_scenario("P2", is_coarse=is_coarse), 2, sometimes=("duplicate recognised", "truncation", "restart")
    )
    assert isinstance(found, Proof)
    assert found.held, found.report()
    assert found.searched.finals > 0
    assert "duplicate recognised: never" not in found.report()


def test_a_run_that_goes_on_for_ever_is_a_counterexample_though_every_state_of_it_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = PartitionQueue.put_back

    def number_anew(queue: PartitionQueue, batch: Any) -> None:
        queue.leave(batch)
        queue.assign(batch)
        original(queue, batch)

    monkeypatch.setattr(PartitionQueue, "put_back", number_anew)
    found = explore("one broker", 4, time_limit_s=600)
    assert isinstance(found, Counterexample)
    assert (found.promise, len(found.deviations), found.played.promise) == ("H13", 1, "H13")
    assert "the run has no end" in found.report()


def test_a_run_that_goes_round_is_a_counterexample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leadership, "find_expansion", lambda *_: None)
    found = explore("P2", 2)
    assert isinstance(found, Counterexample)
    assert (found.promise, len(found.deviations), found.played.promise) == ("H13", 1, "H13")


def test_what_breaks_before_anybody_can_deviate_is_a_counterexample_without_deviations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = PartitionLog.append_as_follower

    def append_and_forget(log: PartitionLog, batches: Any) -> None:
        known, log.producer_state = log.producer_state, ProducerState()
        original(log, batches)
        log.producer_state = known

    monkeypatch.setattr(PartitionLog, "append_as_follower", append_and_forget)
    found = explore("P2", 2)
    assert isinstance(found, Counterexample)
    assert (found.promise, found.deviations, found.excused) == ("H10", (), False)
    assert "its producer's memory lacks it" in found.message
    assert "broken in P2 by 0 deviations" in found.report()


def test_a_proof_that_never_saw_what_it_had_to_see_does_not_hold() -> None:
    found = explore("one broker", 1, sometimes=("truncation",))
    assert isinstance(found, Proof)
    assert not found.held
    assert "missing     truncation" in found.report()


def test_a_search_that_was_stopped_says_how_far_it_came() -> None:
    found = explore("P2", 3, max_states=500)
    assert isinstance(found, Proof)
    assert not found.held
    assert (found.complete, found.searched.stopped_by) == (1, "states")
    assert "within 1 deviations (of 3: stopped by states)" in found.report()


def test_a_search_that_has_too_little_memory_says_how_far_it_came() -> None:
    found = explore("P2", 3, max_memory_bytes=1)
    assert isinstance(found, Proof)
    assert (found.complete, found.searched.stopped_by, found.held) == (-1, "memory", False)
    assert "stopped by memory" in found.report()


def test_what_nobody_can_deviate_from_any_more_is_proven_for_any_number_of_deviations() -> None:
    found = explore("one broker", 5)
    assert isinstance(found, Proof)
    assert (found.complete, found.held, len(found.searched.levels)) == (5, True, 4)


@pytest.mark.parametrize("network", ["ordered, duplicating", "unordered"])
def test_the_idempotent_writer_stands_a_network_that_doubles_or_one_that_disorders(network: str) -> None:
    found = explore(find_scenario("P2", network=network), 2)
    assert isinstance(found, Proof)
    assert found.held
    assert found.searched.states > 1_800


def test_a_network_that_does_both_breaks_it_by_two_deviations() -> None:
    """A copy of what was refused out of order arrives when its turn has come, and its writer has begun a new epoch."""
    found = explore(find_scenario("P2", network="unordered, duplicating"), 2)
    assert isinstance(found, Counterexample)
    assert found.promise == "H2"
    assert [deviation.fault for deviation in found.deviations] == ["request_reordered", "request_duplicated"]


@pytest.mark.parametrize("is_coarse", [True, False])
@pytest.mark.parametrize(("name", "partitions"), [("P2", 1), ("P2", 2), ("P3", 1)])
def test_a_path_of_the_search_is_a_run_of_the_world(name: str, partitions: int, is_coarse: bool) -> None:
    """Luck picks the deviations; the world that repeats them ends with the same answers and the same logs."""
    scenario = find_scenario(name, partitions=partitions, is_coarse=is_coarse, producer_snapshot_batches=1)
    space = space_of(scenario)
    for seed in range(12):
        state, path = space.root, []
        while True:
            successors = space.successors(state, True)
            if successors[0] is None:
                break
            luck = chance(seed, f"step {len(path)}")
            which = luck // 7 % len(successors) if luck % 7 < 2 else 0
            following = successors[which]
            assert following is not None
            state = following
            path.append(which)
        assert retell(space, tuple(path))[-1] == state
        deviations = deviations_of(scenario, space, tuple(path))
        assert len(deviations) == sum(which > 0 for which in path)
        played = play(scenario, deviations, checks="off")
        assert played.unused == ()
        cluster = played.stage.cluster
        told = tuple(
            [
                (row.send_numbers[0], row.partition, row.base_offset)
                for row in cluster.history()
                if isinstance(row, Acked)
            ]
        )
        assert tuple(sorted(told)[partitions * scenario.is_warm :]) == state[-1].outcomes
        for cell in state[1 : space.broker_count + 1]:
            for seen in cell.seen:
                written = [record.send_number for batch in seen.batches for record in batch.records]
                partition = seen.topic_partition.partition
                at_end = [
                    found.record.send_number for found in cluster.records("events", partition, int(cell.name[-1]))
                ]
                assert written[: len(at_end)] == at_end[: len(written)]


def test_what_is_acknowledged_is_looked_for_in_its_own_partition() -> None:
    scenario = find_scenario("P2", partitions=2, budgets=(("election", 1),))
    proof = explore(scenario, 1)
    assert isinstance(proof, Proof)
    assert proof.held
    assert {delivery.partition for delivery in play(scenario).stage.deliveries} == {0, 1}


def answers_in_order() -> str:
    """Line by line what may be deviated to along the benign run, as the space lists it."""
    space = space_of(find_scenario("P3", is_coarse=False))
    state, lines = space.root, []
    while state not in space.at_rest:
        lines.append(", ".join([f"{fault} {target}" for fault, target in space.offers_of(state)]))
        following = space.successors(state, False)[0]
        assert following is not None
        state = following
    return "\n".join(lines) + "\n"


def test_the_order_in_which_answers_are_listed_is_the_golden_one() -> None:
    assert answers_in_order() == GOLDEN.read_text()


def test_a_scenario_comes_back_from_its_literal() -> None:
    scenario = find_scenario("P3", is_warm=False, batches=3, budgets=(("crash", 2),))
    literal, deviations = read_literal(literal_of(scenario, ()))
    assert (scenario_of(literal), deviations) == (scenario, ())


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("P9", {}, "no scenario 'P9'; the scenarios are: P3, P2, one broker"),
        ("P2", {"brocken": 1}, "no setting 'brocken'"),
        ("P2", {"brokers": 0}, "brokers of a scenario must be from 1 to 9, not 0"),
        ("P2", {"partitions": 0}, "partitions of a scenario must be from 1 to 9, not 0"),
        ("P2", {"network": "carrier pigeons"}, "there is no network 'carrier pigeons'; the networks are: ordered; "),
        ("P2", {"budgets": (("flood", 1),)}, "unknown fault 'flood'"),
        ("P2", {"budgets": (("crash", -1),)}, "the budget of crash must be from 0 to 100, not -1"),
    ],
)
def test_what_no_scenario_is_is_said(name: str, changes: dict[str, object], said: str) -> None:
    with pytest.raises(RequestError, match=said.replace("(", r"\(")):
        find_scenario(name, **changes)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in UNSEARCHED])
def test_every_other_fault_can_be_searched(fault: str) -> None:
    found = explore(find_scenario("P2", budgets=((fault, 1),)), 1)
    assert isinstance(found, Proof)
    assert found.held


@pytest.mark.parametrize("fault", UNSEARCHED)
def test_a_fault_inside_a_disk_is_refused(fault: str) -> None:
    with pytest.raises(RequestError, match=f"{fault} can't be searched, only hunted"):
        explore(find_scenario("P2", budgets=((fault, 1),)), 1)


def test_replicas_whose_logs_begin_elsewhere_agree_where_both_have_something() -> None:
    budgets = (("log_start_moved", 1), ("crash_wiped", 1))
    found = explore(find_scenario("P2", min_insync_replicas=1, budgets=budgets), 2)
    assert isinstance(found, Proof), found.report()
    assert found.held


@pytest.mark.parametrize(("deviations", "states"), [(-1, 10), (65, 10), (True, 10), (2, 0)])
def test_bounds_out_of_range_are_refused(deviations: int, states: int) -> None:
    with pytest.raises(RequestError, match="must be"):
        explore("one broker", deviations, states)
