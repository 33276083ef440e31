"""`eventlog museum`: mistakes that were made elsewhere, planted again; as a list, as stories, and hunted."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventlog.errors import RequestError


def add_museum(commands: Any) -> None:
    """`eventlog museum`."""
    museum = commands.add_parser(
        "museum",
        help="bugs of the past, planted again: a list, a story each, who finds them",
        description="Without arguments: the list. With a number or a name: that exhibit's story, with the mistake and "
        "without. With --hunt: who finds it, how soon, and how well it shrinks.",
    )
    museum.add_argument("exhibit", nargs="?", default="", help="its number or its name")
    museum.add_argument("--hunt", action="store_true", help="look for all of them, or for that one: a table")
    museum.add_argument("--seeds", type=int, default=20, metavar="N", help="so many hunts each (default: 20)")
    museum.add_argument(
        "--examples", type=int, default=1_000, metavar="N", help="for Hypothesis; 0: it is left out (default: 1000)"
    )
    museum.add_argument(
        "--package", metavar="NAME", default="", help="exhibits of your own: a package with a module for each"
    )
    museum.add_argument(
        "--html", metavar="FILE", default="", help="write that exhibit's two runs as a page with a slider"
    )
    museum.set_defaults(command=_museum)


def _museum(arguments: argparse.Namespace) -> int:
    from eventlog.museum.commands import museum_text
    from eventlog.museum.gallery import HOME

    if arguments.seeds < 1 or arguments.examples < 0:
        raise RequestError(f"--seeds {arguments.seeds} must be 1 or more, --examples {arguments.examples} 0 or more")
    heard = _heard if sys.stderr.isatty() else None
    try:
        text = museum_text(
            arguments.exhibit,
            arguments.hunt,
            arguments.seeds,
            arguments.examples,
            arguments.package or HOME,
            heard,
            arguments.html,
        )
    finally:
        if heard is not None:
            print("\r\x1b[K", end="", file=sys.stderr)
    print(text)
    return 0


def _heard(exhibit: Any) -> None:
    print(f"\r\x1b[K{exhibit.name}", end="", file=sys.stderr, flush=True)
