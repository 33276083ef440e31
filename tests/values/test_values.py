"""Plain values at their edges: sequences, sizes, settings, chance."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import eventlog
from eventlog.errors import RequestError
from eventlog.values import (
    FAULTS,
    BrokerSettings,
    ConsumerSettings,
    LogSettings,
    ProducerSettings,
    Record,
    TopicPartition,
    TopicSettings,
    batch_size_bytes,
    chance,
    check_fault_names,
    decrement,
    draw,
    increment,
    is_next,
    log_settings,
    placed,
    record_batch,
    record_size_bytes,
    with_settings,
)

MAX = 2_147_483_647
MAX_LONG = 2**63 - 1

# --- sequences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sequence", "by", "after"),
    [(0, 0, 0), (0, MAX, MAX), (MAX, 1, 0), (MAX, 100, 99), (99, MAX, 98), (MAX, MAX, MAX - 1), (MAX - 10, 20, 9)],
)
def test_increment_wraps_modulo_two_to_the_31(sequence: int, by: int, after: int) -> None:
    assert increment(sequence, by) == after
    assert decrement(after, by) == sequence


@given(st.integers(0, MAX), st.integers(0, MAX))
def test_increment_and_decrement_are_as_kafka_writes_them(sequence: int, by: int) -> None:
    up = by - (MAX - sequence) - 1 if sequence > MAX - by else sequence + by
    down = MAX - (by - sequence) + 1 if sequence < by else sequence - by
    assert (increment(sequence, by), decrement(sequence, by)) == (up, down)


@pytest.mark.parametrize(
    ("last", "base", "follows"),
    [
        (-1, 0, True),
        (-1, 1, False),
        (-1, -1, False),
        (0, 1, True),
        (0, 0, False),
        (MAX - 1, MAX, True),
        (MAX, 0, True),
        (MAX, 1, False),
        (MAX, MAX, False),
        (MAX, MAX + 1, False),
    ],
)
def test_what_follows_a_sequence(last: int, base: int, follows: bool) -> None:
    assert is_next(last, base) is follows


@pytest.mark.parametrize(
    ("base", "count", "last"), [(-1, 5, -1), (0, 1, 0), (MAX, 1, MAX), (MAX, 2, 0), (MAX - 10, 21, 9)]
)
def test_a_batchs_last_sequence_wraps(base: int, count: int, last: int) -> None:
    records = tuple(Record(None, b"v") for _ in range(count))
    assert record_batch(records, 1, 0, base).last_sequence == last


# --- records and sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "size"),
    [(0, 1), (63, 1), (-64, 1), (64, 2), (-65, 2), (8_191, 2), (8_192, 3), (2**31 - 1, 5), (-(2**31), 5)],
)
def test_a_timestamp_delta_takes_as_many_bytes_as_its_varint(number: int, size: int) -> None:
    # length, attributes, the delta, offset delta, no key, no value, no headers
    assert record_size_bytes(Record(None, None), 0, number) == 1 + 1 + size + 1 + 1 + 1 + 1


@pytest.mark.parametrize(
    ("value", "body"), [(None, 6), (b"", 6), (b"v", 7), (b"v" * 63, 69), (b"v" * 64, 71), (b"v" * 8_191, 8_198)]
)
def test_a_records_length_counts_its_own_varint(value: bytes | None, body: int) -> None:
    length = 1 if body < 64 else 2 if body < 8_192 else 3
    assert record_size_bytes(Record(None, value), 0, 0) == length + body


def test_headers_and_keys_are_counted() -> None:
    bare = record_size_bytes(Record(None, None), 0, 0)
    assert record_size_bytes(Record(b"key", None), 0, 0) == bare + 3
    assert record_size_bytes(Record(None, None, -1, (("h", b"x"),)), 0, 0) == bare + 1 + 1 + 1 + 1
    assert record_size_bytes(Record(None, None, -1, (("é", None),)), 0, 0) == bare + 1 + 2 + 1


def test_an_empty_batch_is_its_header() -> None:
    assert batch_size_bytes(()) == 61
    assert batch_size_bytes((Record(None, b"v", 5),)) == 61 + 8


def test_a_fresh_batch_and_its_place() -> None:
    records = (Record(None, b"a", 7), Record(None, b"b", 9), Record(None, b"c", 8))
    fresh = record_batch(records, 5, 32767, 3)
    assert (fresh.base_offset, fresh.leader_epoch, fresh.last_offset_delta, fresh.record_count) == (0, -1, 2, 3)
    assert (fresh.base_timestamp_ms, fresh.max_timestamp_ms) == (7, 9)
    there = placed(fresh, 40, 6)
    assert (there.base_offset, there.last_offset, there.end_offset, there.leader_epoch) == (40, 42, 43, 6)
    assert there.records is fresh.records
    assert str(there) == "3 records at 40..42, producer 5 (epoch 32767) sequences 3..5"
    assert str(placed(record_batch(records[:1]), 2, 0)) == "1 records at 2..2, no producer id"
    assert str(TopicPartition("orders", 3)) == "orders-3"


# --- settings -----------------------------------------------------------------------------------------------------

RANGES = [
    (BrokerSettings, "min_insync_replicas", 1, 32),
    (BrokerSettings, "replica_lag_time_max_ms", 1, MAX_LONG),
    (BrokerSettings, "replica_fetch_backoff_ms", 0, MAX),
    (BrokerSettings, "replica_fetch_max_bytes", 1, MAX),
    (BrokerSettings, "message_max_bytes", 0, MAX),
    (BrokerSettings, "broker_session_timeout_ms", 1, MAX_LONG),
    (BrokerSettings, "producer_id_expiration_ms", 1, MAX_LONG),
    (BrokerSettings, "producer_id_expiration_check_interval_ms", 1, MAX_LONG),
    (BrokerSettings, "log_flush_interval_ms", 1, MAX_LONG),
    (TopicSettings, "min_insync_replicas", 1, MAX),
    (TopicSettings, "max_message_bytes", 0, MAX),
    (TopicSettings, "message_timestamp_after_max_ms", 0, MAX_LONG),
    (TopicSettings, "message_timestamp_before_max_ms", 0, MAX_LONG),
    (TopicSettings, "segment_bytes", 14, MAX),
    (TopicSettings, "segment_ms", 1, MAX_LONG),
    (TopicSettings, "retention_ms", -1, MAX_LONG),
    (TopicSettings, "retention_bytes", -1, MAX_LONG),
    (BrokerSettings, "log_segment_bytes", 14, MAX),
    (BrokerSettings, "log_roll_ms", 1, MAX_LONG),
    (BrokerSettings, "log_retention_ms", -1, MAX_LONG),
    (BrokerSettings, "log_retention_bytes", -1, MAX_LONG),
    (BrokerSettings, "log_retention_check_interval_ms", 1, MAX_LONG),
    (ProducerSettings, "retries", 1, MAX),
    (ProducerSettings, "max_in_flight_requests_per_connection", 1, 5),
    (ProducerSettings, "retry_backoff_ms", 0, MAX),
    (ProducerSettings, "batch_size", 0, MAX),
    (ProducerSettings, "buffer_memory", 1, MAX_LONG),
    (ProducerSettings, "max_request_size", 1, MAX),
    (ProducerSettings, "initial_sequence", 0, MAX),
    (ConsumerSettings, "fetch_min_bytes", 0, MAX),
    (ConsumerSettings, "fetch_max_bytes", 1, MAX),
    (ConsumerSettings, "max_poll_records", 1, MAX),
    (ConsumerSettings, "request_timeout_ms", 1, MAX),
]


@pytest.mark.parametrize(("kind", "name", "low", "high"), RANGES)
def test_a_setting_takes_its_whole_range_and_nothing_beyond(kind: type, name: str, low: int, high: int) -> None:
    for good in (low, high):
        assert getattr(kind(**{name: good}), name) == good
    for bad in (low - 1, high + 1):
        with pytest.raises(RequestError, match=name):
            kind(**{name: bad})
    for wrong in (True, 1.5, "1"):
        with pytest.raises(RequestError, match=f"{name} must be a whole number"):
            kind(**{name: wrong})


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ProducerSettings, {"acks": 2}, r"acks must be -1 \(all\), 0 or 1, not 2"),
        (ProducerSettings, {"acks": 1}, "enable_idempotence needs acks=-1"),
        (ProducerSettings, {"retries": 0}, "enable_idempotence needs retries above 0"),
        (ProducerSettings, {"max_in_flight_requests_per_connection": 6}, "from 1 to 5 .* not 6"),
        (ProducerSettings, {"delivery_timeout_ms": 30_004}, "must be at least linger_ms .* request_timeout_ms"),
        (TopicSettings, {"message_timestamp_type": "Never"}, "'CreateTime' or 'LogAppendTime', not 'Never'"),
        (ConsumerSettings, {"auto_offset_reset": "newest"}, "'earliest', 'latest' or 'none', not 'newest'"),
        (ConsumerSettings, {"isolation_level": "serializable"}, "not 'serializable'"),
        (TopicSettings, {"cleanup_policy": "shred"}, "'delete', 'compact' or 'compact,delete', not 'shred'"),
        (TopicSettings, {"unclean_leader_election_enable": "false"}, "must be True or False, not 'false'"),
        (BrokerSettings, {"eligible_leader_replicas_enable": 1}, "must be True or False, not 1"),
        (BrokerSettings, {"producer_snapshot_batches": 2}, r"must be 1 \(as in Kafka\) or 5, not 2"),
        (BrokerSettings, {"unknown_producer_first_sequence": "one"}, "'any' or 'zero', not 'one'"),
        (ProducerSettings, {"enable_idempotence": None}, "must be True or False, not None"),
        (ProducerSettings, {"behaves_like": "sarama"}, "'java' or 'librdkafka', not 'sarama'"),
    ],
)
def test_an_impossible_setting_says_what_was_expected(kind: type, values: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        kind(**values)


def test_limits_of_idempotence_bind_only_the_idempotent() -> None:
    loose = ProducerSettings(enable_idempotence=False, acks=0, retries=0, max_in_flight_requests_per_connection=6)
    assert loose.acks == 0
    assert ProducerSettings(delivery_timeout_ms=30_005).delivery_timeout_ms == 30_005


def test_kafkas_defaults() -> None:
    broker, producer = BrokerSettings(), ProducerSettings()
    assert (broker.producer_id_expiration_ms, broker.producer_id_expiration_check_interval_ms) == (86_400_000, 600_000)
    assert (broker.replica_lag_time_max_ms, broker.message_max_bytes) == (30_000, 1_048_588)
    assert (producer.acks, producer.retries, producer.delivery_timeout_ms) == (-1, MAX, 120_000)
    assert (producer.enable_idempotence, producer.max_in_flight_requests_per_connection) == (True, 5)
    assert (producer.linger_ms, producer.batch_size, producer.request_timeout_ms) == (5, 16_384, 30_000)


def test_settings_may_be_written_with_dots_short_names_and_all() -> None:
    made = with_settings(ProducerSettings(), {"acks": "all", "linger.ms": 7, "max_in_flight": 3})
    assert (made.acks, made.linger_ms, made.max_in_flight_requests_per_connection) == (-1, 7, 3)
    assert with_settings(made, {}) is made
    assert with_settings(made, {"idempotence": False, "acks": 1}).acks == 1
    with pytest.raises(RequestError, match=r"unknown setting 'linger_s'; the known ones are: .*linger_ms"):
        with_settings(ProducerSettings(), {"linger_s": 1})


# --- faults, chance, version --------------------------------------------------------------------------------------


def test_fault_names_come_in_the_tables_order_each_once() -> None:
    assert check_fault_names(("crash", "delay", "crash")) == ("delay", "crash")
    assert check_fault_names(()) == ()
    assert all(kind.name == name and kind.what for name, kind in FAULTS.items())
    with pytest.raises(RequestError, match="unknown fault 'meteor'; the known ones are: request_lost"):
        check_fault_names(("meteor",))


GOLDEN = {
    (0, ""): 0x952F14F1E8DDC491,
    (0, "crash"): 0x50826B23AA3D807B,
    (1, "crash"): 0x97DE25F306595073,
    (2**63, "produce t-0 0 #1"): 0x2DF71C1F8DAE7AA2,
}


@pytest.mark.parametrize(("seed", "name"), GOLDEN)
def test_chance_is_the_same_on_every_machine_for_ever(seed: int, name: str) -> None:
    assert chance(seed, name) == GOLDEN[(seed, name)]


def test_chance_depends_on_seed_and_name_and_draws_evenly_enough() -> None:
    assert len({chance(seed, name) for seed in range(50) for name in ("a", "b", "c")}) == 150
    counts = [0] * 10
    for seed in range(10_000):
        counts[draw(seed, "dice", 10)] += 1
    assert min(counts) > 850
    assert max(counts) < 1_150


def test_the_version_is_said_once_and_the_package_has_it() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    assert tomllib.loads(pyproject.read_text())["project"]["version"] == eventlog.__version__


def test_what_a_topic_leaves_open_is_as_the_broker_has_it() -> None:
    broker = BrokerSettings(log_retention_ms=5, message_max_bytes=7, min_insync_replicas=2, log_segment_bytes=99)
    settings = log_settings(broker, (("retention_ms", 9), ("cleanup_policy", "compact")))
    assert (settings.retention_ms, settings.cleanup_policy) == (9, "compact")
    assert (settings.max_message_bytes, settings.min_insync_replicas, settings.segment_bytes) == (7, 2, 99)
    assert log_settings(BrokerSettings()) == LogSettings()
