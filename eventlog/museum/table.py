"""Who finds each exhibit, how soon, and how well what was found shrinks.

Three look for it, and know nothing of it but the scenario: the explorer, in order of deviations; walks, as `hunt` does them
by default; and Hypothesis, which draws a list of deviations out of those that a benign run offers, as a user's test would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any, Final

from eventlog.errors import InvariantViolation, RequestError
from eventlog.exploring import Counterexample, explore
from eventlog.hunting import hunt
from eventlog.museum.exhibit import Exhibit
from eventlog.rehearsal import Rehearsal
from eventlog.sim.choices import Replay, Watching
from eventlog.sim.faults import Deviation

SEEDS: Final = 20
MOST_DEVIATIONS: Final = 4
RUNS: Final = 2_000
EXAMPLES: Final = 1_000
TIME_LIMIT_S: Final = 60.0
CLOSE: Final = 3
"""What is shrunk may be so much longer than the optimum."""
NEVER: Final = -1.0


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one exhibit. `deviations` -1 and seconds -1.0: it was not found. `walks`: the seconds of each seed that
    found it, `runs` how many runs each took, `shrunk`: the deviations left; `optimum`: the fewest known."""

    exhibit: Exhibit
    deviations: int
    states: int
    explorer_s: float
    walks: tuple[float, ...]
    runs: tuple[int, ...]
    shrunk: tuple[int, ...]
    shrinking: tuple[float, ...]
    seeds: int
    hypothesis_s: float

    @property
    def optimum(self) -> int:
        known = [self.deviations] if self.deviations >= 0 else []
        if self.exhibit.shortest is not None:
            known.append(len(self.exhibit.shortest))
        return min([*known, *self.shrunk], default=0)

    @property
    def close(self) -> int:
        """How many of the seeds shrank to the optimum and at most `CLOSE` more."""
        return sum([length <= self.optimum + CLOSE for length in self.shrunk])

    def cells(self) -> list[str]:
        number = str(self.exhibit.number or "")
        found = self.deviations >= 0
        return [
            number,
            self.exhibit.name,
            str(self.deviations) if found else "not found",
            f"{self.states:,}",
            f"{self.explorer_s:.2f}",
            f"{len(self.walks)}/{self.seeds}",
            f"{median(self.runs):.0f}" if self.runs else "",
            f"{median(self.walks):.2f}" if self.walks else "",
            f"{p90(self.walks):.2f}" if self.walks else "",
            "" if self.hypothesis_s < 0 else f"{self.hypothesis_s:.2f}",
            f"{median(self.shrunk):.0f}, {max(self.shrunk)}" if self.shrunk else "",
            str(self.optimum),
        ]


HEAD: Final = (
    "",
    "exhibit",
    "k",
    "states",
    "s",
    "walks",
    "runs",
    "median s",
    "p90 s",
    "Hypothesis s",
    "shrunk",
    "optimum",
)


def p90(values: Sequence[float]) -> float:
    """Nine of ten are at most this."""
    return values[0] if len(values) == 1 else quantiles(values, n=10, method="inclusive")[-1]


def hunt_exhibit(exhibit: Exhibit, seeds: int = SEEDS, examples: int = EXAMPLES) -> Row:
    """All three looking for one exhibit."""
    if seeds < 1:
        raise RequestError(f"the museum is hunted with 1 seed or more, not {seeds}")
    deviations, states, explorer_s = explore_exhibit(exhibit)
    walks, runs, shrunk, shrinking = [], [], [], []
    for seed in range(seeds):
        with exhibit.planted():
            hunted = hunt(exhibit.scenario, runs=RUNS, seed=seed, excused=exhibit.is_excused)
        if hunted.failure:
            walks.append(hunted.seconds)
            runs.append(hunted.runs)
            shrinking.append(hunted.shrinking_seconds)
            shrunk.append(len(hunted.told.deviations) if hunted.told is not None else 0)
    return Row(
        exhibit,
        deviations,
        states,
        explorer_s,
        tuple(walks),
        tuple(runs),
        tuple(shrunk),
        tuple(shrinking),
        seeds,
        hypothesis_seconds(exhibit, examples) if examples else NEVER,
    )


def explore_exhibit(
    exhibit: Exhibit, max_deviations: int = MOST_DEVIATIONS, time_limit_s: float | None = TIME_LIMIT_S
) -> tuple[int, int, float]:
    """(deviations, states, seconds) until the explorer finds it; -1 deviations when it doesn't.

    A benign run without end is a find, with 0 deviations.
    """
    start_s = perf_counter()
    try:
        benign = explore(exhibit.scenario, 0, plants=exhibit.plants)
        if benign.searched.cycles:
            return 0, benign.searched.states, perf_counter() - start_s
        found = explore(exhibit.scenario, max_deviations, time_limit_s=time_limit_s, plants=exhibit.plants)
    except InvariantViolation:
        # It breaks while its world is set up: no search begins, and none is needed.
        return 0, 0, perf_counter() - start_s
    count = len(found.deviations) if isinstance(found, Counterexample) else -1
    return count, found.searched.states, perf_counter() - start_s


def hypothesis_seconds(exhibit: Exhibit, examples: int = EXAMPLES) -> float:
    """Until Hypothesis finds it, drawing lists of deviations; -1.0 when it doesn't, or isn't there."""
    try:
        from hypothesis import HealthCheck, Phase, given, seed, settings
        from hypothesis import strategies as st
    except ImportError:
        return NEVER
    start_s = perf_counter()
    with exhibit.planted():
        try:
            rehearsal = Rehearsal(exhibit.scenario)
        except InvariantViolation:
            return perf_counter() - start_s
        watching = Watching(Replay(()), tuple(dict(exhibit.scenario.all_budgets)))
        if exhibit.failure(rehearsal.play(watching)):
            return perf_counter() - start_s
        offers: list[Deviation] = list(dict.fromkeys(watching.offers))
        found_s = NEVER

        def try_plan(plan: list[Deviation]) -> None:
            nonlocal found_s
            if found_s < 0 and exhibit.failure(rehearsal.play(tuple(plan))):
                found_s = perf_counter() - start_s

        drawn: Callable[[Any], Any] = given(st.lists(st.sampled_from(offers), max_size=4))
        limits: Any = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        limits(seed(0)(drawn(try_plan)))()
        return found_s


def tell_table(rows: Iterable[Row]) -> str:
    """The table in Markdown, and what it comes to."""
    known = list(rows)
    table = [list(HEAD), ["---"] * len(HEAD), *[row.cells() for row in known]]
    lines = ["| " + " | ".join(row) + " |" for row in table]
    walks = [seconds for row in known for seconds in row.walks]
    shrinking = [seconds for row in known for seconds in row.shrinking]
    cells = sum([len(row.shrunk) for row in known])
    lines.append("")
    found = sum([row.deviations >= 0 for row in known])
    lines.append(
        f"the explorer finds {found} of {len(known)}; walks: {len(walks)} of {sum([r.seeds for r in known])} seeds"
    )
    if walks:
        close = sum([row.close for row in known])
        lines.append(
            f"walks: median {median(walks):.2f} s, p90 {p90(walks):.2f} s; shrunk to the optimum + {CLOSE} or less: "
            f"{100 * close / cells:.0f} % of {cells}; shrinking takes {1000 * median(shrinking):.0f} ms (median)"
        )
    return "\n".join(lines)
