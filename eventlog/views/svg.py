"""A sheet as SVG: one string, no script, nothing fetched; light and dark by a media query.

Text is laid out by the widths of DejaVu Sans, the widest of the usual fonts, so that it has room in any. Every text is
escaped here and nowhere else. Colour never speaks alone: arrows differ in stroke, cells carry their epoch, and tone has
a word beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Final, NamedTuple
from unicodedata import east_asian_width

from eventlog.views.sheet import (
    AGAIN,
    ARROW,
    BAD,
    BAND,
    FAULT,
    GOOD,
    LATE,
    LOST,
    NOTE,
    SOLID,
    Cell,
    Known,
    Moment,
    Row,
    Sheet,
    Strip,
)

FONT: Final = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif"
EPOCH_COLOURS: Final = 6
MOST_LINES: Final = 8
PAD: Final = 14
CELL_HEIGHT: Final = 28
STRIP_HEIGHT: Final = 58
NAME_WIDTH: Final = 76
MOST_WIDTH: Final = 1000
"""A picture that would be wider, with the logs beside the ladder, has them under it: a notebook would shrink it."""
LEGEND: Final = {
    SOLID: "arrives",
    LOST: "lost",
    AGAIN: "sent again, or the answer to what was",
    LATE: "late, from before",
}
LEGEND_ORDER: Final = ("fault", "hw", "offset", "epoch", "copy", "cut")
SAMPLE_WIDTHS: Final = {"fault": 14, "hw": 12, "cut": 18}

# name: (light, dark); of a text the fill, of a line the stroke.
COLOURS: Final = {
    "t": ("#1f2328", "#e6edf3"),
    "m": ("#57606a", "#a9b3be"),
    "b": ("#a40e26", "#ff9a92"),
    "g": ("#0f5323", "#7ee08f"),
    "bg": ("#ffffff", "#0d1117"),
    "hl": ("#fff4c2", "#3a3410"),
    "fb": ("#fdeceb", "#3a1618"),
    "cb": ("#e3edfb", "#14304f"),
    "e0": ("#dbeafe", "#1f3b63"),
    "e1": ("#fde3b8", "#5a3d12"),
    "e2": ("#d5f0d9", "#1d4a2a"),
    "e3": ("#f0d9f3", "#4e2a55"),
    "e4": ("#fbf3a6", "#4d4512"),
    "e5": ("#cfecef", "#17474d"),
    "lt": ("#1f2328", "#e6edf3"),
    "lm": ("#8c959f", "#6e7681"),
    "lb": ("#a40e26", "#ff9a92"),
    "lg": ("#0f5323", "#7ee08f"),
    "hw": ("#0a5c66", "#5fd3e0"),
}
_LINES: Final = ("lt", "lm", "lb", "lg", "hw")


def _style() -> str:
    def rules(which: int) -> str:
        return "".join(
            [
                f".el-{name}{{{'stroke' if name in _LINES else 'fill'}:{colours[which]}}}"
                for name, colours in COLOURS.items()
            ]
        )

    return f"<style>{rules(0)}@media (prefers-color-scheme:dark){{{rules(1)}}}</style>"


STYLE: Final = _style()
ATTRIBUTES: Final = {
    name: f'class="el-{name}" {"stroke" if name in _LINES else "fill"}="{colours[0]}"'
    for name, colours in COLOURS.items()
}

_WIDTHS: Final[dict[str, float]] = {
    **dict.fromkeys("iljI'|", 0.3),
    **dict.fromkeys(" ,.·", 0.32),
    **dict.fromkeys(":;/\\!()[]-ftr", 0.41),
    **dict.fromkeys("abcdeghknopqsuvxyz0123456789_–?<>\"+=*", 0.64),
    **dict.fromkeys("ABCEFJKLPRSTVXYZ", 0.7),
    **dict.fromkeys("DGHNOQU&#", 0.79),
    **dict.fromkeys("mwMW@%…→", 1.0),
}


@lru_cache(4096)
def text_width(text: str, size: float = 12, is_bold: bool = False) -> float:
    """How wide `text` is at most, in pixels."""
    total = 0.0
    for letter in text:
        known = _WIDTHS.get(letter)
        if known is None:
            known = 1.05 if east_asian_width(letter) in "WF" else 0.8
        total += known
    return total * size * (1.1 if is_bold else 1.0)


@lru_cache(4096)
def wrapped(text: str, width: float, size: float = 12, is_bold: bool = False) -> tuple[str, ...]:
    """`text` in lines of at most `width` pixels, at most MOST_LINES of them; what is cut is counted."""
    lines: list[str] = []
    line = ""
    words = text.split(" ")
    while words:
        word = words.pop(0)
        longer = f"{line} {word}" if line else word
        if text_width(longer, size, is_bold) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
            words.insert(0, word)
            line = ""
        else:
            # One word that has no room: as much of it as there is room for.
            fits = max(1, int(len(word) * width / max(1.0, text_width(word, size, is_bold))))
            while fits > 1 and text_width(word[:fits], size, is_bold) > width:
                fits -= 1
            lines.append(word[:fits])
            if word[fits:]:
                words.insert(0, word[fits:])
        if len(lines) == MOST_LINES:
            count = len(" ".join(words))
            if count:
                lines[-1] = f"{lines[-1][:-10]}…+{count + min(10, len(lines[-1])):,}"
            return tuple(lines)
    if line or not lines:
        lines.append(line)
    return tuple(lines)


class _Placed(NamedTuple):
    """A row with its room: `top` to `bottom`, and where its arrow lies."""

    row: Row
    top: float
    line: float
    bottom: float


class Pen:
    """Writes the pieces of a picture into `parts`."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.is_lit = False

    def text(
        self,
        x: float,
        y: float,
        text: str,
        kind: str = "t",
        size: float = 12,
        anchor: str = "start",
        is_bold: bool = False,
        is_backed: bool = False,
        more: str = "",
    ) -> None:
        if not text:
            return
        if is_backed and not self.is_lit:
            width = text_width(text, size, is_bold)
            begin = x - width / 2 if anchor == "middle" else x - width if anchor == "end" else x
            self.rect(begin - 2, y - size, width + 4, size + 4, "bg")
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        bold = ' font-weight="700"' if is_bold else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{where}{bold}{more} {ATTRIBUTES[kind]}>'
            f"{escape(text, quote=False)}</text>"
        )

    def rect(self, x: float, y: float, width: float, height: float, kind: str, more: str = "") -> None:
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {ATTRIBUTES[kind]}{more}/>'
        )

    def path(self, shape: str, kind: str, more: str = "") -> None:
        self.parts.append(f'<path d="{shape}" fill="none" {ATTRIBUTES[kind]}{more}/>')

    def head(self, x: float, y: float, direction: int, kind: str) -> None:
        self.parts.append(
            f'<path d="M{x:.1f} {y:.1f}l{-9 * direction} -5v10z" {ATTRIBUTES[kind]} stroke="none"/>'
        )

    def bolt(self, x: float, y: float) -> None:
        self.parts.append(f'<path d="M{x + 5:.1f} {y - 10:.1f}l-5 7h3l-2 5 6 -7h-3l3 -5z" {ATTRIBUTES["b"]}/>')


class Drawing(Pen):
    """One sheet, laid out and drawn; `body` is what stands inside the `<svg>`. O(rows and cells).

    `is_narrow` puts the logs under the ladder instead of beside it, for two that stand side by side.
    """

    def __init__(self, sheet: Sheet, highlight: int | None = None, is_narrow: bool = False, prefix: str = "step") -> None:
        super().__init__()
        self.sheet = sheet
        self.highlight = highlight
        self.is_narrow = is_narrow or not sheet.rows
        self.prefix = prefix
        self.left = 0.0
        self.right = 0.0
        self.centre: dict[str, float] = {}
        self.width = self.height = 0
        self.used: dict[str, str] = {}
        self._columns()
        self._draw()

    # --- where things stand ---------------------------------------------------------------------------------------

    def _columns(self) -> None:
        sheet = self.sheet
        faults = [text_width(row.fault, 11, True) + 14 for row in sheet.rows if row.is_struck]
        self.left = PAD + max(96, *faults, 0) + 10
        actors = sheet.actors or ("",)
        gaps = [96.0] * len(actors)
        place = {actor: index for index, actor in enumerate(actors)}
        for index, actor in enumerate(actors[1:], 1):
            half = (text_width(actor, 12, True) + text_width(actors[index - 1], 12, True)) / 2 + 24
            gaps[index] = max(gaps[index], half)
        most = 280.0 if self.is_narrow else 320.0
        for row in sheet.rows:
            if row.kind == ARROW and row.source in place:
                ends = [place[target] for target in row.targets if target in place]
                low, high = min(place[row.source], *ends), max(place[row.source], *ends)
                if high > low:
                    is_bold = row.tone != ""
                    word = max([text_width(word, 12, is_bold) for word in row.label.split(" ")])
                    wanted = max(150.0, word + 30, min(most, text_width(row.label, 12, is_bold) + 36))
                    for index in range(low + 1, high + 1):
                        gaps[index] = max(gaps[index], wanted / (high - low))
        first = self.left + max(24.0, text_width(actors[0], 12, True) / 2)
        x = first
        for index, actor in enumerate(actors):
            x += gaps[index] if index else 0
            self.centre[actor] = x
        self.right = max(x + max(24.0, text_width(actors[-1], 12, True) / 2), first + 270)

    def _draw(self) -> None:
        sheet = self.sheet
        top = float(PAD)
        width = self.right + PAD
        blocks = [self._block_size(moment) for moment in sheet.moments]
        if blocks and self.right + 34 + max(block[0] for block in blocks) + PAD > MOST_WIDTH:
            self.is_narrow = True
        beside = 0.0
        if blocks and not self.is_narrow:
            beside = self.right + 34
            width = beside + max(block[0] for block in blocks) + PAD
        elif blocks:
            width = max(width, PAD * 2 + max(block[0] for block in blocks))
        columns = self._known_columns()
        if columns:
            width = max(width, PAD * 2 + sum(columns))
        if sheet.title:
            for line in wrapped(sheet.title, width - 2 * PAD, 15, True):
                self.text(PAD, top + 15, line, size=15, is_bold=True)
                top += 21
            top += 4
        placed: list[_Placed] = []
        bottom = top
        if sheet.rows:
            self.text(PAD, top + 14, "step, time", "m", 11)
            for actor, x in self.centre.items():
                self.text(x, top + 14, actor, anchor="middle", is_bold=True)
            top += 22
            placed = self._placed(top + 4)
            bottom = placed[-1].bottom
            self._lifelines(placed, top, bottom)
        for number, place in enumerate(placed):
            self._row(number, place)
        for number, events in sheet.gaps:
            self.text(self.left, placed[number].bottom + 15, f"… {events:,} events left out", "m", 11, is_backed=True)
        if sheet.gaps and sheet.gaps[-1][0] == len(placed) - 1:
            bottom += 18  # what is missing behind the last row has a line of its own
        if sheet.left_out:
            self.text(self.left, bottom + 16, f"… {sheet.left_out:,} events of the run are left out", "m", 12)
            bottom += 22
        below = bottom + (14 if sheet.rows else 0)
        if beside:
            low = top - 14
            for moment, (_, height) in zip(sheet.moments, blocks, strict=True):
                where = placed[moment.row]
                low = max(low, where.line - 24)
                self._moment(moment, beside, low, where, height)
                low += height + 12
            below = max(below, low + 4)
        else:
            for moment, (_, height) in zip(sheet.moments, blocks, strict=True):
                self._moment(moment, PAD, below, None, height)
                below += height + 12
        if columns:
            below = self._known(below, columns)
        below = self._legend(below, width)
        self.width, self.height = round(width + 0.5), round(below + PAD)

    def _said_width(self, row: Row) -> tuple[float, float]:
        """Where the sentences under a row stand: x and width."""
        if row.kind != ARROW:
            return self.left + 4, min(460, self.right - self.left - 12)
        ends = [self.centre[name] for name in (row.source, *row.targets) if name in self.centre]
        begin = min(ends) + 12 if ends else self.left
        width = max(max(ends) - begin - 10 if ends else 0, 236)
        begin = max(self.left, min(begin, self.right - width))
        return begin, min(width, 460)

    @staticmethod
    def _said(row: Row) -> list[tuple[str, str]]:
        """The sentences under a row, with their tone."""
        said = []
        if row.told and (row.style == AGAIN or row.tone == BAD):
            said.append((row.told, "g" if row.tone == GOOD else "b"))
        # A bar has said it: only what has a sender needs the sentence about its fault.
        if row.why and row.source and row.kind != BAND:
            is_because = row.kind == ARROW and row.style not in (LOST, LATE) and not row.fault
            said.append((f"because {row.why}" if is_because else row.why, "m"))
        return said

    def _label_lines(self, row: Row) -> tuple[str, ...]:
        if row.kind == ARROW:
            ends = [self.centre[name] for name in (row.source, *row.targets) if name in self.centre]
            return wrapped(row.label, max(110, max(ends) - min(ends) - 24), 12, row.tone != "")
        if row.kind == NOTE:
            return wrapped(row.label, self._note_room(row), 12)
        return wrapped(row.label, self.right - self.left - 20, 12, True)

    def _note_room(self, row: Row) -> float:
        x = self.centre.get(row.targets[0], self.left)
        return max(120, max(self.right - x - 14, x - self.left - 14))

    def _placed(self, top: float) -> list[_Placed]:
        placed = []
        gaps = dict(self.sheet.gaps)
        for number, row in enumerate(self.sheet.rows):
            lines = len(self._label_lines(row))
            if row.kind == ARROW:
                line = top + 4 + 15 * lines + 5
                bottom = line + 8
            else:
                line = top + 16
                bottom = top + 10 + 15 * lines + 5
            _, width = self._said_width(row)
            for text, _ in self._said(row):
                bottom += 14 * len(wrapped(text, width, 11))
            bottom = max(bottom, top + (34 if row.is_struck else 28))
            placed.append(_Placed(row, top, line, bottom + 4))
            top = bottom + (24 if number in gaps else 6)
        return placed

    def _lifelines(self, placed: list[_Placed], top: float, bottom: float) -> None:
        for actor, x in self.centre.items():
            begin, is_up = top, True
            for place in placed:
                row = place.row
                if row.kind != FAULT or actor not in row.targets:
                    continue
                if row.fault.startswith("crash") or row.fault == "stop":
                    self._lifeline(x, begin, place.bottom, is_up)
                    begin, is_up = place.bottom, False
                elif row.fault == "restart":
                    self._lifeline(x, begin, place.bottom, is_up)
                    begin, is_up = place.bottom, True
            self._lifeline(x, begin, bottom, is_up)

    def _lifeline(self, x: float, begin: float, end: float, is_up: bool) -> None:
        self.path(f"M{x:.1f} {begin:.1f}V{end:.1f}", "lm", "" if is_up else ' stroke-dasharray="1 6"')

    # --- rows -----------------------------------------------------------------------------------------------------

    def _row(self, number: int, place: _Placed) -> None:
        row = place.row
        self.parts.append(f'<g id="{self.prefix}-{number + 1}" data-step="{number + 1}"><title>{escape(str(row))}</title>')
        self.is_lit = number == self.highlight
        if self.is_lit:
            height = place.bottom - place.top
            self.rect(4, place.top, self.right - 4, height, "hl")
            self.path(f"M6 {place.top:.1f}v{height:.1f}", "lt", ' stroke-width="3"')
        stamp_y = place.line + 4
        start_ms = self.sheet.rows[0].at_ms
        struck = row.is_struck
        if struck and row.kind == ARROW:
            stamp_y = max(place.top + 14, place.line - 6)
        self.text(PAD, stamp_y, f"{number + 1}", is_bold=True)
        self.text(self.left - 10, stamp_y, f"+{row.at_ms - start_ms:,} ms", "m", 11, "end")
        if struck:
            self.bolt(PAD, stamp_y + 14)
            self.used["fault"] = "a fault, by its name"
            self.text(PAD + 14, stamp_y + 15, row.fault, "b", 11, is_bold=True)
        if row.kind == ARROW:
            self._arrow(place)
        elif row.kind == NOTE:
            self._note(place)
        else:
            self._band(place)
        y = place.line + (19 if row.kind == ARROW else 19 + 15 * (len(self._label_lines(row)) - 1))
        x, width = self._said_width(row)
        for text, kind in self._said(row):
            for line in wrapped(text, width, 11):
                self.text(x, y, line, kind, 11, is_backed=True)
                y += 14
        self.is_lit = False
        self.parts.append("</g>")

    def _arrow(self, place: _Placed) -> None:
        row = place.row
        y, start = place.line, self.centre[row.source]
        ends = [self.centre[target] for target in row.targets if target in self.centre]
        lines = self._label_lines(row)
        kind = {GOOD: "g", BAD: "b"}.get(row.tone, "t")
        middle = (min(start, *ends) + max(start, *ends)) / 2
        nearest = min(ends, key=lambda end: abs(end - start))
        if len(ends) > 1 and max([text_width(text, 12, True) for text in lines]) + 20 < abs(nearest - start):
            middle = (start + nearest) / 2
        for index, text in enumerate(lines):
            at = y - 7 - 15 * (len(lines) - 1 - index)
            self.text(middle, at, text, kind, 12, "middle", row.tone != "", is_backed=True)
        stroke, fill = ("lb", "b") if row.style == LOST else ("lm", "m") if row.style == LATE else ("lt", "t")
        for end in {min([start, *ends]): None, max([start, *ends]): None}:
            if end == start:
                continue
            way = 1 if end > start else -1
            begin, tip = start + 2 * way, end - 2 * way
            if row.style == LOST:
                tip = begin + (tip - begin) * 0.86
            stop = tip - 7 * way if row.style != LOST else tip
            if row.style == AGAIN:
                shape = f"M{begin:.1f} {y - 2:.1f}H{stop:.1f}M{begin:.1f} {y + 2:.1f}H{stop:.1f}"
            else:
                shape = f"M{begin:.1f} {y:.1f}H{stop:.1f}"
            dash = {LOST: ' stroke-dasharray="7 5"', LATE: ' stroke-dasharray="2 4"'}.get(row.style, "")
            self.path(shape, stroke, f' stroke-width="1.6"{dash}')
            if row.style == LOST:
                self.path(f"M{tip - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", "lb", ' stroke-width="2.4"')
        for end in ends:
            if row.style != LOST and end != start:
                way = 1 if end > start else -1
                self.head(end - 2 * way, y, way, fill)

    def _note(self, place: _Placed) -> None:
        row = place.row
        x = self.centre.get(row.targets[0], self.left)
        kind = {GOOD: "g", BAD: "b"}.get(row.tone, "t")
        is_right = self.right - x >= x - self.left
        self.parts.append(f'<circle cx="{x:.1f}" cy="{place.line:.1f}" r="4" {ATTRIBUTES[kind]}/>')
        for index, text in enumerate(self._label_lines(row)):
            at = x + 10 if is_right else x - 10
            anchor = "start" if is_right else "end"
            self.text(at, place.line + 4 + 15 * index, text, kind, 12, anchor, is_backed=True)

    def _band(self, place: _Placed) -> None:
        """A fault or what the controller told: a bar over all columns, and a mark at those it concerns."""
        row = place.row
        lines = self._label_lines(row)
        fill = "fb" if row.kind == FAULT and row.is_struck else "cb"
        height = 15 * len(lines) + 7
        begin = self.left - 4
        self.rect(begin, place.line - 13, self.right - begin, height, fill, ' rx="4"')
        for name in row.targets:
            if name in self.centre:
                x, y = self.centre[name], place.line - 13
                self.path(f"M{x - 4:.1f} {y:.1f}h8", "lb" if fill == "fb" else "lt", ' stroke-width="4"')
        for index, text in enumerate(lines):
            self.text(self.left + 4, place.line + 4 + 15 * index, text, "b" if fill == "fb" else "t", 12, is_bold=True)

    # --- logs -----------------------------------------------------------------------------------------------------

    @staticmethod
    def _cell_width(moment: Moment) -> float:
        widths = [
            max(text_width(_cell_name(cell), 11, True), text_width(cell.value, 10), text_width(str(cell.offset), 9))
            for strip in moment.strips
            for cell in strip.cells
        ]
        return max(26.0, *widths, 0) + 6

    def _block_size(self, moment: Moment) -> tuple[float, float]:
        each = self._cell_width(moment)
        width = max([len(strip.cells) * each + (56 if strip.left_out else 0) for strip in moment.strips], default=0)
        return NAME_WIDTH + 12 + max(width, 90), 20 + STRIP_HEIGHT * len(moment.strips)

    def _moment(self, moment: Moment, x: float, y: float, where: _Placed | None, height: float) -> None:
        if where is not None:
            self.path(
                f"M{self.right - 6:.1f} {where.line:.1f}H{x - 16:.1f}V{y + 10:.1f}H{x - 4:.1f}",
                "lm",
                ' stroke-dasharray="3 3"',
            )
        self.parts.append("<g>")
        self.text(x, y + 14, f"logs after step {moment.row + 1}" if self.sheet.rows else "logs", "t", 12, is_bold=True)
        each = self._cell_width(moment)
        for index, strip in enumerate(moment.strips):
            self._strip(strip, x, y + 20 + STRIP_HEIGHT * index, each)
        self.parts.append("</g>")

    def _strip(self, strip: Strip, x: float, y: float, each: float) -> None:
        self.text(x, y + 18, f"broker-{strip.broker_id}", size=11, is_bold=True)
        tone = {"leader": "g", "down": "b"}.get(strip.role, "m")
        self.text(x, y + 31, strip.role, tone, 11, is_bold=tone != "m")
        self.text(x, y + 44, f"hw {strip.high_watermark}", "t", 11)
        at = x + NAME_WIDTH
        top = y + 12
        if strip.left_out:
            self.text(at, top + 18, f"… {strip.left_out:,}", "m", 11)
            at += 56
        mark: float | None = None
        run_begin, run_epoch = at, -1
        for cell in strip.cells:
            if mark is None and not cell.is_cut and cell.offset >= strip.high_watermark:
                mark = at
            if cell.leader_epoch != run_epoch:
                self._epoch(run_begin, at, run_epoch, top)
                run_begin, run_epoch = at, cell.leader_epoch
            self._cell(cell, at, top, each)
            at += each
            if mark is None and not cell.is_cut and cell.offset + 1 == strip.high_watermark:
                mark = at
        self._epoch(run_begin, at, run_epoch, top)
        if not strip.cells:
            self.text(at + 6, top + 18, "empty", "m", 11)
        mark = at if mark is None else mark
        self.path(f"M{mark:.1f} {top - 9:.1f}V{top + CELL_HEIGHT + 2:.1f}", "hw", ' stroke-width="3"')
        self.used["hw"] = "hw: high_watermark; all in sync have what is before it"

    def _epoch(self, begin: float, end: float, leader_epoch: int, top: float) -> None:
        if leader_epoch < 0 or end <= begin:
            return
        y = top + CELL_HEIGHT + 3
        self.path(f"M{begin + 3:.1f} {y:.1f}H{end - 3:.1f}", "lm")
        self.text((begin + end) / 2, y + 10, f"e{leader_epoch}", "m", 9, "middle")
        self.used["epoch"] = f"e{leader_epoch}: written under leader_epoch {leader_epoch}"

    def _cell(self, cell: Cell, x: float, y: float, each: float) -> None:
        kind = f"e{cell.leader_epoch % EPOCH_COLOURS}"
        self.text(x + each / 2, y - 2, str(cell.offset), "m", 9, "middle")
        self.used["offset"] = "above a cell: its offset"
        stroke = "lb" if cell.is_copy or cell.is_cut else "lm"
        self.rect(x + 1, y, each - 2, CELL_HEIGHT, kind, ' rx="2"')
        strong = ' stroke-width="2"' if cell.is_copy else ' stroke-dasharray="3 2"' if cell.is_cut else ""
        self.path(f"M{x + 1:.1f} {y:.1f}h{each - 2:.1f}v{CELL_HEIGHT}h{2 - each:.1f}z", stroke, strong)
        if cell.is_cut:
            self._hatch(x + 1, y, each - 2, CELL_HEIGHT)
            self.used["cut"] = "hatched: cut off the log"
        if cell.is_copy:
            self.used["copy"] = "²: the same record again"
        self.text(x + each / 2, y + 12, _cell_name(cell), "t", 11, "middle", True)
        strike = ' text-decoration="line-through"' if cell.is_cut else ""
        self.text(x + each / 2, y + 24, cell.value, "t", 10, "middle", more=strike)

    def _hatch(self, x: float, y: float, width: float, height: float) -> None:
        shape = []
        step = -height
        while step < width:
            low, high = max(step, 0.0), min(step + height, width)
            if high > low:
                foot = y + height + step
                shape.append(f"M{x + low:.1f} {foot - low:.1f}L{x + high:.1f} {foot - high:.1f}")
            step += 6
        self.path("".join(shape), "lb", ' stroke-width="0.8" opacity="0.55"')

    # --- what brokers remember, and the legend --------------------------------------------------------------------

    def _known_rows(self) -> list[tuple[str, ...]]:
        return [
            (
                ", ".join(map(str, known.brokers)),
                f"{known.letter} ({known.writer})" if known.writer else known.letter,
                str(known.producer_id),
                str(known.producer_epoch),
                str(known.last_sequence),
                batches_text(known),
            )
            for known in self.sheet.known
        ]

    def _known_columns(self) -> list[float]:
        rows = self._known_rows()
        if not rows:
            return []
        return [
            max(
                *[text_width(head, 11, True) for head in KNOWN_HEADS[index]],
                *[text_width(row[index], 11) for row in rows],
            )
            + 9
            for index in range(len(KNOWN_HEADS))
        ]

    def _known(self, y: float, columns: list[float]) -> float:
        self.text(PAD, y + 14, "What the brokers remember of the producers", is_bold=True)
        y += 22
        x = float(PAD)
        for heads, width in zip(KNOWN_HEADS, columns, strict=True):
            for index, head in enumerate(heads):
                self.text(x, y + 12 + 13 * index, head, "m", 11, is_bold=True)
            x += width
        y += 32
        for row in self._known_rows():
            self.path(f"M{PAD} {y:.1f}H{PAD + sum(columns):.1f}", "lm", ' stroke-width="0.8"')
            x = float(PAD)
            for text, width in zip(row, columns, strict=True):
                self.text(x, y + 15, text, size=11)
                x += width
            y += 21
        return y + 6

    def _legend(self, y: float, width: float) -> float:
        entries: list[tuple[str, str]] = [(style, LEGEND[style]) for style in self.sheet.styles]
        entries += [(kind, self.used[kind]) for kind in LEGEND_ORDER if kind in self.used]
        entries += [("", f"{name} {value}: {meaning}") for name, value, meaning in self.sheet.examples]
        if not entries:
            return y
        x = float(PAD)
        self.path(f"M{PAD} {y:.1f}H{width - PAD:.1f}", "lm", ' stroke-width="0.8"')
        y += 18
        for kind, text in entries:
            sample = SAMPLE_WIDTHS.get(kind, 0 if kind not in LEGEND else 36)
            size = sample + text_width(text, 11) + 22
            if x + size > width - PAD + 22 and x > PAD:
                x, y = float(PAD), y + 18
            self._sample(kind, x, y - 4)
            self.text(x + sample, y, text, "m", 11)
            x += size
        return y + 4

    def _sample(self, kind: str, x: float, y: float) -> None:
        end = x + 28
        if kind == SOLID:
            self.path(f"M{x:.1f} {y:.1f}H{end - 7:.1f}", "lt", ' stroke-width="1.6"')
            self.head(end, y, 1, "t")
        elif kind == AGAIN:
            self.path(f"M{x:.1f} {y - 2:.1f}H{end - 7:.1f}M{x:.1f} {y + 2:.1f}H{end - 7:.1f}", "lt", ' stroke-width="1.6"')
            self.head(end, y, 1, "t")
        elif kind == LOST:
            self.path(f"M{x:.1f} {y:.1f}H{end - 4:.1f}", "lb", ' stroke-width="1.6" stroke-dasharray="7 5"')
            self.path(f"M{end - 8:.1f} {y - 4:.1f}l8 8m0 -8l-8 8", "lb", ' stroke-width="2.4"')
        elif kind == LATE:
            self.path(f"M{x:.1f} {y:.1f}H{end - 7:.1f}", "lm", ' stroke-width="1.6" stroke-dasharray="2 4"')
            self.head(end, y, 1, "m")
        elif kind == "fault":
            self.bolt(x, y + 4)
        elif kind == "hw":
            self.path(f"M{x + 4:.1f} {y - 7:.1f}v14", "hw", ' stroke-width="3"')
        elif kind == "cut":
            self._hatch(x, y - 6, 12, 12)


KNOWN_HEADS: Final = (
    ("on broker", ""),
    ("producer", ""),
    ("producer", "_id"),
    ("producer", "_epoch"),
    ("last", "_sequence"),
    ("newest batches:", "sequence@offset"),
)


def _cell_name(cell: Cell) -> str:
    return f"{cell.name}²" if cell.is_copy else cell.name


def batches_text(known: Known) -> str:
    """The batches a broker remembers of one producer: `3@7, 4@8`."""
    return ", ".join([f"{sequences}@{offset}" for sequences, offset in known.batches])


def whole(body: str, width: int, height: int, title: str, summary: str) -> str:
    """An `<svg>` around `body`, with a title and a description for those who can't see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" style="max-width:100%;height:auto" font-family="{FONT}">'
        f"<title>{escape(title)}</title><desc>{escape(summary)}</desc>{STYLE}"
        f'<rect width="{width}" height="{height}" {ATTRIBUTES["bg"]}/>{body}</svg>'
    )


def svg_ladder(sheet: Sheet, *, highlight: int | None = None) -> str:
    """The picture of a sheet; `highlight` is a row's index that is lit. Every row is a `<g id="step-N">`, from 1."""
    drawing = Drawing(sheet, highlight)
    return whole("".join(drawing.parts), drawing.width, drawing.height, sheet.title or "A ladder", sheet.summary)


def svg_size(sheet: Sheet) -> tuple[int, int]:
    """Width and height of `svg_ladder(sheet)`, in pixels."""
    drawing = Drawing(sheet)
    return drawing.width, drawing.height


def svg_side_by_side(sheets: Sequence[Sheet], note: str = "", highlights: Sequence[int | None] = ()) -> str:
    """Sheets beside each other in one picture, their logs under them; one alone is `svg_ladder`.

    `note` stands under them; `highlights` are the rows that are lit, one of each sheet.
    """
    if len(sheets) == 1:
        return svg_ladder(sheets[0], highlight=highlights[0] if highlights else None)
    body, x, height = [], 0, 0
    for number, sheet in enumerate(sheets):
        lit = highlights[number] if number < len(highlights) else None
        drawing = Drawing(sheet, lit, is_narrow=True, prefix="step" if not number else f"step-{'abcdefgh'[number % 8]}")
        if number:
            body.append(f'<path d="M{x + 8} 10V9999" {ATTRIBUTES["lm"]}/>')
            x += 16
        body.append(f'<g transform="translate({x} 0)">{"".join(drawing.parts)}</g>')
        x += drawing.width
        height = max(height, drawing.height)
    body = ["".join(body).replace("V9999", f"V{height - 10}")]
    if note:
        pen = Pen()
        for line in wrapped(note, x - 2 * PAD, 12):
            pen.text(PAD, height + 12, line)
            height += 17
        body += pen.parts
        height += PAD
    title = " | ".join([sheet.title for sheet in sheets if sheet.title])
    summary = " ".join([f"{sheet.title or 'A run'}: {sheet.summary}" for sheet in sheets])
    return whole("".join(body), x, height, title or "Two runs", f"{summary} {note}".strip())
