"""From a cluster, or the film of one, to a sheet: rows that fit, moments worth a look, and the words around them."""

from __future__ import annotations

from typing import Final

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.values import TopicPartition
from eventlog.views.film import Film
from eventlog.views.reading import Reading
from eventlog.views.sheet import ARROW, BAD, FAULT, LOST, Known, Moment, Row, Sheet, Strip, known_of, strips_of

MOST_ROWS: Final = 40
MOST_MOMENTS: Final = 3
NEAR: Final = (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6)
"""What stands beside a row, nearest first."""


def sheet_of(
    shown: Cluster | Film,
    start: int = 0,
    end: int | None = None,
    *,
    title: str = "",
    about: TopicPartition | tuple[str, int] | None = None,
    with_replication: bool = False,
    most_rows: int = MOST_ROWS,
    moments: tuple[int, ...] | None = None,
) -> Sheet:
    """The sheet of events `start` to `end` of a run. `about`: one partition (default: the one written to most).

    `moments`: the rows after which the logs are shown, -1 for the last; by default those after which a log was cut or a
    broker was struck, and the end. Without a film only the end is known. Raises RequestError when nothing is to show.
    """
    film = shown if isinstance(shown, Film) else None
    cluster = shown.cluster if isinstance(shown, Film) else shown
    events = cluster.recorder.events
    end = len(events) if end is None else min(end, len(events))
    if not 0 <= start < end:
        raise RequestError(f"there is nothing to show: the run has {len(events)} events, {start} to {end} were asked for")
    if most_rows < 3:
        raise RequestError(f"a ladder needs room for at least 3 rows, not {most_rows}")
    wanted = None if about is None else TopicPartition(*about)
    reading = Reading(events, film, wanted, with_replication)
    all_rows = reading.read(start, end)
    if not all_rows:
        raise RequestError(f"there is nothing to show: no event from {start} to {end} is worth a line to a person")
    if wanted is None and reading.written:
        wanted = max(reading.written, key=lambda known: reading.written[known])
    rows, left_out = fitted(all_rows, most_rows)
    # What is now can be seen without a film of what was.
    seen = film if film is not None else (Film(cluster) if end == len(events) else None)
    shots: tuple[Moment, ...] = ()
    known: tuple[Known, ...] = ()
    if seen is not None and wanted is not None:
        places = chosen_moments(rows, film, wanted, moments)
        shots = tuple([_moment(reading, seen, wanted, rows, place, end, film is not None) for place in places])
        known = known_of(reading.names, seen.replicas(end, wanted))
    letters = tuple(reading.names.letters.items())
    gaps = gaps_of(all_rows, rows) if left_out else ()
    sheet = Sheet(title, "", actors_of(rows, shots), tuple(rows), shots, known, letters, left_out, cluster.literal, gaps)
    return sheet._replace(summary=summary_of(sheet))


def _moment(
    reading: Reading, film: Film, wanted: TopicPartition, rows: list[Row], place: int, end: int, is_filmed: bool
) -> Moment:
    last = place == len(rows) - 1
    seen_events = end if last else rows[place + 1].event
    # What a cut took away is shown where the cut is.
    begin = rows[place].event
    before = film.replicas(begin, wanted) if is_filmed else ()
    strips = strips_of(reading.names, film.replicas(seen_events, wanted), before)
    return Moment(place, rows[place].at_ms, strips)


def chosen_moments(
    rows: list[Row], film: Film | None, wanted: TopicPartition, moments: tuple[int, ...] | None
) -> list[int]:
    """The rows after which the logs are shown."""
    last = len(rows) - 1
    if moments is not None:
        for place in moments:
            if not -1 - last <= place <= last:
                raise RequestError(f"there is no row {place}: the ladder has rows 0 to {last}")
        return sorted({place % len(rows): None for place in moments})
    if film is None:
        return [last]
    worth = sorted([place for place, row in enumerate(rows) if _weight(row)], key=lambda place: -_weight(rows[place]))
    chosen = sorted(worth[: MOST_MOMENTS - 1])
    return chosen if last in chosen else [*chosen, last]


def _weight(row: Row) -> int:
    """How much a row deserves that the logs after it are shown: a cut log most, then a lost message, then a fault."""
    if "parts from" in row.label:
        return 3
    if row.style == LOST:
        return 2
    return 1 if row.kind == FAULT and row.tone == BAD else 0


def fitted(rows: list[Row], most: int) -> tuple[list[Row], int]:
    """At most `most` rows, and how many events were left out. Neighbours that say the same are put together first; then
    what matters stays: the first of each sort with what stands beside it, then the others."""
    if len(rows) <= most:
        return rows, 0
    merged: list[Row] = []
    for row in rows:
        last = merged[-1] if merged else None
        if last is not None and _is_alike(last, row):
            merged[-1] = _together(last, row)
        else:
            merged.append(row)
    if len(merged) <= most:
        return merged, 0
    important = [place for place, row in enumerate(merged) if row.is_important]
    firsts: dict[str, int] = {}
    for place in important:
        firsts.setdefault(_sort_of(merged[place]), place)
    chosen: dict[int, None] = dict.fromkeys([0, len(merged) - 1])
    for places, nears in ((firsts.values(), NEAR[:3]), (important, NEAR)):
        for near in nears:
            for place in places:
                if len(chosen) < most and 0 <= place + near < len(merged):
                    chosen[place + near] = None
    for place in range(len(merged)):
        if len(chosen) >= most:
            break
        chosen[place] = None
    left_out = sum([row.events for place, row in enumerate(merged) if place not in chosen])
    return [row for place, row in enumerate(merged) if place in chosen], left_out


def _sort_of(row: Row) -> str:
    """What sort of thing it tells: a fault by its name, an answer by what it says, a message by how it fared."""
    said = row.label.rpartition(": ")[2].partition(" offset ")[0] if row.tone else ""
    return row.fault or f"{row.kind} {row.style} {said}"


def gaps_of(all_rows: list[Row], rows: list[Row]) -> tuple[tuple[int, int], ...]:
    """After which of `rows` something of `all_rows` is left out, and how many events."""
    gaps = []
    at = 0
    for number, row in enumerate(rows):
        until = rows[number + 1].event if number + 1 < len(rows) else all_rows[-1].event + 1
        events = -row.events
        while at < len(all_rows) and all_rows[at].event < until:
            events += all_rows[at].events
            at += 1
        if events > 0:
            gaps.append((number, events))
    return tuple(gaps)


def _is_alike(one: Row, other: Row) -> bool:
    return (
        one.kind == other.kind == ARROW
        and one[2:4] == other[2:4]
        and one.style == other.style
        and one.tone == other.tone
        and one.style != LOST
        and len(one.label) + len(other.label) < 60
    )


def _together(one: Row, other: Row) -> Row:
    """Two rows as one: `m1 · seq 1, m2 · seq 2`; `m1: ok, offset 1` and `m2: ok, offset 2` as `m1, m2: ok, offset 1, 2`."""
    (what, colon, said), (what_too, _, said_too) = one.label.partition(": "), other.label.partition(": ")
    head, _, tail = said_too.partition(" offset ")
    if tail and said.startswith(head):
        label = f"{what}, {what_too}{colon}{said}, {tail}"
    elif one.label.endswith(" again") and other.label.endswith(" again"):
        label = f"{one.label.removesuffix(' again')}, {other.label}"
    else:
        label = f"{one.label}, {other.label}"
    told = "; ".join([text for text in (one.told, other.told) if text])
    why = one.why if one.why == other.why else "; ".join([text for text in (one.why, other.why) if text])
    return one._replace(
        label=label,
        told=told,
        why=why,
        events=one.events + other.events,
        is_important=one.is_important or other.is_important,
    )


def actors_of(rows: list[Row], moments: tuple[Moment, ...] = ()) -> tuple[str, ...]:
    """The machines that take part: clients first, then brokers by number. Brokers with a log stand there, too."""
    found: dict[str, None] = {}
    for row in rows:
        for name in (row.source, *row.targets):
            found[name] = None
    clients = [name for name in found if name not in ("", "controller") and not name.startswith("broker-")]
    brokers = [name for name in found if name.startswith("broker-")]
    return (*clients, *sorted(brokers, key=lambda name: int(name.removeprefix("broker-"))))


def summary_of(sheet: Sheet) -> str:
    """The picture in words, for those who can't see it."""
    steps = [f"{number}. {row}." for number, row in enumerate(sheet.rows, 1)]
    logs = []
    if sheet.moments:
        logs = [strip_text(strip) for strip in sheet.moments[-1].strips]
    out = [f"{sheet.left_out} events are left out."] if sheet.left_out else []
    return " ".join([*steps, *out, *([f"In the end: {'; '.join(logs)}."] if logs else [])])


def strip_text(strip: Strip) -> str:
    """One replica's log in a sentence."""
    cells = " ".join(
        [
            f"{cell.value or cell.name}{' (copy)' if cell.is_copy else ''}{' (cut off)' if cell.is_cut else ''}"
            for cell in strip.cells
        ]
    )
    before = f"{strip.left_out} records, then " if strip.left_out else ""
    return f"broker-{strip.broker_id} ({strip.role}) has {before}{cells or 'nothing'}"
