"""`spec`: the search over Kafka's replication specification, which the tests hold (`tests/search/spec_replication.py`).

What is measured is the search and the space together: what a state's successors are takes most of the time.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.timing import Row, rate, take_turns
from eventlog.sim.search import search

TESTS = Path(__file__).parents[1] / "tests" / "search"
STATES = {(3, 2, 2, 1): 39_619, (3, 2, 2, 2): 737_794}
TURNS = {(3, 2, 2, 1): 10, (3, 2, 2, 2): 1}


def spec() -> list[Row]:
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))
    replication = importlib.import_module("spec_replication")
    rows = []
    for size, states in STATES.items():
        generated = 0

        def seconds(size: tuple[int, int, int, int] = size, states: int = states) -> float:
            nonlocal generated
            space = replication.Replication(replication.KIP_320, *size)
            start = perf_counter()
            searched = search(space)
            elapsed = perf_counter() - start
            assert searched.states == states
            generated = searched.transitions
            return elapsed

        (measured,) = take_turns((seconds,), TURNS[size])
        what = f"the search, KIP-320 {size}, in generated states"
        figures = f"{rate(generated, measured)}, {measured:.1f} s"
        if TURNS[size] == 1:  # too long to take turns: for information
            rows.append(Row(what, figures))
        else:
            rows.append(Row(what, figures, "", ">= 150 k/s", generated / measured >= 150_000))
    return rows
