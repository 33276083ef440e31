"""The sheet: all that a picture shows, before anybody draws it.

| what | |
|---|---|
| `Row` | one step: an arrow, a note at a machine, a fault, or what the controller told |
| `Strip`, `Cell` | one replica's log at a moment; a cell is a record |
| `Known` | what brokers remember of one producer |
| `Moment` | the strips after a row |
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from eventlog.codec import decode_records
from eventlog.messages import Envelope
from eventlog.messages.broker_api import ProduceRequest
from eventlog.sim.recorder import Event
from eventlog.values import RecordBatch, TopicPartition
from eventlog.views.film import Frame

SOLID: Final = "arrives"
LOST: Final = "lost"
AGAIN: Final = "sent again"
LATE: Final = "late"

ARROW: Final = "arrow"
NOTE: Final = "note"
FAULT: Final = "fault"
BAND: Final = "band"

GOOD: Final = "good"
BAD: Final = "bad"
PLAIN: Final = ""

MOST_CELLS: Final = 12
MOST_VALUE: Final = 12
MOST_CELL_VALUE: Final = 7
CUT_CELL_VALUE: Final = 4
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Row(NamedTuple):
    """One step. `source` and `targets` are machines: an arrow goes from one to each of the others, a note or a band
    stands at `targets`. `tone` is good, bad or neither. `why` explains it; `told` is what the user heard with it.
    `event` is its place in the trace, `events` how many of the trace it stands for."""

    kind: str
    at_ms: int
    source: str
    targets: tuple[str, ...]
    label: str
    style: str = SOLID
    tone: str = PLAIN
    why: str = ""
    told: str = ""
    fault: str = ""
    event: int = 0
    events: int = 1
    is_important: bool = False

    @property
    def is_struck(self) -> bool:
        """It tells of a fault; where one is over, nothing bad happens."""
        return self.fault != "" and self.tone == BAD

    def __str__(self) -> str:
        where = f"{self.source} to {', '.join(self.targets)}: " if self.source else ""
        place = f"{', '.join(self.targets)}: " if self.kind == NOTE else ""
        style = f" ({self.style})" if self.style != SOLID else ""
        more = "".join([f"; {text}" for text in (self.told, self.why) if text])
        return f"{where or place}{self.label}{style}{more}"


class Cell(NamedTuple):
    """One record in a log: `letter` is its producer's. `sequence` and `producer_epoch` are -1 where there is none to be
    shown: a plain writer has none, and an epoch is shown of those only that have had another than 0. A copy stands in the
    log before already; what is cut was in the log at the moment before."""

    offset: int
    letter: str
    sequence: int
    value: str
    leader_epoch: int
    producer_epoch: int = -1
    is_copy: bool = False
    is_cut: bool = False

    @property
    def name(self) -> str:
        """`A3`: sequence 3 of the producer A; `A1:3`: in its epoch 1; `A`: of a plain one."""
        epoch = f"{self.producer_epoch}:" if self.producer_epoch >= 0 else ""
        return f"{self.letter}{epoch}{short_sequence(self.sequence)}" if self.sequence >= 0 else self.letter


class Strip(NamedTuple):
    """One replica's log. `left_out` records stand before the first cell."""

    broker_id: int
    role: str
    high_watermark: int
    cells: tuple[Cell, ...]
    left_out: int = 0


class Known(NamedTuple):
    """What some brokers remember of a producer; `batches` are (sequences, offset), oldest first."""

    brokers: tuple[int, ...]
    letter: str
    writer: str
    producer_id: int
    producer_epoch: int
    last_sequence: int
    batches: tuple[tuple[str, int], ...]


class Moment(NamedTuple):
    """The logs after row `row` (its index)."""

    row: int
    at_ms: int
    strips: tuple[Strip, ...]


class Sheet(NamedTuple):
    """`letters` are (writer, letter). `left_out` events of the run are not shown; `gaps` says after which
    rows, as (index of the row, events)."""

    title: str
    summary: str
    actors: tuple[str, ...]
    rows: tuple[Row, ...]
    moments: tuple[Moment, ...] = ()
    known: tuple[Known, ...] = ()
    letters: tuple[tuple[str, str], ...] = ()
    left_out: int = 0
    literal: str = ""
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def styles(self) -> tuple[str, ...]:
        """The kinds of arrows in it, in the order of the legend."""
        used = {row.style: None for row in self.rows if row.kind == ARROW}
        return tuple([style for style in (SOLID, LOST, AGAIN, LATE) if style in used])

    @property
    def examples(self) -> tuple[tuple[str, str, str], ...]:
        """What a cell says, by one of each writer: (its name, its value, what they mean)."""
        cells: dict[str, Cell] = {}
        for moment in self.moments:
            for strip in moment.strips:
                cells.update({cell.letter: cell for cell in strip.cells if not (cell.is_copy or cell.is_cut)})
        found = []
        for writer, letter in self.letters:
            cell = cells.get(letter)
            if cell is not None:
                sequence = f"sequence {cell.sequence}" if cell.sequence >= 0 else "without a sequence"
                epoch = f" of its producer_epoch {cell.producer_epoch}" if cell.producer_epoch >= 0 else ""
                found.append((cell.name, cell.value, f"record {cell.value} by {writer}, {sequence}{epoch}"))
        return tuple(found)


def cut_text(text: str, most: int = MOST_VALUE) -> str:
    """`text` for a picture: without control characters, and cut with a count of the characters left out."""
    clean = "".join([letter if letter.isprintable() else "·" for letter in text[: most + 1]])
    if len(text) <= most:
        return clean
    return f"{clean[: most - 1]}…+{len(text) - most + 1:,}"


def value_text(value: bytes | None, most: int = MOST_VALUE) -> str:
    """A record's value for a picture. O(`most`)."""
    if value is None:
        return "null"
    if len(value) <= 4 * most:
        return cut_text(value.decode("utf-8", "replace"), most)
    head = cut_text(value[: 4 * most].decode("utf-8", "replace"), most).partition("…")[0][: most - 1]
    return f"{head}…+{len(value) - len(head.encode('utf-8', 'replace')):,}"


def span_text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}–{last}"


class Names:
    """Who wrote what: letters for writers, found in a trace."""

    __slots__ = ("_by_number", "_by_producer_id", "letters", "newest_epochs")

    def __init__(self, events: Iterable[Event] = ()) -> None:
        """O(events)."""
        self.letters: dict[str, str] = {}
        self.newest_epochs: dict[str, int] = {}
        self._by_producer_id: dict[int, str] = {}
        self._by_number: dict[int, str] = {}
        for _, _, what in events:
            if isinstance(what, Envelope) and isinstance(what.message, ProduceRequest):
                for wanted in what.message.partitions:
                    if isinstance(wanted.batch, RecordBatch):
                        self.note(what.source, wanted.batch)

    def note(self, writer: str, batch: RecordBatch) -> None:
        """`writer` sends `batch`."""
        if writer not in self.letters:
            self.letters[writer] = LETTERS[len(self.letters) % len(LETTERS)]
        if batch.producer_id >= 0:
            self._by_producer_id[batch.producer_id] = writer
            self.newest_epochs[writer] = max(batch.producer_epoch, self.newest_epochs.get(writer, 0))
        elif not isinstance(batch.records, bytes):
            for record in batch.records:
                self._by_number[record.send_number] = writer

    def writer(self, batch: RecordBatch) -> str:
        """Who wrote it; "" when the trace doesn't tell."""
        if batch.producer_id >= 0:
            return self._by_producer_id.get(batch.producer_id, "")
        if isinstance(batch.records, bytes) or not batch.records:
            return ""
        return self._by_number.get(batch.records[0].send_number, "")

    def shown_epoch(self, writer: str, producer_epoch: int) -> int:
        """`producer_epoch`, or -1 where it goes without saying: that writer never had another than 0."""
        return producer_epoch if self.newest_epochs.get(writer, 0) else -1

    def cells(self, batches: Iterable[RecordBatch], seen: dict[tuple[str, int], None] | None = None) -> list[Cell]:
        """The records of a log, or of a part of it that goes on from where `seen` was left."""
        cells: list[Cell] = []
        seen = {} if seen is None else seen
        for batch in batches:
            if batch.is_control:
                cells.append(Cell(batch.base_offset, "end", -1, "", batch.leader_epoch))
                continue
            writer = self.writer(batch)
            letter = self.letters.get(writer, "?")
            producer_epoch = self.shown_epoch(writer, batch.producer_epoch)
            for index, record in enumerate(decode_records(batch)):
                sequence = (batch.base_sequence + index) & 0x7FFFFFFF if batch.base_sequence >= 0 else -1
                key = (writer, record.send_number)
                is_copy = record.send_number >= 0 and key in seen
                seen[key] = None
                is_short = record.value is None or len(record.value) <= MOST_CELL_VALUE
                value = value_text(record.value, MOST_CELL_VALUE if is_short else CUT_CELL_VALUE)
                offset = batch.base_offset + index
                cells.append(Cell(offset, letter, sequence, value, batch.leader_epoch, producer_epoch, is_copy))
        return cells


def short_sequence(sequence: int) -> str:
    """A sequence for a cell, where ten digits have no room: the last three stand for all of it."""
    digits = str(sequence)
    return digits if len(digits) <= 4 else f"…{digits[-3:]}"


def strips_of(names: Names, frames: Iterable[Frame], before: Iterable[Frame] = ()) -> tuple[Strip, ...]:
    """The strips of a partition's replicas; what was in a log `before` and is no longer there is shown as cut."""
    was = {frame.broker_id: frame for frame in before}
    strips = []
    for frame in frames:
        cells = names.cells(frame.batches)
        old = was.get(frame.broker_id)
        if old is not None and frame.is_up:
            kept = {batch[:5]: None for batch in frame.batches}
            gone = [batch for batch in old.batches if batch[:5] not in kept and batch.base_offset >= frame.log_start_offset]
            cells += [cell._replace(is_cut=True, is_copy=False) for cell in names.cells(gone)]
        role = "leader" if frame.is_leader else "follower" if frame.is_up else "down"
        left_out = max(0, len(cells) - MOST_CELLS)
        strips.append(Strip(frame.broker_id, role, frame.high_watermark, tuple(cells[left_out:]), left_out))
    return tuple(strips)


def known_of(names: Names, frames: Iterable[Frame]) -> tuple[Known, ...]:
    """What the replicas of a partition remember of its producers; brokers that know the same stand together."""
    found: dict[tuple[int, int, tuple[tuple[str, int], ...]], tuple[list[int], Known]] = {}
    for frame in frames:
        for producer_id, producer_epoch, batches in frame.memory:
            spans = tuple([(span_text(batch.base_sequence, batch.last_sequence), batch.base_offset) for batch in batches])
            writer = names._by_producer_id.get(producer_id, "")
            last = batches[-1].last_sequence if batches else -1
            known = Known((), names.letters.get(writer, "?"), writer, producer_id, producer_epoch, last, spans)
            found.setdefault((producer_id, producer_epoch, spans), ([], known))[0].append(frame.broker_id)
    return tuple([known._replace(brokers=tuple(brokers)) for brokers, known in found.values()])


def is_of(topic_partition: TopicPartition, frames: Iterable[Frame]) -> tuple[Frame, ...]:
    return tuple([frame for frame in frames if frame.topic_partition == topic_partition])
