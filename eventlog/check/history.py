"""The rows of a history, and their form as JSON lines.

A history is what one run left behind, in the order in which it happened: what was sent, what became of it, what readers
got, which faults struck, who led, and at the end the whole content of every replica. A row stands for a batch or a
poll, not for a record, so a long run stays short.

In process a row costs one list append. On paper it is one JSON object a line whose field `row` names the kind and whose
other fields are those of the row. What can't be read becomes a `Problem` with its line number; nothing here raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from sys import intern
from typing import Any, NamedTuple, TypeAlias, TypeVar, get_type_hints

FORMAT = 1
"""Number of this form of histories; a history with another number is read as well as it goes, with a problem noted."""

ReadRecord: TypeAlias = tuple[int, int, int]
"""(offset, leader_epoch, send_number) of a record that a reader got."""
LogBatch: TypeAlias = tuple[int, int, int, int, int, tuple[int, ...]]
"""(base_offset, leader_epoch, producer_id, producer_epoch, base_sequence, send_numbers); record i is at base_offset+i.

A batch with a producer_id and base_sequence -1 is a control batch: it takes offsets, but no reader ever gets it.
"""


class Run(NamedTuple):
    """The first row: what ran. `acks` is -1 (all), 1 or 0; `literal` repeats the run.

    `initial_sequence` is where the sequences of a producer epoch begin. `producer_snapshot_batches` is how many batches
    of a producer a broker still remembers after a restart: 1 as Kafka does it, 5 when nothing is forgotten.
    `unknown_producer_first_sequence` is what a broker takes first from a producer it does not know: `any`, or `zero`.
    `client` is whose rules the producers follow: `java` or `librdkafka`; empty when nobody said.
    `unclean_leader_election_enable`: a setting of the brokers or of a topic allows it.
    """

    format: int
    version: str
    writer: str
    acks: int
    min_insync_replicas: int
    brokers: int
    literal: str
    initial_sequence: int = 0
    producer_snapshot_batches: int = 5
    unknown_producer_first_sequence: str = "any"
    client: str = ""
    unclean_leader_election_enable: bool = False


class Sent(NamedTuple):
    """A record was handed to a producer. `partition` -1: not chosen yet. `send_number` is unique and rises."""

    at_ms: int
    producer: str
    send_number: int
    topic: str
    partition: int


class Acked(NamedTuple):
    """A batch was acknowledged: record i is at base_offset+i. `base_offset` -1: written, but nobody knows where.

    `is_implied`: no answer says so; a later batch succeeded, so the client took this one for written (librdkafka).
    """

    at_ms: int
    producer: str
    topic: str
    partition: int
    base_offset: int
    send_numbers: tuple[int, ...]
    producer_id: int
    producer_epoch: int
    base_sequence: int
    attempts: int
    is_implied: bool = False


class Failed(NamedTuple):
    """A batch was given up. `may_be_written` False is the claim that no attempt of it was ever appended."""

    at_ms: int
    producer: str
    topic: str
    partition: int
    send_numbers: tuple[int, ...]
    error: str
    may_be_written: bool
    attempts: int


class Refused(NamedTuple):
    """A leader refused a batch for its producer's sake; `error` is the code's name, `log_end_offset` its log's end then.

    Only codes about sequences and producer epochs: OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, and the two
    that no broker gives any more, UNKNOWN_PRODUCER_ID and DUPLICATE_SEQUENCE_NUMBER.
    """

    at_ms: int
    broker: int
    topic: str
    partition: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int
    error: str
    log_end_offset: int


class Assigned(NamedTuple):
    """A reader was put at `offset` (assign, seek, reset); -1: wherever its next record is."""

    at_ms: int
    consumer: str
    topic: str
    partition: int
    offset: int


class Read(NamedTuple):
    """What one poll gave a reader from one partition."""

    at_ms: int
    consumer: str
    topic: str
    partition: int
    records: tuple[ReadRecord, ...]


class Fault(NamedTuple):
    """A fault struck: a name from `eventlog.values.FAULTS`; or `heal`, `restart`, `resume`. `until_ms` -1: at once."""

    at_ms: int
    fault: str
    target: str
    event: str
    until_ms: int


class LeaderChanged(NamedTuple):
    """The controller made a leader (-1: none) or changed the in-sync replicas.

    `eligible_leader_replicas` are those out of sync that may lead all the same: they hold whatever is committed (KIP-966).
    """

    at_ms: int
    topic: str
    partition: int
    leader: int
    leader_epoch: int
    in_sync_replicas: tuple[int, ...]
    eligible_leader_replicas: tuple[int, ...] = ()


class Truncated(NamedTuple):
    """A follower cut the end of its log: the offsets from `from_offset` up to, not including, `to_offset`."""

    at_ms: int
    broker: int
    topic: str
    partition: int
    from_offset: int
    to_offset: int


class TailLost(NamedTuple):
    """A crash lost what was not flushed: the offsets from `from_offset` up to, not including, `to_offset`."""

    at_ms: int
    broker: int
    topic: str
    partition: int
    from_offset: int
    to_offset: int


class Forgot(NamedTuple):
    """A replica's memory of producers became poorer than its log is.

    `why`: `restart` (of every producer only the newest batch is known), `snapshot` (an old snapshot was loaded, or none),
    `expired` (`producer_ids` were idle too long: from now on they are unknown). `log_end_offset` is the replica's then,
    -1 when not known: what lies below it is what was forgotten.
    """

    at_ms: int
    broker: int
    topic: str
    partition: int
    why: str
    producer_ids: tuple[int, ...] = ()
    log_end_offset: int = -1


class LogStartMoved(NamedTuple):
    """A replica deleted its oldest records: those from `from_offset` up to, not including, `to_offset`."""

    at_ms: int
    broker: int
    topic: str
    partition: int
    from_offset: int
    to_offset: int


class Log(NamedTuple):
    """The whole content of one replica at the end of the run; when a replica has several, the last counts."""

    at_ms: int
    broker: int
    topic: str
    partition: int
    is_leader: bool
    log_start_offset: int
    high_watermark: int
    log_end_offset: int
    batches: tuple[LogBatch, ...]


class End(NamedTuple):
    """The last row. `healed`: all faults were over and the world had time to recover before the logs were taken."""

    at_ms: int
    healed: bool


Row: TypeAlias = (
    Run
    | Sent
    | Acked
    | Failed
    | Refused
    | Assigned
    | Read
    | Fault
    | LeaderChanged
    | Truncated
    | TailLost
    | Forgot
    | LogStartMoved
    | Log
    | End
)
AnyRow = TypeVar(
    "AnyRow",
    Run,
    Sent,
    Acked,
    Failed,
    Refused,
    Assigned,
    Read,
    Fault,
    LeaderChanged,
    Truncated,
    TailLost,
    Forgot,
    LogStartMoved,
    Log,
    End,
)

ROW_KINDS: dict[str, type[Row]] = {
    kind.__name__: kind
    for kind in (
        Run,
        Sent,
        Acked,
        Failed,
        Refused,
        Assigned,
        Read,
        Fault,
        LeaderChanged,
        Truncated,
        TailLost,
        Forgot,
        LogStartMoved,
        Log,
        End,
    )
}
"""Every kind of row by the name that stands in the field `row`."""


class Problem(NamedTuple):
    """A line that is no row, or a row that doesn't fit where it stands. `line_number` counts from 1; 0: the whole."""

    line_number: int
    text: str
    expected: str

    def __str__(self) -> str:
        where = f"line {self.line_number}: " if self.line_number else ""
        return f"{where}{self.text}: expected {self.expected}"


class History:
    """The rows of one run in the order in which they happened.

    `append(row)` is the list's own method: O(1), nothing is checked or copied. `problems` are the lines that could not
    be read; `line_numbers[i]` is the line of `rows[i]` (empty for a history made in this process).
    """

    __slots__ = ("append", "line_numbers", "problems", "rows")

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: list[Row] = list(rows)
        self.append: Callable[[Row], None] = self.rows.append
        self.problems: list[Problem] = []
        self.line_numbers: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        return f"<History: {len(self.rows)} rows, {len(self.problems)} problems>"

    def of(self, kind: type[AnyRow]) -> list[AnyRow]:
        """The rows of one kind, in order. O(rows)."""
        return [row for row in self.rows if type(row) is kind]

    def line_number(self, position: int) -> int:
        """The line that `rows[position]` stands in, or would stand in."""
        return self.line_numbers[position] if position < len(self.line_numbers) else position + 1


def as_dict(row: Row) -> dict[str, Any]:
    """`row` as what its JSON line holds: its kind, then its fields."""
    return {"row": type(row).__name__, **row._asdict()}


_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_json_line(row: Row) -> str:
    """`row` as one line of JSON, without the line's end."""
    return _encode(as_dict(row))


def to_json_lines(history: History) -> Iterator[str]:
    """All rows of a history, one line each, without the lines' ends."""
    return (to_json_line(row) for row in history.rows)


class _UnfitError(Exception):
    """A value that is not what its field holds; says what was expected."""


def _int(value: object) -> int:
    if type(value) is not int:  # bool is an int to Python, not to a reader of histories
        raise _UnfitError("a whole number")
    return value


def _str(value: object) -> str:
    if type(value) is not str:
        raise _UnfitError("a text")
    return intern(value)  # the same few names stand in every row


def _bool(value: object) -> bool:
    if type(value) is not bool:
        raise _UnfitError("true or false")
    return value


def _ints(value: object) -> tuple[int, ...]:
    if type(value) is not list:
        raise _UnfitError("a list of whole numbers")
    for number in value:
        if type(number) is not int:
            raise _UnfitError("a list of whole numbers")
    return tuple(value)


def _read_records(value: object) -> tuple[ReadRecord, ...]:
    expected = "a list of [offset, leader_epoch, send_number]"
    if type(value) is not list:
        raise _UnfitError(expected)
    for entry in value:
        if type(entry) is not list or len(entry) != 3 or not type(entry[0]) is type(entry[1]) is type(entry[2]) is int:
            raise _UnfitError(expected)
    return tuple(map(tuple, value))


def _log_batches(value: object) -> tuple[LogBatch, ...]:
    expected = "a list of [base_offset, leader_epoch, producer_id, producer_epoch, base_sequence, [send_number, ...]]"
    if type(value) is not list:
        raise _UnfitError(expected)
    batches = []
    for entry in value:
        if type(entry) is not list or len(entry) != 6:
            raise _UnfitError(expected)
        for number in entry[:5]:
            if type(number) is not int:
                raise _UnfitError(expected)
        batches.append((entry[0], entry[1], entry[2], entry[3], entry[4], _ints(entry[5])))
    return tuple(batches)


# What a field holds is written once, in the row's annotation; here stands how each such thing is read.
_READERS: dict[Any, Callable[[object], object]] = {
    int: _int,
    str: _str,
    bool: _bool,
    tuple[int, ...]: _ints,
    tuple[ReadRecord, ...]: _read_records,
    tuple[LogBatch, ...]: _log_batches,
}
_FIELDS: dict[str, dict[str, Callable[[object], object]]] = {
    name: {field: _READERS[held] for field, held in get_type_hints(kind).items()} for name, kind in ROW_KINDS.items()
}


def read_row(line: str) -> Row | str:
    """The row that `line` holds, or a sentence on what was expected instead."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # a ValueError is broken JSON, or a number of thousands of digits
        return "one JSON object"
    if type(found) is not dict:
        return "one JSON object"
    name = found.pop("row", None)
    if type(name) is not str or name not in ROW_KINDS:
        return f"a field 'row' that is one of: {', '.join(ROW_KINDS)}"
    readers, kind = _FIELDS[name], ROW_KINDS[name]
    for field in found:
        if field not in readers:
            return f"{name} without a field {_short(field)!r}; it has: {', '.join(readers)}"
    values = []
    for field, reader in readers.items():
        if field in found:
            try:
                values.append(reader(found[field]))
            except _UnfitError as unfit:
                return f"{name}.{field} to be {unfit}"
        elif field in kind._field_defaults:
            values.append(kind._field_defaults[field])
        else:
            return f"{name} with a field {field!r}"
    return kind._make(values)


def read_history(lines: Iterable[str]) -> History:
    """The history that `lines` hold. Empty lines are passed over; what is no row is noted in `problems`. O(lines)."""
    history = History()
    for line_number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = read_row(line)
        if isinstance(row, str):
            history.problems.append(Problem(line_number, _short(line.strip()), row))
        else:
            history.append(row)
            history.line_numbers.append(line_number)
    return history


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."
