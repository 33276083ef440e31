"""Settings under Kafka's names (dots become underscores) with Kafka's defaults, checked when made.

Times are milliseconds, sizes bytes. A value outside its range raises `RequestError` and says what was expected.
Source: the configuration reference of Apache Kafka 4.x; where a default differs, the field says so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, TypeVar

from eventlog.errors import RequestError
from eventlog.values.sequence import MAX_SEQUENCE

MAX_LONG = 2**63 - 1


def _check(owner: object, name: str, low: int, high: int) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise RequestError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
    if not low <= value <= high:
        raise RequestError(f"{name} must be from {low} to {high}, not {value}")


def _check_flags(owner: object, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if not isinstance(value, bool):
            raise RequestError(f"{name} must be True or False, not {value!r}")


def _check_word(owner: object, name: str, words: tuple[str, ...]) -> None:
    value = getattr(owner, name)
    if value not in words:
        *others, last = [repr(word) for word in words]
        raise RequestError(f"{name} must be {', '.join(others)} or {last}, not {value!r}")


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What all brokers and the controller of one cluster share."""

    min_insync_replicas: int = 1
    replica_lag_time_max_ms: int = 30_000
    replica_fetch_backoff_ms: int = 1_000
    replica_fetch_max_bytes: int = 1_048_576
    replica_high_watermark_checkpoint_interval_ms: int = 5_000
    log_flush_interval_ms: int = 10_000
    """How long an appended batch may stay unflushed. Kafka leaves it to the operating system; this stands for it."""
    message_max_bytes: int = 1_048_588
    broker_session_timeout_ms: int = 9_000
    producer_id_expiration_ms: int = 86_400_000
    producer_id_expiration_check_interval_ms: int = 600_000
    transaction_partition_verification_enable: bool = True
    unclean_leader_election_enable: bool = False
    eligible_leader_replicas_enable: bool = True
    """KIP-966, on in a new cluster since 4.1: whoever was in sync when too few were left may lead again."""
    log_segment_bytes: int = 1_073_741_824
    log_roll_ms: int = 604_800_000
    log_retention_ms: int = 604_800_000
    """-1: no limit."""
    log_retention_bytes: int = -1
    """-1: no limit."""
    log_retention_check_interval_ms: int = 300_000
    producer_snapshot_batches: int = 1
    """How many batches of a producer a snapshot keeps, and so how many a restarted broker knows: 1 as in Kafka, or 5.

    Kafka has no such setting; 5 shows what the difference costs and saves.
    """
    unknown_producer_first_sequence: str = "any"
    """What a producer that the partition does not know may begin with: "any" sequence as in Kafka, or only "zero"."""

    def __post_init__(self) -> None:
        _check(self, "min_insync_replicas", 1, 32)
        _check_flags(
            self,
            "transaction_partition_verification_enable",
            "unclean_leader_election_enable",
            "eligible_leader_replicas_enable",
        )
        for name in (
            "replica_lag_time_max_ms",
            "replica_high_watermark_checkpoint_interval_ms",
            "log_flush_interval_ms",
            "broker_session_timeout_ms",
            "producer_id_expiration_ms",
            "producer_id_expiration_check_interval_ms",
            "log_roll_ms",
            "log_retention_check_interval_ms",
        ):
            _check(self, name, 1, MAX_LONG)
        _check(self, "log_segment_bytes", 14, MAX_SEQUENCE)
        _check(self, "log_retention_ms", -1, MAX_LONG)
        _check(self, "log_retention_bytes", -1, MAX_LONG)
        if self.producer_snapshot_batches not in (1, 5):
            raise RequestError(
                f"producer_snapshot_batches must be 1 (as in Kafka) or 5, not {self.producer_snapshot_batches!r}"
            )
        _check_word(self, "unknown_producer_first_sequence", ("any", "zero"))
        _check(self, "replica_fetch_backoff_ms", 0, MAX_SEQUENCE)
        _check(self, "replica_fetch_max_bytes", 1, MAX_SEQUENCE)
        _check(self, "message_max_bytes", 0, MAX_SEQUENCE)


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """One topic's overrides; None means: as the broker has it."""

    min_insync_replicas: int | None = None
    max_message_bytes: int | None = None
    message_timestamp_type: str = "CreateTime"
    message_timestamp_after_max_ms: int = 3_600_000
    message_timestamp_before_max_ms: int = MAX_LONG
    unclean_leader_election_enable: bool | None = None
    cleanup_policy: str = "delete"
    """`delete`, `compact` or `compact,delete`. A compacted topic takes no record without a key."""
    segment_bytes: int | None = None
    segment_ms: int | None = None
    retention_ms: int | None = None
    retention_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.min_insync_replicas is not None:
            _check(self, "min_insync_replicas", 1, MAX_SEQUENCE)
        if self.max_message_bytes is not None:
            _check(self, "max_message_bytes", 0, MAX_SEQUENCE)
        if self.unclean_leader_election_enable is not None:
            _check_flags(self, "unclean_leader_election_enable")
        _check_word(self, "message_timestamp_type", ("CreateTime", "LogAppendTime"))
        _check_word(self, "cleanup_policy", ("delete", "compact", "compact,delete"))
        for name, low, high in (
            ("segment_bytes", 14, MAX_SEQUENCE),
            ("segment_ms", 1, MAX_LONG),
            ("retention_ms", -1, MAX_LONG),
            ("retention_bytes", -1, MAX_LONG),
        ):
            if getattr(self, name) is not None:
                _check(self, name, low, high)
        _check(self, "message_timestamp_after_max_ms", 0, MAX_LONG)
        _check(self, "message_timestamp_before_max_ms", 0, MAX_LONG)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What one log goes by: a topic's overrides over the broker's settings, nothing left open. See `log_settings`."""

    min_insync_replicas: int = 1
    max_message_bytes: int = 1_048_588
    message_timestamp_type: str = "CreateTime"
    message_timestamp_after_max_ms: int = 3_600_000
    message_timestamp_before_max_ms: int = MAX_LONG
    unclean_leader_election_enable: bool = False
    cleanup_policy: str = "delete"
    segment_bytes: int = 1_073_741_824
    segment_ms: int = 604_800_000
    retention_ms: int = 604_800_000
    retention_bytes: int = -1
    producer_id_expiration_ms: int = 86_400_000
    transaction_partition_verification_enable: bool = True
    producer_snapshot_batches: int = 1
    unknown_producer_first_sequence: str = "any"


# The settings that a topic may override, and what the broker calls its default.
_BROKER_NAMES = {
    "min_insync_replicas": "min_insync_replicas",
    "max_message_bytes": "message_max_bytes",
    "unclean_leader_election_enable": "unclean_leader_election_enable",
    "segment_bytes": "log_segment_bytes",
    "segment_ms": "log_roll_ms",
    "retention_ms": "log_retention_ms",
    "retention_bytes": "log_retention_bytes",
    "producer_id_expiration_ms": "producer_id_expiration_ms",
    "transaction_partition_verification_enable": "transaction_partition_verification_enable",
    "producer_snapshot_batches": "producer_snapshot_batches",
    "unknown_producer_first_sequence": "unknown_producer_first_sequence",
}


@lru_cache(maxsize=64)
def log_settings(broker: BrokerSettings, overrides: tuple[tuple[str, int | str | bool], ...] = ()) -> LogSettings:
    """A topic's `overrides`, (name, value) pairs that `TopicSettings` has checked, over the broker's settings."""
    values = {name: getattr(broker, theirs) for name, theirs in _BROKER_NAMES.items()}
    values.update(overrides)
    return LogSettings(**values)


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """A producer's settings, as the Java client has them.

    With `enable_idempotence` (the default) `acks` must be -1, `retries` above 0 and
    `max_in_flight_requests_per_connection` at most 5: five is what a broker remembers. A conflict is an error. In Kafka
    it is one only when the user switched idempotence on himself; where it is on by default, the conflict silently
    switches it off. Here nobody loses it without having said so: say `enable_idempotence=False` beside `acks=1`.
    """

    enable_idempotence: bool = True
    acks: int = -1
    retries: int = MAX_SEQUENCE
    max_in_flight_requests_per_connection: int = 5
    delivery_timeout_ms: int = 120_000
    request_timeout_ms: int = 30_000
    retry_backoff_ms: int = 100
    retry_backoff_max_ms: int = 1_000
    reconnect_backoff_ms: int = 50
    linger_ms: int = 5
    batch_size: int = 16_384
    buffer_memory: int = 33_554_432
    max_request_size: int = 1_048_576
    initial_sequence: int = 0
    """Where sequences of a new producer epoch begin. Kafka has no such setting: tests begin near 2**31-1 with it."""
    retry_backoff_jitter_percent: int = 20
    """How much a back-off may be longer or shorter. Fixed at 20 in Kafka; a search does without, to have fewer moments."""
    metadata_max_wait_ms: int = 1_000
    """How long a broker may hold back its answer about a partition without a newer leader. Kafka's clients ask again and
    again instead; here nobody polls."""
    behaves_like: str = "java"
    """Whose conduct after an error: that of Kafka's own client (`java`) or of `librdkafka`, on which the clients for most
    other languages are built. Defaults stay those of the Java client."""

    def __post_init__(self) -> None:
        _check_flags(self, "enable_idempotence")
        if self.acks not in (-1, 0, 1):
            raise RequestError(f"acks must be -1 (all), 0 or 1, not {self.acks!r}")
        _check(self, "retries", 0, MAX_SEQUENCE)
        _check(self, "max_in_flight_requests_per_connection", 1, MAX_SEQUENCE)
        for name in ("delivery_timeout_ms", "request_timeout_ms"):
            _check(self, name, 1, MAX_SEQUENCE)
        for name in ("retry_backoff_ms", "retry_backoff_max_ms", "reconnect_backoff_ms", "linger_ms", "batch_size"):
            _check(self, name, 0, MAX_SEQUENCE)
        _check(self, "buffer_memory", 1, MAX_LONG)
        _check(self, "max_request_size", 1, MAX_SEQUENCE)
        _check(self, "initial_sequence", 0, MAX_SEQUENCE)
        _check(self, "retry_backoff_jitter_percent", 0, 100)
        _check(self, "metadata_max_wait_ms", 0, MAX_SEQUENCE)
        _check_word(self, "behaves_like", ("java", "librdkafka"))
        if self.delivery_timeout_ms < self.linger_ms + self.request_timeout_ms:
            raise RequestError(
                f"delivery_timeout_ms ({self.delivery_timeout_ms}) must be at least linger_ms ({self.linger_ms}) "
                f"+ request_timeout_ms ({self.request_timeout_ms})"
            )
        if self.enable_idempotence:
            if self.acks != -1:
                raise RequestError(f"enable_idempotence needs acks=-1 (all), not {self.acks}")
            if self.retries == 0:
                raise RequestError("enable_idempotence needs retries above 0")
            if self.max_in_flight_requests_per_connection > 5:
                raise RequestError(
                    "enable_idempotence needs max_in_flight_requests_per_connection from 1 to 5 (a broker remembers "
                    f"five batches), not {self.max_in_flight_requests_per_connection}"
                )


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """A consumer's settings, as the Java client has them."""

    auto_offset_reset: str = "earliest"
    """Kafka's default is `latest`; a reader in a test nearly always means the whole log."""
    isolation_level: str = "read_uncommitted"
    fetch_min_bytes: int = 1
    fetch_max_wait_ms: int = 500
    fetch_max_bytes: int = 52_428_800
    max_partition_fetch_bytes: int = 1_048_576
    max_poll_records: int = 500
    request_timeout_ms: int = 30_000
    retry_backoff_ms: int = 100
    retry_backoff_max_ms: int = 1_000
    reconnect_backoff_ms: int = 50

    def __post_init__(self) -> None:
        _check_word(self, "auto_offset_reset", ("earliest", "latest", "none"))
        _check_word(self, "isolation_level", ("read_uncommitted", "read_committed"))
        for name in ("fetch_min_bytes", "fetch_max_wait_ms", "retry_backoff_ms", "retry_backoff_max_ms"):
            _check(self, name, 0, MAX_SEQUENCE)
        _check(self, "reconnect_backoff_ms", 0, MAX_SEQUENCE)
        for name in ("fetch_max_bytes", "max_partition_fetch_bytes", "max_poll_records", "request_timeout_ms"):
            _check(self, name, 1, MAX_SEQUENCE)


Settings = TypeVar("Settings", BrokerSettings, TopicSettings, LogSettings, ProducerSettings, ConsumerSettings)

_SHORT_NAMES = {"max_in_flight": "max_in_flight_requests_per_connection", "idempotence": "enable_idempotence"}


def with_settings(base: Settings, overrides: dict[str, Any]) -> Settings:
    """`base` with `overrides`; names may be written with dots. Raises RequestError for an unknown name or bad value."""
    known = [field.name for field in fields(base)]
    clean: dict[str, Any] = {}
    for given, value in overrides.items():
        name = given.replace(".", "_")
        name = _SHORT_NAMES.get(name, name)
        if name not in known:
            raise RequestError(f"unknown setting {given!r}; the known ones are: {', '.join(known)}")
        clean[name] = -1 if name == "acks" and value == "all" else value
    return replace(base, **clean) if clean else base
