"""What a user holds: the API's promises, and what it says to a call that can't be right."""

from __future__ import annotations

import pytest

from eventlog import (
    Cluster,
    ErrorCode,
    FatalError,
    RequestError,
    RetriableError,
    UnknownOutcomeError,
)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.create_topic("orders", 2)
    return made


def values(cluster: Cluster, topic: str = "orders", partition: int | None = None) -> list[bytes | None]:
    return [found.record.value for found in cluster.records(topic, partition)]


# --- the good way -----------------------------------------------------------------------------------------------------


def test_three_lines_from_import_to_the_first_acknowledged_record() -> None:
    cluster = Cluster()
    cluster.create_topic("t")
    assert cluster.producer().send("t", b"hello").offset == 0


def test_records_of_one_key_stay_in_one_partition_and_in_order(cluster: Cluster) -> None:
    producer = cluster.producer()
    for number in range(40):
        producer.send("orders", str(number), key=f"k{number % 4}")
    producer.flush()
    for key in range(4):
        found = [known for known in cluster.records("orders") if known.record.key == b"k%d" % key]
        assert len(dict.fromkeys(known.topic_partition for known in found)) == 1
        assert [int(known.record.value or b"") for known in found] == list(range(key, 40, 4))


def test_text_is_written_as_utf_8_and_none_stays_none(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.send("orders", "ä", key="k", partition=1, headers=[("h", b"v")])
    producer.send("orders", None, partition=1).offset  # noqa: B018 (waits)
    first, second = [found.record for found in cluster.records("orders", 1)]
    assert (first.key, first.value, first.headers) == (b"k", "ä".encode(), (("h", b"v"),))
    assert (second.key, second.value) == (None, None)


def test_a_context_manager_flushes_what_was_sent() -> None:
    with Cluster() as cluster:
        cluster.create_topic("t")
        with cluster.producer() as producer:
            delivery = producer.send("t", b"v")
        assert delivery.done
        assert values(cluster, "t") == [b"v"]


def test_nothing_happens_until_somebody_waits(cluster: Cluster) -> None:
    delivery = cluster.producer().send("orders", b"v")
    before = cluster.now_ms
    assert not delivery.done
    assert cluster.now_ms == before
    cluster.advance(1_000)
    assert delivery.done
    assert cluster.now_ms == before + 1_000


def test_a_lost_acknowledgement_is_recognised_with_the_same_offset(cluster: Cluster) -> None:
    producer = cluster.producer()
    cluster.lose_next_ack()
    delivery = producer.send("orders", b"v", partition=0)
    assert delivery.offset == 0
    assert producer.retries == 1
    assert cluster.recorder.duplicates_recognised == 1
    assert values(cluster) == [b"v"]


def test_a_lost_request_is_written_once(cluster: Cluster) -> None:
    producer = cluster.producer()
    cluster.lose_next_request(producer)
    assert producer.send("orders", b"v", partition=0).offset == 0
    assert cluster.recorder.duplicates_recognised == 0
    assert values(cluster) == [b"v"]


def test_faults_for_one_producer_leave_others_alone(cluster: Cluster) -> None:
    one, other = cluster.producer(), cluster.producer()
    cluster.lose_next_ack(other)
    one.send("orders", b"1", partition=0).offset  # noqa: B018
    assert one.retries == 0
    other.send("orders", b"2", partition=0).offset  # noqa: B018
    assert other.retries == 1


def test_a_retry_after_failover_is_not_appended(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.send("orders", b"0", partition=0).offset  # noqa: B018
    leader = cluster.leader("orders")
    cluster.lose_next_ack()
    delivery = producer.send("orders", b"1", partition=0)
    cluster.advance(200)
    cluster.crash(leader)
    assert delivery.offset == 1
    assert cluster.leader("orders") != leader
    assert values(cluster) == [b"0", b"1"]
    assert cluster.check().held


def test_a_broker_that_is_cut_off_is_replaced_and_comes_back(cluster: Cluster) -> None:
    leader = cluster.leader("orders")
    cluster.isolate(leader)
    cluster.wait_for(lambda: cluster.leader("orders") not in (leader, -1))
    assert leader not in cluster.in_sync_replicas("orders")
    cluster.rejoin(leader)
    cluster.wait_for(lambda: leader in cluster.in_sync_replicas("orders"))


def test_a_broker_that_stands_still_is_replaced_and_wakes_up_a_follower(cluster: Cluster) -> None:
    leader = cluster.leader("orders")
    cluster.pause(leader)
    cluster.wait_for(lambda: cluster.leader("orders") not in (leader, -1))
    cluster.resume(leader)
    cluster.wait_for(lambda: leader in cluster.in_sync_replicas("orders"))


def test_an_election_moves_the_leader_at_once(cluster: Cluster) -> None:
    leader = cluster.leader("orders")
    other = next(member for member in cluster.in_sync_replicas("orders") if member != leader)
    cluster.elect("orders", 0, other)
    assert cluster.leader("orders") == other
    assert cluster.producer().send("orders", b"v", partition=0).offset == 0


def test_heal_without_names_undoes_everything(cluster: Cluster) -> None:
    cluster.cut(1, 2)
    cluster.cut_one_way(3, "controller")
    cluster.pause(2)
    cluster.crash(1)
    cluster.slow_follower(3)
    cluster.heal()
    cluster.wait_for(lambda: len(cluster.in_sync_replicas("orders")) == 3)
    assert cluster.producer().send("orders", b"v").offset == 0


def test_chaos_of_one_seed_is_the_same_twice_and_its_literal_repeats_it() -> None:
    def run(**how: object) -> Cluster:
        cluster = Cluster(min_insync_replicas=2, **how)  # type: ignore[arg-type]
        cluster.create_topic("t", 2)
        producer = cluster.producer()
        for number in range(150):
            producer.send("t", str(number))
            cluster.advance(400)
        assert cluster.check().held
        return cluster

    faults = ["reply_lost", "crash", "election", "disconnect"]
    first = run(seed=11, faults=faults)
    assert first.deviations
    assert run(seed=11, faults=faults).trace_digest() == first.trace_digest()
    assert run(seed=11, deviations=first.deviations).trace_digest() == first.trace_digest()
    assert run(seed=12, faults=faults).deviations != first.deviations


def test_a_history_holds_what_was_sent_and_every_log(cluster: Cluster) -> None:
    from eventlog.check import history as rows

    producer = cluster.producer()
    for number in range(3):
        producer.send("orders", str(number), partition=0)
    producer.flush()
    consumer = cluster.consumer(("orders", 0))
    assert len(consumer.poll()) == 3
    history = cluster.history()
    assert [row.send_number for row in history.of(rows.Sent)] == [0, 1, 2]
    assert [row.send_numbers for row in history.of(rows.Acked)] == [(0, 1, 2)]
    assert len(history.of(rows.Log)) == 6
    assert [len(row.records) for row in history.of(rows.Read)] == [3]
    assert cluster.check().promise("R2").status == "held"


def test_an_idle_cluster_does_nothing(cluster: Cluster) -> None:
    cluster.producer().send("orders", b"v").offset  # noqa: B018
    cluster.advance(90_000_000)
    before = len(cluster.recorder.events)
    cluster.advance(86_400_000)
    assert len(cluster.recorder.events) == before


# --- what can't be right ----------------------------------------------------------------------------------------------


def test_an_unknown_topic_is_named_with_the_known_ones(cluster: Cluster) -> None:
    for call in (
        lambda: cluster.records("nope"),
        lambda: cluster.leader("nope"),
        lambda: cluster.consumer(("nope", 0)),
        lambda: cluster.elect("nope", 0, 1),
    ):
        with pytest.raises(RequestError, match="no topic 'nope'; the topics are: orders") as caught:
            call()
        assert caught.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert isinstance(caught.value, ValueError)


def test_a_send_to_an_unknown_topic_fails_in_the_end_and_says_why(cluster: Cluster) -> None:
    delivery = cluster.producer().send("nope", b"v")
    with pytest.raises(RetriableError, match="nope") as caught:
        _ = delivery.offset
    assert caught.value.code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert delivery.error is caught.value


def test_a_topic_made_late_gets_what_waited_for_it(cluster: Cluster) -> None:
    delivery = cluster.producer().send("late", b"v")
    cluster.advance(3_000)
    cluster.create_topic("late")
    assert delivery.offset == 0


def test_an_unknown_partition_is_refused(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.send("orders", b"v", partition=0).offset  # noqa: B018
    refused = producer.send("orders", b"v", partition=2)
    with pytest.raises(RequestError, match="topic orders has 2 partitions; there is no partition 2"):
        refused.offset  # noqa: B018
    with pytest.raises(RequestError, match="partitions 0 to 1, not 2"):
        cluster.records("orders", 2)
    with pytest.raises(RequestError, match="partitions 0 to 1, not -1"):
        cluster.consumer(("orders", -1))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"max_in_flight": 6}, "from 1 to 5"),
        ({"acks": 1}, "needs acks=-1"),
        ({"acks": 7}, "acks must be"),
        ({"retries": 0}, "retries above 0"),
        ({"flavour": 1}, "unknown setting 'flavour'; the known ones are: enable_idempotence"),
        ({"linger_ms": -1}, "linger_ms must be from 0"),
        ({"linger.ms": "5"}, "linger_ms must be a whole number"),
        ({"delivery_timeout_ms": 10}, "must be at least linger_ms"),
    ],
)
def test_a_producer_setting_out_of_its_range_is_refused(
    cluster: Cluster, settings: dict[str, object], says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        cluster.producer(**settings)  # type: ignore[arg-type]
    assert cluster.producer().send("orders", b"v").offset == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"brokers": 0}, "brokers must be from 1 to 32"),
        ({"faults": ["gremlins"]}, "unknown fault 'gremlins'"),
        ({"checks": "some"}, "checks must be"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"min_insync_replicas": 0}, "min_insync_replicas must be from 1"),
        ({"colour": 1}, "unknown setting 'colour'"),
        ({"replica_lag_time_max_ms": True}, "whole number"),
    ],
)
def test_a_cluster_setting_out_of_its_range_is_refused(arguments: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Cluster(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("orders",), "exists already"),
        (("",), "needs a name"),
        (("t", 0), "1 partition or more"),
        (("t", 1, 4), "from 1 to the 3 brokers"),
    ],
)
def test_a_topic_that_cannot_be_made_is_refused(cluster: Cluster, arguments: tuple[object, ...], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        cluster.create_topic(*arguments)  # type: ignore[arg-type]


def test_an_unknown_broker_is_refused(cluster: Cluster) -> None:
    for call in (cluster.crash, cluster.restart, cluster.pause, cluster.isolate, cluster.slow_follower):
        with pytest.raises(RequestError, match="no broker 9; the brokers are 1, 2, 3"):
            call(9)
    with pytest.raises(RequestError, match="no machine 'moon'"):
        cluster.cut(1, "moon")


def test_a_record_above_the_limit_is_refused_and_loses_nothing(cluster: Cluster) -> None:
    producer = cluster.producer()
    kept = producer.send("orders", b"small", partition=0)
    with pytest.raises(RequestError) as caught:
        producer.send("orders", b"x" * 2_000_000, partition=0)
    assert caught.value.code is ErrorCode.MESSAGE_TOO_LARGE
    assert kept.offset == 0
    assert values(cluster) == [b"small"]


def test_a_batch_above_the_topics_limit_fails_and_the_rest_goes_on() -> None:
    cluster = Cluster()
    cluster.create_topic("t", max_message_bytes=300)
    producer = cluster.producer()
    small, large, after = [producer.send("t", b"x" * size) for size in (50, 1_000, 50)]
    producer.flush()
    assert small.offset == 0
    assert large.error is not None
    assert large.error.code is ErrorCode.MESSAGE_TOO_LARGE
    assert after.offset == 1


def test_a_value_of_another_type_is_refused(cluster: Cluster) -> None:
    with pytest.raises(RequestError, match="value must be bytes, str or None, not int"):
        cluster.producer().send("orders", 5)  # type: ignore[arg-type]


def test_a_closed_producer_refuses_sends_and_closes_twice(cluster: Cluster) -> None:
    producer = cluster.producer("p")
    delivery = producer.send("orders", b"v")
    producer.close()
    producer.close()
    assert delivery.done
    with pytest.raises(FatalError, match="producer 'p' is closed"):
        producer.send("orders", b"v")


def test_a_closed_consumer_refuses_polls_and_closes_twice(cluster: Cluster) -> None:
    consumer = cluster.consumer(("orders", 0), name="c")
    consumer.close()
    consumer.close()
    with pytest.raises(FatalError, match="consumer 'c' is closed"):
        consumer.poll()


def test_a_closed_cluster_refuses_everything_but_keeps_what_it_recorded(cluster: Cluster) -> None:
    producer = cluster.producer()
    producer.send("orders", b"v").offset  # noqa: B018
    cluster.close()
    cluster.close()
    for call in (lambda: cluster.advance(1), lambda: producer.send("orders", b"v"), lambda: cluster.create_topic("t")):
        with pytest.raises(FatalError, match="closed"):
            call()
    producer.close()
    assert cluster.story()


def test_two_clients_of_one_name_are_refused(cluster: Cluster) -> None:
    cluster.producer("x")
    with pytest.raises(RequestError, match="a client called 'x' already"):
        cluster.consumer(name="x")
    with pytest.raises(RequestError, match="a client called 'controller' already"):
        cluster.producer("controller")


def test_waiting_for_what_never_comes_ends_and_says_so(cluster: Cluster) -> None:
    with pytest.raises(UnknownOutcomeError, match="waited for the moon, but"):
        cluster.wait_for(lambda: False, "the moon", timeout_ms=5_000)
    with pytest.raises(RequestError, match="time goes forward only"):
        cluster.advance(-1)


def test_reading_without_a_leader_says_what_to_do() -> None:
    cluster = Cluster(brokers=1)
    cluster.create_topic("t")
    cluster.crash(1)
    cluster.advance(20_000)
    with pytest.raises(RetriableError, match="no leader to read from"):
        cluster.records("t")


def test_impossible_polls_and_seeks_are_refused(cluster: Cluster) -> None:
    consumer = cluster.consumer(("orders", 0))
    with pytest.raises(RequestError, match="timeout_ms must be 0 or more"):
        consumer.poll(timeout_ms=-1)
    with pytest.raises(RequestError, match="max_records must be 1 or more"):
        consumer.poll(max_records=0)
    with pytest.raises(RequestError, match="offset must be 0 or more"):
        consumer.seek("orders", 0, -3)
    assert consumer.poll() == ()


def test_an_election_of_a_broker_that_is_not_in_sync_is_refused(cluster: Cluster) -> None:
    leader = cluster.leader("orders")
    other = next(member for member in cluster.in_sync_replicas("orders") if member != leader)
    cluster.crash(other)
    cluster.wait_for(lambda: other not in cluster.in_sync_replicas("orders"))
    with pytest.raises(RequestError, match=f"broker {other} is not in sync"):
        cluster.elect("orders", 0, other)


def test_a_cluster_that_does_not_record_has_no_history() -> None:
    cluster = Cluster(record=False)
    cluster.create_topic("t")
    cluster.producer().send("t", b"v").offset  # noqa: B018
    with pytest.raises(RequestError, match="record=False"):
        cluster.history()


# --- what an administrator changes ---------------------------------------------------------------------------------


def test_a_topic_gets_more_partitions_and_the_old_ones_keep_what_they_have() -> None:
    with Cluster(brokers=3) as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        assert producer.send("orders", b"one").offset == 0
        cluster.create_partitions("orders", 3)
        assert producer.send("orders", b"two", partition=2).offset == 0
        assert [found.record.value for found in cluster.records("orders")] == [b"one", b"two"]
        with pytest.raises(RequestError, match="3"):
            cluster.create_partitions("orders", 3)


def test_a_changed_setting_holds_for_the_next_write() -> None:
    with Cluster(brokers=3) as cluster:
        cluster.create_topic("orders", min_insync_replicas=3)
        producer = cluster.producer(delivery_timeout_ms=40_000)
        cluster.stop(3)
        waiting = producer.send("orders", b"one")
        cluster.advance(5_000)
        assert cluster.records("orders") == []
        cluster.alter_topic("orders", min_insync_replicas=None)
        assert waiting.offset == 0
        with pytest.raises(RequestError, match="unknown setting 'colour'"):
            cluster.alter_topic("orders", colour="red")


def test_deleted_records_are_gone_and_their_producer_is_still_known() -> None:
    with Cluster(brokers=3) as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        producer.send("orders", b"one")
        producer.flush()
        cluster.lose_next_ack()
        repeated = producer.send("orders", b"two")
        cluster.advance(100)
        assert cluster.delete_records("orders") == 2
        assert repeated.offset == 1
        assert producer.send("orders", b"three").offset == 2
        assert [found.record.value for found in cluster.records("orders")] == [b"three"]
        with pytest.raises(RequestError, match="OFFSET_OUT_OF_RANGE"):
            cluster.delete_records("orders", before_offset=99)


def test_a_broker_that_stops_in_order_hands_over_at_once() -> None:
    with Cluster(brokers=3, broker_session_timeout_ms=9_000) as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        producer.send("orders", b"one").offset  # noqa: B018
        leader, before_ms = cluster.leader("orders"), cluster.elapsed_ms
        cluster.stop(leader)
        assert cluster.leader("orders") != leader
        assert producer.send("orders", b"two").offset == 1
        assert cluster.elapsed_ms - before_ms < 1_000
        cluster.restart(leader)
        cluster.wait_for(lambda: leader in cluster.in_sync_replicas("orders"))


def test_an_unclean_election_needs_a_partition_without_a_leader() -> None:
    with Cluster(brokers=2) as cluster:
        cluster.create_topic("orders")
        with pytest.raises(RequestError, match="ELECTION_NOT_NEEDED"):
            cluster.elect_unclean("orders")


def test_a_disk_that_is_lost_is_filled_again_from_the_others() -> None:
    with Cluster(brokers=3) as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        producer.send("orders", b"one").offset  # noqa: B018
        leader = cluster.leader("orders")
        cluster.crash(leader, losing_disk=True)
        cluster.wait_for(lambda: cluster.leader("orders") not in (leader, -1))
        cluster.restart(leader)
        cluster.wait_for(lambda: leader in cluster.in_sync_replicas("orders"))
        assert [found.record.value for found in cluster.records("orders", 0, leader)] == [b"one"]


def test_a_producer_that_begins_elsewhere_does_not_fit_brokers_that_take_only_zero() -> None:
    cluster = Cluster(unknown_producer_first_sequence="zero")
    with pytest.raises(RequestError, match="initial_sequence 7"):
        cluster.producer(initial_sequence=7)
