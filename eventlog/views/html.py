"""Sheets as HTML that lives through a notebook nobody trusts: no script, no style sheet, nothing fetched.

A picture is an `<img>` that carries its SVG with it (an inline `<svg>` is stripped there), tables have their style on
each cell, and the events hide in `<details>`.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from eventlog.views.sheet import Sheet
from eventlog.views.svg import batches_text, svg_side_by_side

CELL: Final = "border:1px solid #8c959f;padding:2px 8px;text-align:left;vertical-align:top"
TABLE: Final = "border-collapse:collapse;font-size:90%;margin:6px 0"


def image(svg: str, text: str) -> str:
    """An `<img>` that carries `svg`; `text` is read to those who can't see it."""
    data = b64encode(svg.encode()).decode()
    return f'<img style="max-width:100%;height:auto" alt="{escape(text)}" src="data:image/svg+xml;base64,{data}">'


def table(heads: Iterable[str], rows: Iterable[Iterable[object]], caption: str = "") -> str:
    """A table with its style on each cell. Everything is escaped."""
    head = "".join([f'<th style="{CELL}">{escape(name)}</th>' for name in heads])
    lines = ["".join([f'<td style="{CELL}">{escape(str(value))}</td>' for value in row]) for row in rows]
    body = "".join([f"<tr>{line}</tr>" for line in lines])
    title = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    return f'<table style="{TABLE}">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def details(summary: str, body: str) -> str:
    """Something to unfold; `body` is HTML."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def html_ladder(sheets: Sequence[Sheet], svg: str = "") -> str:
    """The picture of one sheet, or of several side by side, with what brokers remember and the steps in words.

    `svg` is another picture of them.
    """
    words = " ".join([f"{sheet.title}: {sheet.summary}" if sheet.title else sheet.summary for sheet in sheets])
    parts = [image(svg or svg_side_by_side(sheets), words)]
    for sheet in sheets:
        title = f"{sheet.title}: " if sheet.title else ""
        if sheet.known:
            rows = [
                (
                    ", ".join(map(str, known.brokers)),
                    known.writer or known.letter,
                    known.producer_id,
                    known.producer_epoch,
                    known.last_sequence,
                    batches_text(known),
                )
                for known in sheet.known
            ]
            heads = ("broker", "producer", "producer_id", "producer_epoch", "last_sequence", "batches (sequence@offset)")
            parts.append(table(heads, rows, f"{title}what the brokers remember"))
        start_ms = sheet.rows[0].at_ms if sheet.rows else 0
        steps = [
            (number, f"+{row.at_ms - start_ms:,} ms", row.event, row) for number, row in enumerate(sheet.rows, 1)
        ]
        left_out = f", {sheet.left_out:,} events left out" if sheet.left_out else ""
        if steps:
            told = table(("step", "time", "event", "what"), steps)
            parts.append(details(f"{title}the {len(steps)} steps in words{left_out}", told))
        if sheet.literal:
            parts.append(details(f"{title}the run as a literal", f"<pre>{escape(sheet.literal)}</pre>"))
    return f"<div>{''.join(parts)}</div>"
