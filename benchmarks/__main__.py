"""`python -m benchmarks [--row NAME] [--markdown]`. Ends with 1 when something promised was not reached."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable

from benchmarks import checking, codec, heart, pictures, recovery, searching, sending, starting, wire, worlds
from benchmarks.timing import NotMeasuredError, Row

ROWS: dict[str, Callable[[], list[Row]]] = {
    "judge": heart.judge,
    "append": heart.append,
    "producers": recovery.producers,
    "recovery": recovery.recovery,
    "codec": codec.codec,
    "packed-memory": codec.packed_memory,
    "send": sending.send,
    "world": worlds.world,
    "unit-test": starting.unit_test,
    "idle-day": worlds.idle_day,
    "freeze": worlds.freeze,
    "checker": worlds.checker,
    "checking": checking.checking,
    "spec": searching.spec,
    "explore": searching.explored,
    "ladder": pictures.ladder,
    "wire": wire.wire,
    "wire-start": wire.start,
    "wire-round-trip": wire.round_trip,
    "wire-idle": wire.idle,
    "wire-memory": wire.memory,
}
HEAD = ("what", "measured", "ratio", "must reach", "reached")


def cells(row: Row) -> tuple[str, ...]:
    reached = "" if row.reached is None else ("yes" if row.reached else "no")
    return (row.what, row.measured, row.ratio, row.must, reached)


def lines(table: list[tuple[str, ...]], is_markdown: bool) -> list[str]:
    if is_markdown:
        ruled = [table[0], ("---",) * len(HEAD), *table[1:]]
        return [f"| {' | '.join(row)} |" for row in ruled]
    widths = [max(len(row[column]) for row in table) for column in range(len(HEAD))]
    return ["  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip() for row in table]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measure the hot paths.")
    parser.add_argument("--row", choices=list(ROWS), action="append", help="only this one (may be given again)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    for name in options.row or ROWS:
        print(f"measuring {name} ...", file=sys.stderr)
        try:
            rows += ROWS[name]()
        except NotMeasuredError as missing:
            rows.append(Row(name, str(missing)))
    facts = f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} processors"
    print(f"{facts}. The sides take turns; the smallest time of each counts.\n")
    print("\n".join(lines([HEAD, *[cells(row) for row in rows]], options.markdown)))
    return 0 if all(row.reached is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
