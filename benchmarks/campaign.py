"""A long campaign, by hand: many seeds of the main job under every usual fault, each judged, excuses counted by kind.

    python -m benchmarks.campaign 10000 --processes 2

Prints a line for every seed whose idempotent writer broke a promise, and in the end what was excused, and how often.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from time import perf_counter
from typing import Any

from eventlog import InvariantViolation
from eventlog.run import IDEMPOTENT, SAMPLE_KEY, SAMPLE_TIME, Job, read_events, run, sample_lines

CHUNK = 10


def judge_seeds(seeds: list[int], overrides: dict[str, Any]) -> tuple[Counter[str], list[str]]:
    """What `seeds` came to: counts by kind, and what was broken."""
    events = read_events(sample_lines(), SAMPLE_KEY, SAMPLE_TIME).events
    counts: Counter[str] = Counter()
    broken: list[str] = []
    for seed in seeds:
        counts["runs"] += 1
        try:
            outcome = run(replace(Job(), seed=seed, **overrides), events, IDEMPOTENT)
        except InvariantViolation as violation:
            broken.append(f"seed {seed}: {violation}")
            continue
        verdict = outcome.verdict
        if not verdict.held:
            broken.append(f"seed {seed}: {verdict.sentence()}")
        for name in ("acknowledged", "failed", "in_log", "duplicated", "lost", "out_of_order"):
            counts[name] += getattr(verdict.counts, name)
        counts["runs with duplicates"] += verdict.counts.duplicated > 0
        counts["duplicates recognised"] += outcome.duplicates_recognised
        counts["failovers"] += outcome.failovers
        counts["deviations"] += len(outcome.cluster.deviations)
        for deviation in outcome.cluster.deviations:
            counts[f"fault {deviation.fault}"] += 1
        for promise in verdict.promises:
            if promise.excused:
                counts[f"excused {promise.promise}: {promise.why}"] += promise.excused
                counts[f"runs with {promise.promise} excused"] += 1
    return counts, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("seeds", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--snapshot-batches", type=int, default=1)
    arguments = parser.parse_args()
    seeds = list(range(arguments.first, arguments.first + arguments.seeds))
    overrides = {"producer_snapshot_batches": arguments.snapshot_batches}
    started = perf_counter()
    counts: Counter[str] = Counter()
    broken: list[str] = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        chunks = [seeds[index : index + CHUNK] for index in range(0, len(seeds), CHUNK)]
        for done, (found, wrong) in enumerate(pool.map(judge_seeds, chunks, [overrides] * len(chunks)), 1):
            counts += found
            broken += wrong
            for line in wrong:
                print(line, flush=True)
            if done % 10 == 0:
                print(f"{counts['runs']} of {len(seeds)} seeds, {len(broken)} broken", file=sys.stderr, flush=True)
    for name, count in sorted(counts.items()):
        print(f"{name:<55}{count:>12,}")
    print(f"{len(broken)} of {len(seeds)} seeds broke a promise; {perf_counter() - started:.0f} s")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
