"""What a notebook is given: a view that knows how to show itself as HTML, as SVG and as text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.views.film import Film
from eventlog.views.html import html_ladder
from eventlog.views.making import sheet_of
from eventlog.views.scenes import MOST_STEPS, find_scene
from eventlog.views.sheet import Sheet
from eventlog.views.svg import svg_side_by_side
from eventlog.views.text import text_ladder

SEQUENCES: Final = re.compile(r" · seq [\d–]+(, epoch \d+)?")
DISPLAYS: Final = ("all", "svg", "text")


class View:
    """Something to look at. `display` "svg" leaves the HTML out, for a notebook that a sanitiser will publish; "text"
    leaves both out. Raises RequestError for another one."""

    __slots__ = ("display",)

    def __init__(self, display: str = "all") -> None:
        if display not in DISPLAYS:
            raise RequestError(f"display must be one of {', '.join(DISPLAYS)}, not {display!r}")
        self.display = display

    @property
    def svg(self) -> str:
        """The picture."""
        raise NotImplementedError

    @property
    def html(self) -> str:
        """The picture in an `<img>`, tables, and what can be unfolded."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The same for a terminal."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/plain": self.text}
        if self.display != "text":
            bundle["image/svg+xml"] = self.svg
        if self.display == "all":
            bundle["text/html"] = self.html
        return bundle

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text


class Source(NamedTuple):
    """Where a sheet comes from: the run, which part of it, and how it is framed."""

    shown: Cluster | Film
    start: int
    end: int | None
    options: dict[str, Any]


class Ladder(View):
    """One sheet, or several side by side. `note` stands under them, `highlights` are rows that are lit."""

    __slots__ = ("highlights", "note", "sheets", "sources")

    def __init__(
        self,
        sheets: Iterable[Sheet],
        sources: Iterable[Source] = (),
        display: str = "all",
        note: str = "",
        highlights: tuple[int | None, ...] = (),
    ) -> None:
        super().__init__(display)
        self.sheets = tuple(sheets)
        self.sources = tuple(sources)
        self.note = note
        self.highlights = highlights

    @property
    def svg(self) -> str:
        return svg_side_by_side(self.sheets, self.note, self.highlights)

    @property
    def html(self) -> str:
        return html_ladder(self.sheets, self.svg)

    @property
    def text(self) -> str:
        return "\n".join([*[text_ladder(sheet) for sheet in self.sheets], *([f"{self.note}\n"] if self.note else [])])

    def to_html(self, path: str | Path) -> Path:
        """Write one self-contained page with a slider to `path`. Raises RequestError when it can't be written."""
        from eventlog.views.page import run_of, run_of_sheet, write_page

        if not self.sources:
            return write_page([run_of_sheet(sheet) for sheet in self.sheets], path)
        runs = []
        for shown, start, end, options in self.sources:
            framing = {name: options[name] for name in ("title", "about", "with_replication") if name in options}
            runs.append(run_of(shown, start, end, **framing))
        return write_page(runs, path)


def ladder(
    shown: Cluster | Film, start: int = 0, end: int | None = None, *, display: str = "all", **options: Any
) -> Ladder:
    """The ladder of events `start` to `end` of a run; `options` are those of `eventlog.views.making.sheet_of`.

    A film (`watch`) knows the logs at every step, a cluster only those of now. Raises RequestError when nothing is to
    show.
    """
    _check_shown(shown)
    return Ladder([sheet_of(shown, start, end, **options)], [Source(shown, start, end, options)], display)


def scene(name: str | int, *, display: str = "all") -> Ladder:
    """A scene by name or number, run anew. Raises RequestError for an unknown one."""
    found = find_scene(name)
    sheets, sources = [], []
    for title, act in found.takes:
        film, start, end, options = act()
        framed = {"most_rows": MOST_STEPS, **options, "title": title}
        sheets.append(sheet_of(film, start, end, **framed))
        sources.append(Source(film, start, end, framed))
    return Ladder(sheets, sources, display, found.question if len(sheets) > 1 else "")


def diff(
    one: Ladder | Cluster | Film,
    other: Ladder | Cluster | Film,
    titles: tuple[str, str] = ("one", "the other"),
    *,
    display: str = "all",
    **options: Any,
) -> Ladder:
    """Two runs side by side: where they part is lit, and a sentence says what their logs have in the end. That one writer
    numbers its batches and the other doesn't is no parting."""
    ladders = [shown if isinstance(shown, Ladder) else ladder(shown, **options) for shown in (one, other)]
    for shown in ladders:
        if len(shown.sheets) != 1:
            raise RequestError(f"a diff is of two runs; this ladder shows {len(shown.sheets)} already")
    sheets = [shown.sheets[0]._replace(title=title) for shown, title in zip(ladders, titles, strict=True)]
    sources = [
        source._replace(options={**source.options, "title": title})
        for shown, title in zip(ladders, titles, strict=True)
        for source in shown.sources
    ]
    rows = [sheet.rows for sheet in sheets]
    same = 0
    while same < min(map(len, rows)) and _is_same(str(rows[0][same]), str(rows[1][same])):
        same += 1
    lit = tuple([same if same < len(known) else None for known in rows])
    if lit == (None, None):
        note = f"Both runs take the same {same} steps."
    elif not same:
        note = "They part at the first step."
    else:
        note = f"They are the same up to step {same} and part at step {same + 1}."
    return Ladder(sheets, sources, display, f"{note} {_logs_compared(sheets)}".rstrip(), lit)


def _is_same(one: str, other: str) -> bool:
    """Do two steps say the same? A plain writer's does, though it says nothing of sequences."""
    return one == other or one == SEQUENCES.sub("", other) or SEQUENCES.sub("", one) == other


def _logs_compared(sheets: list[Sheet]) -> str:
    logs = []
    for sheet in sheets:
        leaders = [strip for strip in (sheet.moments[-1].strips if sheet.moments else ()) if strip.role == "leader"]
        if not leaders:
            return ""
        cells = [cell.value for cell in leaders[0].cells if not cell.is_cut]
        logs.append(" ".join([*(["…"] if leaders[0].left_out else []), *cells]) or "nothing")
    if logs[0] == logs[1]:
        return f"Both leaders' logs have: {logs[0]}."
    return f"The leaders' logs in the end: {sheets[0].title}: {logs[0]}; {sheets[1].title}: {logs[1]}."


def _check_shown(shown: object) -> None:
    if not isinstance(shown, Cluster | Film):
        raise RequestError(f"a ladder shows a Cluster, or the film of one (`watch`), not {type(shown).__name__}")
