"""The numbers of a long run: in flight, lag and high_watermark over time, with its faults."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from eventlog.check import history as rows
from eventlog.cluster import Cluster
from eventlog.errors import ErrorCode, RequestError
from eventlog.messages import Envelope
from eventlog.messages.broker_api import (
    FetchReply,
    FetchRequest,
    ProduceReply,
    ProduceRequest,
)
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Event
from eventlog.values import TopicPartition
from eventlog.views.film import Film
from eventlog.views.html import details, image, table
from eventlog.views.sheet import cut_text
from eventlog.views.svg import PAD, Pen, text_width, whole
from eventlog.views.view import View

POINTS: Final = 160
GRAPH_WIDTH: Final = 480
GRAPH_HEIGHT: Final = 44


class Sample(NamedTuple):
    """The high_watermark and the lag (-1: unknown) from `at_ms` on."""

    at_ms: int
    high_watermark: int
    lag: int


class Series(NamedTuple):
    """One number over time: `values[i]` is its greatest in part i of the run."""

    name: str
    values: tuple[int, ...]


class MetricsStrip(View):
    """Numbers of a long run over time, faults marked; `events` of the run stand in each picture's `POINTS` parts."""

    __slots__ = ("duration_ms", "events", "faults", "series", "title")

    def __init__(
        self,
        title: str,
        duration_ms: int,
        events: int,
        series: tuple[Series, ...],
        faults: tuple[tuple[int, str], ...],
        display: str,
    ) -> None:
        super().__init__(display)
        self.title, self.duration_ms, self.events, self.series, self.faults = title, duration_ms, events, series, faults

    @property
    def svg(self) -> str:
        pen, y = Pen(), float(PAD)
        pen.text(PAD, y + 14, self.title, size=14, is_bold=True)
        y += 28
        left = PAD + max([text_width(known.name, 11, True) for known in self.series]) + 14
        points = len(self.series[0].values)
        each = GRAPH_WIDTH / max(1, points - 1)
        for part, _ in self.faults:
            x = left + part * each
            pen.path(f"M{x:.1f} {y:.1f}v{(GRAPH_HEIGHT + 14) * len(self.series) - 8:.1f}", "lb", ' stroke-dasharray="2 3"')
        for known in self.series:
            top = max(*known.values, 1)
            pen.text(PAD, y + 20, known.name, size=11, is_bold=True)
            pen.text(PAD, y + 35, f"0 to {max(known.values):,}", "m", 11)
            bottom = y + GRAPH_HEIGHT
            pen.path(f"M{left:.1f} {bottom:.1f}h{GRAPH_WIDTH}", "lm", ' stroke-width="0.8"')
            line = " ".join(
                [
                    f"{left + index * each:.1f} {bottom - value / top * (GRAPH_HEIGHT - 4):.1f}"
                    for index, value in enumerate(known.values)
                ]
            )
            pen.path(f"M{line}", "hw", ' stroke-width="1.6" stroke-linejoin="round"')
            y = bottom + 14
        pen.text(left, y + 6, "+0 ms", "m", 11)
        pen.text(left + GRAPH_WIDTH, y + 6, f"+{self.duration_ms:,} ms", "m", 11, "end")
        pen.text(left, y + 24, f"{self._explained()}", "m", 11)
        return whole("".join(pen.parts), round(left + GRAPH_WIDTH + PAD), round(y + 36), self.title, self._summary())

    def _explained(self) -> str:
        faults = f"; dotted: a fault ({len(self.faults):,} of them)" if self.faults else ""
        return f"{self.events:,} events in {len(self.series[0].values)} points, the greatest of each{faults}"

    def _summary(self) -> str:
        said = [f"{known.name} up to {max(known.values):,}, in the end {known.values[-1]:,}" for known in self.series]
        return f"{'; '.join(said)}. {self._explained()}."

    @property
    def html(self) -> str:
        rows = [(known.name, f"{max(known.values):,}", f"{known.values[-1]:,}") for known in self.series]
        named: dict[str, int] = {}
        for _, fault in self.faults:
            named[fault] = named.get(fault, 0) + 1
        faults = details(f"{len(self.faults):,} faults", table(("fault", "times"), named.items())) if named else ""
        return (
            f"<div>{image(self.svg, self._summary())}{table(('what', 'greatest', 'in the end'), rows, self.title)}"
            f"{faults}</div>"
        )

    @property
    def text(self) -> str:
        bars = " ▁▂▃▄▅▆▇█"
        lines = [self.title]
        wide = max(len(known.name) for known in self.series)
        for known in self.series:
            top = max(*known.values, 1)
            every = max(1, -(-len(known.values) // 72))
            parts = [max(known.values[at : at + every]) for at in range(0, len(known.values), every)]
            graph = "".join([bars[-(-value * 8 // top)] for value in parts])
            lines.append(f"{known.name:<{wide}} {graph} 0 to {max(known.values):,}")
        return "\n".join([*lines, f"+0 to +{self.duration_ms:,} ms; {self._explained()}"]) + "\n"


def metrics_strip(
    shown: Cluster | Film, topic: str | None = None, partition: int = 0, *, points: int = POINTS, display: str = "all"
) -> MetricsStrip:
    """Records in flight, replication lag and high_watermark of one partition over a run.

    In flight: sent, and neither acknowledged nor given up. Lag: how far the slowest follower that is up stands behind
    its leader. A film saw the logs at every step; of a cluster is taken what its brokers told each other, which comes a
    message later. `topic` None: the partition that was written to most. O(events). Raises RequestError when there is
    nothing to show.
    """
    if not isinstance(shown, Cluster | Film):
        raise RequestError(f"metrics are of a Cluster, or of the film of one (`watch`), not of {type(shown).__name__}")
    if points < 2:
        raise RequestError(f"a strip needs at least 2 points, not {points}")
    cluster = shown.cluster if isinstance(shown, Film) else shown
    events = cluster.recorder.events
    written: dict[TopicPartition, int] = {}
    for _, _, what in events:
        if isinstance(what, Envelope) and isinstance(what.message, ProduceRequest):
            for asked in what.message.partitions:
                written[asked.topic_partition] = written.get(asked.topic_partition, 0) + 1
    if not written:
        raise RequestError("there is nothing to show: nothing was written")
    busiest = max(written, key=lambda known: written[known])
    wanted = busiest if topic is None else TopicPartition(topic, partition)
    if wanted not in written:
        raise RequestError(f"there is nothing to show: nothing was written to {wanted}")
    begin_ms = events[0][1]
    duration_ms = max(1, events[-1][1] - begin_ms)
    points = min(points, max(2, len(events)))

    def part(at_ms: int) -> int:
        return max(0, min(points - 1, (at_ms - begin_ms) * points // (duration_ms + 1)))

    flights = [(part(at_ms), count) for at_ms, count in _in_flight(cluster, wanted)]
    # What is now can be seen without a film of what was.
    told = () if isinstance(shown, Film) else _told(events, wanted)
    samples = [*told, *_filmed(shown if isinstance(shown, Film) else Film(cluster), wanted)]
    series = (
        Series("in flight", _greatest(flights, points)),
        Series("lag", _greatest([(part(at_ms), lag) for at_ms, _, lag in samples if lag >= 0], points)),
        Series("high_watermark", _greatest([(part(at_ms), mark) for at_ms, mark, _ in samples], points)),
    )
    faults = tuple([(part(at_ms), what.fault) for _, at_ms, what in events if isinstance(what, Deviation)])
    title = cut_text(f"{wanted} over time", 60)
    return MetricsStrip(title, duration_ms, len(events), series, faults, display)


def _in_flight(cluster: Cluster, wanted: TopicPartition) -> Iterator[tuple[int, int]]:
    """(at_ms, how many records are in flight) whenever that changes."""
    history = cluster.recorder.history
    # Where a record goes may have been settled after it was sent.
    here: dict[int, None] = {}
    for row in history:
        if isinstance(row, rows.Acked | rows.Failed) and (row.topic, row.partition) == tuple(wanted)[:2]:
            here.update(dict.fromkeys(row.send_numbers))
    count = 0
    for row in history:
        if isinstance(row, rows.Sent):
            if row.topic != wanted.topic or not (row.partition == wanted.partition or row.send_number in here):
                continue
            count += 1
        elif isinstance(row, rows.Acked | rows.Failed) and (row.topic, row.partition) == tuple(wanted)[:2]:
            count -= len(row.send_numbers)
        else:
            continue
        yield row.at_ms, max(0, count)


def _filmed(film: Film, wanted: TopicPartition) -> Iterator[Sample]:
    """What the logs were."""
    events = film.cluster.recorder.events
    ends: dict[int, int] = {}
    leader, mark = -1, 0
    for frame in film.frames:
        if frame.topic_partition != wanted:
            continue
        ends[frame.broker_id] = frame.log_end_offset
        if not frame.is_up:
            del ends[frame.broker_id]
        if frame.is_leader:
            leader, mark = frame.broker_id, frame.high_watermark
        at_ms = events[min(frame.seen_events, len(events) - 1)][1]
        yield Sample(at_ms, mark, max(0, ends[leader] - min(ends.values())) if leader in ends else -1)


def _told(events: list[Event], wanted: TopicPartition) -> Iterator[Sample]:
    """What was told: by a follower where it stands, when it fetches; by a leader what is replicated, when it answers."""
    ends: dict[str, int] = {}
    leader, mark = "", 0
    for _, at_ms, what in events:
        if isinstance(what, Deviation) and what.fault.startswith(("crash", "power_cut", "clean_restart")):
            for name in what.target.split(","):
                ends.pop(name, None)
            continue
        message = what.message if isinstance(what, Envelope) else None
        if isinstance(message, FetchRequest) and message.replica_id >= 0:
            for asked in message.partitions:
                if asked.topic_partition == wanted:
                    ends[what.source] = asked.fetch_offset
        elif isinstance(message, FetchReply):
            for reply in message.partitions:
                if reply.topic_partition == wanted and reply.high_watermark >= 0:
                    leader, mark = what.source, reply.high_watermark
                    ends[leader] = max(ends.get(leader, 0), reply.batches[-1].end_offset if reply.batches else mark)
        elif isinstance(message, ProduceReply):
            for answer in message.partitions:
                if answer.topic_partition == wanted and answer.error is ErrorCode.NONE and answer.base_offset >= 0:
                    # Of its batch the first record at least is written; and replicated, where nobody follows.
                    leader = what.source
                    ends[leader] = max(ends.get(leader, 0), answer.base_offset + 1)
                    mark = mark if len(ends) > 1 else ends[leader]
        else:
            continue
        yield Sample(at_ms, mark, max(0, ends[leader] - min(ends.values())) if leader in ends else -1)


def _greatest(samples: list[tuple[int, int]], points: int) -> tuple[int, ...]:
    """The greatest of each part; a part without a sample has what the one before ended with."""
    found: list[int] = []
    last, index = 0, 0
    for at in range(points):
        greatest = last
        while index < len(samples) and samples[index][0] <= at:
            last = samples[index][1]
            greatest = max(greatest, last)
            index += 1
        found.append(greatest)
    return tuple(found)
