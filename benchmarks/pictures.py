"""`ladder`: what a picture costs."""

from __future__ import annotations

from time import perf_counter

from benchmarks.timing import Row, span, take_turns
from eventlog.views.scenes import MOST_STEPS, SCENES
from eventlog.views.svg import svg_ladder


def ladder() -> list[Row]:
    longest = [sheet for scene in SCENES.values() for sheet in scene.sheets() if len(sheet.rows) == MOST_STEPS]

    def seconds() -> float:
        start = perf_counter()
        for sheet in longest:
            svg_ladder(sheet)
        return (perf_counter() - start) / len(longest)

    (measured,) = take_turns((seconds,), 10)
    return [Row(f"a ladder of {MOST_STEPS} steps as SVG", span(measured), "", "<= 5 ms", measured <= 5e-3)]
