"""All that one partition remembers of its producers, as a store of entries: what is kept, for how long, and in which
form it survives. Which batch is next, a duplicate or wrong is in `producer_state`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

from sortedcontainers import SortedDict

from eventlog.log.expiry import NEVER, ExpiryQueue, bucket_of
from eventlog.log.snapshot import KnownBatch, ProducerSnapshot
from eventlog.values.record import BATCH_HEADER_BYTES, RecordBatch
from eventlog.values.sequence import MAX_SEQUENCE, NO_SEQUENCE

NOT_PLAIN: Final = -2
NO_TRANSACTION: Final = -1
NO_GUARD: Final = 0
NO_COORDINATOR_EPOCH: Final = -1
LATE_TRANSACTION_BUFFER_MS: Final = 300_000


class ProducerEntry:
    """What one partition remembers of one producer."""

    __slots__ = (
        "batches",
        "coordinator_epoch",
        "known_from",
        "newest_marker",
        "next_sequence",
        "producer_epoch",
        "queued_ms",
        "txn_first_offset",
    )

    def __init__(self, producer_epoch: int, known_from: int, queued_ms: int) -> None:
        self.producer_epoch = producer_epoch
        # The offset since when it is known: nothing of it is forgotten from there on.
        self.known_from = known_from
        # Its place in the order of expiry.
        self.queued_ms = queued_ms
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
    must_begin_at_zero: bool = False


def as_sorted(known: Any) -> Any:
    """`known` as a SortedDict, itself if it is one."""
    return known if known.__class__ is SortedDict else SortedDict(known)


class Producers:
    """All producers of one partition."""

    __slots__ = (
        "_entries",
        "_last_guard",
        "_queue",
        "_verifications",
        "has_expired",
        "is_verification_required",
        "must_begin_at_zero",
        "ongoing",
        "remembers_from",
        "unreplicated",
    )

    def __init__(self) -> None:
        self._entries: dict[int, ProducerEntry] = {}
        self._queue = ExpiryQueue()
        self._verifications: dict[int, Verification] = {}
        self._last_guard = NO_GUARD
        self.remembers_from = 0
        # Settings: KIP-890's gate for transactional batches; unknown producers must begin with sequence 0.
        self.is_verification_required = True
        self.must_begin_at_zero = False
        # A producer was forgotten for its age: since then less may be remembered than the log says.
        self.has_expired = False
        # First offset -> producer id, of open transactions; first offset -> (producer id, marker's offset), of ended
        # ones whose marker is not yet below the high watermark.
        # Most partitions never see a transaction: the sorted ones are made with the first (see `as_sorted`).
        self.ongoing: Any = {}
        self.unreplicated: Any = {}

    def _place(self, producer_id: int, entry: ProducerEntry, at_ms: int) -> None:
        if bucket_of(at_ms) != bucket_of(entry.queued_ms):
            self._queue.add(producer_id, at_ms)
        entry.queued_ms = at_ms

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

    def replicated_up_to(self, high_watermark: int) -> None:
        """Ended transactions whose marker is below `high_watermark` no longer hold readers back."""
        unreplicated = self.unreplicated
        if unreplicated:
            for first_offset in [first for first, (_, marker) in unreplicated.items() if marker < high_watermark]:
                del unreplicated[first_offset]

    def expire(self, now_ms: int, producer_id_expiration_ms: int) -> tuple[int, ...]:
        """Forget producers idle for `producer_id_expiration_ms`, by their newest record's time; returns them, sorted.

        One with an open transaction is kept. Runs at a check interval, not at an append: until then an old entry still
        rules. O(those who are due).
        """
        limit_ms = now_ms - producer_id_expiration_ms
        entries, gone = self._entries, []
        for producer_id, bucket in self._queue.take_due(limit_ms):
            entry = entries.get(producer_id)
            if entry is None or bucket_of(entry.queued_ms) != bucket:
                continue
            if entry.txn_first_offset != NO_TRANSACTION:
                entry.queued_ms = NEVER
                continue
            at_ms = entry.last_timestamp_ms
            if at_ms <= limit_ms:
                del entries[producer_id]
                gone.append(producer_id)
            else:
                entry.queued_ms = at_ms
                self._queue.add(producer_id, at_ms)
        if gone:
            self.has_expired = True
        # They stand in the order in which they were begun.
        while self._verifications:
            producer_id = next(iter(self._verifications))
            if self._verifications[producer_id].since_ms > limit_ms:
                break
            del self._verifications[producer_id]
            entry = entries.get(producer_id)
            if entry is not None:
                entry.next_sequence = self._plain_next_sequence(producer_id, entry)
        return tuple(sorted(gone))

    def release(self, batches: tuple[RecordBatch, ...]) -> None:
        """These are deleted from the log: what is remembered of them must not keep their records alive."""
        for batch in batches:
            entry = self._entries.get(batch.producer_id)
            if entry is not None:
                for index, known in enumerate(entry.batches):
                    if known.base_offset == batch.base_offset:
                        entry.batches[index] = known._replace(records=())

    def forget_all(self, remembers_from: int = 0) -> None:
        """Start anew, before the log is remembered again from `remembers_from` on. Verifications stay, as in Kafka."""
        self._entries = {}
        self._queue = ExpiryQueue()
        self.has_expired = False
        self.ongoing = {}
        self.unreplicated = {}
        self.remembers_from = remembers_from

    # --- snapshots ------------------------------------------------------------------------------------------------

    def take_snapshot(self) -> list[ProducerSnapshot]:
        """Every producer as a snapshot has it. O(producers)."""
        return [
            ProducerSnapshot(
                producer_id,
                entry.producer_epoch,
                tuple(
                    [
                        KnownBatch(each.last_sequence, each.last_offset, each.last_offset_delta, each.max_timestamp_ms)
                        for each in entry.batches
                    ]
                ),
                entry.last_timestamp_ms,
                entry.coordinator_epoch,
                entry.txn_first_offset,
            )
            for producer_id, entry in self._entries.items()
        ]

    def load_snapshot(self, entries: tuple[ProducerSnapshot, ...], offset: int, oldest_ms: int) -> None:
        """Know what the snapshot at `offset` says and nothing else, but not who last wrote before or at `oldest_ms`."""
        self.forget_all(offset)
        for producer_id, epoch, known, timestamp_ms, coordinator_epoch, txn_first_offset in entries:
            if timestamp_ms <= oldest_ms and txn_first_offset == NO_TRANSACTION:
                continue
            batches = [
                RecordBatch(
                    last_offset - delta,
                    -1,
                    producer_id,
                    epoch,
                    (last_sequence - delta) & MAX_SEQUENCE if last_sequence >= 0 else NO_SEQUENCE,
                    delta,
                    delta + 1,
                    at_ms,
                    at_ms,
                    0,
                    BATCH_HEADER_BYTES,
                    (),
                )
                for last_sequence, last_offset, delta, at_ms in known
            ]
            entry = ProducerEntry(epoch, batches[0].base_offset if batches else offset, timestamp_ms)
            entry.batches = batches
            entry.coordinator_epoch = coordinator_epoch
            if not batches or batches[-1].max_timestamp_ms != timestamp_ms:
                entry.newest_marker = (offset - 1, timestamp_ms)
            self._entries[producer_id] = entry
            self._queue.add(producer_id, timestamp_ms)
            if txn_first_offset != NO_TRANSACTION:
                entry.txn_first_offset = txn_first_offset
                self.ongoing = as_sorted(self.ongoing)
                self.ongoing[txn_first_offset] = producer_id
            entry.next_sequence = self._plain_next_sequence(producer_id, entry)

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

    def has_late_transaction(self, now_ms: int, transaction_max_timeout_ms: int) -> bool:
        """The oldest open transaction is so old that its coordinator should have ended it long ago."""
        if not self.ongoing:
            return False
        last_ms = self._entries[self.ongoing.peekitem(0)[1]].last_timestamp_ms
        return last_ms > 0 and now_ms - last_ms > transaction_max_timeout_ms + LATE_TRANSACTION_BUFFER_MS

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
                        entry.known_from,
                    )
                    for producer_id, entry in self._entries.items()
                ]
            ),
            (tuple(self._verifications.items()), self._last_guard, tuple(self.unreplicated.items()), self.has_expired)
            if self._last_guard or self.unreplicated or self.has_expired
            else (),
            self.remembers_from,
        )

    @classmethod
    def thaw(cls, frozen: tuple[Any, ...]) -> Self:
        """The state that was frozen. The order of expiry is made anew: it says nothing that the entries don't."""
        state = cls()
        entries, rest, state.remembers_from = frozen
        for producer_id, epoch, batches, next_sequence, newest_marker, coordinator_epoch, txn, known_from in entries:
            entry = state._entries[producer_id] = ProducerEntry(epoch, known_from, NEVER)
            entry.batches = list(batches)
            entry.next_sequence = next_sequence
            entry.newest_marker = newest_marker
            entry.coordinator_epoch = coordinator_epoch
            entry.txn_first_offset = txn
            if txn != NO_TRANSACTION:
                state.ongoing = as_sorted(state.ongoing)
                state.ongoing[txn] = producer_id
            else:
                state._place(producer_id, entry, entry.last_timestamp_ms)
        if rest:
            verifications, state._last_guard, unreplicated, state.has_expired = rest
            state._verifications = dict(verifications)
            state.unreplicated = SortedDict(unreplicated)
        return state
