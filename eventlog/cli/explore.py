"""`eventlog explore`: every run of a small world within k deviations; and one of them again, from its literal."""

from __future__ import annotations

import argparse
import sys
from time import perf_counter
from typing import Any

from eventlog.cli.scenario import add_scenario, scenario_of_arguments


def add_explore(commands: Any) -> None:
    """`eventlog explore`."""
    explore = commands.add_parser(
        "explore",
        help="all runs within k deviations: a proof or a counterexample",
        description="Search all runs of a small world within k deviations, in their order. Exit code 0: nothing is broken "
        "within the bounds; 1: something is, or not everything was seen.",
    )
    add_scenario(explore)
    explore.add_argument("-k", "--deviations", type=int, default=2, metavar="K", help="how many at most (default: 2)")
    explore.add_argument("--sometimes", action="append", metavar="MARK", help="what must have happened in a proof")
    explore.add_argument("--jobs", type=int, default=1, metavar="N", help="so many processes (default: 1)")
    explore.add_argument("--states", type=int, default=5_000_000, metavar="N", help="stop after so many")
    explore.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    explore.add_argument("--memory", type=int, metavar="MB", help="stop when the process has so much")
    explore.set_defaults(command=_explore)


def _explore(arguments: argparse.Namespace) -> int:
    from eventlog.exploring import Proof, explore

    scenario = scenario_of_arguments(arguments)

    start_s = perf_counter()

    def advance(done: Any) -> None:
        rate = done.states / max(perf_counter() - start_s, 1e-9)
        print(
            f"\r{done.states:,} states, {rate:,.0f} a second, {done.level} deviations, {done.entered:,} of "
            f"{done.frontier:,} ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    show = advance if sys.stderr.isatty() else None
    found = explore(
        scenario,
        arguments.deviations,
        arguments.states,
        arguments.seconds,
        arguments.sometimes or (),
        show,
        None if arguments.memory is None else arguments.memory * 1_000_000,
        arguments.jobs,
    )
    if show is not None:
        print("\r\x1b[K", end="", file=sys.stderr)
    print(found.report())
    return 0 if isinstance(found, Proof) and found.held else 1


def replay_scenario(literal_scenario: dict[str, Any], deviations: Any) -> int:
    """Tell a run of a scenario again; returns the exit code."""
    from eventlog.scenarios import play, scenario_of

    played = play(scenario_of(literal_scenario), deviations)
    if played.unused:
        print(
            f"eventlog: {len(played.unused)} of {len(deviations)} deviations no longer apply, the first is "
            f"{tuple(played.unused[0])}",
            file=sys.stderr,
        )
        return 2
    print(played.message if played.verdict is None else played.verdict.report())
    print(played.stage.cluster.story(start=played.stage.first_event))
    return 1 if played.promise else 0
