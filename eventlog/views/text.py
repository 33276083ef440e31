"""A sheet as text: the ladder in box-drawing characters, good by itself in a terminal or a log file."""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from eventlog.views.sheet import AGAIN, ARROW, FAULT, LATE, LOST, NOTE, SOLID, Row, Sheet, Strip

LINES: Final = {SOLID: "─", LOST: "╌", AGAIN: "═", LATE: "┈"}
LEGEND: Final = {
    SOLID: "──▶ arrives",
    LOST: "╌╌✗ lost",
    AGAIN: "══▶ sent again, or the answer to what was",
    LATE: "┈┈▶ late, from before",
}
LEFT: Final = 10
LEGEND_WIDTH: Final = 78


def text_ladder(sheet: Sheet, width: int = 0) -> str:
    """The sheet in columns; `width` is a column's, by default what the longest label needs, at most 40."""
    width = width or column_width(sheet)
    centre = {actor: LEFT + index * width + width // 2 for index, actor in enumerate(sheet.actors)}
    total = LEFT + width * len(sheet.actors)
    lines = [sheet.title, ""] if sheet.title else []
    lines.append((" " * LEFT + "".join([actor.center(width) for actor in sheet.actors])).rstrip())
    start_ms = sheet.rows[0].at_ms
    gaps = dict(sheet.gaps)
    moments = {moment.row: (number, moment) for number, moment in enumerate(sheet.moments, 1)}
    for place, row in enumerate(sheet.rows):
        lines += _row(row, centre, total, f"{f'+{row.at_ms - start_ms:,} ms':>{LEFT - 1}} ")
        if place in gaps:
            lines.append(f"{'':{LEFT}}… {gaps[place]:,} events left out")
        if place in moments:
            number, moment = moments[place]
            lines.append(f"{'':{LEFT}}┄┄ logs ({number}) ┄┄")
            lines += [f"{'':{LEFT}}{strip_text(strip)}" for strip in moment.strips]
    if sheet.left_out:
        lines.append(f"{'':{LEFT}}… {sheet.left_out:,} events are left out")
    lines += ["", *known_text(sheet), *legend_text(sheet)]
    return "\n".join([line.rstrip() for line in lines]).rstrip() + "\n"


def column_width(sheet: Sheet) -> int:
    """What a column needs for the longest label, at most 40."""
    longest = max([len(row.label) for row in sheet.rows if row.kind == ARROW], default=0)
    return min(40, max(22, longest + 6))


def _rails(centre: dict[str, int], total: int) -> list[str]:
    line = [" "] * total
    for place in centre.values():
        line[place] = "│"
    return line


def _put(line: list[str], at: int, text: str) -> None:
    line.extend([" "] * (at + len(text) - len(line)))
    line[at : at + len(text)] = text


def _row(row: Row, centre: dict[str, int], total: int, stamp: str) -> list[str]:
    line = _rails(centre, total)
    _put(line, 0, stamp)
    beyond = ""
    if row.kind == ARROW and row.source in centre:
        beyond = _arrow(line, row, centre)
    elif row.kind == NOTE:
        _put(line, centre[row.targets[0]], f"● {row.label}")
    else:
        mark = "⚡" if row.kind == FAULT and row.is_struck else "◆"
        name = f"{row.fault}: " if row.kind == FAULT and mark == "⚡" else ""
        _put(line, LEFT, f"{mark} {name}{row.label} ")
    below = [text for text in (beyond, *([row.told] if row.style == AGAIN or row.tone == "bad" else [])) if text]
    if row.kind == ARROW and row.why:
        below.append(row.why if row.style in (LOST, LATE) or row.fault else f"because {row.why}")
    lines = ["".join(line)]
    for text in below:
        lines += [" " * (LEFT + 2) + part for part in wrap(text, max(40, total - LEFT - 4))]
    return lines


def _arrow(line: list[str], row: Row, centre: dict[str, int]) -> str:
    """Draw it; what has no room comes back."""
    dash = LINES[row.style]
    start = centre[row.source]
    ends = sorted([centre[target] for target in row.targets if target in centre], key=lambda end: abs(end - start))
    for end in reversed(ends):
        low, high = min(start, end), max(start, end)
        for place in range(low + 1, high):
            line[place] = dash
        head = "✗" if row.style == LOST else "▶" if end > start else "◀"
        line[end - 1 if end > start else end + 1] = head
    for end in ends[:-1]:
        line[end - 1 if end > start else end + 1] = "▶" if end > start else "◀"
    far = ends[-1]
    low, high = min(start, far), max(start, far)
    label = f" {row.label} "
    fault = f"⚡ {row.fault}: " if row.fault else ""
    room = abs(ends[0] - start) - 3
    if len(label) > room:
        return f"{fault}{row.label}"
    middle = (low + high) // 2 if len(ends) == 1 else (start + ends[0]) // 2
    _put(line, middle - len(label) // 2, label)
    return f"{fault}".removesuffix(": ")


def strip_text(strip: Strip) -> str:
    """One replica's log in a line; `┃` is its high watermark, `²` a copy, `~` what was cut off."""
    before = f"[{strip.left_out:,} more] " if strip.left_out else ""
    parts = []
    is_drawn = False
    for cell in strip.cells:
        if not is_drawn and cell.offset >= strip.high_watermark:
            parts.append("┃")
            is_drawn = True
        mark = "~" if cell.is_cut else "²" if cell.is_copy else ""
        parts.append(f"{mark}{cell.name}={cell.value}{mark}")
    if not is_drawn:
        parts.append("┃")
    role = {"leader": "★ leader", "follower": "  follower", "down": "✖ down"}[strip.role]
    return f"broker-{strip.broker_id} {role:<10} {before}{' '.join(parts)} high watermark {strip.high_watermark}"


def known_text(sheet: Sheet) -> list[str]:
    """What brokers remember, a line for each producer."""
    lines = []
    for known in sheet.known:
        brokers = ", ".join(map(str, known.brokers))
        batches = "  ".join([f"{sequences}@{offset}" for sequences, offset in known.batches])
        lines.append(
            f"broker {brokers} knows of {known.letter} ({known.writer}): producer_id {known.producer_id}, producer_epoch "
            f"{known.producer_epoch}, last_sequence {known.last_sequence}; batches (sequence@offset) {batches}"
        )
    return [*lines, ""] if lines else []


def legend_text(sheet: Sheet) -> list[str]:
    """What the signs mean, of those that occur."""
    signs = [LEGEND[style] for style in sheet.styles]
    if any(row.is_struck for row in sheet.rows):
        signs.append("⚡ a fault, by its name")
    strips = [strip for moment in sheet.moments for strip in moment.strips]
    cells = [cell for strip in strips for cell in strip.cells]
    if strips:
        signs.append("┃ the high watermark: all in sync have what is before it")
    if any(cell.is_copy for cell in cells):
        signs.append("² the same record again")
    if any(cell.is_cut for cell in cells):
        signs.append("~ cut off the log")
    signs += [f"{name}={value}: {meaning}" for name, value, meaning in sheet.examples]
    lines = [""]
    for sign in signs:
        longer = f"{lines[-1]}   {sign}" if lines[-1] else sign
        lines[-1:] = [longer] if len(longer) <= LEGEND_WIDTH else [lines[-1], sign]
    return lines
