"""`eventlog run`, `check` and `replay`: a stream of events under faults, with both writers."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from eventlog.cli.explore import replay_scenario
from eventlog.errors import RequestError
from eventlog.summary import Summary, brokers_memory, print_ending, print_many, print_one
from eventlog.values import FAULTS, USUAL_FAULTS, check_fault_names


def add_check(commands: Any) -> None:
    """`eventlog check`."""
    check = commands.add_parser("check", help="judge a history file", description="Judge a history (JSON lines).")
    check.add_argument("history", help="a file written by run --export, or - for standard input")
    check.set_defaults(command=_check)


def add_replay(commands: Any) -> None:
    """`eventlog replay`."""
    replay = commands.add_parser(
        "replay", help="repeat one run from its literal", description="Repeat one run exactly, and judge it."
    )
    replay.add_argument("literal", help="the literal itself, or a file that holds it")
    replay.add_argument("--file", default=None, help="the events, when the literal's input was not the sample")
    replay.add_argument("--story", action="store_true", help="the ladder around the first duplicate")
    replay.add_argument("--export", metavar="DIR", type=Path, help="write history, trace and log there")
    replay.set_defaults(command=_replay)


def add_run(commands: Any, layout: Any, examples: str) -> None:
    """`eventlog run`; `examples` go under its help."""
    faults = "\n".join([f"  {kind.name:<20} {kind.what}" for kind in FAULTS.values()])
    run = commands.add_parser(
        "run",
        help="write a stream of events with both writers under the same faults",
        description="Write a stream of events through a replicated log while acknowledgements are lost and leaders die:\n"
        "once with a plain writer, once with an idempotent one, under the same faults; then count.",
        epilog=f"faults:\n{faults}\n\n{examples}",
        formatter_class=layout,
    )
    run.add_argument(
        "file",
        nargs="?",
        default=None,
        help="JSON lines or plain lines; - is standard input; "
        "without it the bundled sample: 842 departures from New York on 1 January 2013",
    )
    run.add_argument("--key", metavar="FIELD", help="the JSON field that is the record's key")
    run.add_argument("--time", metavar="FIELD", help="the JSON field that is the event's time (ISO 8601 or Unix)")
    run.add_argument("--speed", type=float, default=60.0, help="squeeze the events' time by this (default 60)")
    run.add_argument("--skip-bad", action="store_true", help="leave broken lines out and count them")
    run.add_argument(
        "--faults",
        metavar="A,B",
        default=None,
        help="which faults may happen (default: all but those of free datagrams and log_start_moved; all: all; none: none)",
    )
    run.add_argument("--seed", type=int, default=0, help="the luck (default 0)")
    run.add_argument("--runs", type=int, default=1, metavar="N", help="this many seeds from --seed on")
    run.add_argument("--brokers", type=int, default=3, help="default 3")
    run.add_argument("--partitions", type=int, default=3, help="default 3")
    run.add_argument("--acks", default="all", help="the plain writer's: all, 1 or 0 (default all)")
    run.add_argument("--min-insync-replicas", type=int, default=None, help="default 2, or 1 with a single broker")
    run.add_argument("--max-in-flight", type=int, default=5, help="requests in flight on a connection (default 5)")
    run.add_argument(
        "--snapshot-batches",
        type=int,
        default=1,
        metavar="1|5",
        help="how many batches of a producer a restarted broker remembers (default 1, as Kafka does)",
    )
    run.add_argument(
        "--first-sequence",
        default="any",
        metavar="any|zero",
        help="what a producer unknown to a partition may begin with (default any, as in Kafka)",
    )
    run.add_argument("--client", default="java", metavar="java|librdkafka", help="whose producer (default java)")
    run.add_argument("--export", metavar="DIR", type=Path, help="write histories, traces and both logs there")
    run.add_argument("--story", action="store_true", help="the ladder around the first duplicate")
    run.add_argument("--html", metavar="FILE", type=Path, help="write both runs as one page with a slider")
    run.set_defaults(command=_run)


# --- run --------------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    from eventlog.run import SAMPLE, SAMPLE_KEY, SAMPLE_TIME, Job

    if arguments.runs < 1:
        raise RequestError(f"--runs must be 1 or more, not {arguments.runs}")
    is_sample = arguments.file is None
    min_insync = arguments.min_insync_replicas
    job = Job(
        source=SAMPLE if is_sample else arguments.file,
        key_field=SAMPLE_KEY if is_sample and arguments.key is None else arguments.key,
        time_field=SAMPLE_TIME if is_sample and arguments.time is None else arguments.time,
        skip_bad=arguments.skip_bad,
        speed=arguments.speed,
        faults=_fault_names(arguments.faults),
        seed=arguments.seed,
        brokers=arguments.brokers,
        partitions=arguments.partitions,
        acks=_acks(arguments.acks),
        min_insync_replicas=(1 if arguments.brokers == 1 else 2) if min_insync is None else min_insync,
        max_in_flight=arguments.max_in_flight,
        producer_snapshot_batches=arguments.snapshot_batches,
        unknown_producer_first_sequence=arguments.first_sequence,
        behaves_like=arguments.client,
    )
    job.check()
    read = _read(job, None if is_sample else arguments.file)
    job = replace(job, digest=read.digest)
    _check_writable(arguments.export)
    _check_page(arguments.html)
    summaries: list[Summary] = []
    films: list[Any] = []
    events = read.events
    last: list[Any] = []
    total = 2 * len(events) * arguments.runs
    reached = 0
    with _progress(total) as show:

        def advance(done: int) -> None:
            nonlocal reached
            reached = done
            show(done)

        try:
            for index in range(arguments.runs):
                started = time.perf_counter()
                seeded = replace(job, seed=job.seed + index)
                taken: list[Any] = []
                is_filmed = arguments.html is not None and index == arguments.runs - 1
                last = _run_both(seeded, events, 2 * index * len(events), advance, taken if is_filmed else None)
                films = taken
                plain, idempotent = last
                real_s = time.perf_counter() - started
                summaries.append(Summary(plain, idempotent, len(events), real_s, seeded.seed))
        except KeyboardInterrupt:
            if not summaries:
                print(f"\neventlog: stopped after {reached} of {total} sends; nothing was judged yet", file=sys.stderr)
                return 130
            print(f"\nstopped after {len(summaries)} of {arguments.runs} runs:", file=sys.stderr)
    if read.skipped:
        print(f"{read.skipped} broken lines were left out")
    if len(summaries) == 1:
        print_one(summaries[0])
    else:
        print_many(summaries)
    print(brokers_memory(arguments.snapshot_batches))
    print_ending(summaries, len(events))
    print(f"Repeat it with: {_command(arguments)}")
    if arguments.story:
        for outcome in last:
            _print_story(outcome)
    if arguments.export is not None:
        _export(arguments.export, last)
    if arguments.html is not None:
        _write_page(arguments.html, last, films)
    broken = [summary for summary in summaries if not summary.idempotent_held]
    for summary in broken[:3]:
        print(f"\nseed {summary.seed}: the idempotent writer broke a promise\n{summary.report}")
    return 1 if broken else 0


def _run_both(
    job: Any, events: Any, done: int, advance: Callable[[int], None], films: list[Any] | None = None
) -> list[Any]:
    """Both runs; `films` gets the films of both."""
    from eventlog.run import IDEMPOTENT, PLAIN, run

    def begin(cluster: Any) -> None:
        if films is not None:
            from eventlog.views.film import watch

            films.append(watch(cluster))

    def advance_idempotent(sent: int) -> None:
        advance(done + len(events) + sent)

    plain = run(job, events, PLAIN, progress=lambda sent: advance(done + sent), began=begin)
    return [plain, run(job, events, IDEMPOTENT, progress=advance_idempotent, began=begin)]


def _write_page(path: Path, outcomes: list[Any], films: list[Any]) -> None:
    from eventlog.views.page import run_of, write_page

    shown = films if films else [outcome.cluster for outcome in outcomes]
    runs = [run_of(film, title=f"{outcome.writer} writer") for film, outcome in zip(shown, outcomes, strict=True)]
    print(f"the page is in {write_page(runs, path)}")


def _fault_names(text: str | None) -> tuple[str, ...]:
    if text is None:
        return USUAL_FAULTS
    if text == "all":
        return tuple(FAULTS)
    if text in ("none", ""):
        return ()
    return check_fault_names(tuple(name.strip() for name in text.split(",") if name.strip()))


def _acks(text: str) -> int:
    known = {"all": -1, "-1": -1, "1": 1, "0": 0}
    if text not in known:
        raise RequestError(f"--acks must be all, 1 or 0, not {text!r}")
    return known[text]


def _read(job: Any, path: str | None) -> Any:
    from eventlog.run import read_events, sample_lines

    if path is None:
        lines: Iterable[bytes] = sample_lines()
        name = "the sample"
    elif path == "-":
        lines, name = sys.stdin.buffer.read().splitlines(), "standard input"
    else:
        name = path
        lines = _file_lines(path)
    return read_events(lines, job.key_field, job.time_field, job.skip_bad, name)


def _file_lines(path: str) -> list[bytes]:
    try:
        return Path(path).read_bytes().splitlines()
    except OSError as error:
        raise RequestError(f"{path} can't be read: {error.strerror or error}") from None


def _print_story(outcome: Any) -> None:
    from eventlog.run import story

    text = story(outcome)
    print(f"\n{outcome.writer} writer: " + ("the first duplicate" if text else "there was no duplicate to tell of"))
    if text:
        print(text)


def _command(arguments: argparse.Namespace) -> str:
    words = ["eventlog run"]
    if arguments.file is not None:
        words.append(arguments.file)
    given = [name for name in ("key", "time", "faults") if getattr(arguments, name) is not None]
    words += [f"--{name} {getattr(arguments, name)}" for name in given]
    for name, usual in (
        ("speed", 60.0),
        ("runs", 1),
        ("brokers", 3),
        ("partitions", 3),
        ("acks", "all"),
        ("min_insync_replicas", None),
        ("max_in_flight", 5),
        ("snapshot_batches", 1),
        ("first_sequence", "any"),
        ("client", "java"),
    ):
        if getattr(arguments, name) != usual:
            words.append(f"--{name.replace('_', '-')} {getattr(arguments, name)}")
    if arguments.skip_bad:
        words.append("--skip-bad")
    return " ".join([*words, f"--seed {arguments.seed}"])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, when somebody looks at it."""
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        yield lambda done: None
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("writing events", total=total)
        yield lambda done: progress.update(task, completed=done)


# --- export, check, replay --------------------------------------------------------------------------------------------


def _check_writable(directory: Path | None) -> None:
    if directory is None:
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{directory} can't be made: {error.strerror or error}") from None


def _check_page(path: Path | None) -> None:
    """What can't be written is said before the run, not after it."""
    if path is None:
        return
    try:
        path.open("a").close()
    except OSError as error:
        raise RequestError(f"{path} can't be written: {error.strerror or error}") from None


def _export(directory: Path, outcomes: list[Any]) -> None:
    from eventlog.check import to_json_lines
    from eventlog.run import log_lines

    _check_writable(directory)
    try:
        for outcome in outcomes:
            parts: dict[str, Iterable[str]] = {
                f"history-{outcome.writer}.jsonl": to_json_lines(
                    outcome.cluster.history(healed=True, literal=outcome.literal)
                ),
                f"trace-{outcome.writer}.jsonl": outcome.cluster.trace(),
                f"log-{outcome.writer}.jsonl": log_lines(outcome),
                f"literal-{outcome.writer}.txt": [outcome.literal],
                f"verdict-{outcome.writer}.txt": [outcome.verdict.report()],
            }
            for name, lines in parts.items():
                with (directory / name).open("w", encoding="utf-8") as file:
                    for line in lines:
                        file.write(line + "\n")
    except OSError as error:
        raise RequestError(f"{directory} can't be written: {error.strerror or error}") from None
    print(f"histories, traces, logs, literals and verdicts are in {directory}")


def _check(arguments: argparse.Namespace) -> int:
    from eventlog.check import judge, read_history

    lines = sys.stdin.buffer.read().splitlines() if arguments.history == "-" else _file_lines(arguments.history)
    if not lines:
        raise RequestError(f"{arguments.history} is empty: a history begins with a Run row")
    history = read_history(line.decode("utf-8", "backslashreplace") for line in lines)
    if not history.rows:
        raise RequestError(f"{arguments.history} is no history: {history.problems[0]}")
    verdict = judge(history)
    print(verdict.report())
    return 0 if verdict.held else 1


def _replay(arguments: argparse.Namespace) -> int:
    from eventlog.run import SAMPLE, job_of, run
    from eventlog.sim.choices import Replay
    from eventlog.sim.literal import read_literal

    text = arguments.literal
    if not text.lstrip().startswith("{"):
        text = b"\n".join(_file_lines(text)).decode("utf-8", "backslashreplace")
    scenario, deviations = read_literal(text)
    if "scenario" in scenario:
        return replay_scenario(scenario, deviations)
    job, writer = job_of(scenario)
    path = arguments.file if arguments.file is not None else (None if job.source == SAMPLE else job.source)
    if path == "-":
        raise RequestError("this run read standard input: save that input and name it with --file")
    read = _read(job, path)
    if job.digest and read.digest != job.digest:
        raise RequestError(
            f"the events differ from the run's: their digest is {read.digest}, {job.digest} was expected"
        )
    _check_writable(arguments.export)
    with _progress(len(read.events)) as advance:
        outcome = run(job, read.events, writer, deviations, progress=advance)
    replayed = outcome.cluster.replayed
    assert isinstance(replayed, Replay)
    if replayed.unused:
        print(
            f"eventlog: {len(replayed.unused)} of {len(deviations)} deviations no longer apply, the first is "
            f"{tuple(replayed.unused[0])}",
            file=sys.stderr,
        )
        return 2
    print(outcome.verdict.report())
    if arguments.story:
        _print_story(outcome)
    if arguments.export is not None:
        _export(arguments.export, [outcome])
    return 0 if outcome.verdict.held else 1
