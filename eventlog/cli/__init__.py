"""Floor 9: the command line.

A command is a function `add_NAME` that adds its arguments to the parser, and a function of these arguments that gives the
exit code. A room that has a command of its own keeps it in its `commands` module; what it needs is imported when it runs.

K1. Bad input is one line on stderr and exit code 2; nothing here shows a traceback for it.
K2. Exit codes: 0 every promise held; 1 one was broken; 2 a request that can't be right; 130 Ctrl-C.
K3. What people read goes to stdout, progress to stderr, and that only at a terminal.

Not here: what a command does (`run`, `exploring`, `hunting` and the rooms above them).
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from eventlog.cli.explore import add_explore
from eventlog.cli.hunt import add_hunt
from eventlog.cli.museum import add_museum
from eventlog.cli.run import add_check, add_replay, add_run
from eventlog.cli.scene import add_scene
from eventlog.cli.serve import add_serve
from eventlog.errors import InvariantViolation, RequestError
from eventlog.values.version import __version__

EPILOG = """examples:
  eventlog run                                  842 real departures, all faults, plain against idempotent
  eventlog run --seed 7 --story                 the same with other luck, and the first duplicate as a picture
  eventlog run --runs 100                       a hundred seeds, summed up
  eventlog run orders.jsonl --key customer --time created --faults reply_lost,crash
  tail -n 500 app.log | eventlog run - --speed 10
  eventlog run --export out                     histories, traces and both logs as files
  eventlog check out/history-idempotent.jsonl   judge a history again
  eventlog replay out/literal-plain.txt         the very same run, from its literal
  eventlog explore P2 -k 2                      every run of a small world within two deviations
  eventlog hunt P2 --snapshot-batches 1 --excused  walks until a promise breaks, and the find made small
  eventlog scene lost-ack --step                a prepared story, step by step in the terminal
  eventlog museum 14                            a bug of the past, with the mistake and without
  eventlog serve --brokers 3 --control 9644     a cluster for Kafka clients of any language, with faults by HTTP
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except RequestError as error:
        print(f"eventlog: {error}", file=sys.stderr)
        return 2
    except InvariantViolation as error:
        print(f"eventlog broke a promise of its own; please report this:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("eventlog: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        print(f"eventlog: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="eventlog",
        description="An in-process event-log broker with Kafka's idempotent writer, under faults, judged.",
        epilog=EPILOG,
        formatter_class=layout,
    )
    parser.add_argument("--version", action="version", version=f"eventlog {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_run(commands, layout, EPILOG)
    add_check(commands)
    add_replay(commands)
    add_explore(commands)
    add_hunt(commands)
    add_museum(commands)
    add_scene(commands)
    add_serve(commands)
    return parser
