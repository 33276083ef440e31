"""What the logs were at every step: frames, taken while a cluster runs.

The world tells its invariants of every step of a broker; a camera stands between the two, passes all on, and keeps a
frame when a replica has changed. A frame shares its batches with the log, which never changes them, and its list of
them with the frames before it: what a frame costs is what is new in it, not how long the log is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

from eventlog.broker import Broker
from eventlog.cluster import Cluster
from eventlog.log.partition_log import PartitionLog
from eventlog.messages import Envelope
from eventlog.sim.invariants import Invariants
from eventlog.values import RecordBatch, TopicPartition

NO_LIMIT = 2**62

Memory = tuple[int, int, tuple[RecordBatch, ...]]
"""(producer_id, producer_epoch, the batches that are remembered, oldest first)."""


class Batches(Sequence[RecordBatch]):
    """A log at one moment: the first `count` of a list that grows with the log, and is left alone once it was cut."""

    __slots__ = ("_count", "_grown")

    def __init__(self, grown: list[RecordBatch]) -> None:
        self._grown = grown
        self._count = len(grown)

    def followed_by(self, new: Iterable[RecordBatch]) -> Batches:
        """This and `new`. Only for the newest of those that share a list."""
        self._grown += new
        return Batches(self._grown)

    def count_shared(self, other: Batches) -> int:
        """How many of its first batches `other` has, too; 0 of a log that does not begin alike."""
        same = min(self._count, other._count)
        if self._grown is other._grown:
            return same
        while same and self._grown[same - 1] is not other._grown[same - 1]:
            same -= 1
        return same if same and self._grown[0] is other._grown[0] else 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        place = range(self._count)[index]
        return self._grown[place] if isinstance(place, int) else tuple([self._grown[each] for each in place])

    def __iter__(self) -> Iterator[RecordBatch]:
        return islice(self._grown, self._count)


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
    batches: Batches
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

    __slots__ = ("_last", "_newest", "_times", "cluster", "frames")

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.frames: list[Frame] = []
        self._times: list[int] = []
        self._newest: dict[tuple[int, TopicPartition], tuple[Any, ...]] = {}
        self._last: dict[tuple[int, TopicPartition], Frame] = {}
        for broker in cluster._world.brokers():
            self.shoot(broker)

    def shoot(self, broker: Broker) -> None:
        """Keep a frame of every replica that has changed. O(replicas), and what is new in those that have changed; the
        log of one that was cut."""
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
            last = self._last.get(key)
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
                    _batches_of(log, last),
                    _memory_of(log, last),
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
        self._last[(frame.broker_id, frame.topic_partition)] = frame
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


def _batches_of(log: PartitionLog, last: Frame | None) -> Batches:
    """The log, sharing with the frame before what it only grew by: the batch that was its last one is still there."""
    if last is not None and last.is_up and last.batches and last.log_start_offset == log.log_start_offset:
        newest = last.batches[-1]
        found = log.read(newest.base_offset, log.log_end_offset, NO_LIMIT)
        if found and found[0] is newest:
            return last.batches.followed_by(found[1:]) if len(found) > 1 else last.batches
    return Batches(list(log.read(log.log_start_offset, log.log_end_offset, NO_LIMIT)))


def _memory_of(log: PartitionLog, last: Frame | None) -> tuple[Memory, ...]:
    """What it remembers of its producers, sharing with the frame before what is the same."""
    before = {} if last is None else {memory[0]: memory for memory in last.memory}
    found: list[Memory] = []
    for producer_id, entry in log.producer_state.entries():
        memory = (producer_id, entry.producer_epoch, tuple(entry.batches))
        known = before.get(producer_id)
        found.append(known if known is not None and known == memory else memory)
    memories = tuple(found)
    return last.memory if last is not None and memories == last.memory else memories


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
