"""`eventlog explore`: every run of a small world within k deviations; and one of them again, from its literal."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventlog.errors import RequestError
from eventlog.values import FAULTS


def add_explore(commands: Any) -> None:
    """`eventlog explore`."""
    explore = commands.add_parser(
        "explore",
        help="all runs within k deviations: a proof or a counterexample",
        description="Search all runs of a small world within k deviations, in their order. Exit code 0: nothing is broken "
        "within the bounds; 1: something is, or not everything was seen.",
    )
    explore.add_argument("scenario", nargs="?", default="P2", help="P3, P2 or 'one broker' (default: P2)")
    explore.add_argument("-k", "--deviations", type=int, default=2, metavar="K", help="how many at most (default: 2)")
    explore.add_argument("--brokers", type=int, help="how many (default: the scenario's)")
    explore.add_argument("--batches", type=int, help="how many are on their way (default: 2)")
    explore.add_argument("--cold", action="store_true", help="a producer of which the partition knows nothing")
    explore.add_argument("--fine", action="store_true", help="every message is a step of its own")
    explore.add_argument("--plain", action="store_true", help="a writer that is not idempotent")
    explore.add_argument(
        "--snapshot-batches", type=int, choices=(1, 5), help="what a restarted broker remembers; Kafka: 1 (default: 5)"
    )
    explore.add_argument("--first-sequence", choices=("any", "zero"), help="of an unknown producer (default: any)")
    explore.add_argument("--client", choices=("java", "librdkafka"), help="whose conduct (default: java)")
    explore.add_argument(
        "--network",
        metavar="NAME",
        help="ordered (as TCP is; the default), 'ordered, duplicating', unordered, or 'unordered, duplicating'",
    )
    explore.add_argument(
        "--budget",
        action="append",
        metavar="FAULT=N",
        help="how often a fault may happen at most; again for another (see the faults in eventlog run --help)",
    )
    explore.add_argument(
        "--loses-metadata", action="store_true", help="questions for metadata and producer ids may be lost too"
    )
    explore.add_argument("--sometimes", action="append", metavar="MARK", help="what must have happened in a proof")
    explore.add_argument("--jobs", type=int, default=1, metavar="N", help="so many processes (default: 1)")
    explore.add_argument("--states", type=int, default=5_000_000, metavar="N", help="stop after so many")
    explore.add_argument("--seconds", type=float, metavar="S", help="stop after so long")
    explore.add_argument("--memory", type=int, metavar="MB", help="stop when the process has so much")
    explore.set_defaults(command=_explore)


def _explore(arguments: argparse.Namespace) -> int:
    from eventlog.exploring import Proof, explore
    from eventlog.scenarios import find_scenario

    given = {
        "brokers": arguments.brokers,
        "batches": arguments.batches,
        "is_warm": False if arguments.cold else None,
        "is_coarse": False if arguments.fine else None,
        "enable_idempotence": False if arguments.plain else None,
        "producer_snapshot_batches": arguments.snapshot_batches,
        "unknown_producer_first_sequence": arguments.first_sequence,
        "behaves_like": arguments.client,
        "network": arguments.network,
        "loses_metadata": arguments.loses_metadata or None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if arguments.budget:
        budgets = {**dict(find_scenario(arguments.scenario).budgets), **dict(map(_budget, arguments.budget))}
        changes["budgets"] = tuple([(fault, budget) for fault, budget in budgets.items() if budget])
    scenario = find_scenario(arguments.scenario, **changes)

    def advance(done: Any) -> None:
        print(
            f"\r{done.states:,} states, {done.level} deviations, {done.entered:,} of {done.frontier:,} ",
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


def _budget(text: str) -> tuple[str, int]:
    fault, _, budget = text.partition("=")
    if fault not in FAULTS or not budget.isdecimal():
        raise RequestError(f"a budget is FAULT=N with a fault of the table, not {text!r}; known: {', '.join(FAULTS)}")
    return fault, int(budget)


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
