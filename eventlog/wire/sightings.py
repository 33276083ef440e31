"""What the door saw of sends and polls: each batch that a client sent, what it was answered, and the batches it was given.

This is what the checker judges clients by that have no recorder: in another language, in another process. A row holds its
place between the rows of the world's history, so that both make one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from eventlog.errors import ErrorCode
from eventlog.sim.recorder import Recorder
from eventlog.values import RecordBatch, TopicPartition

if TYPE_CHECKING:
    from eventlog.wire.call import Call

PRODUCE: Final = 0
FETCH: Final = 1
API_VERSIONS: Final = 18


class Produced:
    """A batch that came for one partition. `error` None: no answer has left (yet); `base_offset` -1: it named none. `number`
    and `answered_number` count all that was seen."""

    __slots__ = (
        "acks",
        "answered_at",
        "answered_ms",
        "answered_number",
        "at_ms",
        "base_offset",
        "batch",
        "broker_id",
        "client_id",
        "connection",
        "error",
        "number",
        "position",
        "topic_partition",
    )

    def __init__(
        self, position: int, at_ms: int, call: Call, acks: int, name: TopicPartition, batch: RecordBatch
    ) -> None:
        self.position = position
        self.at_ms = at_ms
        self.connection = call.way.number
        self.broker_id = call.broker_id
        self.client_id = call.client_id
        self.acks = acks
        self.topic_partition = name
        self.batch = batch
        self.error: ErrorCode | None = None
        self.base_offset = -1
        self.answered_at = -1
        self.answered_ms = -1
        self.number = 0
        self.answered_number = 0


class Fetched:
    """The batches of one partition that left in an answer."""

    __slots__ = ("at_ms", "batches", "client_id", "connection", "fetch_offset", "number", "position", "topic_partition")

    def __init__(
        self, position: int, at_ms: int, call: Call, name: TopicPartition, fetch_offset: int, batches: tuple[Any, ...]
    ) -> None:
        self.position = position
        self.at_ms = at_ms
        self.connection = call.way.number
        self.client_id = call.client_id
        self.topic_partition = name
        self.fetch_offset = fetch_offset
        self.batches = batches
        self.number = 0


class Sightings:
    """All of it, in order. `position` is how many rows the world's history has; read by other threads too. `software` is
    what each connection called itself."""

    __slots__ = ("_count", "_recorder", "_unanswered", "fetched", "position", "produced", "software")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._unanswered: dict[tuple[int, int], list[Produced]] = {}
        self._count = 0
        self.position = 0
        self.produced: list[Produced] = []
        self.fetched: list[Fetched] = []
        self.software: dict[int, str] = {}

    def look(self) -> int:
        """Bring `position` up to now. Only in the thread that owns the world."""
        self.position = len(self._recorder.history)
        return self.position

    def newest(self) -> int:
        """What `position` would be now, from any thread: never too little."""
        recorder = self._recorder
        return len(recorder._history) + len(recorder._new_rows)

    def asked(self, call: Call, now_ms: int) -> None:
        """A request was read."""
        position = self.look()
        key = call.api.key
        if key == PRODUCE:
            request = call.asked
            seen = [
                Produced(position, now_ms, call, request.acks, wanted.topic_partition, wanted.batch)
                for wanted in request.partitions
                if isinstance(wanted.batch, RecordBatch)
            ]
            for each in seen:
                each.number = self._next()
            self.produced += seen
            if request.acks:
                self._unanswered[(call.way.number, call.correlation_id)] = seen
        elif key == API_VERSIONS and call.asked[0]:
            self.software[call.way.number] = call.asked[0]

    def answered(self, call: Call, reply: Any, now_ms: int) -> None:
        """An answer is about to leave."""
        key = call.api.key
        if key == PRODUCE:
            position = self.look()
            replies = {each.topic_partition: each for each in reply.partitions}
            for seen in self._unanswered.pop((call.way.number, call.correlation_id), ()):
                answer = replies.get(seen.topic_partition)
                if answer is not None:
                    seen.error, seen.base_offset = answer.error, answer.base_offset
                    seen.answered_at, seen.answered_ms, seen.answered_number = position, now_ms, self._next()
        elif key == FETCH:
            asked = {wanted.topic_partition: wanted.fetch_offset for wanted in call.asked.partitions}
            for given in reply.partitions:
                if given.batches:
                    name = given.topic_partition
                    fetched = Fetched(self.look(), now_ms, call, name, asked[name], given.batches)
                    fetched.number = self._next()
                    self.fetched.append(fetched)

    def _next(self) -> int:
        self._count += 1
        return self._count
