"""One request at the door: who asks what, and what an API must be able to do with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from eventlog.messages import broker_name
from eventlog.values import TopicPartition
from eventlog.wire.primitives import Reader, Writer
from eventlog.wire.versions import API_VERSIONS, APIS, Api

if TYPE_CHECKING:
    from eventlog.messages import Connection
    from eventlog.messages.metadata_image import MetadataImage
    from eventlog.wire.door import Door

CORRELATION_ID: Final = slice(4, 8)
"""Where it stands in a request, and in an answer with its length."""


class UnservedError(Exception):
    """An API or version that is not served came: the connection is ended, as Kafka does."""


class Call:
    """One request. `asked` is what it says, decoded; `way` is the connection in the world that it travels on.

    What follows it in its frame is passed over, as by Kafka: librdkafka writes no list of topics as four bytes where one
    is due.

    `said`: its answer, and that in bytes with their length, where it is worth remembering.
    """

    __slots__ = (
        "_body",
        "_metadata_offset",
        "api",
        "asked",
        "broker_id",
        "client_id",
        "correlation_id",
        "door",
        "said",
        "version",
        "way",
    )

    def __init__(self, door: Door, broker_id: int, way: Connection, frame: bytearray) -> None:
        """Raises MalformedError and UnservedError."""
        self.door = door
        self.broker_id = broker_id
        self.way = way
        reader = Reader(frame)
        key, self.version, self.correlation_id = reader.int16(), reader.int16(), reader.int32()
        self.client_id = reader.nullable_string() or ""
        api = APIS.get(key)
        if api is None:
            raise UnservedError(f"API {key}")
        self.api: Api = api
        is_known = api.lowest <= self.version <= api.highest
        if not is_known and key != API_VERSIONS:
            raise UnservedError(f"{api.name} version {self.version}; served are {api.lowest} to {api.highest}")
        reader.is_flexible = is_known and self.version >= api.flexible
        reader.skip_tags()
        self._body = reader
        self.asked: Any = None
        self.said: tuple[Any, bytes] | None = None
        self._metadata_offset = self.image.end_offset

    def again(self, frame: bytearray) -> Call:
        """The same request once more, in a frame with another correlation id."""
        call = Call.__new__(Call)
        call.door, call.broker_id, call.way = self.door, self.broker_id, self.way
        call.api, call.version, call.client_id = self.api, self.version, self.client_id
        call.asked, call.said = self.asked, self.said
        call._body, call._metadata_offset = self._body, self._metadata_offset
        call.correlation_id = int.from_bytes(frame[CORRELATION_ID], "big", signed=True)
        return call

    @property
    def is_up_to_date(self) -> bool:
        """Does the broker know the same of topics and brokers as when this request was read?"""
        return self.image.end_offset == self._metadata_offset

    @property
    def body(self) -> Reader:
        """What follows the header."""
        return self._body

    @property
    def broker(self) -> str:
        """The broker's name in the world."""
        return broker_name(self.broker_id)

    @property
    def image(self) -> MetadataImage:
        """What the broker knows of topics and brokers."""
        return self.door.image_of(self.broker_id)

    @property
    def topic_partitions(self) -> list[TopicPartition]:
        """The partitions that it is about; none when it isn't about partitions."""
        return [wanted.topic_partition for wanted in getattr(self.asked, "partitions", ())]

    def writer(self) -> Writer:
        """For the answer's body, behind its header."""
        is_flexible = self.api.flexible <= self.version <= self.api.highest
        writer = Writer(is_flexible)
        writer.int32(self.correlation_id)
        if self.api.key != API_VERSIONS:  # its header stays old, so that those who guess wrong can read it
            writer.no_tags()
        return writer

    async def ask(self, message: Any, server: str = "") -> Any:
        """What the world answers: this call's broker, or another `server`. Raises ConnectionError when the connection
        breaks there."""
        return await self.door.ask(self.way if not server else self.way._replace(server=server), message)


class Handler(Protocol):
    """What the module of an API has for it (`produce.PRODUCE`, `fetch.FETCH` ...)."""

    def read(self, call: Call) -> Any:
        """The request decoded; Malformed."""

    async def answer(self, call: Call) -> Any:
        """The reply's fields; None: there is none."""

    def refuse(self, call: Call, error: int) -> Any:
        """A reply that says `error` wherever it can."""

    def write(self, call: Call, reply: Any, writer: Writer) -> None:
        """The reply's body."""
