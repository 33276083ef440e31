"""What came in at a door, and the same again in process: a run with real clients, event by event.

The clients are not run again, and no socket is opened: their requests enter another cluster's world at the same times, and
so the same follows. Whatever the test did to its cluster meanwhile is repeated by name; where it waited for something, the
world is moved as many events as it was then.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.messages import NO_CONNECTION, Envelope
from eventlog.values import TopicPartition
from eventlog.wire.visitors import VISITORS, Visitors


class Request(NamedTuple):
    """One request at the door, decoded. `connection` numbers the sockets in the order in which they were opened."""

    at_ms: int
    connection: int
    broker_id: int
    api: str
    version: int
    client_id: str
    correlation_id: int
    asked: Any

    @property
    def topic_partitions(self) -> list[TopicPartition]:
        """The partitions that it is about."""
        return [wanted.topic_partition for wanted in getattr(self.asked, "partitions", ())]


class Told(NamedTuple):
    """A message to the visitors in the world."""

    at_ms: int
    message: Any


CLUSTER: Final = "the cluster"


class Called(NamedTuple):
    """A method was called: of the cluster, or of its client with this name."""

    at_ms: int
    owner: str
    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Moved(NamedTuple):
    """Somebody waited for a thing of his own: the world was moved up to this event."""

    at_ms: int
    event_number: int


class Recording:
    """Everything that entered the world of a listening cluster, in order. Times are the world's."""

    __slots__ = ("closed_ms", "entries", "opened_ms", "requests")

    def __init__(self) -> None:
        self.opened_ms = 0
        self.closed_ms = 0
        self.entries: list[Told | Called | Moved] = []
        self.requests: list[Request] = []

    def replay(self, cluster: Cluster) -> None:
        """Let the same happen to `cluster`: a new one, made and prepared as the other was before it listened."""
        if VISITORS in cluster._world.machines or cluster._world.now_ms > self.opened_ms:
            raise RequestError("a recording is replayed by a cluster that is as the other was when it began to listen")
        world = cluster._world
        world.latency_ms = 0
        world.run_until(self.opened_ms)
        world.add(Visitors(lambda connection: None))
        for entry in self.entries:
            world.run_until(entry.at_ms)
            if isinstance(entry, Told):
                world.inject(Envelope("user", VISITORS, NO_CONNECTION, 0, entry.message))
            elif isinstance(entry, Called):
                owner: Any = cluster if entry.owner == CLUSTER else cluster._clients[entry.owner]
                getattr(owner, entry.method)(*entry.arguments, **entry.keywords)
            else:
                while world.event_number < entry.event_number and world.step():
                    pass
        world.run_until(self.closed_ms)
