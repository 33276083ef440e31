"""`checking`: the judge over rows in memory: 200,000 acknowledged records, each read by three readers.

An event is a record acknowledged or a record read. Sends, three replicas' logs and the changes of leaders are in the
history as well and cost time, but are not counted.
"""

from __future__ import annotations

from time import perf_counter

from benchmarks.timing import Row, rate, take_turns
from eventlog.check import (
    Acked,
    Assigned,
    End,
    History,
    LeaderChanged,
    Log,
    Read,
    Run,
    Sent,
    judge,
    read_history,
    to_json_lines,
)

RECORDS = 200_000
READERS = ("reader-1", "reader-2", "reader-3")
BROKERS = (1, 2, 3)
TURNS = 5


def faultless(batch_records: int) -> History:
    """A run in which all went well; a poll gives a reader one batch."""
    history = History([Run(1, "", "idempotent", -1, 2, 3, ""), LeaderChanged(0, "orders", 0, 1, 0, BROKERS)])
    append = history.append
    for number in range(RECORDS):
        append(Sent(number, "producer-1", number, "orders", 0))
    for reader in READERS:
        append(Assigned(0, reader, "orders", 0, 0))
    batches = []
    for first in range(0, RECORDS, batch_records):
        numbers = tuple(range(first, first + batch_records))
        append(Acked(first, "producer-1", "orders", 0, first, numbers, 1, 0, first, 1))
        batches.append((first, 0, 1, 0, first, numbers))
        for reader in READERS:
            append(Read(first, reader, "orders", 0, tuple([(number, 0, number) for number in numbers])))
    for broker in BROKERS:
        append(Log(RECORDS, broker, "orders", 0, broker == 1, 0, RECORDS, RECORDS, tuple(batches)))
    append(End(RECORDS, True))
    return read_history(to_json_lines(history))  # no two rows share a value, as little as those of a file do


def checking() -> list[Row]:
    rows = []
    for batch_records in (1, 10, 100):
        history = faultless(batch_records)

        def seconds(history: History = history) -> float:
            start = perf_counter()
            verdict = judge(history)
            elapsed = perf_counter() - start
            assert verdict.held
            assert verdict.counts.in_log == RECORDS
            return elapsed

        (measured,) = take_turns((seconds,), TURNS)
        events = RECORDS * (1 + len(READERS))
        what = f"the checker, batches of {batch_records}, in events"
        if batch_records == 1:  # a row of history for every event: for information
            rows.append(Row(what, rate(events, measured)))
        else:
            rows.append(Row(what, rate(events, measured), "", ">= 1,000 k/s", events / measured >= 1e6))
    return rows
