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
What a restart spares itself it takes from a snapshot, and thereby knows less (see `kept_log`).

Invariants:

P1. At most five batches are remembered per producer, all of its remembered epoch, in the order of their offsets.
P2. They are the newest data batches of that producer and epoch in the log.
P3. A rejected or duplicate batch leaves everything as it was (a verdict is a look).
P4. `next_sequence` follows the newest batch's last sequence; it is NOT_PLAIN while a plain batch must be looked at more
    closely (nothing remembered, an open transaction, a verification under way, an epoch of -1).
P5. Nobody is due for expiry before its place in the queue is (see `expiry`).
P6. Every batch at or above `remembers_from` was remembered one by one; what lies below came out of a snapshot or is
    not known. An entry lacks only batches below its `known_from`.

Why the next sequence is looked at before the five: a batch that is next can't also be one of the five, unless five
batches span all 2**31 sequences. A record takes 7 bytes at least and a batch's size is an int32, so five batches hold
fewer than 1,533,916,894 records.

Source: Kafka's `ProducerStateManager`, `ProducerAppendInfo`, `ProducerStateEntry`, and answers recorded from 4.3.1.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.log.expiry import NEVER, bucket_of
from eventlog.log.marker import marker_of
from eventlog.log.producers import (
    NO_GUARD,
    NO_TRANSACTION,
    NOT_PLAIN,
    ProducerEntry,
    Producers,
    Verification,
    as_sorted,
)
from eventlog.values.record import TRANSACTIONAL, RecordBatch
from eventlog.values.sequence import MAX_SEQUENCE, NO_PRODUCER_EPOCH, is_next

__all__ = [
    "ACCEPTED",
    "NOT_PLAIN",
    "NO_GUARD",
    "NO_TRANSACTION",
    "REMEMBERED_BATCHES",
    "Accepted",
    "Duplicate",
    "Origin",
    "ProducerEntry",
    "ProducerState",
    "Rejected",
    "Verdict",
]

REMEMBERED_BATCHES: Final = 5


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


class ProducerState(Producers):
    """All producers of one partition. See the module's text for the rules."""

    __slots__ = ()

    # --- deciding -------------------------------------------------------------------------------------------------

    def judge(
        self,
        batch: RecordBatch,
        origin: Origin = Origin.CLIENT,
        guard: int = NO_GUARD,
        transaction_version: int = 0,
    ) -> Verdict:
        """The verdict on a batch that has a producer id. Looks only; O(1).

        `transaction_version` is what a coordinator says of its marker: from 2 on it must raise the epoch.
        """
        entry = self._entries.get(batch.producer_id)
        if (
            entry is not None
            and batch.base_sequence == entry.next_sequence
            and batch.producer_epoch == entry.producer_epoch
            and not batch.attributes & TRANSACTIONAL
        ):
            return ACCEPTED
        return self._judge_closely(batch, entry, origin, guard, transaction_version)

    def _judge_closely(
        self, batch: RecordBatch, entry: ProducerEntry | None, origin: Origin, guard: int, transaction_version: int
    ) -> Verdict:
        is_from_client = origin is Origin.CLIENT
        if is_from_client and entry is not None and batch.producer_epoch == entry.producer_epoch:
            known = entry.find_duplicate(batch)
            if known is not None:
                return Duplicate(known.base_offset, known.last_offset, known.max_timestamp_ms)
        if batch.is_control:
            return self._judge_marker(batch, entry, transaction_version)
        if (
            batch.is_transactional
            and self.is_verification_required
            and (
                entry is None
                or entry.txn_first_offset == NO_TRANSACTION
                or entry.producer_epoch != batch.producer_epoch
            )
        ):
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
        if (
            verification is not None
            and verification.must_begin_at_zero
            and batch.base_sequence != 0
            and (entry is None or not entry.batches)
        ):
            return self._out_of_order(batch, 0, "since no batch of it is here and its transaction is of version 2")
        if entry is None or entry.producer_epoch == NO_PRODUCER_EPOCH:
            if self.must_begin_at_zero and batch.base_sequence != 0 and (entry is None or not entry.batches):
                return self._out_of_order(batch, 0, "from a producer that is not known here")
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

    def _judge_marker(self, batch: RecordBatch, entry: ProducerEntry | None, transaction_version: int) -> Verdict:
        if entry is None or not batch.record_count:
            return ACCEPTED
        if batch.producer_epoch < entry.producer_epoch:
            return Rejected(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {batch.producer_id}: a marker of epoch {batch.producer_epoch} came, {entry.producer_epoch} "
                "or higher was expected. The transaction it ends belongs to a fenced producer.",
            )
        if (
            transaction_version >= 2
            and batch.producer_epoch == entry.producer_epoch
            and entry.txn_first_offset != NO_TRANSACTION
        ):
            return Rejected(
                ErrorCode.INVALID_PRODUCER_EPOCH,
                f"producer {batch.producer_id}: a marker of epoch {batch.producer_epoch} came, "
                f"{entry.producer_epoch + 1} or higher was expected: since transaction version 2 each end raises it.",
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
            or batch.max_timestamp_ms < entry.queued_ms
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
        entry = self._entry_for(batch, entry)
        entry.batches.append(batch)
        if len(entry.batches) > REMEMBERED_BATCHES:
            del entry.batches[0]
        if batch.is_transactional:
            self._verifications.pop(producer_id, None)
            if entry.txn_first_offset == NO_TRANSACTION:
                entry.txn_first_offset = batch.base_offset
                self.ongoing = as_sorted(self.ongoing)
                self.ongoing[batch.base_offset] = producer_id
        entry.next_sequence = self._plain_next_sequence(producer_id, entry)

    def _entry_for(self, batch: RecordBatch, entry: ProducerEntry | None) -> ProducerEntry:
        """The producer's entry in the batch's epoch, and not later in the order of expiry than the batch's time."""
        producer_id, at_ms = batch.producer_id, batch.max_timestamp_ms
        if entry is None:
            entry = self._entries[producer_id] = ProducerEntry(batch.producer_epoch, batch.base_offset, at_ms)
            self._queue.add(producer_id, at_ms)
            return entry
        if batch.producer_epoch != entry.producer_epoch:
            entry.producer_epoch = batch.producer_epoch
            entry.batches = []
        if at_ms < entry.queued_ms:
            self._place(producer_id, entry, at_ms)
        return entry

    def _remember_marker(self, batch: RecordBatch) -> None:
        producer_id = batch.producer_id
        self._verifications.pop(producer_id, None)
        entry = self._entry_for(batch, self._entries.get(producer_id))
        if entry.queued_ms == NEVER:
            self._place(producer_id, entry, batch.max_timestamp_ms)
        if entry.txn_first_offset != NO_TRANSACTION:
            del self.ongoing[entry.txn_first_offset]
            self.unreplicated = as_sorted(self.unreplicated)
            self.unreplicated[entry.txn_first_offset] = (producer_id, batch.base_offset)
            entry.txn_first_offset = NO_TRANSACTION
        entry.coordinator_epoch = marker_of(batch).coordinator_epoch
        entry.newest_marker = (batch.base_offset, batch.max_timestamp_ms)
        entry.next_sequence = self._plain_next_sequence(producer_id, entry)

    def start_verification(
        self, producer_id: int, producer_epoch: int, base_sequence: int, now_ms: int, must_begin_at_zero: bool = False
    ) -> int:
        """The guard that a transactional batch of this producer must show; the same one until it is used or cleared.

        NO_GUARD when a transaction of this epoch is open here: nothing to verify. A fenced epoch leaves nothing behind:
        its guard fits nowhere. `must_begin_at_zero`: the producer uses transaction version 2, so a first batch here
        with another sequence has lost one before it.
        """
        entry = self._entries.get(producer_id)
        if entry is not None and producer_epoch <= entry.producer_epoch:
            if producer_epoch < entry.producer_epoch:
                self._last_guard += 1
                return self._last_guard
            if entry.txn_first_offset != NO_TRANSACTION:
                return NO_GUARD
        known = self._verifications.get(producer_id)
        if known is None:
            self._last_guard += 1
            known = Verification(self._last_guard, base_sequence, producer_epoch, now_ms, must_begin_at_zero)
        elif producer_epoch > known.producer_epoch:
            known = known._replace(lowest_sequence=base_sequence, producer_epoch=producer_epoch)
        elif producer_epoch == known.producer_epoch and base_sequence < known.lowest_sequence:
            known = known._replace(lowest_sequence=base_sequence)
        self._verifications[producer_id] = known
        if entry is not None:
            entry.next_sequence = NOT_PLAIN
        return known.guard

    def check_invariants(self) -> None:
        """P1, P4 and P5; P2 needs the log and is checked there. O(producers)."""
        for producer_id, entry in self._entries.items():
            where = f"producer {producer_id}"
            if len(entry.batches) > REMEMBERED_BATCHES:
                raise InvariantViolation(f"{where}: {len(entry.batches)} batches are remembered, 5 at most", "P1")
            if entry.queued_ms == NEVER:
                is_in_place = entry.txn_first_offset != NO_TRANSACTION
            else:
                is_in_place = bucket_of(entry.queued_ms) <= bucket_of(entry.last_timestamp_ms)
            if not is_in_place:
                raise InvariantViolation(
                    f"{where}: its place {entry.queued_ms} is after its newest record's time", "P5"
                )
            last_offset = -1
            for batch in entry.batches:
                if batch.producer_epoch != entry.producer_epoch or batch.base_offset <= last_offset:
                    raise InvariantViolation(f"{where}: {batch} is of another epoch or out of place", "P1")
                last_offset = batch.last_offset
            if entry.next_sequence != NOT_PLAIN and entry.next_sequence != (entry.last_sequence + 1) & MAX_SEQUENCE:
                raise InvariantViolation(
                    f"{where}: next_sequence {entry.next_sequence} does not follow {entry.last_sequence}", "P4"
                )
