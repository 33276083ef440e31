"""Hunts by the thousand, on whatever machines somebody else's engine has.

```python
from eventlog.campaigns import campaign
print(campaign(["P3", "P2"], seeds=range(100), jobs=2).report())
```

A campaign is cut into slices: a scenario and some seeds. A slice goes out as plain values: names, literals, numbers; rules
to be replaced go by name too ("package.module:function", a function that returns a context manager), since a worker may
be a fresh process. `executor` is any `concurrent.futures.Executor`, a process pool or that of a cluster (Dask's
`Client.get_executor()`).

C1. The merged result depends on what was asked only: not on who ran what, in which order, or how often.
C2. An error of the work itself is a result: it comes back as a value and is not tried again.

Not here: what a hunt is (`hunting`); how slices go out and what is done when a worker dies (`fanning`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, NamedTuple

from eventlog.errors import RequestError
from eventlog.fanning import FannedOut, fan_out, find_named
from eventlog.hunting import PORTFOLIO, hunt
from eventlog.scenarios import Scenario, find_scenario, literal_of, scenario_of
from eventlog.sim.literal import read_literal

SEEDS_A_SLICE: Final = 5
_one_at_a_time = Lock()


class Slice(NamedTuple):
    """What one worker is given. `what`: a scenario's name, or a literal; `explore`: by name, or ""."""

    what: str
    seeds: tuple[int, ...]
    runs: int = 200
    excused: bool = False
    plants: tuple[str, ...] = ()
    explore: str = ""
    portfolio: str = PORTFOLIO


class Find(NamedTuple):
    """A hunt that found something: the failure, the run's number, and the shrunk run as a literal."""

    what: str
    seed: int
    failure: str
    run: int
    literal: str


class SliceDone(NamedTuple):
    """What came of a slice. `error`: of the work itself, "" for none."""

    finds: tuple[Find, ...]
    runs: int
    error: str = ""


class Progress(NamedTuple):
    """How far a campaign is."""

    done: int
    slices: int
    runs: int
    finds: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """All slices together, in the order of what was asked. `errors`: (scenario, seeds, what went wrong) of slices that
    came to nothing; `tried_again`: how many slices had to be run more than once. `is_whole` False: it was interrupted."""

    finds: tuple[Find, ...]
    runs: int
    slices: int
    errors: tuple[tuple[str, tuple[int, ...], str], ...]
    is_whole: bool
    tried_again: int = field(default=0, compare=False)

    def report(self) -> str:
        """What came of it, for people."""
        head = f"{self.runs} runs in {self.slices} slices, {len(self.finds)} of the hunts found something"
        if self.tried_again:
            head += f"; {self.tried_again} slices were run again"
        if not self.is_whole:
            head += "; interrupted"
        lines = [head]
        for find in self.finds:
            lines += [f"  {find.failure}, seed {find.seed}, run {find.run}", f"    {find.literal or find.what}"]
        lines += [f"  no result for {what}, seeds {seeds[0]} to {seeds[-1]}: {why}" for what, seeds, why in self.errors]
        return "\n".join(lines)


def campaign(
    scenarios: Iterable[Scenario | str],
    seeds: Iterable[int],
    executor: Executor | None = None,
    jobs: int = 1,
    runs: int = 200,
    excused: bool = False,
    plants: Iterable[str] = (),
    explore: str = "",
    portfolio: str = PORTFOLIO,
    seeds_a_slice: int = SEEDS_A_SLICE,
    progress: Callable[[Progress], None] | None = None,
) -> Campaign:
    """Hunt in every scenario (a name, a literal or a value) with every seed, `runs` runs each.

    Without an executor: in this process, or with `jobs` above 1 in a pool of so many processes. An interrupt gives what
    is done. Raises RequestError for what no worker could do, before any is asked.
    """
    wanted = [_by_name(scenario) for scenario in scenarios]
    names = (*plants, *([explore] if explore else []))
    for name in names:
        find_named(name)
    if seeds_a_slice < 1 or runs < 0 or jobs < 1:
        raise RequestError(f"seeds_a_slice {seeds_a_slice}, runs {runs} and jobs {jobs}: these can't be")
    known = list(dict.fromkeys(seeds))
    parts = [tuple(known[start : start + seeds_a_slice]) for start in range(0, len(known), seeds_a_slice)]
    slices = [
        Slice(what, part, runs, excused, tuple(plants), explore, portfolio)
        for what in dict.fromkeys(wanted)
        for part in parts
    ]

    def heard(done: Sequence[Any]) -> None:
        if progress is not None:
            good = [one for one in done if isinstance(one, SliceDone)]
            runs_done, finds = sum([one.runs for one in good]), sum([len(one.finds) for one in good])
            progress(Progress(len(done), len(slices), runs_done, finds))

    return _merged(slices, fan_out(hunt_slice, slices, executor, jobs, heard))


def _merged(slices: Sequence[Slice], fanned: FannedOut) -> Campaign:
    finds: list[Find] = []
    errors = []
    runs = 0
    for index, work in enumerate(slices):
        done = fanned.results.get(index)
        if isinstance(done, SliceDone):
            finds += done.finds
            runs += done.runs
        why = done.error if isinstance(done, SliceDone) else fanned.lost.get(index, "")
        if why:
            errors.append((work.what, work.seeds, why))
    is_whole = len(fanned.results) + len(fanned.lost) == len(slices)
    return Campaign(tuple(finds), runs, len(slices), tuple(errors), is_whole, fanned.tried_again)


def _by_name(scenario: Scenario | str) -> str:
    if isinstance(scenario, Scenario):
        scenario.check()
        return literal_of(scenario, ())
    _scenario(scenario)
    return scenario


def _scenario(what: str) -> Scenario:
    return scenario_of(read_literal(what)[0]) if what.lstrip().startswith("{") else find_scenario(what)


def hunt_slice(work: Slice) -> SliceDone:
    """What a worker does."""
    finds = []
    runs = 0
    explore = find_named(work.explore) if work.explore else None
    # A rule is replaced for a whole process, and may be replaced by one thread only.
    with _one_at_a_time, ExitStack() as stack:
        try:
            for plant in work.plants:
                stack.enter_context(find_named(plant)())
            for seed in work.seeds:
                hunted = hunt(
                    _scenario(work.what),
                    runs=work.runs,
                    seed=seed,
                    excused=work.excused,
                    explore=explore,
                    portfolio=work.portfolio,
                )
                runs += hunted.runs
                if hunted.failure:
                    finds.append(Find(work.what, seed, hunted.failure, hunted.runs, hunted.literal))
        except Exception as error:
            return SliceDone((), 0, f"{type(error).__name__}: {error}")
    return SliceDone(tuple(finds), runs)
