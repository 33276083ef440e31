"""What is not a ladder: the logs of a partition, a verdict, and the numbers of a long run."""

from __future__ import annotations

from typing import Final, NamedTuple

from eventlog.check import history as rows
from eventlog.check.promises import BROKEN, EXCUSED, HELD, PROMISES
from eventlog.check.verdict import Verdict
from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.sim.faults import Deviation
from eventlog.values import TopicPartition
from eventlog.views.film import Film
from eventlog.views.html import details, html_ladder, image, table
from eventlog.views.sheet import Moment, Names, Sheet, cut_text, known_of, strips_of
from eventlog.views.svg import PAD, Pen, svg_ladder, text_width, whole, wrapped
from eventlog.views.text import known_text, strip_text
from eventlog.views.view import View

CARD_WIDTH: Final = 640
MOST_FINDINGS: Final = 5
POINTS: Final = 160
GRAPH_WIDTH: Final = 480
GRAPH_HEIGHT: Final = 44


class LogView(View):
    """Every replica's log of one partition, and what it remembers of its producers."""

    __slots__ = ("sheet",)

    def __init__(self, sheet: Sheet, display: str = "all") -> None:
        super().__init__(display)
        self.sheet = sheet

    @property
    def svg(self) -> str:
        return svg_ladder(self.sheet)

    @property
    def html(self) -> str:
        return html_ladder([self.sheet], self.svg)

    @property
    def text(self) -> str:
        lines = [self.sheet.title, *[strip_text(strip) for strip in self.sheet.moments[0].strips]]
        return "\n".join([*lines, "", *known_text(self.sheet)]).rstrip() + "\n"


def log_view(shown: Cluster | Film, topic: str, partition: int = 0, *, display: str = "all") -> LogView:
    """The logs of `topic`-`partition` as they are now. Raises RequestError for an unknown partition."""
    cluster = shown.cluster if isinstance(shown, Film) else shown
    cluster.leader(topic, partition)
    film = shown if isinstance(shown, Film) else Film(cluster)
    wanted = TopicPartition(topic, partition)
    names = Names(cluster.recorder.events)
    frames = film.replicas(len(cluster.recorder.events), wanted)
    strips = strips_of(names, frames)
    known = known_of(names, frames)
    letters = tuple(names.letters.items())
    title = f"The logs of {wanted}"
    summary = ". ".join([strip_text(strip) for strip in strips])
    sheet = Sheet(title, summary, (), (), (Moment(0, cluster.now_ms, strips),), known, letters)
    return LogView(sheet, display)


class VerdictCard(View):
    """A verdict: its sentence, its numbers, how each promise stands, and the findings that weigh most."""

    __slots__ = ("verdict",)

    def __init__(self, verdict: Verdict, display: str = "all") -> None:
        super().__init__(display)
        self.verdict = verdict

    @property
    def svg(self) -> str:
        verdict, pen, y = self.verdict, Pen(), float(PAD)
        kind = "g" if verdict.held else "b"
        body = CARD_WIDTH - 2 * PAD
        pen.text(PAD, y + 15, "HELD" if verdict.held else "BROKEN", kind, 16, is_bold=True)
        y += 24
        for line in wrapped(verdict.sentence(), body, 12):
            pen.text(PAD, y + 12, line)
            y += 17
        y += 8
        mark = {HELD: ("✓", "g"), BROKEN: ("✗", "b"), EXCUSED: ("~", "t")}
        for result in verdict.promises:
            sign, tone = mark.get(result.status, ("·", "m"))
            pen.text(PAD, y + 12, sign, tone, is_bold=True)
            pen.text(PAD + 18, y + 12, f"{result.promise}  {PROMISES[result.promise].name}", is_bold=result.status == BROKEN)
            pen.text(PAD + 250, y + 12, result.status, tone, is_bold=result.status == BROKEN)
            count = f"{result.places:,} place{'' if result.places == 1 else 's'}" if result.places else ""
            pen.text(PAD + 380, y + 12, count, "m")
            y += 18
        found = verdict.findings[:MOST_FINDINGS]
        for finding in found:
            for index, line in enumerate(wrapped(f"{finding.promise}, {finding.status}: {finding.sentence}", body, 11)):
                pen.text(PAD, y + 16, line, "b" if finding.status == BROKEN and not index else "t", 11)
                y += 15
            y += 4
        if len(verdict.findings) > len(found):
            pen.text(PAD, y + 16, f"… {len(verdict.findings) - len(found):,} more findings", "m", 11)
            y += 18
        return whole("".join(pen.parts), CARD_WIDTH, round(y + PAD + 6), "A verdict", verdict.sentence())

    @property
    def html(self) -> str:
        verdict = self.verdict
        counts = verdict.counts._asdict()
        promises = [(f"{known.promise} {PROMISES[known.promise].name}", known.status, known.places or "", known.why)
            for known in verdict.promises]
        parts = [
            image(self.svg, verdict.sentence()),
            details("the numbers", table(counts, [counts.values()])),
            details("the promises", table(("promise", "status", "places", "why"), promises)),
        ]
        if verdict.findings:
            found = [(finding.promise, finding.status, finding.sentence) for finding in verdict.findings]
            parts.append(details(f"{len(found)} findings", table(("promise", "status", "what"), found)))
        return f"<div>{''.join(parts)}</div>"

    @property
    def text(self) -> str:
        return self.verdict.report()


def verdict_card(verdict: Verdict, *, display: str = "all") -> VerdictCard:
    """The card of a verdict. Raises RequestError for anything else."""
    if not isinstance(verdict, Verdict):
        raise RequestError(f"a verdict card is of a Verdict (`cluster.check()`), not of {type(verdict).__name__}")
    return VerdictCard(verdict, display)


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
    film: Film, topic: str | None = None, partition: int = 0, *, points: int = POINTS, display: str = "all"
) -> MetricsStrip:
    """Records in flight, replication lag and high_watermark of one partition over a filmed run.

    In flight: sent, and neither acknowledged nor given up. Lag: how far the slowest follower that is up stands behind
    its leader. `topic` None: the partition that was written to most. O(events). Raises RequestError when nothing was
    filmed.
    """
    if not isinstance(film, Film):
        raise RequestError("metrics need a film of the run: `film = watch(cluster)` before it begins")
    if points < 2:
        raise RequestError(f"a strip needs at least 2 points, not {points}")
    events = film.cluster.recorder.events
    written: dict[TopicPartition, int] = {}
    for frame in film.frames:
        if frame.batches:
            written[frame.topic_partition] = max(written.get(frame.topic_partition, 0), len(frame.batches))
    if not events or not written:
        raise RequestError("there is nothing to show: nothing was written while the film ran")
    busiest = max(written, key=lambda known: written[known])
    wanted = busiest if topic is None else TopicPartition(topic, partition)
    if wanted not in written:
        raise RequestError(f"there is nothing to show: nothing was written to {wanted} while the film ran")
    begin_ms = events[0][1]
    duration_ms = max(1, events[-1][1] - begin_ms)
    points = min(points, max(2, len(events)))

    def part(at_ms: int) -> int:
        return max(0, min(points - 1, (at_ms - begin_ms) * points // (duration_ms + 1)))

    flights: list[tuple[int, int]] = []
    count = 0
    history = film.cluster.recorder.history
    # Where a record goes may have been settled after it was sent.
    here: dict[int, None] = {}
    for row in history:
        if isinstance(row, rows.Acked | rows.Failed) and (row.topic, row.partition) == tuple(wanted)[:2]:
            here.update(dict.fromkeys(row.send_numbers))
    for row in history:
        if isinstance(row, rows.Sent):
            if row.topic != wanted.topic or not (row.partition == wanted.partition or row.send_number in here):
                continue
            count += 1
        elif isinstance(row, rows.Acked | rows.Failed) and (row.topic, row.partition) == tuple(wanted)[:2]:
            count -= len(row.send_numbers)
        else:
            continue
        flights.append((part(row.at_ms), max(0, count)))
    marks: list[tuple[int, int]] = []
    lags: list[tuple[int, int]] = []
    ends: dict[int, int] = {}
    leader, mark = -1, 0
    for frame in film.frames:
        if frame.topic_partition != wanted:
            continue
        at = part(events[min(frame.seen_events, len(events) - 1)][1])
        ends[frame.broker_id] = frame.log_end_offset
        if not frame.is_up:
            del ends[frame.broker_id]
        if frame.is_leader:
            leader, mark = frame.broker_id, frame.high_watermark
        marks.append((at, mark))
        if leader in ends:
            lags.append((at, max(0, ends[leader] - min(ends.values()))))
    faults = tuple([(part(at_ms), what.fault) for _, at_ms, what in events if isinstance(what, Deviation)])
    series = (
        Series("in flight", _greatest(flights, points)),
        Series("lag", _greatest(lags, points)),
        Series("high_watermark", _greatest(marks, points)),
    )
    title = cut_text(f"{wanted} over time", 60)
    return MetricsStrip(title, duration_ms, len(events), series, faults, display)


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
