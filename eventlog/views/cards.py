"""What is not a ladder: the logs of a partition, and a verdict."""

from __future__ import annotations

from typing import Final

from eventlog.check.promises import BROKEN, EXCUSED, HELD, PROMISES
from eventlog.check.verdict import Verdict
from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.values import TopicPartition
from eventlog.views.film import Film
from eventlog.views.html import details, html_ladder, image, table
from eventlog.views.sheet import Moment, Names, Sheet, known_of, strips_of
from eventlog.views.svg import PAD, Pen, svg_ladder, whole, wrapped
from eventlog.views.text import known_text, strip_text
from eventlog.views.view import View

CARD_WIDTH: Final = 640
MOST_FINDINGS: Final = 5


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
