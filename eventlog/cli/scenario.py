"""Which world a search is about, said on the command line: a scenario, and what is different."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eventlog.errors import RequestError
from eventlog.values import FAULTS

if TYPE_CHECKING:
    from eventlog.scenarios import Scenario


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """A scenario by name, and an argument for each thing that may be different."""
    parser.add_argument("scenario", nargs="?", default="P2", help="P3, P2 or 'one broker' (default: P2)")
    parser.add_argument("--brokers", type=int, help="how many (default: the scenario's)")
    parser.add_argument("--partitions", type=int, help="among which the batches take turns (default: 1)")
    parser.add_argument("--batches", type=int, help="how many are on their way (default: 2)")
    parser.add_argument("--cold", action="store_true", help="a producer of which the partition knows nothing")
    parser.add_argument("--fine", action="store_true", help="every message is a step of its own")
    parser.add_argument("--plain", action="store_true", help="a writer that is not idempotent")
    parser.add_argument(
        "--snapshot-batches", type=int, choices=(1, 5), help="what a restarted broker remembers; Kafka: 1 (default: 5)"
    )
    parser.add_argument("--first-sequence", choices=("any", "zero"), help="of an unknown producer (default: any)")
    parser.add_argument("--client", choices=("java", "librdkafka"), help="whose conduct (default: java)")
    parser.add_argument(
        "--network",
        metavar="NAME",
        help="ordered (as TCP is; the default), 'ordered, duplicating', unordered, or 'unordered, duplicating'",
    )
    parser.add_argument(
        "--budget",
        action="append",
        metavar="FAULT=N",
        help="how often a fault may happen at most; again for another (see the faults in eventlog run --help)",
    )
    parser.add_argument(
        "--loses-metadata", action="store_true", help="questions for metadata and producer ids may be lost too"
    )


def scenario_of_arguments(arguments: argparse.Namespace) -> Scenario:
    """The scenario that was asked for. Raises RequestError for what can't be."""
    from eventlog.scenarios import find_scenario

    given = {
        "brokers": arguments.brokers,
        "partitions": arguments.partitions,
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
    return find_scenario(arguments.scenario, **changes)


def _budget(text: str) -> tuple[str, int]:
    fault, _, budget = text.partition("=")
    if fault not in FAULTS or not budget.isdecimal():
        raise RequestError(f"a budget is FAULT=N with a fault of the table, not {text!r}; known: {', '.join(FAULTS)}")
    return fault, int(budget)
