"""Each fault of brokers, disks, controller and datagrams has its effect, seen in trace, history or state."""

from __future__ import annotations

from typing import Any

import pytest
from sim_runs import SETTINGS

from eventlog import Cluster, Delivery, Producer, RequestError
from eventlog.broker import Broker
from eventlog.check import history as rows
from eventlog.messages import Envelope
from eventlog.messages.broker_api import ProduceReply, ProduceRequest
from eventlog.sim.faults import DEFAULT_RATES, Deviation, FaultPlan, FaultRate, fault_plan
from eventlog.sim.literal import read_literal, run_literal
from eventlog.sim.striking import AT_DELIVERY, ON_MACHINES
from eventlog.sim.targets import FINDERS
from eventlog.values import FAULTS, TopicPartition
from eventlog.values.faults import USUAL_FAULTS

EVENTS = TopicPartition("events", 0)
FIRST = "writer produces events-0 @1 try 0"
ANSWER = f"answer: {FIRST}"


def made(*deviations: Deviation, **settings: Any) -> tuple[Cluster, Producer]:
    """Three brokers of which broker 1 leads, and a writer whose first record, `0`, is acknowledged."""
    cluster = Cluster(3, deviations=deviations, checks="full", **{**SETTINGS, **settings})
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0, batch_size=0, request_timeout_ms=1_000)
    assert writer.send("events", b"0").offset == 0
    return cluster, writer


def struck(cluster: Cluster, fault: str, target: str, duration_ms: int = -1) -> None:
    """By name, as a plan would, whatever `Cluster` has a method for."""
    world = cluster._world
    world.strike_now(Deviation("by hand", len(world.deviations) + 1, fault, target, duration_ms))


def broker(cluster: Cluster, broker_id: int) -> Broker:
    found = cluster._world.find_broker(broker_id)
    assert found is not None
    return found


def on_disk(cluster: Cluster, broker_id: int) -> int:
    return cluster._world.stores[broker_id].log_store(EVENTS).end_offset


def sent(writer: Producer, *values: bytes) -> list[Delivery]:
    return [writer.send("events", value) for value in values]


def values(cluster: Cluster) -> list[bytes | None]:
    return [record.record.value for record in cluster.records("events")]


def delivered(cluster: Cluster, kind: type[Any]) -> list[Envelope]:
    """The trace's envelopes of one kind."""
    return [
        what for _, _, what in cluster.recorder.events if isinstance(what, Envelope) and what.message.__class__ is kind
    ]


def errors(cluster: Cluster) -> list[str]:
    """What the writer was answered, errors only."""
    replies = [reply for envelope in delivered(cluster, ProduceReply) for reply in envelope.message.partitions]
    return [reply.error.name for reply in replies if reply.error.name != "NONE"]


def found(cluster: Cluster, kind: type[Any]) -> list[Any]:
    return [row for row in cluster.recorder.history.rows if type(row) is kind]


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_every_fault_has_a_rate_a_target_and_exactly_one_effect() -> None:
    assert list(DEFAULT_RATES) == list(FAULTS) == list(FINDERS)
    assert sorted([*AT_DELIVERY, *ON_MACHINES]) == sorted(FAULTS)


def test_datagram_faults_are_in_no_default_plan_and_can_be_named() -> None:
    datagrams = ("request_duplicated", "reply_duplicated", "request_reordered")
    assert fault_plan().names == USUAL_FAULTS
    assert tuple(name for name in FAULTS if name not in USUAL_FAULTS) == ("log_start_moved", *datagrams)
    assert fault_plan(datagrams).names == datagrams


@pytest.mark.parametrize("fault", FAULTS)
def test_a_deviation_of_every_kind_survives_its_literal(fault: str) -> None:
    deviation = Deviation("writer produces events-0 @0 try 0", 1, fault, "1,2|3+controller", 500)
    assert read_literal(run_literal({"brokers": 3}, [deviation])) == ({"brokers": 3}, (deviation,))


# --- datagrams --------------------------------------------------------------------------------------------------------


def test_a_duplicated_request_arrives_again_later_and_its_answer_reaches_nobody() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "request_duplicated", "writer>broker-1", 500))
    assert sent(writer, b"1")[0].offset == 1
    answers = len(delivered(cluster, ProduceReply))
    assert len(delivered(cluster, ProduceRequest)) == 2
    cluster.advance(600)
    requests = delivered(cluster, ProduceRequest)
    assert len(requests) == 3
    assert requests[2].message == requests[1].message
    assert requests[2].connection != requests[1].connection
    assert len(delivered(cluster, ProduceReply)) == answers
    assert values(cluster) == [b"0", b"1"]
    assert all(connection.purpose != "copy" for connection in cluster._world.connections)


def test_a_duplicated_request_of_a_plain_writer_is_written_twice() -> None:
    cluster, _ = made(Deviation("plain produces events-0 @0 try 0", 1, "request_duplicated", "plain>broker-1", 500))
    plain = cluster.producer("plain", enable_idempotence=False, linger_ms=0)
    plain.send("events", b"twice")
    plain.flush()
    cluster.advance(600)
    assert values(cluster) == [b"0", b"twice", b"twice"]


def test_a_duplicated_reply_arrives_twice_and_ends_nothing_twice() -> None:
    cluster, writer = made(Deviation(ANSWER, 1, "reply_duplicated", "broker-1>writer", 0))
    deliveries = sent(writer, b"1", b"2")
    writer.flush()
    cluster.advance(100)
    replies = delivered(cluster, ProduceReply)
    assert replies.count(replies[1]) == 2
    assert [delivery.offset for delivery in deliveries] == [1, 2]
    assert len(found(cluster, rows.Acked)) == 3
    assert values(cluster) == [b"0", b"1", b"2"]


def test_a_reordered_request_changes_places_with_the_next_and_the_answers_do_not() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "request_reordered", "writer>broker-1", 0))
    deliveries = sent(writer, b"1", b"2")
    cluster.advance(6)
    requests = [envelope.correlation_id for envelope in delivered(cluster, ProduceRequest)]
    assert requests[:3] == [0, 2, 1]
    writer.flush()
    replies = [envelope.correlation_id for envelope in delivered(cluster, ProduceReply)]
    assert replies[:3] == [0, 1, 2]
    assert "OUT_OF_ORDER_SEQUENCE_NUMBER" in errors(cluster)
    (refused,) = found(cluster, rows.Refused)
    assert (refused.broker, refused.base_sequence, refused.error) == (1, 2, "OUT_OF_ORDER_SEQUENCE_NUMBER")
    assert refused.log_end_offset == 1
    assert [delivery.offset for delivery in deliveries] == [1, 2]


def test_a_request_without_a_next_one_can_not_be_reordered() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "request_reordered", "writer>broker-1", 0))
    assert sent(writer, b"1")[0].offset == 1
    assert cluster.deviations == ()


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_clogged_link_holds_what_is_sent_and_lets_it_out_in_one_burst() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "clog", "writer>broker-1", 600))
    deliveries = sent(writer, b"1", b"2", b"3")
    cluster.advance(599)
    assert on_disk(cluster, 1) == 1
    cluster.advance(10)
    times = [
        at_ms
        for _, at_ms, what in cluster.recorder.events
        if isinstance(what, Envelope) and what.message.__class__ is ProduceRequest
    ]
    assert len(times) == 4
    assert times[1] - times[0] > 600
    assert times[3] - times[1] < 10
    assert [delivery.offset for delivery in deliveries] == [1, 2, 3]
    assert writer.retries == 0


def test_two_groups_of_a_split_do_not_reach_each_other_and_clients_reach_both() -> None:
    cluster, writer = made()
    struck(cluster, "split", "1|2,3+controller", 4_000)
    zombie = cluster.producer("zombie", acks=1, enable_idempotence=False, linger_ms=0)
    assert zombie.send("events", b"lost").offset == 1
    cluster.advance(3_000)
    assert cluster.leader("events") == 2
    assert (on_disk(cluster, 1), on_disk(cluster, 2)) == (2, 1)
    assert writer.send("events", b"1").offset == 1
    cluster.advance(3_000)
    assert cluster._world.links.cuts == {}
    assert on_disk(cluster, 1) == 2
    assert values(cluster) == [b"0", b"1"]


def test_a_split_with_the_controller_on_the_lonely_side_stops_elections() -> None:
    cluster, writer = made()
    struck(cluster, "split", "1+controller|2,3")
    cluster.advance(3_000)
    assert cluster.leader("events") == 1
    assert cluster.in_sync_replicas("events") == (1,)
    cluster.heal()
    assert writer.send("events", b"1").offset == 1


def test_a_split_says_what_it_expects() -> None:
    cluster, _ = made()
    with pytest.raises(RequestError, match=r"two groups, like '1,2\|3\+controller', not '1,2,3'"):
        struck(cluster, "split", "1,2,3")


def test_a_stuck_fetcher_leaves_the_in_sync_replicas_though_its_broker_lives() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "stuck_fetcher", "broker-2", -1))
    struck(cluster, "stuck_fetcher", "broker-2", 3_000)
    cluster.advance(10)
    assert sent(writer, b"1")[0].offset == 1
    assert sent(writer, b"2")[0].offset == 2
    cluster.advance(1_500)
    assert cluster.in_sync_replicas("events") == (1, 3)
    assert cluster._world.find_broker(2) is not None
    assert cluster._world.controller.image.is_alive(2)
    assert on_disk(cluster, 2) < 3
    cluster.advance(2_500)
    assert on_disk(cluster, 2) == 3
    assert set(cluster.in_sync_replicas("events")) == {1, 2, 3}


def test_fetches_that_a_stuck_broker_would_have_sent_die_with_it() -> None:
    cluster, writer = made()
    struck(cluster, "stuck_fetcher", "broker-2")
    sent(writer, b"1")
    cluster.advance(50)
    assert len(cluster._world.stuck["broker-2"]) == 1
    cluster.crash(2)
    assert cluster._world.stuck == {"broker-2": []}
    cluster.restart(2)
    cluster.heal()
    cluster.advance(2_000)
    assert on_disk(cluster, 2) == 2


# --- brokers and disks ------------------------------------------------------------------------------------------------


def test_a_wiped_broker_restarts_empty_and_fills_up_from_the_others() -> None:
    cluster, writer = made()
    sent(writer, b"1", b"2")
    writer.flush()
    struck(cluster, "crash_wiped", "broker-2", 3_000)
    assert on_disk(cluster, 2) == 0
    assert [(row.broker, row.from_offset, row.to_offset) for row in found(cluster, rows.TailLost)] == [(2, 0, 3)]
    cluster.advance(6_000)
    assert on_disk(cluster, 2) == 3
    assert cluster.check().held


def test_a_broker_is_not_wiped_when_nobody_else_in_sync_runs() -> None:
    plan = FaultPlan((("crash_wiped", FaultRate(1_000_000, 1)),))
    cluster = Cluster(3, 0, faults=plan, checks="full", **{**SETTINGS, "min_insync_replicas": 1})
    cluster.crash(2)
    cluster.crash(3)
    cluster.create_topic("events")
    writer = cluster.producer("writer", linger_ms=0)
    assert writer.send("events", b"0").offset == 0
    assert all(deviation.fault == "crash" for deviation in cluster.deviations)


def test_a_clean_restart_ends_the_process_and_loses_nothing() -> None:
    cluster, writer = made()
    sent(writer, b"1")
    writer.flush()
    first = broker(cluster, 1)
    struck(cluster, "clean_restart", "broker-1", 2_000)
    assert cluster._world.stopping == {"broker-1": 2_000}
    cluster.advance(500)
    assert cluster._world.find_broker(1) is None
    assert cluster._world.stopping == {}
    assert cluster.leader("events") == 2  # handed over, long before the session ends
    assert cluster._world.stores[1].log_store(EVENTS).snapshot_offsets() == (2,)
    cluster.advance(3_500)
    assert broker(cluster, 1) is not first
    assert on_disk(cluster, 1) == 2
    assert found(cluster, rows.TailLost) == []
    assert sent(writer, b"2")[0].offset == 2
    assert cluster.check().held


def test_a_broker_that_dies_while_it_stops_is_restarted_by_nobody_twice() -> None:
    cluster, _ = made()
    struck(cluster, "clean_restart", "broker-1", 1_000)
    cluster.crash(1)
    cluster.advance(3_000)
    assert cluster._world.find_broker(1) is None
    assert cluster._world.stopping == {}


def test_a_power_cut_takes_all_brokers_at_once_and_keeps_their_disks() -> None:
    cluster, writer = made()
    sent(writer, b"1")
    writer.flush()
    struck(cluster, "power_cut", "broker-1,broker-2,broker-3", 2_000)
    assert cluster._world.brokers() == []
    assert [on_disk(cluster, broker_id) for broker_id in (1, 2, 3)] == [2, 2, 2]
    cluster.advance(5_000)
    assert len(cluster._world.brokers()) == 3
    assert sent(writer, b"2")[0].offset == 2
    assert cluster.check().held


@pytest.mark.parametrize(
    ("fault", "left"),
    [("snapshot_lost", {1: b"one", 2: b"two"}), ("snapshot_old", {1: b"one"}), ("snapshot_corrupt", None)],
)
def test_a_spoiled_snapshot_is_found_so_when_the_broker_restarts(fault: str, left: dict[int, bytes] | None) -> None:
    cluster, writer = made()
    sent(writer, b"1", b"2")
    writer.flush()
    store = cluster._world.stores[2].log_store(EVENTS)
    for offset in store.snapshot_offsets():
        store.delete_snapshot(offset)
    whole = {1: b"one", 2: b"two", 3: b"three"}
    for offset, data in whole.items():
        store.write_snapshot(offset, data)
    struck(cluster, fault, "broker-2")
    now = {offset: store.read_snapshot(offset) for offset in store.snapshot_offsets()}
    if left is not None:
        assert now == left
    else:
        assert {**now, 3: b"three"} == whole
        assert sum(bin(one ^ other).count("1") for one, other in zip(now[3], b"three", strict=True)) == 1
    assert [(row.broker, row.why) for row in found(cluster, rows.Forgot)] == [(2, "snapshot")]
    cluster.restart(2)
    cluster.advance(3_000)
    assert on_disk(cluster, 2) == 3
    assert cluster.check().held


def test_an_append_that_fails_leaves_nothing_in_the_log_and_is_retried() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "append_fails", "writer>broker-1", 0))
    deliveries = sent(writer, b"1", b"2")
    cluster.advance(3)
    assert on_disk(cluster, 1) == 1  # `2` came too early without `1`
    writer.flush()
    assert errors(cluster)[0] == "KAFKA_STORAGE_ERROR"
    assert cluster.recorder.duplicates_recognised == 0
    assert [delivery.offset for delivery in deliveries] == [1, 2]
    assert values(cluster) == [b"0", b"1", b"2"]


def test_an_append_that_fails_without_acks_closes_the_connection() -> None:
    cluster, _ = made(Deviation("mute produces events-0 @0 try 0", 1, "append_fails", "mute>broker-1", 0))
    mute = cluster.producer("mute", enable_idempotence=False, acks=0, linger_ms=0)
    mute.send("events", b"gone")
    mute.flush()
    cluster.advance(100)
    assert values(cluster) == [b"0"]
    assert [envelope.destination for envelope in delivered(cluster, ProduceReply)] == ["writer"]
    mute.send("events", b"here")
    mute.flush()
    cluster.advance(100)
    assert values(cluster) == [b"0", b"here"]


@pytest.mark.parametrize("error", ["NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "NETWORK_EXCEPTION"])
def test_an_error_after_the_append_makes_a_duplicate_of_the_retry(error: str) -> None:
    cluster, writer = made(Deviation(ANSWER, 1, "error_after_append", f"broker-1>writer:{error}", 0))
    assert sent(writer, b"1")[0].offset == 1
    assert errors(cluster) == [error]
    assert cluster.recorder.duplicates_recognised == 1
    assert values(cluster) == [b"0", b"1"]


# --- controller -------------------------------------------------------------------------------------------------------


def test_an_isolated_controller_reaches_no_broker_and_brokers_go_on_without_it() -> None:
    cluster, writer = made()
    struck(cluster, "controller_isolated", "controller", 1_200)
    world = cluster._world
    assert len(world.links.cuts) == 6
    assert all("controller" in link for link in world.links.cuts)
    assert sent(writer, b"1")[0].offset == 1
    cluster.crash(1)
    before = len(world.controller.log)
    cluster.advance(1_000)
    assert len(world.controller.log) == before
    cluster.advance(3_000)
    assert world.links.cuts == {}
    assert cluster.leader("events") != 1
    assert sent(writer, b"2")[0].offset == 2


def test_a_paused_controller_elects_nobody_until_it_wakes_up() -> None:
    cluster, writer = made()
    struck(cluster, "controller_paused", "controller", 4_000)
    cluster.crash(1)
    cluster.advance(3_900)
    assert cluster.leader("events") == 1
    cluster.advance(3_000)
    assert cluster.leader("events") in (2, 3)
    assert sent(writer, b"1")[0].offset == 1


def test_what_is_asked_of_a_paused_controller_waits() -> None:
    cluster, _ = made()
    struck(cluster, "controller_paused", "controller", 1_000)
    struck(cluster, "election", "events-0>broker-3")
    cluster.advance(900)
    assert cluster.leader("events") == 1
    cluster.advance(200)
    assert cluster.leader("events") == 3


def test_a_broker_that_hears_metadata_late_goes_on_leading_beside_the_new_leader() -> None:
    cluster, writer = made()
    struck(cluster, "metadata_delay", "broker-1", 1_000)
    struck(cluster, "election", "events-0>broker-2")
    cluster.advance(900)
    assert cluster._world.controller.image.is_alive(1)
    assert [broker(cluster, each).replicas[EVENTS].leadership is not None for each in (1, 2)] == [True, True]
    cluster.advance(200)
    assert [broker(cluster, each).replicas[EVENTS].leadership is not None for each in (1, 2)] == [False, True]
    assert sent(writer, b"1")[0].offset == 1


def test_the_in_sync_replicas_shrink_though_everybody_is_in_sync_and_grow_again() -> None:
    cluster, writer = made()
    struck(cluster, "isr_shrink", "events-0>broker-2", 0)
    cluster.advance(2_000)
    assert sent(writer, b"1")[0].offset == 1
    changes = [row.in_sync_replicas for row in found(cluster, rows.LeaderChanged)]
    assert changes[1] == (1, 3)
    assert set(changes[-1]) == {1, 2, 3}


def test_the_in_sync_replicas_grow_by_one_that_lags_but_has_what_is_committed() -> None:
    # Two must be in sync; with both followers out nothing is committed, so they hold all that is, though they lag.
    cluster, writer = made(replica_lag_time_max_ms=300)
    for follower in ("broker-2", "broker-3"):
        struck(cluster, "stuck_fetcher", follower)
    cluster.advance(600)
    sent(writer, b"1", b"2")  # the first wakes the fetches that wait
    cluster.advance(700)
    sent(writer, b"3")
    cluster.advance(700)
    assert cluster.in_sync_replicas("events") == (1,)
    leader = broker(cluster, 1).replicas[EVENTS].log
    assert leader.high_watermark < leader.log_end_offset
    struck(cluster, "isr_expand", "events-0>broker-2", 0)
    cluster.advance(5)
    assert cluster.in_sync_replicas("events") == (1, 2)
    cluster.heal()
    writer.flush()
    assert cluster.check().held


def test_isr_expand_finds_nobody_while_all_are_in_sync() -> None:
    cluster, writer = made(Deviation(FIRST, 1, "isr_expand", "events-0>broker-2", 0))
    assert sent(writer, b"1")[0].offset == 1
    assert cluster.deviations == ()


def test_an_unclean_election_loses_what_was_committed_and_the_loss_is_declared() -> None:
    cluster, writer = made(min_insync_replicas=1)
    struck(cluster, "stuck_fetcher", "broker-3")
    cluster.advance(10)
    sent(writer, b"1")
    writer.flush()
    cluster.advance(2_000)
    sent(writer, b"2")
    writer.flush()
    assert cluster.in_sync_replicas("events") == (1, 2)
    struck(cluster, "unclean_election", "events-0>broker-3", 5_000)
    assert len(cluster._world.brokers()) == 1
    cluster.advance(2_500)
    assert cluster.leader("events") == 3
    assert len(values(cluster)) < 3
    invariants = cluster._world.invariants
    assert invariants is not None
    assert list(invariants.losses) == [EVENTS]
    cluster.advance(4_000)
    cluster.heal()
    cluster.advance(2_000)
    assert set(cluster.in_sync_replicas("events")) == {1, 2, 3}
    sent(writer, b"3")
    writer.flush()
    assert invariants.losses == {}  # compared anew from here on
    assert list(invariants.has_lost) == [EVENTS]
    assert invariants.committed[EVENTS].end_offset == len(values(cluster))
    assert [on_disk(cluster, each) for each in (1, 2, 3)] == [len(values(cluster))] * 3


def test_a_log_start_that_moves_deletes_what_is_committed_on_every_replica() -> None:
    cluster, writer = made()
    sent(writer, b"1")
    writer.flush()
    cluster.advance(1_000)
    struck(cluster, "log_start_moved", "events-0", 0)
    assert sent(writer, b"2")[0].offset == 2
    cluster.advance(1_000)
    assert values(cluster) == [b"2"]
    moved = {(row.broker, row.from_offset, row.to_offset) for row in found(cluster, rows.LogStartMoved)}
    assert moved == {(1, 0, 2), (2, 0, 2), (3, 0, 2)}
    assert sent(writer, b"3")[0].offset == 3


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_producers_that_expire_are_noted_with_their_ids() -> None:
    cluster, writer = made(producer_id_expiration_ms=5_000, producer_id_expiration_check_interval_ms=1_000)
    cluster.advance(10_000)
    forgot = found(cluster, rows.Forgot)
    assert {(row.broker, row.why) for row in forgot} == {(1, "expired"), (2, "expired"), (3, "expired")}
    assert {row.producer_ids for row in forgot} == {(writer._engine.producer_id,)}


def test_a_restart_is_noted_as_forgetting_only_where_snapshots_hold_one_batch() -> None:
    for remembered, expected in ((1, [(2, "restart")]), (5, [])):
        cluster, _ = made(producer_snapshot_batches=remembered)
        cluster.crash(2)
        cluster.restart(2)
        assert [(row.broker, row.why) for row in found(cluster, rows.Forgot)] == expected


# --- afterwards -------------------------------------------------------------------------------------------------------


def test_a_world_says_what_keeps_it_from_being_whole_and_healing_ends_it() -> None:
    cluster, writer = made()
    world = cluster._world
    cluster.advance(1_000)
    assert world.find_unrecovered() == []
    struck(cluster, "crash", "broker-3")
    struck(cluster, "pause", "broker-2")
    struck(cluster, "cut_one_way", "broker-1>writer")
    struck(cluster, "slow_follower", "broker-2")
    struck(cluster, "stuck_fetcher", "broker-2")
    world.stopping["broker-2"] = -1
    sent(writer, b"1")
    cluster.advance(900)
    said = "\n".join(world.find_unrecovered())
    for part in (
        "broker-3 is down",
        "broker-2 stands still; ",
        "broker-2 is coming to its orderly end",
        "nothing passes from broker-1 to writer; ",
        "broker-2 fetches late",
        "broker-2 does not fetch",
        "writer has 1 records for events-0 without an end (1 batches in flight); its timers: request broker-1 in ",
        "events-0: broker-3 has not opened its replica",
        "events-0: committed is broker-1 1 of 2, broker-2 1 of 1",
    ):
        assert part in said
    del world.stopping["broker-2"]
    cluster.recover()
    cluster.advance(3_000)
    assert world.find_unrecovered() == []


def test_a_follower_that_has_not_heard_what_is_committed_is_named() -> None:
    cluster, writer = made()
    cluster.advance(2_000)
    assert cluster._world.find_unrecovered() == []
    writer.send("events", b"1").offset  # noqa: B018
    assert cluster._world.find_unrecovered() == [
        "events-0: committed is broker-1 2 of 2, broker-2 1 of 2, broker-3 1 of 2"
    ]
    cluster.advance(1_000)
    assert cluster._world.find_unrecovered() == []


def test_records_of_which_nobody_knows_a_partition_yet_are_without_an_end() -> None:
    cluster, _ = made()
    late = cluster.producer("late", linger_ms=0)
    late.send("events", b"1")
    late.send("events", b"2")
    said = "\n".join(cluster._world.find_unrecovered())
    assert "late has 2 records for events, of which it knows no partition; its timers: " in said
    cluster.recover()
    assert late.in_flight == 0
    assert cluster._world.find_unrecovered() == []


def test_a_broker_that_was_asked_to_stop_for_good_comes_back_when_all_is_healed() -> None:
    cluster, _ = made()
    first = broker(cluster, 2)
    struck(cluster, "pause", "broker-2")
    struck(cluster, "clean_restart", "broker-2", -1)
    cluster.advance(100)
    cluster.heal()
    cluster.advance(3_000)
    assert broker(cluster, 2) is not first
    assert cluster._world.find_unrecovered() == []


def test_a_partition_without_a_leader_is_said_to_have_none() -> None:
    cluster, _ = made()
    struck(cluster, "power_cut", "broker-1,broker-2,broker-3")
    cluster.advance(3_000)
    assert any("events-0 has no leader; it waits for broker-" in text for text in cluster._world.find_unrecovered())
