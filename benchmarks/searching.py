"""`spec`: the search over Kafka's replication specification, which the tests hold (`tests/search/spec_replication.py`).
`explore`: the search over the product's own code, and how many failovers of a three-broker cluster it sees in a second.

What is measured is the search and the space together: what a state's successors are takes most of the time.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from time import perf_counter

from benchmarks.timing import Row, rate, take_turns
from eventlog.exploring import Proof, explore
from eventlog.sim.search import search

TESTS = Path(__file__).parents[1] / "tests" / "search"
STATES = {(3, 2, 2, 1): 39_619, (3, 2, 2, 2): 737_794}
REAL_FAILOVER_S = 9.1
"""A whole cycle on three real brokers of Kafka 4.3.1 with a session timeout of 3 s: kill -9, a new leader, a restart, in
sync again (median of ten; with the default of 9 s: 16.2)."""
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


def explored() -> list[Row]:
    found = explore("P3", 3)
    assert isinstance(found, Proof)
    assert found.held
    seen, failovers = found.searched, dict(found.marks)["new leader"]
    a_second = failovers / found.seconds
    shared = explore("P3", 3, jobs=2)
    assert isinstance(shared, Proof)
    assert shared.searched == seen
    return [
        Row(
            "P3 within 3 deviations, in coarse steps",
            f"{seen.states:,} states, {seen.transitions:,} transitions, {found.events:,} events in {found.seconds:.1f} s",
        ),
        Row("the same by two processes", f"{shared.seconds:.1f} s", f"{found.seconds / shared.seconds:.1f}x"),
        Row("events explored", rate(found.events, found.seconds)),
        Row("memory", f"{found.bytes_a_state:,} bytes a state"),
        Row(
            "failovers explored",
            f"{a_second:,.0f}/s; a real cluster: one in {REAL_FAILOVER_S} s",
            f"{a_second * REAL_FAILOVER_S:,.0f}x",
        ),
    ]
