"""What the logs were at every step: frames, taken while a cluster runs.

The world tells its invariants of every step of a broker; a camera stands between the two, passes all on, and keeps a
frame when a replica has changed. A frame shares its batches with the log, which never changes them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple, cast

from eventlog.broker import Broker
from eventlog.cluster import Cluster
from eventlog.messages import Envelope
from eventlog.sim.invariants import Invariants
from eventlog.values import RecordBatch, TopicPartition

NO_LIMIT = 2**62

Memory = tuple[int, int, tuple[RecordBatch, ...]]
"""(producer_id, producer_epoch, the batches that are remembered, oldest first)."""


class Frame(NamedTuple):
    """One replica from a step on. `seen_events` is how long the trace was then."""

    seen_events: int
    broker_id: int
    topic_partition: TopicPartition
    is_up: bool
    is_leader: bool
    leader_epoch: int
    log_start_offset: int
    high_watermark: int
    batches: tuple[RecordBatch, ...]
    memory: tuple[Memory, ...]

    @property
    def log_end_offset(self) -> int:
        return self.batches[-1].end_offset if self.batches else self.log_start_offset

    def find_batch(self, producer_id: int, producer_epoch: int, base_sequence: int) -> RecordBatch | None:
        """The batch in the log that has this identity, the newest if there are several."""
        for batch in reversed(self.batches):
            if batch[2:5] == (producer_id, producer_epoch, base_sequence):
                return batch
        return None


class Film:
    """The frames of a cluster, oldest first."""

    __slots__ = ("_newest", "_times", "cluster", "frames")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.frames: list[Frame] = []
        self._times: list[int] = []
        self._newest: dict[tuple[int, TopicPartition], tuple[Any, ...]] = {}
        for broker in cluster._world.brokers():
            self.shoot(broker)

    def shoot(self, broker: Broker) -> None:
        """Keep a frame of every replica that has changed. O(replicas), and the log of what has changed."""
        for topic_partition, replica in broker.replicas.items():
            log = replica.log
            key = (broker.broker_id, topic_partition)
            state = (
                log.log_end_offset,
                log.high_watermark,
                log.log_start_offset,
                replica.partition.leader_epoch,
                replica.leadership is not None,
                len(log.producer_state),
            )
            if self._newest.get(key) == state:
                continue
            self._newest[key] = state
            memory = [
                (producer_id, entry.producer_epoch, tuple(entry.batches))
                for producer_id, entry in log.producer_state.entries()
            ]
            self._keep(
                Frame(
                    len(self.cluster.recorder.events),
                    broker.broker_id,
                    topic_partition,
                    True,
                    replica.leadership is not None,
                    replica.partition.leader_epoch,
                    log.log_start_offset,
                    log.high_watermark,
                    log.read(log.log_start_offset, log.log_end_offset, NO_LIMIT),
                    tuple(memory),
                )
            )

    def crashed(self, broker_id: int) -> None:
        """Its process is gone; what is on its disk was in the last frame."""
        seen_events = len(self.cluster.recorder.events)
        for key in [key for key in self._newest if key[0] == broker_id]:
            del self._newest[key]
            last = self.find_frame(seen_events, *key)
            if last is not None:
                self._keep(last._replace(seen_events=seen_events, is_up=False, is_leader=False, memory=()))

    def _keep(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._times.append(frame.seen_events)

    def find_frame(self, seen_events: int, broker_id: int, topic_partition: TopicPartition) -> Frame | None:
        """That replica when the trace had `seen_events` events; None before its first frame."""
        for index in range(bisect_right(self._times, seen_events) - 1, -1, -1):
            frame = self.frames[index]
            if frame.broker_id == broker_id and frame.topic_partition == topic_partition:
                return frame
        return None

    def replicas(self, seen_events: int, topic_partition: TopicPartition) -> tuple[Frame, ...]:
        """All replicas of a partition when the trace had `seen_events` events, by broker id."""
        found: dict[int, Frame] = {}
        for frame in self.frames[: bisect_right(self._times, seen_events)]:
            if frame.topic_partition == topic_partition:
                found[frame.broker_id] = frame
        return tuple([found[broker_id] for broker_id in sorted(found)])


class Camera:
    """Stands where the world's invariants stood, and passes on what it is told."""

    def __init__(self, film: Film, inner: Invariants | None) -> None:
        self.film = film
        self.inner = inner if inner is not None else Invariants()
        self.is_checking = inner is not None

    def after(self, machine: Any, envelope: Envelope | None, world: Any, out: Iterable[Envelope] = ()) -> None:
        if self.is_checking:
            self.inner.after(machine, envelope, world, out)
        self.film.shoot(machine)

    def controller_moved(self, world: Any) -> None:
        if self.is_checking:
            self.inner.controller_moved(world)

    def resolved(self, message: Any, world: Any) -> None:
        if self.is_checking:
            self.inner.resolved(message, world)

    def crashed(self, name: str) -> None:
        self.inner.crashed(name)
        self.film.crashed(int(name.removeprefix("broker-")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def watch(cluster: Cluster) -> Film:
    """Film `cluster` from now on. Raises RequestError for one made with record=False."""
    cluster.recorder  # noqa: B018 - raises
    film = Film(cluster)
    world = cluster._world
    world.invariants = cast(Invariants, Camera(film, world.invariants))
    return film
