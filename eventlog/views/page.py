"""One self-contained page: a run with a slider, for a browser that knows nothing but this file.

The page gets the rows and, for every row after which a log has changed, that log's last cells; the script draws only the
rows that are in sight, so that a run of thousands of events stays quick. Nothing is fetched: the page's own policy
forbids it.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.values import TopicPartition
from eventlog.views.film import Batches, Film, Frame
from eventlog.views.making import actors_of, fitted, summary_of
from eventlog.views.reading import Reading
from eventlog.views.sheet import MOST_CELLS, Cell, Names, Row, Sheet, Strip, known_of

NO_LIMIT: Final = 2**62
MOST_SUMMARY: Final = 40
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"

State = tuple[int, Strip, tuple[str, ...]]
"""(the row after which it holds, a replica's log, what that replica remembers of its producers)."""


class PageRun(NamedTuple):
    """One run for a page: a page may show several, one at a time."""

    sheet: Sheet
    states: tuple[State, ...]


def run_of_sheet(sheet: Sheet) -> PageRun:
    """What a picture shows: its logs are known at its moments only."""
    states = [(moment.row, strip, ()) for moment in sheet.moments for strip in moment.strips]
    return PageRun(sheet, tuple(states))


def run_of(
    shown: Cluster | Film,
    start: int = 0,
    end: int | None = None,
    *,
    title: str = "",
    about: TopicPartition | tuple[str, int] | None = None,
    with_replication: bool = False,
) -> PageRun:
    """Every row of events `start` to `end`, and with a film the logs after each. O(events + frames).

    Raises RequestError when nothing is to show.
    """
    film = shown if isinstance(shown, Film) else None
    cluster = shown.cluster if isinstance(shown, Film) else shown
    events = cluster.recorder.events
    end = len(events) if end is None else min(end, len(events))
    if not 0 <= start < end:
        raise RequestError(
            f"there is nothing to show: the run has {len(events)} events, {start} to {end} were asked for"
        )
    wanted = None if about is None else TopicPartition(*about)
    reading = Reading(events, film, wanted, with_replication)
    rows = reading.read(start, end)
    if not rows:
        raise RequestError(f"there is nothing to show: no event from {start} to {end} is worth a line to a person")
    if wanted is None and reading.written:
        wanted = max(reading.written, key=lambda known: reading.written[known])
    states: list[State] = []
    seen = film if film is not None else (Film(cluster) if end == len(events) else None)
    if seen is not None and wanted is not None:
        states = states_of(reading.names, seen, wanted, rows, end)
    letters = tuple(reading.names.letters.items())
    actors = actors_of(rows)
    missing = sorted({strip.broker_id: None for _, strip, _ in states})
    actors = (*actors, *[f"broker-{known}" for known in missing if f"broker-{known}" not in actors])
    told, left_out = fitted(rows, MOST_SUMMARY)
    summary = summary_of(Sheet(title, "", actors, tuple(told), left_out=left_out))
    return PageRun(Sheet(title, summary, actors, tuple(rows), (), (), letters, 0, cluster.literal), tuple(states))


def states_of(names: Names, film: Film, wanted: TopicPartition, rows: list[Row], end: int) -> list[State]:
    """The logs of a partition after every row that changed one."""
    begins = [row.event for row in rows]
    tails: dict[int, _Tail] = {}
    found: dict[tuple[int, int], State] = {}
    for frame in film.frames:
        if frame.topic_partition != wanted or frame.seen_events > end:
            continue
        # A frame shows what was after its event; it belongs to the last row that had begun before.
        place = max(0, bisect_left(begins, frame.seen_events) - 1)
        tail = tails.setdefault(frame.broker_id, _Tail(names))
        found[(place, frame.broker_id)] = (place, tail.strip(frame), _remembered(names, frame))
    return sorted(found.values(), key=lambda state: (state[0], state[1].broker_id))


class _Tail:
    """The last cells of one replica's log, from frame to frame: only what is new is looked into."""

    __slots__ = ("batches", "cells", "names", "seen")

    def __init__(self, names: Names) -> None:
        self.names = names
        self.batches = Batches([])
        self.cells: list[list[Cell]] = []
        self.seen: dict[tuple[str, int], None] = {}

    def strip(self, frame: Frame) -> Strip:
        same = frame.batches.count_shared(self.batches)
        gone = [cell._replace(is_cut=True, is_copy=False) for cells in self.cells[same:] for cell in cells]
        if gone:
            # Who was first and who is a copy may be others now.
            self.cells, self.seen, same = [], {}, 0
        self.cells += [self.names.cells((batch,), self.seen) for batch in frame.batches[same:]]
        self.batches = frame.batches
        cells: list[Cell] = []
        for batch_cells in reversed(self.cells):
            if len(cells) >= MOST_CELLS:
                break
            cells[:0] = batch_cells
        count = sum([len(batch_cells) for batch_cells in self.cells])
        if frame.is_up and frame.log_end_offset < (gone[-1].offset + 1 if gone else 0):
            cells += gone
        cells = cells[-MOST_CELLS:]
        role = "leader" if frame.is_leader else "follower" if frame.is_up else "down"
        kept = len([cell for cell in cells if not cell.is_cut])
        return Strip(frame.broker_id, role, frame.high_watermark, tuple(cells), count - kept)


def _remembered(names: Names, frame: Frame) -> tuple[str, ...]:
    return tuple(
        [
            f"{known.letter} ({known.writer}): producer_id {known.producer_id}, producer_epoch {known.producer_epoch}, "
            f"last_sequence {known.last_sequence}; batches (sequence@offset) "
            f"{'  '.join([f'{sequences}@{offset}' for sequences, offset in known.batches])}"
            for known in known_of(names, (frame,))
        ]
    )


def page_html(*runs: PageRun, title: str = "") -> str:
    """The page, as text."""
    if not runs:
        raise RequestError("a page needs a run to show")
    title = title or runs[0].sheet.title or "A run"
    data = json.dumps([_plain(run) for run in runs], ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    room = files("eventlog.views")
    style, script = (room.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    summaries = "".join(
        [
            f"<p>{escape(f'{run.sheet.title}. ' if run.sheet.title else '')}{escape(run.sheet.summary)}</p>"
            for run in runs
        ]
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head><body>"
        f'<h1>{escape(title)}</h1><main id="page"></main>'
        f"<details><summary>The run in words</summary>{summaries}</details>"
        f'<script type="application/json" id="runs">{data}</script><script>\n{script}</script></body></html>\n'
    )


def write_page(shown: Any, path: str | Path, start: int = 0, end: int | None = None, **options: Any) -> Path:
    """Write the page of a cluster, a film, a sheet or several `PageRun`s to `path`. Returns the path.

    Raises RequestError when it can't be written.
    """
    title = str(options.get("title", ""))
    if isinstance(shown, PageRun):
        runs: tuple[PageRun, ...] = (shown,)
    elif isinstance(shown, Sheet):
        runs = (run_of_sheet(shown),)
    elif isinstance(shown, Cluster | Film):
        runs = (run_of(shown, start, end, **options),)
    else:
        runs = tuple(shown)
    text = page_html(*runs, title=title)
    target = Path(path)
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        raise RequestError(f"{target} can't be written: {error.strerror or error}") from None
    return target


def _plain(run: PageRun) -> dict[str, Any]:
    sheet = run.sheet
    start_ms = sheet.rows[0].at_ms
    rows = [
        [
            row.kind,
            row.at_ms - start_ms,
            row.source,
            list(row.targets),
            row.label,
            row.style,
            row.tone,
            row.why,
            row.told,
            row.fault,
            row.event,
            str(row),
        ]
        for row in sheet.rows
    ]
    states = [
        [
            place,
            strip.broker_id,
            strip.role,
            strip.high_watermark,
            strip.left_out,
            [
                [
                    cell.offset,
                    cell.name,
                    cell.value,
                    cell.leader_epoch,
                    (1 if cell.is_copy else 0) + (2 if cell.is_cut else 0),
                ]
                for cell in strip.cells
            ],
            list(remembered),
        ]
        for place, strip, remembered in run.states
    ]
    return {
        "title": sheet.title,
        "actors": list(sheet.actors),
        "rows": rows,
        "states": states,
        "literal": sheet.literal,
    }
