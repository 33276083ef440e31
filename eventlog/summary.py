"""What `eventlog run` says: the numbers of both writers in a table, and one sentence that a person understands."""

from __future__ import annotations

from typing import Any

from eventlog.check.promises import PROMISES
from eventlog.check.verdict import first_sentence


class Summary:
    """The numbers of one run of both writers. Keeps no cluster, so a thousand runs fit into memory."""

    def __init__(self, plain: Any, idempotent: Any, events: int, real_s: float, seed: int) -> None:
        self.seed = seed
        self.real_s = real_s
        self.rows = [numbers(plain, events), numbers(idempotent, events)]
        self.finished = len(idempotent.producers) - 1
        """How many idempotent producers were finished by an error, so that another one went on."""
        self.idempotent_held = idempotent.verdict.held
        self.report = "" if self.idempotent_held else idempotent.verdict.report()
        # (excuse, promise) and in how many places.
        self.excused = {
            (promise.excuse, promise.promise): promise.excused
            for promise in idempotent.verdict.promises
            if promise.excused
        }


COLUMNS = (
    "events",
    "acknowledged",
    "in the log",
    "duplicated",
    "lost",
    "out of order",
    "retries",
    "duplicates recognised",
    "failovers",
    "deviations",
    "virtual s",
)


def numbers(outcome: Any, events: int) -> tuple[int, ...]:
    counts = outcome.verdict.counts
    return (
        events,
        counts.acknowledged,
        counts.in_log,
        counts.duplicated,
        counts.lost,
        counts.out_of_order,
        outcome.retries,
        outcome.duplicates_recognised,
        outcome.failovers,
        len(outcome.cluster.deviations),
        outcome.virtual_ms // 1000,
    )


def print_one(summary: Summary) -> None:
    print_table(
        f"the same faults, two writers (seed {summary.seed})",
        ("", "plain writer", "idempotent writer"),
        [(name, str(plain), str(idempotent)) for name, plain, idempotent in zip(COLUMNS, *summary.rows, strict=True)],
    )
    print(f"real time: {summary.real_s:.1f} s")


def print_many(summaries: list[Summary]) -> None:
    runs = len(summaries)
    rows = []
    for index, name in enumerate(COLUMNS):
        cells = [name]
        for writer in (0, 1):
            values = [summary.rows[writer][index] for summary in summaries]
            cells.append(f"{sum(values)} ({sum(value > 0 for value in values)} of {runs} runs)")
        rows.append(tuple(cells))
    first, last = summaries[0].seed, summaries[-1].seed
    print_table(f"sums over {runs} runs, seeds {first} to {last}", ("", "plain writer", "idempotent writer"), rows)
    print(f"real time: {sum(summary.real_s for summary in summaries):.1f} s")


def print_ending(summaries: list[Summary], events: int) -> None:
    """One sentence a person understands."""
    runs = len(summaries)
    total = events * runs
    plain = [sum(summary.rows[0][index] for summary in summaries) for index in range(len(COLUMNS))]
    idempotent = [sum(summary.rows[1][index] for summary in summaries) for index in range(len(COLUMNS))]
    duplicated, lost, disordered = plain[3], plain[4], plain[5]
    said = f"The plain writer left {count_of(duplicated, 'extra copy', 'extra copies')} of {total} events in the log"
    said += f" and {count_of(disordered, 'record', 'records')} out of order" if disordered else ""
    said += f", and lost {lost}" if lost else ""
    if idempotent[3] or idempotent[4] or idempotent[5]:
        own = f"the idempotent one {count_of(idempotent[3], 'extra copy', 'extra copies')}, {idempotent[4]} lost, "
        own += f"{idempotent[5]} out of order"
    else:
        own = "the idempotent one none: every acknowledged event is there once, in order"
    recognised = count_of(idempotent[7], "repeated batch was", "repeated batches were")
    print(f"\n{said}; under the same faults {own} ({recognised} recognised).")
    finished = sum(summary.finished for summary in summaries)
    if finished:
        many = count_of(
            finished, "idempotent producer was finished by an error", "idempotent producers were finished by errors"
        )
        print(
            f"{many}, as librdkafka's are by a batch out of order; what they still had failed, and a new one went on."
        )
    for why, places in excuses(summaries).items():
        named = ", ".join(
            [
                f"{promise} {PROMISES[promise].name} in {count_of(count, 'place', 'places')}"
                for promise, count in places.items()
            ]
        )
        print(f"Excused, {why}: {first_sentence(why)}. {named}.")


def excuses(summaries: list[Summary]) -> dict[str, dict[str, int]]:
    """In how many places each promise was excused, by the excuse."""
    found: dict[str, dict[str, int]] = {}
    for summary in summaries:
        for (why, promise), count in summary.excused.items():
            places = found.setdefault(why, {})
            places[promise] = places.get(promise, 0) + count
    return found


def brokers_memory(batches: int) -> str:
    if batches == 1:
        return "a restarted broker remembers one batch of each producer, as Kafka's does (--snapshot-batches 1)"
    return (
        f"a restarted broker remembers {batches} batches of each producer; Kafka's one (--snapshot-batches {batches})"
    )


def count_of(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def print_table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        print(title)
        for row in [head, *rows]:
            print("  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=True)]).rstrip())
        return
    table = Table(title=title, box=box.SIMPLE_HEAVY, title_justify="left")
    for index, name in enumerate(head):
        table.add_column(name, justify="left" if index == 0 else "right")
    for row in rows:
        is_key = row[0] in ("duplicated", "lost", "out of order")
        table.add_row(*row, style="bold" if is_key else None)
    Console().print(table)
