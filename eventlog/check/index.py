"""A history arranged for judging: rows by kind, the final log of every partition, the end of every send.

Everything that several checks ask for is made here once, and nothing here judges. All passes are linear in the number
of records; what only a finding needs (positions of rows, what struck between two of them) is made when first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, TypeAlias

from eventlog.check.final import FinalLog
from eventlog.check.history import (
    FORMAT,
    Acked,
    Assigned,
    End,
    Failed,
    Fault,
    Forgot,
    History,
    LeaderChanged,
    Log,
    LogBatch,
    LogStartMoved,
    Problem,
    Read,
    Refused,
    Row,
    Run,
    Sent,
    TailLost,
    Truncated,
    as_dict,
)
from eventlog.values import FAULTS, TopicPartition

MOST_FAULTS_SHOWN = 8
_ENDING_EVENTS = ("heal", "restart", "resume")
_READER = itemgetter(1, 2, 3)
_PARTITION = itemgetter(2, 3)

Reader: TypeAlias = tuple[str, str, int]
"""(consumer, topic, partition)."""


class Index:
    """A history by kinds. Rows after the End row are not judged: whatever they say, it is not of this run."""

    __slots__ = (
        "_interruptions",
        "_positions",
        "acked",
        "acked_rows",
        "cache",
        "double_ends",
        "end",
        "failed",
        "failed_rows",
        "finals",
        "forgot_rows",
        "has_kind",
        "in_log",
        "leader_rows",
        "logs",
        "movements",
        "notes",
        "numbered_in_log",
        "problems",
        "readers",
        "refused_rows",
        "rows",
        "run",
        "sent",
        "sent_count",
        "unnumbered_acks",
        "without_log",
    )

    def __init__(self, history: History) -> None:
        self.cache: dict[str, Any] = {}
        self._positions: dict[int, int] = {}
        self._interruptions: list[tuple[int, Row]] | None = None
        self.notes: list[str] = []
        self.problems: list[Problem] = list(history.problems)
        self._sort_rows(history)
        self._take_logs()
        self._take_ends()

    def _sort_rows(self, history: History) -> None:
        runs: list[Run] = []
        sents: list[Sent] = []
        faults: list[Fault] = []
        ends: list[End] = []
        logs: list[Log] = []
        self.acked_rows: list[Acked] = []
        self.failed_rows: list[Failed] = []
        reading: list[Assigned | Read] = []
        self.refused_rows: list[Refused] = []
        self.forgot_rows: list[Forgot] = []
        moved: list[LogStartMoved] = []
        self.movements: list[LeaderChanged | TailLost | Truncated] = []
        self.leader_rows: list[LeaderChanged] = []
        put: dict[type, Callable[[Any], None]] = {
            Run: runs.append,
            Sent: sents.append,
            Acked: self.acked_rows.append,
            Failed: self.failed_rows.append,
            Refused: self.refused_rows.append,
            Assigned: reading.append,
            Read: reading.append,
            Fault: faults.append,
            LeaderChanged: self.movements.append,
            Truncated: self.movements.append,
            TailLost: self.movements.append,
            Forgot: self.forgot_rows.append,
            LogStartMoved: moved.append,
            Log: logs.append,
            End: ends.append,
        }
        rows = history.rows
        kinds = list(map(type, rows))
        ended = kinds.index(End) + 1 if End in kinds else len(rows)
        if ended < len(rows):
            text = f"{len(rows) - ended} rows after End"
            self.problems.append(Problem(history.line_number(ended), text, "End to be the last"))
            rows = rows[:ended]
        try:
            for row in rows:
                put[type(row)](row)
        except KeyError:  # only possible in process: a list takes anything
            kept = [row for row in rows if type(row) in put]
            self.problems.append(Problem(0, f"{len(rows) - len(kept)} objects are no rows", "rows of a history"))
            self._sort_rows(History(kept))
            return
        self.rows: list[Row] = rows
        self.run: Run | None = runs[0] if runs else None
        self.end: End | None = ends[0] if ends else None
        self.leader_rows = [row for row in self.movements if type(row) is LeaderChanged]
        self.logs: dict[TopicPartition, dict[int, Log]] = {}
        for log in logs:
            self.logs.setdefault(TopicPartition(log.topic, log.partition), {})[log.broker] = log
        self.sent_count = len(sents)
        self.has_kind = {kind.__name__: bool(getattr(append, "__self__", ())) for kind, append in put.items()}
        self.has_kind["Read"] = any(type(row) is Read for row in reading)
        self.has_kind["LeaderChanged"] = bool(self.leader_rows)
        numbers = [row[2] for row in sents]
        self.sent: dict[int, Sent] = dict(zip(numbers, sents, strict=True))
        self.readers: dict[Reader, list[Any]] = {}
        """Assigned and Read rows together, because their order is what a reader is judged by."""
        for reader, row in zip(map(_READER, reading), reading, strict=True):
            if reader in self.readers:
                self.readers[reader].append(row)
            else:
                self.readers[reader] = [row]
        self._note_structure(history, runs, numbers, faults)

    def _note_structure(self, history: History, runs: list[Run], numbers: list[int], faults: list[Fault]) -> None:
        """Rows that can be read but don't fit together."""
        problems = self.problems
        if not runs:
            problems.append(Problem(0, "no Run row", "a Run row first, which says what was promised"))
        elif type(self.rows[0]) is not Run:
            problems.append(Problem(history.line_number(0), f"{type(self.rows[0]).__name__} first", "a Run row first"))
        if len(runs) > 1:
            problems.append(Problem(0, f"{len(runs)} Run rows; the first counts", "one Run row"))
        if runs and runs[0].format != FORMAT:
            problems.append(Problem(history.line_number(0), f"format {runs[0].format}", f"format {FORMAT}"))
        if runs and runs[0].acks not in (-1, 0, 1):
            problems.append(Problem(history.line_number(0), f"acks {runs[0].acks}", "acks -1 (all), 0 or 1"))
        if len(self.sent) != len(numbers) or numbers != sorted(numbers):
            problems.append(Problem(0, "send_number of Sent rows", "each used once, rising in the order of sends"))
        if numbers and min(numbers) < 0:
            problems.append(Problem(0, f"send_number {min(numbers)} in a Sent row", "0 or above"))
        strange = {row.fault: row for row in faults if row.fault not in FAULTS and row.fault not in _ENDING_EVENTS}
        for fault in strange:
            problems.append(Problem(0, f"unknown fault {fault!r}", f"one of: {', '.join((*FAULTS, *_ENDING_EVENTS))}"))

    def _take_logs(self) -> None:
        self.finals: dict[TopicPartition, FinalLog] = {}
        for name, replicas in self.logs.items():
            leaders = [log for log in replicas.values() if log.is_leader]
            if leaders:
                final = max(leaders, key=lambda log: (log.high_watermark, _last_leader_epoch(log), log.log_end_offset))
            else:
                final = max(replicas.values(), key=lambda log: (_last_leader_epoch(log), log.log_end_offset))
                self.notes.append(f"{name}: no leader at the end; the log of broker {final.broker} counts as final.")
            if len(leaders) > 1:
                self.notes.append(f"{name}: {len(leaders)} brokers led at the end; broker {final.broker}'s log counts.")
            self.finals[name] = FinalLog(name, final)
        self.in_log = sum(len(final.numbers) for final in self.finals.values())
        self.numbered_in_log: dict[int, TopicPartition] = {}
        """Send number to the partition it was found in; one of them, should it stand in several."""
        for name, log in self.finals.items():
            where = dict.fromkeys(log.numbers, name)
            if self.numbered_in_log:
                self.numbered_in_log.update(where)
            else:
                self.numbered_in_log = where
        _drop_unnumbered(self.numbered_in_log)
        touched = dict.fromkeys(map(_PARTITION, self.acked_rows))
        touched.update(dict.fromkeys([reader[1:] for reader in self.readers]))
        self.without_log = [TopicPartition(*name) for name in touched if TopicPartition(*name) not in self.finals]
        for name in self.without_log:
            self.notes.append(f"{name}: no Log row, so what happened there can't be checked against a log.")

    def _take_ends(self) -> None:
        """Which row ended each numbered send: the first Acked and the first Failed, and all that came too many."""
        self.failed: dict[int, Failed] = {}
        self.double_ends: dict[int, list[Acked | Failed]] = {}
        doubled: dict[int, None] = {}
        batches = [row[5] for row in self.acked_rows]
        owners = chain.from_iterable(map(repeat, self.acked_rows, map(len, batches)))
        numbers = list(chain.from_iterable(batches))
        self.acked: dict[int, Acked] = dict(zip(numbers, owners, strict=True))
        self.unnumbered_acks: dict[tuple[str, int, int, int, int], list[Acked]] = {}
        """Acknowledgements of records without numbers, by (topic, partition, producer_id, producer_epoch, sequence)."""
        if numbers and min(numbers) < 0:
            for acked in self.acked_rows:
                if acked[6] >= 0 and acked[8] >= 0 and acked[5] and max(acked[5]) < 0:
                    self.unnumbered_acks.setdefault((*acked[2:4], *acked[6:9]), []).append(acked)
        if len(self.acked) != len(numbers):
            self.acked = {}
            for acked in self.acked_rows:
                for number in acked.send_numbers:
                    if number not in self.acked:
                        self.acked[number] = acked
                    elif number >= 0:
                        doubled[number] = None
        for failed in self.failed_rows:
            for number in failed[4]:
                if number in self.failed or number in self.acked:
                    doubled[number] = None
                self.failed.setdefault(number, failed)
        _drop_unnumbered(self.acked)
        _drop_unnumbered(self.failed)
        if doubled:
            for row in self.rows:
                if type(row) is Acked or type(row) is Failed:
                    for number in row.send_numbers:
                        if number in doubled and number >= 0:
                            self.double_ends.setdefault(number, []).append(row)

    def lacks(self, needs: tuple[str, ...]) -> str:
        """What of `needs` is missing: kinds of rows, `|` for either. Empty when nothing is."""
        for need in needs:
            if not (self.has_kind[need] if need in self.has_kind else any(map(self.has_kind.get, need.split("|")))):
                return f"no {need.replace('|', ' or ')} row"
        if self.without_log and "Log" in needs:
            return f"no Log row for {', '.join(map(str, self.without_log[:3]))}"
        return ""

    def memo(self, make: Callable[[Index], Any]) -> Any:
        """`make(self)`, made once. For passes that find what several checks report."""
        name = make.__qualname__
        if name not in self.cache:
            self.cache[name] = make(self)
        return self.cache[name]

    def position(self, row: Row | None, default: int = 0) -> int:
        """The place of `row` in the history; `default` for None."""
        if row is None:
            return default
        if not self._positions:
            self._positions = {id(known): place for place, known in enumerate(self.rows)}
        return self._positions.get(id(row), default)

    def interruptions(self) -> list[tuple[int, Row]]:
        """Everything but sends, their ends, reads and logs: faults, leaders, losses, forgetting; with their places."""
        if self._interruptions is None:
            kinds = (Fault, LeaderChanged, Truncated, TailLost, Forgot, LogStartMoved)
            self._interruptions = [(place, row) for place, row in enumerate(self.rows) if type(row) in kinds]
        return self._interruptions

    def faults_between(self, first: int, last: int) -> tuple[dict[str, Any], ...]:
        """What struck from place `first` to place `last`, for a finding; the first few."""
        found: list[dict[str, Any]] = []
        for place, row in self.interruptions():
            if first <= place <= last:
                found.append(as_dict(row))
                if len(found) == MOST_FAULTS_SHOWN:
                    break
        return tuple(found)

    def span(self, number: int) -> tuple[int, int]:
        """The places at which a send began and ended; the whole history where that is not known."""
        first = self.position(self.sent.get(number))
        end = self.acked.get(number) or self.failed.get(number)
        return first, self.position(end, len(self.rows))


def _drop_unnumbered(by_number: dict[int, Any]) -> None:
    """Take out what nobody numbered: it can't be told apart."""
    if by_number and min(by_number) < 0:
        for number in [number for number in by_number if number < 0]:
            del by_number[number]


def _last_leader_epoch(log: Log) -> int:
    return log.batches[-1][1] if log.batches else -1


def offset_in(acked: Acked, number: int) -> int:
    """The offset that `acked` names for a send number; -1 when it names none."""
    return acked.base_offset + acked.send_numbers.index(number) if acked.base_offset >= 0 else -1


def log_witness(log: Log, *batches: LogBatch) -> dict[str, Any]:
    """A Log row as a witness: only the batches that matter."""
    return {
        "row": "Log",
        "at_ms": log.at_ms,
        "broker": log.broker,
        "topic": log.topic,
        "partition": log.partition,
        "log_start_offset": log.log_start_offset,
        "high_watermark": log.high_watermark,
        "log_end_offset": log.log_end_offset,
        "batches": batches,
    }


def seen(*rows: Row | dict[str, Any] | None) -> tuple[dict[str, Any], ...]:
    """Rows as a finding's witness; what is None is left out."""
    return tuple(row if isinstance(row, dict) else as_dict(row) for row in rows if row is not None)


def what_is_at(final: FinalLog, offset: int) -> str:
    """What the committed log holds at `offset`, in words."""
    place = final.index_at.get(offset)
    if place is None:
        return "nothing"
    return f"record {final.numbers[place]} (leader_epoch {final.leader_epochs[place]})"


def around(final: FinalLog, offset: int) -> dict[str, object]:
    """The final log as a witness: the batch at `offset`, if there is one."""
    place = final.index_at.get(offset)
    batches = (final.batch_of(place),) if place is not None else ()
    return log_witness(final.log, *batches)
