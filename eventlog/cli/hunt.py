"""`eventlog hunt`: walks by luck and in order until a promise breaks; the find is shrunk and told."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventlog.cli.scenario import add_scenario, scenario_of_arguments
from eventlog.errors import RequestError


def add_hunt(commands: Any) -> None:
    """`eventlog hunt`."""
    hunt = commands.add_parser(
        "hunt",
        help="walks until a promise breaks: the find is shrunk and told",
        description="Walk through a small world, of ten runs six in order of their deviations and four by luck. Exit code "
        "0: nothing was found; 1: something was.",
    )
    add_scenario(hunt)
    hunt.add_argument("--runs", type=int, metavar="N", help="stop after so many (default: 1000, or --seconds)")
    hunt.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    hunt.add_argument("--seed", type=int, default=0, metavar="N", help="whose luck (default: 0)")
    hunt.add_argument(
        "--excused", action="store_true", help="what Kafka's own rules do, and the table excuses, is a find"
    )
    hunt.add_argument("--seeds", type=int, default=1, metavar="N", help="so many hunts, with seeds from --seed on")
    hunt.add_argument("--jobs", type=int, default=1, metavar="N", help="in so many processes (default: 1)")
    hunt.add_argument(
        "--plant", action="append", default=[], metavar="MODULE:FUNCTION", help="replace a rule by this context manager"
    )
    hunt.set_defaults(command=_hunt)


def _hunt(arguments: argparse.Namespace) -> int:
    scenario = scenario_of_arguments(arguments)
    if arguments.seeds < 1 or arguments.jobs < 1:
        raise RequestError(f"--seeds {arguments.seeds} and --jobs {arguments.jobs} must be 1 or more")
    is_one = arguments.seeds == 1 and arguments.jobs == 1
    if not is_one and arguments.seconds is not None:
        raise RequestError("--seconds is for one hunt; many are bounded by --runs, so that each can be repeated")
    show = _advance if sys.stderr.isatty() else None
    try:
        report, is_found = (_one if is_one else _many)(arguments, scenario, show)
    finally:
        if show is not None:
            print("\r\x1b[K", end="", file=sys.stderr)
    print(report)
    return 1 if is_found else 0


def _one(arguments: argparse.Namespace, scenario: Any, show: Any) -> tuple[str, bool]:
    from contextlib import ExitStack

    from eventlog.fanning import find_named
    from eventlog.hunting import hunt

    with ExitStack() as stack:
        for plant in arguments.plant:
            stack.enter_context(find_named(plant)())
        hunted = hunt(
            scenario, arguments.seconds, arguments.runs, arguments.seed, excused=arguments.excused, progress=show
        )
        return hunted.report(), bool(hunted.failure)


def _many(arguments: argparse.Namespace, scenario: Any, show: Any) -> tuple[str, bool]:
    from eventlog.campaigns import campaign

    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    runs = 1_000 if arguments.runs is None else arguments.runs
    done = campaign(
        [scenario],
        seeds,
        jobs=arguments.jobs,
        runs=runs,
        excused=arguments.excused,
        plants=arguments.plant,
        seeds_a_slice=1,
        progress=show,
    )
    return done.report(), bool(done.finds or done.errors)


def _advance(done: Any) -> None:
    print(
        "\r" + ", ".join([f"{value:.0f} {name}" for name, value in done._asdict().items()]) + " ",
        end="",
        file=sys.stderr,
        flush=True,
    )
