"""The heart: what a partition remembers of each producer, and the three verdicts that follow from it.

A producer numbers its records in each partition. A partition remembers, per producer id, the producer epoch and the five
newest batches. When a batch comes from a client it gets one of three verdicts:

* **accepted**: it is the next one. It will be written.
* **duplicate**: it is one of the five, to the first and last sequence. Nothing is written; the answer is the offset that
  the first copy got. A lost acknowledgement thereby becomes harmless.
* **rejected**: something before it is missing, or its epoch is fenced. Nothing is written, nothing changes.

| producer epoch | base_sequence | verdict |
|---|---|---|
| producer unknown | any | accepted |
| same | first and last equal those of one of the five newest batches | duplicate, with that batch's offset |
| lower | any | rejected: INVALID_PRODUCER_EPOCH |
| higher | 0 | accepted |
| higher | not 0 | rejected: OUT_OF_ORDER_SEQUENCE_NUMBER |
| same | next after the last (wraps to 0 after 2147483647) | accepted |
| same | anything else | rejected: OUT_OF_ORDER_SEQUENCE_NUMBER |

The rows are tried from the top, as `judge` does it. Transactions add two gates and the rules for markers, further down.

`judge` looks and changes nothing; `remember` changes and judges nothing. A follower, a restart and a truncation use only
`remember`, on whatever the log holds. So a new leader knows what the old one knew, and failover needs no code here.

Invariants:

P1. At most five batches are remembered per producer, all of its remembered epoch, in the order of their offsets.
P2. They are the newest data batches of that producer and epoch in the log.
P3. A rejected or duplicate batch leaves everything as it was (a verdict is a look).
P4. `next_sequence` follows the newest batch's last sequence; it is NOT_PLAIN while a plain batch must be looked at more
    closely (nothing remembered, an open transaction, a verification under way, an epoch of -1).

Why the next sequence is looked at before the five: a batch that is next can't also be one of the five, unless five
batches span all 2**31 sequences. A record takes 7 bytes at least and a batch's size is an int32, so five batches hold
fewer than 1,533,916,894 records.

Source: Kafka's `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`, and answers recorded from 4.3.1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final, NamedTuple

from sortedcontainers import SortedDict

from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.log.marker import marker_of
from eventlog.values.record import TRANSACTIONAL, RecordBatch
from eventlog.values.sequence import MAX_SEQUENCE, NO_PRODUCER_EPOCH, NO_SEQUENCE, is_next

REMEMBERED_BATCHES: Final = 5
NOT_PLAIN: Final = -2
NO_TRANSACTION: Final = -1
NO_GUARD: Final = 0
NO_COORDINATOR_EPOCH: Final = -1


class Origin(IntEnum):
    """Who appends. Followers and recovery don't appear: they remember without asking."""

    CLIENT = 0
    COORDINATOR = 1


class Accepted(NamedTuple):
    """It is the next one: write it."""


class Duplicate(NamedTuple):
    """It is in the log already, at these offsets."""

    base_offset: int
    last_offset: int
    max_timestamp_ms: int


class Rejected(NamedTuple):
    """It must not be written; `message` says what came, what was expected and what to do."""

    error: ErrorCode
    message: str


Verdict = Accepted | Duplicate | Rejected

ACCEPTED: Final = Accepted()


class ProducerEntry:
    """What one partition remembers of one producer."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "newest_marker",
        "next_sequence",
        "producer_epoch",
        "txn_first_offset",
    )

    def __init__(self, producer_epoch: int) -> None:
        self.producer_epoch = producer_epoch
        self.batches: list[RecordBatch] = []
        self.next_sequence = NOT_PLAIN
        self.newest_marker: tuple[int, int] | None = None  # its offset and timestamp
        self.coordinator_epoch = NO_COORDINATOR_EPOCH
        self.txn_first_offset = NO_TRANSACTION

    @property
    def last_sequence(self) -> int:
        """Last sequence of the newest batch; -1 when no batch of this epoch is remembered."""
        return self.batches[-1].last_sequence if self.batches else NO_SEQUENCE

    @property
    def last_timestamp_ms(self) -> int:
        """Max timestamp of the newest batch, or the timestamp of a marker after it; -1 when neither is known."""
        newest = self.batches[-1] if self.batches else None
        marker = self.newest_marker
        if marker is not None and (newest is None or marker[0] > newest.base_offset):
            return marker[1]
        return newest.max_timestamp_ms if newest is not None else -1

    def find_duplicate(self, batch: RecordBatch) -> RecordBatch | None:
        """The remembered batch with exactly the first and last sequence of `batch`, newest first."""
        base_sequence = batch.base_sequence
        last_offset_delta = batch.last_offset_delta
        for known in reversed(self.batches):
            if known.base_sequence == base_sequence and known.last_offset_delta == last_offset_delta:
                return known
        return None


class Verification(NamedTuple):
    """A transactional producer's first batch here is being verified with its coordinator (KIP-890)."""

    guard: int
    lowest_sequence: int
    producer_epoch: int
    since_ms: int


def _sorted(known: Any) -> Any:
    """`known` as a SortedDict, itself if it is one."""
    return known if known.__class__ is SortedDict else SortedDict(known)


class ProducerState:
    """All producers of one partition. See the module's text for the rules."""

    __slots__ = ("_entries", "_last_guard", "_verifications", "has_expired", "ongoing", "unreplicated")

    def __init__(self) -> None:
        self._entries: dict[int, ProducerEntry] = {}
        self._verifications: dict[int, Verification] = {}
        self._last_guard = NO_GUARD
        # A producer was forgotten for its age: since then less may be remembered than the log says.
        self.has_expired = False
        # First offset -> producer id, of open transactions; first offset -> (producer id, marker's offset), of ended
        # ones whose marker is not yet below the high watermark.
        # Most partitions never see a transaction: the sorted ones are made with the first (see `_sorted`).
        self.ongoing: Any = {}
        self.unreplicated: Any = {}

    # --- deciding -------------------------------------------------------------------------------------------------

    def judge(self, batch: RecordBatch, origin: Origin = Origin.CLIENT, guard: int = NO_GUARD) -> Verdict:
        """The verdict on a batch that has a producer id. Looks only; O(1)."""
        entry = self._entries.get(batch.producer_id)
        if (
            entry is not None
            and batch.base_sequence == entry.next_sequence
            and batch.producer_epoch == entry.producer_epoch
            and not batch.attributes & TRANSACTIONAL
        ):
            return ACCEPTED
        return self._judge_closely(batch, entry, origin, guard)

    def _judge_closely(self, batch: RecordBatch, entry: ProducerEntry | None, origin: Origin, guard: int) -> Verdict:
        is_from_client = origin is Origin.CLIENT
        if is_from_client and entry is not None and batch.producer_epoch == entry.producer_epoch:
            known = entry.find_duplicate(batch)
            if known is not None:
                return Duplicate(known.base_offset, known.last_offset, known.max_timestamp_ms)
        if batch.is_control:
            return self._judge_marker(batch, entry)
        if batch.is_transactional and (entry is None or entry.txn_first_offset == NO_TRANSACTION):
            verification = self._verifications.get(batch.producer_id)
            if guard == NO_GUARD or verification is None or verification.guard != guard:
                return Rejected(
                    ErrorCode.INVALID_TXN_STATE,
                    f"producer {batch.producer_id} (epoch {batch.producer_epoch}): a transactional batch came, but no "
                    "transaction is open here and none was verified. Add the partition to the transaction first.",
                )
        if entry is not None and batch.producer_epoch < entry.producer_epoch:
            return Rejected(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {batch.producer_id}: epoch {batch.producer_epoch} came, {entry.producer_epoch} or higher was "
                "expected. A newer instance of this producer has written here, so this one is fenced.",
            )
        if is_from_client:
            refusal = self._judge_sequence(batch, entry)
            if refusal is not None:
                return refusal
        if entry is not None and entry.txn_first_offset != NO_TRANSACTION and not batch.is_transactional:
            return Rejected(
                ErrorCode.INVALID_TXN_STATE,
                f"producer {batch.producer_id} (epoch {batch.producer_epoch}): a batch outside a transaction came while "
                f"its transaction from offset {entry.txn_first_offset} is open. End the transaction first.",
            )
        return ACCEPTED

    def _judge_sequence(self, batch: RecordBatch, entry: ProducerEntry | None) -> Rejected | None:
        verification = self._verifications.get(batch.producer_id)
        if verification is not None and batch.base_sequence > verification.lowest_sequence:
            return self._out_of_order(batch, verification.lowest_sequence, "whose verification is under way")
        if entry is None or entry.producer_epoch == NO_PRODUCER_EPOCH:
            return None
        if batch.producer_epoch != entry.producer_epoch:
            if batch.base_sequence != 0:
                return self._out_of_order(batch, 0, f"at the start of an epoch above {entry.producer_epoch}")
            return None
        if is_next(entry.last_sequence, batch.base_sequence):
            return None
        if not entry.batches:
            return self._out_of_order(batch, 0, "at the start of an epoch")
        newest = entry.batches[-1]
        expected = 0 if newest.last_sequence == MAX_SEQUENCE else newest.last_sequence + 1
        return self._out_of_order(
            batch, expected, f"after last_sequence {newest.last_sequence} at offset {newest.last_offset}"
        )

    def _judge_marker(self, batch: RecordBatch, entry: ProducerEntry | None) -> Verdict:
        if entry is None or not batch.record_count:
            return ACCEPTED
        if batch.producer_epoch < entry.producer_epoch:
            return Rejected(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {batch.producer_id}: a marker of epoch {batch.producer_epoch} came, {entry.producer_epoch} "
                "or higher was expected. The transaction it ends belongs to a fenced producer.",
            )
        coordinator_epoch = marker_of(batch).coordinator_epoch
        if coordinator_epoch < entry.coordinator_epoch:
            return Rejected(
                ErrorCode.TRANSACTION_COORDINATOR_FENCED,
                f"producer {batch.producer_id}: a marker of coordinator epoch {coordinator_epoch} came, "
                f"{entry.coordinator_epoch} or higher was expected. A newer coordinator has taken over.",
            )
        return ACCEPTED

    @staticmethod
    def _out_of_order(batch: RecordBatch, expected: int, where: str) -> Rejected:
        return Rejected(
            ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
            f"producer {batch.producer_id} (epoch {batch.producer_epoch}): base_sequence {batch.base_sequence} came, "
            f"{expected} was expected {where}. A batch before it is missing or this one is too old to be recognised, "
            "so it was not written.",
        )

    # --- changing -------------------------------------------------------------------------------------------------

    def remember(self, batch: RecordBatch) -> None:
        """Take in a batch that is in the log, placed. Judges nothing: what the log holds is true. O(1)."""
        producer_id = batch.producer_id
        if producer_id < 0:
            return
        entry = self._entries.get(producer_id)
        if (
            entry is None
            or entry.next_sequence == NOT_PLAIN
            or batch.producer_epoch != entry.producer_epoch
            or batch.attributes & TRANSACTIONAL
        ):
            self._remember_closely(batch, entry)
            return
        batches = entry.batches
        batches.append(batch)
        if len(batches) > REMEMBERED_BATCHES:
            del batches[0]
        entry.next_sequence = (batch.base_sequence + batch.last_offset_delta + 1) & MAX_SEQUENCE

    def _remember_closely(self, batch: RecordBatch, entry: ProducerEntry | None) -> None:
        if batch.is_control:
            if batch.record_count:
                self._remember_marker(batch)
            return
        producer_id = batch.producer_id
        if entry is None:
            entry = self._entries[producer_id] = ProducerEntry(batch.producer_epoch)
        elif batch.producer_epoch != entry.producer_epoch:
            entry.producer_epoch = batch.producer_epoch
            entry.batches = []
        entry.batches.append(batch)
        if len(entry.batches) > REMEMBERED_BATCHES:
            del entry.batches[0]
        if batch.is_transactional:
            self._verifications.pop(producer_id, None)
            if entry.txn_first_offset == NO_TRANSACTION:
                entry.txn_first_offset = batch.base_offset
                self.ongoing = _sorted(self.ongoing)
                self.ongoing[batch.base_offset] = producer_id
        entry.next_sequence = self._plain_next_sequence(producer_id, entry)

    def _plain_next_sequence(self, producer_id: int, entry: ProducerEntry) -> int:
        """P4."""
        if (
            not entry.batches
            or entry.producer_epoch < 0
            or entry.batches[-1].base_sequence < 0
            or entry.txn_first_offset != NO_TRANSACTION
            or producer_id in self._verifications
        ):
            return NOT_PLAIN
        return (entry.last_sequence + 1) & MAX_SEQUENCE

    def _remember_marker(self, batch: RecordBatch) -> None:
        producer_id = batch.producer_id
        self._verifications.pop(producer_id, None)
        entry = self._entries.get(producer_id)
        if entry is None:
            entry = self._entries[producer_id] = ProducerEntry(batch.producer_epoch)
        elif batch.producer_epoch != entry.producer_epoch:
            entry.producer_epoch = batch.producer_epoch
            entry.batches = []
        if entry.txn_first_offset != NO_TRANSACTION:
            del self.ongoing[entry.txn_first_offset]
            self.unreplicated = _sorted(self.unreplicated)
            self.unreplicated[entry.txn_first_offset] = (producer_id, batch.base_offset)
            entry.txn_first_offset = NO_TRANSACTION
        entry.coordinator_epoch = marker_of(batch).coordinator_epoch
        entry.newest_marker = (batch.base_offset, batch.max_timestamp_ms)
        entry.next_sequence = self._plain_next_sequence(producer_id, entry)

    def start_verification(self, producer_id: int, producer_epoch: int, base_sequence: int, now_ms: int) -> int:
        """The guard that a transactional batch of this producer must show; the same one until it is used or cleared."""
        known = self._verifications.get(producer_id)
        if known is None:
            self._last_guard += 1
            known = Verification(self._last_guard, base_sequence, producer_epoch, now_ms)
        elif producer_epoch > known.producer_epoch:
            known = known._replace(lowest_sequence=base_sequence, producer_epoch=producer_epoch)
        elif producer_epoch == known.producer_epoch and base_sequence < known.lowest_sequence:
            known = known._replace(lowest_sequence=base_sequence)
        self._verifications[producer_id] = known
        entry = self._entries.get(producer_id)
        if entry is not None:
            entry.next_sequence = NOT_PLAIN
        return known.guard

    def replicated_up_to(self, high_watermark: int) -> None:
        """Ended transactions whose marker is below `high_watermark` no longer hold readers back."""
        unreplicated = self.unreplicated
        if unreplicated:
            for first_offset in [first for first, (_, marker) in unreplicated.items() if marker < high_watermark]:
                del unreplicated[first_offset]

    def expire(self, now_ms: int, producer_id_expiration_ms: int) -> int:
        """Forget producers idle for `producer_id_expiration_ms`, by their newest record's time; returns how many.

        One with an open transaction is kept. Runs at a check interval, not at an append: until then an old entry still
        rules. O(producers).
        """
        limit_ms = now_ms - producer_id_expiration_ms
        gone = [
            producer_id
            for producer_id, entry in self._entries.items()
            if entry.last_timestamp_ms <= limit_ms and entry.txn_first_offset == NO_TRANSACTION
        ]
        if gone:
            self.has_expired = True
        for producer_id in gone:
            del self._entries[producer_id]
        for producer_id in [p for p, known in self._verifications.items() if known.since_ms <= limit_ms]:
            del self._verifications[producer_id]
        return len(gone)

    def forget_all(self) -> None:
        """Start anew, before the log is remembered again."""
        self._entries = {}
        self._verifications = {}
        self.has_expired = False
        self.ongoing = {}
        self.unreplicated = {}

    # --- looking --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def find_entry(self, producer_id: int) -> ProducerEntry | None:
        """What is remembered of this producer, or None."""
        return self._entries.get(producer_id)

    def entries(self) -> list[tuple[int, ProducerEntry]]:
        """(producer id, entry) by rising producer id. O(n log n)."""
        return sorted(self._entries.items())

    @property
    def first_unstable_offset(self) -> int:
        """Lowest offset of a transaction that is open, or whose end is not yet replicated; -1 when there is none."""
        first = self.ongoing.peekitem(0)[0] if self.ongoing else -1
        if self.unreplicated:
            ended = self.unreplicated.peekitem(0)[0]
            return int(ended if first < 0 else min(first, ended))
        return int(first)

    def check_invariants(self) -> None:
        """P1 and P4; P2 needs the log and is checked there. O(producers)."""
        for producer_id, entry in self._entries.items():
            where = f"producer {producer_id}"
            if len(entry.batches) > REMEMBERED_BATCHES:
                raise InvariantViolation(f"{where}: {len(entry.batches)} batches are remembered, 5 at most", "P1")
            last_offset = -1
            for batch in entry.batches:
                if batch.producer_epoch != entry.producer_epoch or batch.base_offset <= last_offset:
                    raise InvariantViolation(f"{where}: {batch} is of another epoch or out of place", "P1")
                last_offset = batch.last_offset
            if entry.next_sequence != NOT_PLAIN and entry.next_sequence != (entry.last_sequence + 1) & MAX_SEQUENCE:
                raise InvariantViolation(
                    f"{where}: next_sequence {entry.next_sequence} does not follow {entry.last_sequence}", "P4"
                )

    def freeze(self) -> tuple[Any, ...]:
        """The state as plain tuples; times in it are records' own and stay absolute."""
        return (
            tuple(
                [
                    (
                        producer_id,
                        entry.producer_epoch,
                        tuple(entry.batches),
                        entry.next_sequence,
                        entry.newest_marker,
                        entry.coordinator_epoch,
                        entry.txn_first_offset,
                    )
                    for producer_id, entry in self._entries.items()
                ]
            ),
            (tuple(self._verifications.items()), self._last_guard, tuple(self.unreplicated.items()), self.has_expired)
            if self._last_guard or self.unreplicated or self.has_expired
            else (),
        )

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> ProducerState:
        """The state that was frozen."""
        state = cls()
        entries, rest = frozen
        for producer_id, epoch, batches, next_sequence, newest_marker, coordinator_epoch, txn in entries:
            entry = state._entries[producer_id] = ProducerEntry(epoch)
            entry.batches = list(batches)
            entry.next_sequence = next_sequence
            entry.newest_marker = newest_marker
            entry.coordinator_epoch = coordinator_epoch
            entry.txn_first_offset = txn
            if txn != NO_TRANSACTION:
                state.ongoing = _sorted(state.ongoing)
                state.ongoing[txn] = producer_id
        if rest:
            verifications, state._last_guard, unreplicated, state.has_expired = rest
            state._verifications = dict(verifications)
            state.unreplicated = SortedDict(unreplicated)
        return state
