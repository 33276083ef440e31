"""Error codes of the protocol, and the exceptions a user can act on.

Two kinds, never mixed:

* What a broker answers is a *value*: an `ErrorCode` in a reply. The core never raises because a peer misbehaved.
* What a user must act on is *raised*, classed by the action and not by the cause: try again (`RetriableError`), find
  out what happened (`UnknownOutcomeError`), abort (`AbortableError`), make a new producer (`FatalError`), mend the
  call (`RequestError`). `.code` says exactly what it was.

A third exception, `InvariantViolation`, means that this library broke its own promise.

Source of the numbers and their classes: Apache Kafka's `org.apache.kafka.common.protocol.Errors`.
"""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Kafka's error numbers, as far as brokers and clients here use them."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    LEADER_NOT_AVAILABLE = 5
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    NETWORK_EXCEPTION = 13
    COORDINATOR_LOAD_IN_PROGRESS = 14
    COORDINATOR_NOT_AVAILABLE = 15
    NOT_COORDINATOR = 16
    INVALID_TOPIC = 17
    RECORD_LIST_TOO_LARGE = 18
    NOT_ENOUGH_REPLICAS = 19
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20
    INVALID_REQUIRED_ACKS = 21
    ILLEGAL_GENERATION = 22
    INVALID_GROUP_ID = 24
    UNKNOWN_MEMBER_ID = 25
    REBALANCE_IN_PROGRESS = 27
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30
    CLUSTER_AUTHORIZATION_FAILED = 31
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_VERSION = 35
    TOPIC_ALREADY_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_CONFIG = 40
    NOT_CONTROLLER = 41
    INVALID_REQUEST = 42
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
    POLICY_VIOLATION = 44
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    DUPLICATE_SEQUENCE_NUMBER = 46
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    INVALID_PRODUCER_ID_MAPPING = 49
    INVALID_TRANSACTION_TIMEOUT = 50
    CONCURRENT_TRANSACTIONS = 51
    TRANSACTION_COORDINATOR_FENCED = 52
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
    OPERATION_NOT_ATTEMPTED = 55
    KAFKA_STORAGE_ERROR = 56
    UNKNOWN_PRODUCER_ID = 59
    FETCH_SESSION_ID_NOT_FOUND = 70
    FENCED_LEADER_EPOCH = 74
    UNKNOWN_LEADER_EPOCH = 75
    UNSUPPORTED_COMPRESSION_TYPE = 76
    STALE_BROKER_EPOCH = 77
    OFFSET_NOT_AVAILABLE = 78
    PREFERRED_LEADER_NOT_AVAILABLE = 80
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83
    ELECTION_NOT_NEEDED = 84
    INVALID_RECORD = 87
    PRODUCER_FENCED = 90
    INVALID_UPDATE_VERSION = 95
    UNKNOWN_TOPIC_ID = 100
    INELIGIBLE_REPLICA = 107
    NEW_LEADER_ELECTED = 108
    TRANSACTION_ABORTABLE = 120

    @property
    def is_retriable(self) -> bool:
        """True when the Java client retries this code by its class."""
        return self in RETRIABLE

    @property
    def invalidates_metadata(self) -> bool:
        """True when the Java client asks for fresh metadata on this code."""
        return self in INVALIDATES_METADATA

    @property
    def may_be_written(self) -> bool:
        """True when a produce answered with this code may be in the log all the same."""
        return self in MAY_BE_WRITTEN


# Dictionaries, not sets: their order is the same in every process.
RETRIABLE: dict[ErrorCode, None] = dict.fromkeys(
    (
        ErrorCode.CORRUPT_MESSAGE,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.NOT_ENOUGH_REPLICAS,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode.CONCURRENT_TRANSACTIONS,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.OFFSET_NOT_AVAILABLE,
        ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.UNKNOWN_TOPIC_ID,
    )
)
INVALIDATES_METADATA: dict[ErrorCode, None] = dict.fromkeys(
    (
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        ErrorCode.UNKNOWN_TOPIC_ID,
    )
)
MAY_BE_WRITTEN: dict[ErrorCode, None] = dict.fromkeys(
    (
        ErrorCode.NONE,
        ErrorCode.UNKNOWN_SERVER_ERROR,
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.REQUEST_TIMED_OUT,
        ErrorCode.NETWORK_EXCEPTION,
        ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
        ErrorCode.KAFKA_STORAGE_ERROR,
    )
)
FATAL: dict[ErrorCode, None] = dict.fromkeys(
    (
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ErrorCode.UNSUPPORTED_VERSION,
        ErrorCode.PRODUCER_FENCED,
    )
)


class EventLogError(Exception):
    """What a user has to act on. `code` is the protocol's error number (NONE where no broker was asked)."""

    def __init__(self, message: str, code: ErrorCode = ErrorCode.NONE) -> None:
        super().__init__(message)
        self.code = code


class RetriableError(EventLogError):
    """Nothing was written; the same call may succeed later."""


class UnknownOutcomeError(EventLogError):
    """The records may have been written or not; sending them again may duplicate them."""


class AbortableError(EventLogError):
    """The transaction must be aborted; the producer can be used again afterwards."""


class FatalError(EventLogError):
    """This producer or cluster is finished; make a new one."""


class RequestError(EventLogError, ValueError):
    """The call can't be right as it stands; nothing was done."""


class InvariantViolation(Exception):
    """This library broke one of its own promises: a bug here, not in the caller.

    `promise` names the promise (`H7`), `at_event` the event's number in the run.
    """

    def __init__(self, message: str, promise: str = "", at_event: int = -1) -> None:
        super().__init__(message)
        self.promise = promise
        self.at_event = at_event


def failure(code: ErrorCode, message: str, may_be_written: bool | None = None) -> EventLogError:
    """The exception for a delivery that failed with `code`, classed by what its sender can do."""
    if code in FATAL:
        return FatalError(message, code)
    if code.may_be_written if may_be_written is None else may_be_written:
        return UnknownOutcomeError(message, code)
    return RetriableError(message, code) if code.is_retriable else RequestError(message, code)
