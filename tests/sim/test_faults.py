from __future__ import annotations

from typing import Any

import pytest
from sim_runs import SETTINGS, written

from eventlog import Cluster, Delivery, Producer, RequestError
from eventlog.messages import Envelope
from eventlog.sim.faults import Deviation, FaultPlan, FaultRate, fault_plan
from eventlog.values import FAULTS, TopicPartition
from eventlog.values.faults import USUAL_FAULTS

EVENTS = TopicPartition("events", 0)
FIRST = "writer produces events-0 @1 try 0"


def made(*deviations: Deviation, **settings: Any) -> tuple[Cluster, Producer]:
    """Three brokers of which broker 1 leads, and a writer whose first record, `0`, is acknowledged."""
    cluster = Cluster(3, deviations=deviations, checks="full", **{**SETTINGS, **settings})
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0, batch_size=0, request_timeout_ms=1_000)
    assert writer.send("events", b"0").offset == 0
    return cluster, writer


def on_disk(cluster: Cluster, broker_id: int) -> int:
    return cluster._world.stores[broker_id].log_store(EVENTS).end_offset


def sent(writer: Producer, *values: bytes) -> list[Delivery]:
    return [writer.send("events", value) for value in values]


def values(cluster: Cluster) -> list[bytes | None]:
    return [record.record.value for record in cluster.records("events")]


# They need a state that a run without other faults does not come to; `test_more_faults` brings it about.
RARE = ("isr_expand", "unclean_election", "request_reordered")


@pytest.mark.parametrize("name", FAULTS)
def test_the_fault_fires_by_its_name_and_the_run_recovers(name: str) -> None:
    for seed in range(3):
        plan = FaultPlan(((name, FaultRate(1_000_000, 1)),))
        cluster = Cluster(3, seed, faults=plan, checks="full", **SETTINGS)
        cluster.producer("writer", linger_ms=0, request_timeout_ms=400)
        cluster.create_topic("events")
        verdict = written(cluster, seed).check()
        struck = [deviation.fault for deviation in cluster.deviations]
        assert struck == [name] or (name in RARE and not struck)
        assert cluster._world.find_unrecovered() == []
        assert verdict.held
        assert verdict.counts.acknowledged == 10


def test_a_lost_request_never_arrives_nor_what_follows_it_on_its_connection() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "request_lost", "writer>broker-1", 0))
    sent(writer, b"1", b"2")
    cluster.advance(900)
    assert on_disk(cluster, 1) == 1
    writer.flush()
    assert values(cluster) == [b"0", b"1", b"2"]
    assert cluster.recorder.duplicates_recognised == 0


def test_a_lost_reply_was_served_and_no_later_one_arrives_on_its_connection() -> None:
    cluster, writer = made(Deviation(f"answer: {FIRST}", 1, "reply_lost", "broker-1>writer", 0))
    deliveries = sent(writer, b"1", b"2")
    cluster.advance(900)
    assert on_disk(cluster, 1) == 3
    assert not any(delivery.done for delivery in deliveries)
    writer.flush()
    assert values(cluster) == [b"0", b"1", b"2"]
    assert cluster.recorder.duplicates_recognised == 2


def test_a_delayed_message_arrives_late_and_what_follows_waits_behind_it() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "delay", "writer>broker-1", 500))
    sent(writer, b"1", b"2")
    cluster.advance(500)
    assert on_disk(cluster, 1) == 1
    cluster.advance(10)
    assert values(cluster) == [b"0", b"1", b"2"]
    assert writer.retries == 0


def test_a_late_copy_from_a_connection_that_was_given_up_is_still_read() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "delay", "writer>broker-1", 5_000))
    sent(writer, b"1")
    writer.flush()
    cluster.advance(6_000)
    assert cluster.recorder.duplicates_recognised == 0  # recognised, but nobody is there to hear it
    tries = [
        what for _, _, what in cluster.recorder.events if isinstance(what, Envelope) and "ProduceRequest" in repr(what)
    ]
    assert len(tries) == 3
    assert values(cluster) == [b"0", b"1"]


def test_a_connection_that_breaks_loses_what_is_under_way_and_both_ends_notice() -> None:
    cluster, writer = made(Deviation(f"answer: {FIRST}", 1, "disconnect", "broker-1>writer", 0))
    before_ms = cluster.now_ms
    assert [delivery.offset for delivery in sent(writer, b"1")] == [1]
    assert cluster.now_ms - before_ms < 900  # no timeout had to tell
    assert cluster.recorder.duplicates_recognised == 1


def test_a_cut_stops_both_directions_until_it_is_healed_and_loses_nothing() -> None:
    cluster, writer = made(replica_lag_time_max_ms=30_000)
    cluster.cut(1, 2)
    (delivery,) = sent(writer, b"1")
    cluster.advance(900)
    assert (on_disk(cluster, 1), on_disk(cluster, 2), on_disk(cluster, 3)) == (2, 1, 2)
    assert not delivery.done
    cluster.heal(1, 2)
    assert delivery.offset == 1
    assert on_disk(cluster, 2) == 2


def test_a_cut_one_way_leaves_the_way_back_open() -> None:
    cluster, writer = made()
    cluster.cut_one_way(1, "writer")
    (delivery,) = sent(writer, b"1")
    cluster.advance(900)
    assert values(cluster) == [b"0", b"1"]
    assert not delivery.done
    cluster.heal(1, "writer")
    assert delivery.offset == 1


def test_an_isolated_broker_reaches_clients_but_neither_controller_nor_brokers() -> None:
    cluster, _ = made(broker_session_timeout_ms=1_500)
    zombie = cluster.producer("zombie", acks=1, enable_idempotence=False, linger_ms=0)
    assert zombie.send("events", b"before").offset == 1
    cluster.isolate(1)
    assert zombie.send("events", b"lost").offset == 2
    cluster.advance(3_000)
    assert cluster.leader("events") == 2
    assert (on_disk(cluster, 1), on_disk(cluster, 2)) == (3, 2)
    cluster.rejoin(1)
    cluster.advance(1_000)
    assert on_disk(cluster, 1) == 2


def test_a_crashed_broker_keeps_its_disk() -> None:
    cluster, writer = made()
    sent(writer, b"1")
    writer.flush()
    cluster.crash(1)
    assert cluster._world.find_broker(1) is None
    assert on_disk(cluster, 1) == 2
    cluster.restart(1)
    cluster.advance(3_000)
    assert len(cluster.in_sync_replicas("events")) == 3


def test_a_broker_that_dies_again_while_it_starts_is_no_different_from_one_that_dies_once() -> None:
    cluster, writer = made()
    for _ in range(2):
        cluster.crash(2)
        cluster.restart(2)
    cluster.crash(1)
    assert sent(writer, b"1")[0].offset == 1
    assert cluster.in_sync_replicas("events") == (3, 2)


def test_a_crash_that_loses_the_tail_keeps_what_was_flushed() -> None:
    cluster, writer = made()
    cluster.advance(15_000)
    sent(writer, b"1")
    writer.flush()
    cluster.crash(1, losing_tail=True)
    assert on_disk(cluster, 1) == 1
    cluster.restart(1)
    cluster.advance(3_000)
    assert on_disk(cluster, 1) == 2  # from the others
    assert cluster.check().held


def test_a_paused_broker_stands_still_and_wakes_up_unaware() -> None:
    cluster, writer = made(broker_session_timeout_ms=1_500)
    cluster.pause(1)
    sent(writer, b"1")
    cluster.advance(700)
    assert on_disk(cluster, 1) == 1
    cluster.advance(3_000)
    assert cluster.leader("events") == 2
    broker = cluster._world.find_broker(1)
    assert broker is not None
    assert broker.replicas[EVENTS].leadership is not None
    cluster.resume(1)
    cluster.advance(2_000)
    assert broker.replicas[EVENTS].leadership is None
    assert values(cluster) == [b"0", b"1"]


def test_a_client_timeout_gives_up_an_answer_that_is_still_under_way() -> None:
    cluster, writer = made(Deviation(f"answer: {FIRST}", 1, "client_timeout", "writer", 0))
    before_ms = cluster.now_ms
    assert [delivery.offset for delivery in sent(writer, b"1")] == [1]
    assert cluster.now_ms - before_ms < 900
    assert writer.retries == 1
    assert cluster.recorder.duplicates_recognised == 1


def test_an_election_moves_leadership_though_nobody_failed() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "election", "events-0>broker-3", 0))
    assert [delivery.offset for delivery in sent(writer, b"1", b"2")] == [1, 2]
    assert cluster.leader("events") == 3
    assert len(cluster._world.brokers()) == 3
    assert cluster.recorder.failovers == 1


def test_a_slow_followers_fetches_are_late() -> None:
    cluster, writer = made(replica_lag_time_max_ms=30_000)
    before_ms = cluster.now_ms
    assert sent(writer, b"1")[0].offset == 1
    quick_ms = cluster.now_ms - before_ms
    cluster.slow_follower(2)
    before_ms = cluster.now_ms
    assert sent(writer, b"2")[0].offset == 2
    assert cluster.now_ms - before_ms >= quick_ms + 400
    cluster.heal()
    cluster.advance(1_000)
    before_ms = cluster.now_ms
    assert sent(writer, b"3")[0].offset == 3
    assert cluster.now_ms - before_ms == quick_ms


def test_a_link_that_is_cut_twice_must_be_healed_twice() -> None:
    cluster, writer = made(replica_lag_time_max_ms=30_000, broker_session_timeout_ms=30_000)
    cluster.cut(1, 2)
    cluster.isolate(2)
    (delivery,) = sent(writer, b"1")
    cluster.rejoin(2)
    cluster.advance(500)
    assert (on_disk(cluster, 2), delivery.done) == (1, False)
    cluster.heal(1, 2)
    cluster.advance(50)
    assert (on_disk(cluster, 2), delivery.done) == (2, True)
    assert cluster._world.links.cuts == {}


def test_healing_what_is_not_cut_does_nothing() -> None:
    cluster, writer = made()
    cluster.heal(1, 2)
    cluster.cut(1, 2)
    cluster.heal(1, 2)
    assert cluster._world.links.cuts == {}
    assert sent(writer, b"1")[0].offset == 1


def test_heal_undoes_every_fault_at_once_and_none_of_them_ends_a_second_time() -> None:
    cluster, writer = made(broker_session_timeout_ms=1_500)
    world = cluster._world
    for deviation in (
        Deviation("by hand", 1, "cut", "broker-1<>broker-2", 4_000),
        Deviation("by hand", 2, "cut_one_way", "broker-1>broker-2", 4_000),
        Deviation("by hand", 3, "isolate", "broker-3", 4_000),
        Deviation("by hand", 4, "pause", "broker-1", 4_000),
        Deviation("by hand", 5, "slow_follower", "broker-2", 4_000),
        Deviation("by hand", 6, "crash", "broker-3", 4_000),
    ):
        world.strike_now(deviation)
    sent(writer, b"1")
    cluster.advance(300)
    cluster.heal()
    assert world.links.cuts == {}
    assert world.paused == {}
    assert world.slow == {}
    assert len(world.brokers()) == 3
    writer.flush()
    cluster.advance(1_000)
    cluster.cut(1, 2)
    cluster.advance(6_000)
    assert ("broker-1", "broker-2") in world.links.cuts  # the fault that was to end now was healed before
    cluster.heal()
    assert cluster.check().held


def test_a_plan_knows_its_names_and_a_scale_of_0_does_nothing() -> None:
    with pytest.raises(RequestError, match="unknown fault 'sabotage'"):
        fault_plan(("sabotage",))
    with pytest.raises(RequestError, match="scale must be 0 or more"):
        fault_plan(None, -1)
    assert fault_plan().names == USUAL_FAULTS
    cluster = Cluster(3, 1, faults=fault_plan(None, 0), **SETTINGS)
    cluster.producer("writer")
    cluster.create_topic("events")
    assert written(cluster, 1).deviations == ()


def test_a_budget_is_never_exceeded() -> None:
    for seed in range(5):
        plan = FaultPlan((("disconnect", FaultRate(500_000, 3)), ("delay", FaultRate(300_000, 2))))
        cluster = Cluster(3, seed, faults=plan, **SETTINGS)
        cluster.producer("writer", linger_ms=0)
        cluster.create_topic("events")
        faults = [deviation.fault for deviation in written(cluster, seed).deviations]
        assert (faults.count("disconnect"), faults.count("delay")) == (3, 2)
