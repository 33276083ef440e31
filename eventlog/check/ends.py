"""What senders were told, held against the log: acknowledgements and failures."""

from __future__ import annotations

from operator import itemgetter

from eventlog.check.excuses import is_before_an_unknowns_first
from eventlog.check.history import Acked, LogBatch
from eventlog.check.index import Index, around, offset_in, seen, what_is_at
from eventlog.check.logs import steps
from eventlog.check.losses import loss_cause
from eventlog.check.promises import BROKEN, EXCUSED, UNKNOWN_PRODUCER
from eventlog.check.verdict import Outcome
from eventlog.values import TopicPartition

_WHERE = itemgetter(3, 4)


def one_offset(index: Index) -> Outcome:
    """H1: all acknowledgements that name a place of a record name the same; without a number its sequence tells it."""
    outcome = Outcome()
    named: list[tuple[str, list[tuple[str, int, int, Acked]]]] = []
    for number, ends in index.double_ends.items():
        rows = list({id(row): row for row in ends if type(row) is Acked}.values())
        named.append((f"Record {number}", _places(rows, number)))
    for (_, _, producer_id, epoch, sequence), rows in index.unnumbered_acks.items():
        if len(rows) > 1:
            named.append((f"Sequence {sequence} of producer {producer_id} (epoch {epoch})", _places(rows, None)))
    for what, places in named:
        for place in places[1:]:
            if place[:3] == places[0][:3]:
                continue
            if outcome.wants(BROKEN, "two acknowledgements of one record name two places"):
                first, second = (f"{topic}-{partition}@{offset}" for topic, partition, offset, _ in (places[0], place))
                number = next((number for number in place[3].send_numbers if number >= 0), -1)
                outcome.describe(
                    index,
                    "H1",
                    f"{what} was acknowledged at {first} and again at {second}.",
                    seen(index.sent.get(number), places[0][3], place[3]),
                    (index.position(places[0][3]), index.position(place[3])),
                    place[3].at_ms,
                )
    return outcome


def _places(rows: list[Acked], number: int | None) -> list[tuple[str, int, int, Acked]]:
    """Where these rows say that the record is; None: their first record."""
    return [
        (row.topic, row.partition, offset, row)
        for row in rows
        if row.base_offset >= 0
        for offset, acked_number in enumerate(row.send_numbers if number is not None else (None,), row.base_offset)
        if acked_number == number
    ]


def one_end(index: Index) -> Outcome:
    """I33: no send is acknowledged or failed a second time."""
    outcome = Outcome()
    for number, rows in index.double_ends.items():
        for row in rows[1:]:
            if outcome.wants(BROKEN, "a send was completed more than once"):
                outcome.describe(
                    index,
                    "I33",
                    f"Record {number} had its end ({type(rows[0]).__name__}), and then another ({type(row).__name__}).",
                    seen(index.sent.get(number), rows[0], row),
                    (index.position(rows[0]), index.position(row)),
                    row.at_ms,
                )
    return outcome


def lost(index: Index) -> list[tuple[int, Acked, TopicPartition, int]]:
    """Every acknowledged send that stands nowhere in the committed logs: (number, its Acked row, partition, offset).

    Left out: what was acknowledged in a partition whose log nobody wrote down, and what lies before its
    log_start_offset, for that was deleted on purpose.
    """
    missing = []
    acked, in_log = index.acked, index.numbered_in_log
    for number in [number for number in acked if number not in in_log]:
        row = acked[number]
        name = TopicPartition(row.topic, row.partition)
        final = index.finals.get(name)
        offset = offset_in(row, number)
        if final is not None and not 0 <= offset < final.log.log_start_offset:
            missing.append((number, row, name, offset))
    return missing


def odd_acks(index: Index) -> list[Acked]:
    """Acknowledgements that don't name exactly one batch of the committed log, where it is. All, when in doubt."""
    found = index.memo(steps)
    if found.gaps or found.twice or found.fenced:
        return index.acked_rows
    batch_at: dict[tuple[str, int], dict[int, LogBatch]] = {
        name: {batch[0]: batch for batch in final.batches} for name, final in index.finals.items() if final.is_straight
    }
    odd: list[Acked] = []
    here: tuple[str, int] | None = None
    here_at: dict[int, LogBatch] = {}
    for row in index.acked_rows:
        _, _, topic, partition, base_offset, numbers, producer_id, producer_epoch, base_sequence, _, _ = row
        if here is None or partition != here[1] or topic != here[0]:
            here = topic, partition
            here_at = batch_at.get(here, {})
        batch = here_at.get(base_offset)
        if (
            batch is None
            or batch[5] != numbers
            or batch[4] != base_sequence
            or batch[3] != producer_epoch
            or batch[2] != producer_id
        ):
            odd.append(row)
    return odd


def nothing_lost(index: Index) -> Outcome:
    """H5: what was acknowledged with an offset is in the committed log, as far as its acks promise it."""
    outcome = Outcome()
    for number, row, name, offset in index.memo(lost):
        if offset >= 0:
            status, cause = loss_cause(index, name, offset, number)
            if outcome.wants(status, cause):
                _describe_loss(index, outcome, "H5", number, row, name, offset)
    return outcome


def true_success(index: Index) -> Outcome:
    """A3: what was acknowledged without an offset is in the committed log, as far as its acks promise it."""
    outcome = Outcome()
    for number, row, name, offset in index.memo(lost):
        if offset < 0:
            status, cause = loss_cause(index, name, offset, number)
            if status == BROKEN and row.is_implied and is_before_an_unknowns_first(index, name, row):
                status, cause = EXCUSED, UNKNOWN_PRODUCER
            if outcome.wants(status, cause):
                _describe_loss(index, outcome, "A3", number, row, name, offset)
    return outcome


def _describe_loss(
    index: Index, outcome: Outcome, promise: str, number: int, row: Acked, name: TopicPartition, offset: int
) -> None:
    place = f"at offset {offset} of {name}" if offset >= 0 else f"in {name}"
    final, sent = index.finals[name], index.sent.get(number)
    outcome.describe(
        index,
        promise,
        f"Record {number} of producer {row.producer!r} was acknowledged {place} and is not in the committed "
        f"log, which ends at {final.log.high_watermark}.",
        seen(sent, row, around(final, offset)),
        (index.position(sent), len(index.rows)),
        row.at_ms,
    )


def true_offset(index: Index) -> Outcome:
    """A1: a record that is in the log and was acknowledged with an offset is at that offset."""
    outcome = Outcome()
    in_log = index.numbered_in_log
    for row in index.memo(odd_acks):
        base_offset, numbers = row[4], row[5]
        final = index.finals.get(row[2:4])  # a plain pair is found as well, and cheaper
        if final is None or base_offset < 0:
            continue
        index_at = final.index_at
        for offset, number in enumerate(numbers, base_offset):
            place = index_at.get(offset)
            if place is not None and final.numbers[place] == number:
                continue
            if number not in in_log or offset < final.log.log_start_offset:
                continue  # not in the log at all: that is H5's
            status, cause = loss_cause(index, final.name, offset, number)
            if outcome.wants(status, cause if status != BROKEN else "acknowledged with an offset where it is not"):
                outcome.describe(
                    index,
                    "A1",
                    f"Record {number} was acknowledged at offset {offset} of {final.name}; there is "
                    f"{what_is_at(final, offset)}, while the record stands elsewhere in {in_log[number]}.",
                    seen(row, around(final, offset)),
                    index.span(number),
                    row.at_ms,
                )
    return outcome


def no_failed_write(index: Index) -> Outcome:
    """G1a: no send that was reported as certainly not written is in the log."""
    outcome = Outcome()
    for number, row in index.failed.items():
        if row.may_be_written or number not in index.numbered_in_log:
            continue
        cause = f"{row.error} was taken for proof that nothing was written"
        if outcome.wants(BROKEN, cause):
            outcome.describe(
                index,
                "G1a",
                f"Record {number} failed with {row.error} as certainly not written, and is in "
                f"{index.numbered_in_log[number]}.",
                seen(index.sent.get(number), row),
                index.span(number),
                row.at_ms,
            )
    return outcome


def sent_before(index: Index) -> Outcome:
    """A2: no record comes from nowhere, and none is in another partition than it was sent to."""
    outcome = Outcome()
    if not index.sent_count:
        return outcome
    sent = index.sent
    for name, final in index.finals.items():
        topic, partition = name
        rows = [sent[number] for number in final.numbers if number in sent]
        if len(rows) == len(final.numbers):
            if all(sent_to in ((topic, partition), (topic, -1)) for sent_to in dict.fromkeys(map(_WHERE, rows))):
                continue
        for place, number in enumerate(final.numbers):
            if number < 0:
                continue
            row = sent.get(number)
            if row is not None and row[3] == topic and (row[4] == partition or row[4] < 0):
                continue
            cause = "nobody sent it" if row is None else "it was sent to another partition"
            if outcome.wants(BROKEN, cause):
                offset = final.offsets[place]
                outcome.describe(
                    index,
                    "A2",
                    f"Record {number} is at offset {offset} of {name}, but "
                    + ("nobody sent it." if row is None else f"it was sent to {row.topic}-{row.partition}."),
                    seen(row, around(final, offset)),
                    index.span(number),
                    0 if row is None else row.at_ms,
                )
    return outcome
