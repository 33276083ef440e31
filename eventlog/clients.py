"""Floor 5: what a user writes and reads with. Made by a `Cluster`, into whose world every call goes."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from eventlog.client import ConsumerEngine, ProducerEngine
from eventlog.errors import (
    ErrorCode,
    EventLogError,
    FatalError,
    RequestError,
    failure,
)
from eventlog.messages import NO_CONNECTION, Envelope
from eventlog.messages.broker_api import EARLIEST_TIMESTAMP, LATEST_TIMESTAMP
from eventlog.messages.user_api import (
    USER,
    Assign,
    CloseConsumer,
    CloseProducer,
    ConsumedRecord,
    Flush,
    Poll,
    Polled,
    Seek,
    SendRefused,
    SendsResolved,
)
from eventlog.values import (
    Record,
    TopicPartition,
)

if TYPE_CHECKING:
    from eventlog.cluster import Cluster

NONE: Final = ErrorCode.NONE
_new_tuple = tuple.__new__
_new_object = object.__new__
DEFAULT_WAIT_MS: Final = 300_000
Bytes = bytes | str | None


def _to_bytes(what: str, value: Bytes) -> bytes | None:
    if value is None or value.__class__ is bytes:
        return value
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise RequestError(f"{what} must be bytes, str or None, not {type(value).__name__}")


class Delivery:
    """The end of one send, when it has come. Asking for `offset` runs the world until then."""

    __slots__ = ("_error", "_offset", "_producer", "number", "partition", "topic")

    # `Producer.send` makes it and fills it in.
    _producer: Producer
    number: int
    topic: str
    partition: int
    _offset: int
    _error: EventLogError | None

    @property
    def done(self) -> bool:
        """Acknowledged or failed."""
        return self._offset != -2

    @property
    def error(self) -> EventLogError | None:
        """Why it failed; None while it is under way and when it was acknowledged."""
        return self._error

    @property
    def offset(self) -> int:
        """The record's offset, waited for; -1 when it was written at an unknown one (acks=0). Raises what failed."""
        if self._offset == -2:
            self._producer._cluster.wait_for(lambda: self.done, f"the delivery of {self!r}")
        if self._error is not None:
            raise self._error
        return self._offset

    def __repr__(self) -> str:
        if self._error is not None:
            state = f"failed: {self._error.code.name}"
        else:
            known = f"at {self._offset}" if self._offset >= 0 else "written, offset unknown"
            state = "under way" if self._offset == -2 else known
        return f"<Delivery {self.number} to {self.topic}-{self.partition}: {state}>"


class Producer:
    """A producer, idempotent unless told otherwise. Made by `Cluster.producer()`."""

    __slots__ = ("_closed", "_cluster", "_deliveries", "_engine", "name")

    def __init__(self, cluster: Cluster, engine: ProducerEngine) -> None:
        self._cluster = cluster
        self._engine = engine
        self.name = engine.name
        self._deliveries: dict[int, Delivery] = {}
        self._closed = False

    def send(
        self,
        topic: str,
        value: Bytes,
        key: Bytes = None,
        partition: int = -1,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> Delivery:
        """Hand over one record; returns at once. `partition` -1: by key, or sticky without one.

        Raises RequestError for a call that can't be right, FatalError when this producer is closed or finished. O(1).
        """
        if self._closed:
            raise FatalError(f"producer {self.name!r} is closed; make a new one")
        cluster = self._cluster
        world = cluster._open_world() if cluster._closed else cluster._world
        if value.__class__ is not bytes or (key is not None and key.__class__ is not bytes):
            value = _to_bytes("value", value)
            key = _to_bytes("key", key)
        number = cluster._next_send_number
        cluster._next_send_number = number + 1
        # Made without their constructors, in less than half the time: these are most of what a send costs.
        delivery = self._deliveries[number] = _new_object(Delivery)
        delivery._producer = self
        delivery.number = number
        delivery.topic = topic
        delivery.partition = partition
        delivery._offset = -2
        delivery._error = None
        if timestamp_ms is None:
            timestamp_ms = world.now_ms
        record = _new_tuple(Record, (key, value, timestamp_ms, tuple(headers) if headers else (), number))
        world.hand_in(self._engine, topic, partition, record)
        error = delivery._error
        if error is not None and isinstance(error, RequestError | FatalError):
            raise error
        return delivery

    def flush(self, timeout_ms: int = DEFAULT_WAIT_MS) -> None:
        """Send what waits and run the world until every send has its end.

        Raises UnknownOutcomeError when `timeout_ms` of virtual time pass before. A failed send raises here only through
        its own `Delivery`.
        """
        world = self._cluster._open_world()
        world.inject(Envelope(USER, self.name, NO_CONNECTION, 0, Flush()))
        self._cluster.wait_for(lambda: not self._deliveries, f"{self.name!r} to flush", timeout_ms)

    @property
    def in_flight(self) -> int:
        """Sends without an end yet."""
        return len(self._deliveries)

    @property
    def retries(self) -> int:
        """Attempts beyond each batch's first."""
        return self._engine.retries

    @property
    def epoch_bumps(self) -> int:
        """How often it raised its producer epoch by itself."""
        return self._engine.epoch_bumps

    def close(self) -> None:
        """Flush, then refuse further sends. Closing twice is no error."""
        if self._closed:
            return
        if not self._cluster._closed:
            self.flush()
            self._cluster._world.inject(Envelope(USER, self.name, NO_CONNECTION, 0, CloseProducer()))
        self._closed = True

    def __enter__(self) -> Producer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._closed = True

    def _resolved(self, message: SendsResolved) -> None:
        deliveries = self._deliveries
        if message.error is NONE:
            offset = message.base_offset
            partition = message.topic_partition.partition
            for record in message.records:
                delivery = deliveries.pop(record[4])
                delivery.partition = partition
                delivery._offset = offset
                if offset >= 0:
                    offset += 1
            return
        error = failure(message.error, message.message, message.may_be_written)
        for record in message.records:
            self._fail(record.send_number, message.topic_partition.partition, error)

    def _refused(self, message: SendRefused) -> None:
        error = failure(message.error, message.message, False)
        self._fail(message.record.send_number, message.partition, error)

    def _fail(self, number: int, partition: int, error: EventLogError) -> None:
        delivery = self._deliveries.pop(number)
        delivery.partition = partition
        delivery._error = error
        delivery._offset = -1


class Consumer:
    """A reader that is told what to read. Made by `Cluster.consumer()`."""

    __slots__ = ("_closed", "_cluster", "_engine", "_polled", "name")

    def __init__(self, cluster: Cluster, engine: ConsumerEngine) -> None:
        self._cluster = cluster
        self._engine = engine
        self.name = engine.name
        self._polled: Polled | None = None
        self._closed = False

    def _tell(self, message: Any) -> None:
        if self._closed:
            raise FatalError(f"consumer {self.name!r} is closed; make a new one")
        self._cluster._open_world().inject(Envelope(USER, self.name, NO_CONNECTION, 0, message))

    def assign(self, *partitions: tuple[str, int]) -> Consumer:
        """Read these (topic, partition)s. Returns itself."""
        for topic, partition in partitions:
            self._cluster._check_partition(topic, partition)
        self._tell(Assign(tuple([TopicPartition(*partition) for partition in partitions])))
        return self

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Go on from `offset`; -2 is the earliest and -1 the latest."""
        self._cluster._check_partition(topic, partition)
        if offset < EARLIEST_TIMESTAMP:
            raise RequestError(
                f"offset must be 0 or more, {LATEST_TIMESTAMP} (latest) or {EARLIEST_TIMESTAMP} (earliest), not {offset}"
            )
        self._tell(Seek(TopicPartition(topic, partition), offset))

    def poll(self, timeout_ms: int = 0, max_records: int | None = None) -> tuple[ConsumedRecord, ...]:
        """What is there to read, at most `max_records`; waits up to `timeout_ms` of virtual time for the first.

        With 0 it waits just as long as one fetch takes. Reads up to the high watermark. Raises what must be acted on.
        """
        if timeout_ms < 0:
            raise RequestError(f"timeout_ms must be 0 or more, not {timeout_ms}")
        settings = self._engine.settings
        limit = settings.max_poll_records if max_records is None else max_records
        if limit < 1:
            raise RequestError(f"max_records must be 1 or more, not {limit}")
        self._polled = None
        self._tell(Poll(timeout_ms or 1_000, limit))
        self._cluster.wait_for(lambda: self._polled is not None, f"{self.name!r} to poll", DEFAULT_WAIT_MS + timeout_ms)
        polled = self._polled
        assert polled is not None
        if polled.error is not NONE:
            raise failure(polled.error, polled.message, False)
        return polled.records

    def close(self) -> None:
        """Give its connections up. Closing twice is no error."""
        if not self._closed and not self._cluster._closed:
            self._tell(CloseConsumer())
        self._closed = True

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
