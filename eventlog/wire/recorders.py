"""Thin recorders around real clients: what an application sent and was told, and what it polled.

    producer = kafka.record(confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap}))

A recorder is used like its client: what is sent, acknowledged, polled, assigned and sought is written down on its way, and
everything else is the client's own. It changes no setting, no argument and no answer. No client library is imported here: a
client is known by the names of its classes.

Consumers recorded under one name are one reader that lives on: what a second one gets again, or passes over, because of
where the first had committed, is seen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from eventlog.errors import RequestError
from eventlog.values import TopicPartition

if TYPE_CHECKING:
    from eventlog.wire.door import Door

Headers = tuple[tuple[str, bytes | None], ...]
Content = tuple[bytes | None, bytes | None, Headers]
"""(key, value, headers): by what a record is recognised. Two sends with equal contents can't be told apart."""

LIBRDKAFKA: Final = "librdkafka"
ANYWHERE: Final = -1
NO_OFFSET: Final = -1


class Handed(NamedTuple):
    """A record was handed to a producer. `content` None: not known before its report."""

    position: int
    at_ms: int
    producer: str
    topic: str
    partition: int
    content: Content | None


class Told(NamedTuple):
    """The application was told what became of send `number`. `error` empty: acknowledged; `offset` -1: nobody says where."""

    position: int
    at_ms: int
    number: int
    partition: int
    offset: int
    error: str
    content: Content | None


class Put(NamedTuple):
    """A consumer was put somewhere. `is_explicit` False: to where it had committed, or where its defaults say."""

    position: int
    at_ms: int
    consumer: str
    topic_partition: TopicPartition
    offset: int
    is_explicit: bool


class Polled(NamedTuple):
    """A consumer got a record. `content` None: a deserializer made something else of it."""

    position: int
    at_ms: int
    consumer: str
    topic_partition: TopicPartition
    offset: int
    leader_epoch: int
    content: Content | None


class Journal:
    """What the recorders of one door wrote down; the index in `handed` is a send's number. Any thread may write."""

    __slots__ = ("_lock", "_names", "door", "handed", "kinds", "reading", "told")

    def __init__(self, door: Door) -> None:
        self.door = door
        self.handed: list[Handed] = []
        self.told: list[Told] = []
        self.reading: list[Put | Polled] = []
        self.kinds: dict[str, str] = {}
        """Each producer's name, and whose rules it follows."""
        self._names: dict[str, int] = {}
        self._lock = threading.Lock()

    def record(self, client: Any, name: str = "") -> Any:
        """A recorder around `client`, a producer or a consumer. Raises RequestError for anything else."""
        if self.door.sightings is None:
            raise RequestError("this cluster or its door was made with record=False: there is nothing to judge by")
        if isinstance(client, Recorder):
            raise RequestError(f"{client!r} is recorded already")
        for kind in type(client).__mro__:
            recorder = _RECORDERS.get((kind.__module__.partition(".")[0], kind.__name__))
            if recorder is not None:
                return recorder(self, client, name)
        known = ", ".join([f"{package}.{kind}".replace("cimpl.", "confluent_kafka.") for package, kind in _RECORDERS])
        raise RequestError(
            f"a {type(client).__module__}.{type(client).__qualname__} can't be recorded; these can: {known}. What comes "
            "through the door is judged all the same: leave this one unrecorded"
        )

    def name_for(self, name: str, kind: str) -> str:
        """`name`, or one that is free."""
        if not name:
            self._names[kind] = self._names.get(kind, 0) + 1
            name = f"{kind}-{self._names[kind]}"
        return name

    # --- what recorders say ---------------------------------------------------------------------------------------

    @property
    def _now(self) -> tuple[int, int]:
        sightings = self.door.sightings
        assert sightings is not None
        return sightings.position, self.door.world.now_ms

    def hand(self, producer: str, topic: str, partition: int | None, content: Content | None) -> int:
        """A record goes to a producer; returns its number."""
        wanted = ANYWHERE if partition is None or partition < 0 else partition
        entry = Handed(*self._now, producer, topic, wanted, content)
        with self._lock:
            self.handed.append(entry)
            return len(self.handed) - 1

    def acknowledge(
        self, number: int, partition: int | None, offset: int | None, content: Content | None = None
    ) -> None:
        """It is written."""
        where = ANYWHERE if partition is None else partition
        at = NO_OFFSET if offset is None or offset < 0 else offset
        self.told.append(Told(*self._now, number, where, at, "", content))

    def fail(self, number: int, error: str, content: Content | None = None) -> None:
        """It was given up."""
        sightings = self.door.sightings
        assert sightings is not None
        # No answer need have come: what struck in the world since the last one was before this.
        position, now_ms = sightings.newest(), self.door.world.now_ms
        self.told.append(Told(position, now_ms, number, ANYWHERE, NO_OFFSET, error or "unknown error", content))

    def put(self, consumer: str, topic: str, partition: int, offset: int = ANYWHERE, is_explicit: bool = True) -> None:
        """A consumer is put at an offset, or somewhere."""
        name = TopicPartition(topic, partition)
        self.reading.append(Put(*self._now, consumer, name, offset if offset >= 0 else ANYWHERE, is_explicit))

    def poll(self, consumer: str, message: tuple[str, int, int, int], content: Content | None) -> None:
        """A consumer got a record: (topic, partition, offset, leader_epoch or -1)."""
        topic, partition, offset, leader_epoch = message
        self.reading.append(
            Polled(*self._now, consumer, TopicPartition(topic, partition), offset, leader_epoch, content)
        )


# --- contents -------------------------------------------------------------------------------------------------------


def _bytes(value: Any) -> bytes | None:
    """Raises TypeError for what is neither bytes, nor text, nor None."""
    if isinstance(value, str):
        return value.encode()
    return None if value is None else bytes(memoryview(value))


def content_of(key: Any, value: Any, headers: Any) -> Content | None:
    """None where something still has to be serialized."""
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers or ()
    try:
        return _bytes(key), _bytes(value), tuple([(name, _bytes(each)) for name, each in pairs])
    except TypeError:
        return None


# --- recorders ------------------------------------------------------------------------------------------------------


class Recorder:
    """A client, and what goes through it written down."""

    kind = ""

    def __init__(self, journal: Journal, client: Any, name: str) -> None:
        self._journal = journal
        self._client = client
        self._name = journal.name_for(name, self.kind)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def __repr__(self) -> str:
        return f"<recorder of {self._name!r}: {self._client!r}>"

    def __enter__(self) -> Any:
        self._client.__enter__()
        return self

    def __exit__(self, *why: Any) -> Any:
        return self._client.__exit__(*why)

    async def __aenter__(self) -> Any:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *why: Any) -> Any:
        return await self._client.__aexit__(*why)


class ProducerRecorder(Recorder):
    """A producer's."""

    kind = "producer"
    rules = ""

    def __init__(self, journal: Journal, client: Any, name: str) -> None:
        super().__init__(journal, client, name)
        if journal.kinds.setdefault(self._name, self.rules) != self.rules:
            raise RequestError(f"there is a producer {self._name!r} of another library already; give another name")


class ConfluentProducer(ProducerRecorder):
    """confluent-kafka: `produce`; the delivery report is the end."""

    rules = LIBRDKAFKA
    places: tuple[str, ...] = ("topic", "value", "key", "partition", "callback", "on_delivery", "timestamp", "headers")

    def __len__(self) -> int:
        return len(self._client)

    def __bool__(self) -> bool:
        return True

    def produce(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `produce`."""
        given = {**dict(zip(self.places, args, strict=False)), **kwargs}
        report = given.pop("callback", None)
        report = given.pop("on_delivery", None) or report
        headers = given.get("headers")
        content = content_of(given.get("key"), given.get("value"), headers)
        number = self._journal.hand(self._name, given.get("topic", ""), given.get("partition"), content)

        def delivered(error: Any, message: Any) -> None:
            # The report has what was serialized; its headers may be left out.
            known = content or content_of(message.key(), message.value(), headers)
            if error is None:
                self._journal.acknowledge(number, message.partition(), message.offset(), known)
            else:
                self._journal.fail(number, error.name(), known)
            if report is not None:
                report(error, message)

        try:
            return self._client.produce(**given, on_delivery=delivered)
        except BaseException as why:
            self._journal.fail(number, REFUSED + type(why).__name__)
            raise


class ConfluentSerializingProducer(ConfluentProducer):
    """The same with other places."""

    places = ("topic", "key", "value", "partition", "on_delivery", "timestamp", "headers")


class AioKafkaProducer(ProducerRecorder):
    """aiokafka: `send` and `send_and_wait`; the future is the end."""

    async def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Any = None,
    ) -> Any:
        """The client's own `send`."""
        client = self._client
        key_bytes, value_bytes = [
            known if serialize is None else serialize(known)
            for serialize, known in ((client._key_serializer, key), (client._value_serializer, value))
        ]
        number = self._journal.hand(self._name, topic, partition, content_of(key_bytes, value_bytes, headers))
        try:
            future = await client.send(topic, value, key, partition, timestamp_ms, headers)
        except BaseException as why:
            self._journal.fail(number, REFUSED + type(why).__name__)
            raise
        future.add_done_callback(lambda done: self._end(number, done))
        return future

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `send_and_wait`."""
        return await (await self.send(*args, **kwargs))

    def _end(self, number: int, done: Any) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            self._journal.fail(number, type(error).__name__)
        else:
            report = done.result()  # None with acks=0
            self._journal.acknowledge(number, getattr(report, "partition", None), getattr(report, "offset", None))


class KafkaPythonProducer(ProducerRecorder):
    """kafka-python: `send`; the future is the end."""

    def send(
        self,
        topic: str,
        value: Any = None,
        key: Any = None,
        headers: Any = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> Any:
        """The client's own `send`."""
        client = self._client
        key_bytes, value_bytes = [
            self._serialized(client.config[which], topic, headers or [], known)
            for which, known in (("key_serializer", key), ("value_serializer", value))
        ]
        number = self._journal.hand(self._name, topic, partition, content_of(key_bytes, value_bytes, headers))
        try:
            future = client.send(topic, value, key, headers, partition, timestamp_ms)
        except BaseException as why:
            self._journal.fail(number, REFUSED + type(why).__name__)
            raise
        future.add_callback(lambda report: self._journal.acknowledge(number, report.partition, report.offset))
        future.add_errback(lambda error: self._journal.fail(number, type(error).__name__))
        return future

    def _serialized(self, serializer: Any, topic: str, headers: Any, known: Any) -> Any:
        if serializer is None:
            return known
        if hasattr(serializer, "serialize"):
            return self._client._serialize(serializer, topic, headers, known)
        return serializer(known)  # as older versions have it


class ConsumerRecorder(Recorder):
    """A consumer's."""

    kind = "consumer"

    def _put(self, topic_partition: Any, is_explicit: bool = True) -> None:
        self._journal.put(self._name, topic_partition.topic, topic_partition.partition, is_explicit=is_explicit)


class ConfluentConsumer(ConsumerRecorder):
    """confluent-kafka: `poll` and `consume`; `assign`, `incremental_assign` and `seek` put it elsewhere."""

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `poll`."""
        message = self._client.poll(*args, **kwargs)
        self._got(message)
        return message

    def consume(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `consume`."""
        messages = self._client.consume(*args, **kwargs)
        for message in messages:
            self._got(message)
        return messages

    def assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """The client's own `assign`."""
        return self._placing(self._client.assign, partitions, *args, **kwargs)

    def incremental_assign(self, partitions: Any, *args: Any, **kwargs: Any) -> Any:
        """The client's own `incremental_assign`."""
        return self._placing(self._client.incremental_assign, partitions, *args, **kwargs)

    def seek(self, partition: Any, *args: Any, **kwargs: Any) -> Any:
        """The client's own `seek`."""
        done = self._client.seek(partition, *args, **kwargs)
        self._journal.put(self._name, partition.topic, partition.partition, partition.offset)
        return done

    def _placing(self, assign: Callable[..., Any], partitions: Any, *args: Any, **kwargs: Any) -> Any:
        done = assign(partitions, *args, **kwargs)
        for each in partitions:
            self._journal.put(self._name, each.topic, each.partition, each.offset, each.offset > STORED)
        return done

    def _got(self, message: Any) -> None:
        if message is not None and message.error() is None:
            epoch = message.leader_epoch()
            place = (message.topic(), message.partition(), message.offset(), -1 if epoch is None else epoch)
            key, value = message.key(), message.value()
            is_plain = all(known is None or isinstance(known, bytes) for known in (key, value))
            self._journal.poll(self._name, place, content_of(key, value, message.headers()) if is_plain else None)


class AssigningConsumer(ConsumerRecorder):
    """What aiokafka and kafka-python have in common. Some of it are coroutines with the one, and none with the other: what
    the client gives is passed on."""

    def assign(self, partitions: Any) -> Any:
        """The client's own `assign`."""
        done = self._client.assign(partitions)
        for each in partitions:
            self._put(each, is_explicit=False)
        return done

    def seek(self, partition: Any, offset: int) -> Any:
        """The client's own `seek`."""
        done = self._client.seek(partition, offset)
        self._journal.put(self._name, partition.topic, partition.partition, offset)
        return done

    def seek_to_beginning(self, *partitions: Any) -> Any:
        """The client's own `seek_to_beginning`."""
        return self._sought(self._client.seek_to_beginning, partitions)

    def seek_to_end(self, *partitions: Any) -> Any:
        """The client's own `seek_to_end`."""
        return self._sought(self._client.seek_to_end, partitions)

    def seek_to_committed(self, *partitions: Any) -> Any:
        """The client's own `seek_to_committed`."""
        return self._sought(self._client.seek_to_committed, partitions)

    def _sought(self, seek: Callable[..., Any], partitions: tuple[Any, ...]) -> Any:
        for each in partitions or self._client.assignment():
            self._put(each)
        return seek(*partitions)

    def _got(self, message: Any) -> None:
        epoch = getattr(message, "leader_epoch", None)
        place = (message.topic, message.partition, message.offset, -1 if epoch is None else epoch)
        known = None if self._deserializes() else content_of(message.key, message.value, message.headers)
        self._journal.poll(self._name, place, known)

    def _deserializes(self) -> bool:
        raise NotImplementedError

    def _got_all(self, by_partition: Mapping[Any, Iterable[Any]]) -> None:
        for messages in by_partition.values():
            for message in messages:
                self._got(message)


class AioKafkaConsumer(AssigningConsumer):
    """aiokafka: `getone`, `getmany`, `async for`."""

    async def getone(self, *partitions: Any) -> Any:
        """The client's own `getone`."""
        message = await self._client.getone(*partitions)
        self._got(message)
        return message

    async def getmany(self, *partitions: Any, **kwargs: Any) -> Any:
        """The client's own `getmany`."""
        found = await self._client.getmany(*partitions, **kwargs)
        self._got_all(found)
        return found

    def __aiter__(self) -> Any:
        self._client.__aiter__()
        return self

    async def __anext__(self) -> Any:
        message = await self._client.__anext__()
        self._got(message)
        return message

    def _deserializes(self) -> bool:
        client = self._client
        return not (client._key_deserializer is None and client._value_deserializer is None)


class KafkaPythonConsumer(AssigningConsumer):
    """kafka-python: `poll`, `for`."""

    def poll(self, *args: Any, **kwargs: Any) -> Any:
        """The client's own `poll`."""
        found = self._client.poll(*args, **kwargs)
        self._got_all(found)
        return found

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        message = next(self._client)
        self._got(message)
        return message

    def _deserializes(self) -> bool:
        config = self._client.config
        return not (config["key_deserializer"] is None and config["value_deserializer"] is None)


REFUSED: Final = "not taken: "
"""Begins the error of a send that the client raised at once."""
STORED: Final = -1000
"""librdkafka's offset for "where it had committed"; -1001 is "nobody said"."""

_RECORDERS: Final[dict[tuple[str, str], type[Recorder]]] = {
    ("confluent_kafka", "SerializingProducer"): ConfluentSerializingProducer,
    ("cimpl", "Producer"): ConfluentProducer,
    ("cimpl", "Consumer"): ConfluentConsumer,
    ("aiokafka", "AIOKafkaProducer"): AioKafkaProducer,
    ("aiokafka", "AIOKafkaConsumer"): AioKafkaConsumer,
    ("kafka", "KafkaProducer"): KafkaPythonProducer,
    ("kafka", "KafkaConsumer"): KafkaPythonConsumer,
}
