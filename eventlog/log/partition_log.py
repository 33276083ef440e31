"""One replica's log of one partition: append as leader, append as follower, read, look up.

How it opens, closes and is cut is in `kept_log`. Invariants (checked by `check_invariants`, and across replicas by the
world):

L1. Offsets rise strictly from batch to batch; `log_start_offset` <= `high_watermark` <= `log_end_offset`; the last
    stable offset is at most the high watermark.
L2. Leader epochs of the batches never decrease, and `leader_epochs` says where each begins.
L3. `producer_state` knows of each producer a suffix of what the log says, and all five of its newest batches but for
    what a snapshot, an expiry or an unread part of the log explains (P6).
L4. A refused or recognised batch changes nothing here except `leader_epochs`, which is written before the verdict, and
    the segment: a batch for which a new one was begun may still be refused.
L5. No snapshot is newer than the log; segments lie one behind the other and say what is stored in them.

Why the leader epoch is noted before the verdict: Kafka does, and a leader whose first batch is refused answers
OffsetForLeaderEpoch accordingly.

Source: Kafka's `UnifiedLog` and `LogValidator`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from eventlog.codec import Refusal, check_batch, decode_records
from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.log.kept_log import AbortedTransaction, KeptLog, Recovery
from eventlog.log.producer_state import (
    ACCEPTED,
    NO_GUARD,
    Duplicate,
    Origin,
    ProducerState,
    Rejected,
    Verdict,
)
from eventlog.log.segments import NO_LIMIT
from eventlog.log.store import LogStore
from eventlog.values.record import CONTROL, NO_TIMESTAMP, Record, RecordBatch, TopicPartition
from eventlog.values.settings import LogSettings

__all__ = ["LOG_APPEND_TIME", "AbortedTransaction", "AppendResult", "PartitionLog", "Recovery"]

_new_tuple = tuple.__new__
NONE: Final = ErrorCode.NONE
LOG_APPEND_TIME: Final = 0x08
"""Bit of a batch's attributes: its timestamp is the leader's. Only the leader says so, whatever a client claims."""
_UNUSUAL: Final = CONTROL | LOG_APPEND_TIME


class AppendResult(NamedTuple):
    """What became of a batch. With an error nothing was written and the offsets are -1.

    `log_append_time_ms` is set on a LogAppendTime topic, and for a duplicate: the remembered batch's max timestamp.
    `found_in_log`: the error was found by looking at the log (its start offset goes into the answer), not before.
    `record_errors`: which records the batch was refused for, by their index.
    """

    error: ErrorCode
    base_offset: int
    last_offset: int
    log_append_time_ms: int = NO_TIMESTAMP
    is_duplicate: bool = False
    found_in_log: bool = True
    message: str = ""
    record_errors: tuple[int, ...] = ()


class PartitionLog(KeptLog):
    """A replica's log over a store. Building one from a filled store is recovery: see `recovery` for what was read.

    `now_ms` is what producers in a snapshot expire by.
    """

    __slots__ = (
        "_is_log_append_time",
        "_looks_always",
        "_max_bytes",
        "_timestamp_after_max_ms",
        "_timestamp_before_max_ms",
    )

    def __init__(
        self, topic_partition: TopicPartition, store: LogStore, settings: LogSettings, now_ms: int = 0
    ) -> None:
        self.topic_partition = topic_partition
        self.store = store
        self.producer_state = ProducerState()
        self._open_with(settings)
        self._open(now_ms)

    def apply(self, settings: LogSettings) -> None:
        """Go by these settings from now on."""
        self._open_with(settings)
        self.segments.look_at = 0

    def _open_with(self, settings: LogSettings) -> None:
        self.settings = settings
        self._max_bytes = min(settings.max_message_bytes, settings.segment_bytes)
        self._is_log_append_time = settings.message_timestamp_type == "LogAppendTime"
        self._looks_always = self._is_log_append_time or "compact" in settings.cleanup_policy
        self._timestamp_after_max_ms = settings.message_timestamp_after_max_ms
        self._timestamp_before_max_ms = settings.message_timestamp_before_max_ms
        self.producer_state.is_verification_required = settings.transaction_partition_verification_enable
        self.producer_state.must_begin_at_zero = settings.unknown_producer_first_sequence == "zero"

    # --- appending ------------------------------------------------------------------------------------------------

    def append_as_leader(
        self,
        batch: RecordBatch,
        leader_epoch: int,
        now_ms: int,
        origin: Origin = Origin.CLIENT,
        guard: int = NO_GUARD,
        transaction_version: int = 0,
    ) -> AppendResult:
        """Validate, judge, place at `log_end_offset`, store, remember. O(1) in the log's length.

        `guard` is what a verified transactional batch shows, `transaction_version` what a coordinator says of a marker.
        """
        (
            given_offset,
            _,
            producer_id,
            _,
            base_sequence,
            last_offset_delta,
            record_count,
            base_timestamp_ms,
            max_timestamp_ms,
            attributes,
            size_bytes,
            records,
        ) = batch
        log_append_time_ms = NO_TIMESTAMP
        if (
            given_offset
            or size_bytes > self._max_bytes
            or attributes & _UNUSUAL
            or record_count != last_offset_delta + 1
            or record_count <= 0
            or (producer_id >= 0 and base_sequence < 0)
            or max_timestamp_ms - now_ms > self._timestamp_after_max_ms
            or now_ms - base_timestamp_ms > self._timestamp_before_max_ms
            or self._looks_always
            or records.__class__ is bytes
        ):
            # Something is unusual: look closely, in Kafka's order.
            checked = self._check_closely(batch, now_ms, origin)
            if isinstance(checked, AppendResult):
                return checked
            batch = checked
            attributes, max_timestamp_ms = batch.attributes, batch.max_timestamp_ms
            if self._is_log_append_time:
                log_append_time_ms = now_ms
        base_offset = self.log_end_offset
        if leader_epoch != self.leader_epochs.latest:
            self.assign_leader_epoch(leader_epoch)
        segments = self.segments
        if base_offset >= segments.look_at or max_timestamp_ms > segments.roll_after_ms:
            if segments.is_full(base_offset, batch, max_timestamp_ms, self.settings):
                self._roll(base_offset)
        state = self.producer_state
        if producer_id >= 0:
            verdict = state.judge(batch, origin, guard, transaction_version)
            if verdict is not ACCEPTED:
                return self._refused(verdict)
        # `placed`, without the call.
        batch = _new_tuple(RecordBatch, (base_offset, leader_epoch) + batch[2:])  # noqa: RUF005 (twice as fast)
        last_offset = base_offset + last_offset_delta
        self.store.append(batch)
        self.log_end_offset = last_offset + 1
        if attributes & CONTROL:
            self._note_aborted(batch)
        state.remember(batch)
        return _new_tuple(AppendResult, (NONE, base_offset, last_offset, log_append_time_ms, False, True, "", ()))

    def _refused(self, verdict: Verdict) -> AppendResult:
        if isinstance(verdict, Duplicate):
            return AppendResult(NONE, verdict.base_offset, verdict.last_offset, verdict.max_timestamp_ms, True)
        assert isinstance(verdict, Rejected)
        return AppendResult(verdict.error, -1, -1, message=f"{self.topic_partition}: {verdict.message}")

    def _check_closely(self, batch: RecordBatch, now_ms: int, origin: Origin) -> RecordBatch | AppendResult:
        """The batch as it is to be written, or why it isn't."""
        is_packed = isinstance(batch.records, bytes)
        if is_packed and origin is Origin.CLIENT:
            checked = check_batch(batch, self.settings, now_ms)
            if isinstance(checked, Refusal):
                return self._invalid(*checked)
            batch = checked
        invalid = self._find_invalid(batch, origin)
        if invalid is None and not is_packed and origin is Origin.CLIENT:
            invalid = self._find_bad_records(batch, now_ms)
        if invalid is not None:
            return invalid
        if batch.size_bytes > self.settings.segment_bytes:
            return self._invalid(
                ErrorCode.RECORD_LIST_TOO_LARGE,
                f"a batch of {batch.size_bytes} bytes came, a segment takes {self.settings.segment_bytes}. Send smaller "
                "batches.",
                found_in_log=False,
            )
        if self._is_log_append_time:
            return batch._replace(max_timestamp_ms=now_ms, attributes=batch.attributes | LOG_APPEND_TIME)
        if batch.attributes & LOG_APPEND_TIME:
            return batch._replace(attributes=batch.attributes & ~LOG_APPEND_TIME)
        return batch

    def _find_invalid(self, batch: RecordBatch, origin: Origin) -> AppendResult | None:
        """What the header alone gives away."""
        if batch.base_offset:
            return self._invalid(ErrorCode.INVALID_RECORD, f"base_offset {batch.base_offset} came, 0 was expected")
        limit = self.settings.max_message_bytes
        if batch.size_bytes > limit:
            return self._invalid(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"a batch of {batch.size_bytes} bytes came, at most {limit} may be written. Send smaller batches.",
                found_in_log=False,
            )
        if origin is Origin.COORDINATOR:
            return None
        if batch.is_control:
            return self._invalid(ErrorCode.INVALID_RECORD, "a control batch came; only coordinators write them")
        count = batch.record_count
        if count != batch.last_offset_delta + 1 or count <= 0:
            return self._invalid(
                ErrorCode.INVALID_RECORD,
                f"the header counts {count} records and ends at offset delta {batch.last_offset_delta}; "
                "count must be that plus one, and at least 1",
            )
        if batch.producer_id >= 0 and batch.base_sequence < 0:
            return self._invalid(
                ErrorCode.INVALID_RECORD,
                f"producer {batch.producer_id} sent base_sequence {batch.base_sequence}, which must be 0 or more",
            )
        return None

    def _find_bad_records(self, batch: RecordBatch, now_ms: int) -> AppendResult | None:
        """Records without a key where one is needed, or too far from the leader's time. Only of objects: `check_batch`
        has looked at bytes. One record blamed for its time decides the error of all."""
        needs_key = "compact" in self.settings.cleanup_policy
        lowest_ms, highest_ms = now_ms - self._timestamp_before_max_ms, now_ms + self._timestamp_after_max_ms
        records: Any = batch.records
        without_key = dict.fromkeys([index for index, each in enumerate(records) if needs_key and each.key is None])
        out_of_time = [
            index
            for index, record in enumerate(records)
            if not (self._is_log_append_time or lowest_ms <= record.timestamp_ms <= highest_ms)
            and index not in without_key
        ]
        indexes = tuple(sorted([*without_key, *out_of_time]))
        if out_of_time:
            return self._invalid(
                ErrorCode.INVALID_TIMESTAMP,
                f"timestamps {batch.base_timestamp_ms}..{batch.max_timestamp_ms} are too far from the broker's time "
                f"{now_ms}",
                indexes,
            )
        if without_key:
            return self._invalid(
                ErrorCode.INVALID_RECORD, "a compacted topic takes no record without a key. Give each one.", indexes
            )
        return None

    def _invalid(
        self, error: ErrorCode, message: str, record_errors: tuple[int, ...] = (), found_in_log: bool = True
    ) -> AppendResult:
        return AppendResult(
            error,
            -1,
            -1,
            found_in_log=found_in_log,
            message=f"{self.topic_partition}: {message}",
            record_errors=record_errors,
        )

    def append_as_follower(self, batches: tuple[RecordBatch, ...]) -> None:
        """Store what the leader sent, and remember it. Judges nothing; offsets must rise and begin at or after the end."""
        state = self.producer_state
        for batch in batches:
            if batch.base_offset < self.log_end_offset:
                raise InvariantViolation(
                    f"{self.topic_partition}: {batch} came to be appended at {self.log_end_offset}", "L1"
                )
            if batch.leader_epoch != self.leader_epochs.latest:
                self.assign_leader_epoch(batch.leader_epoch, batch.base_offset)
            segments = self.segments
            if (
                batch.base_offset >= segments.look_at
                or batch.max_timestamp_ms > segments.roll_after_ms
                or batch.size_bytes > self._max_bytes
            ):
                if segments.is_full(batch.base_offset, batch, batch.max_timestamp_ms, self.settings):
                    self._roll(batch.base_offset)
            self.store.append(batch)
            self.log_end_offset = batch.end_offset
            if batch.is_control:
                self._note_aborted(batch)
            state.remember(batch)

    def assign_leader_epoch(self, leader_epoch: int, start_offset: int | None = None) -> None:
        """`leader_epoch` begins at `start_offset` (default: the log's end). Durable at once."""
        if self.leader_epochs.assign(leader_epoch, self.log_end_offset if start_offset is None else start_offset):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, offset: int, end_offset: int, max_bytes: int) -> tuple[RecordBatch, ...]:
        """Whole batches from the one that holds or follows `offset`, all below `end_offset`."""
        if offset >= end_offset:
            return ()
        return self.store.read(offset, end_offset, max_bytes)

    def set_high_watermark(self, high_watermark: int) -> None:
        """Everything below is committed."""
        self.high_watermark = high_watermark
        if self.producer_state.unreplicated:
            self.producer_state.replicated_up_to(high_watermark)

    @property
    def last_stable_offset(self) -> int:
        """Everything below is committed and no part of an undecided transaction.

        When the log's start has moved into or beyond such a transaction: the start of the batch that it has come to.
        """
        unstable: int = self.producer_state.first_unstable_offset
        if unstable < 0:
            return self.high_watermark
        if unstable < self.log_start_offset:
            at_start = self.store.read(self.log_start_offset, NO_LIMIT, 1)
            unstable = at_start[0].base_offset if at_start else self.log_start_offset
        return min(unstable, self.high_watermark)

    def find_offset_by_timestamp(self, timestamp_ms: int, end_offset: int) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the first record not older than `timestamp_ms`; None when there is none
        or it is not below `end_offset`. O(segments + batches of one + records of one batch)."""
        start_offset = self.log_start_offset
        self.segments.describe()
        for segment in self.segments.all:
            if segment.max_timestamp_ms < timestamp_ms or segment.end_offset <= start_offset:
                continue
            for batch in self.store.read(max(segment.base_offset, start_offset), segment.end_offset, NO_LIMIT):
                if batch.max_timestamp_ms >= timestamp_ms and not batch.is_control:
                    for offset, time_ms in self._times(batch):
                        if time_ms >= timestamp_ms and offset >= start_offset:
                            return (offset, time_ms, self.leader_epoch_at(offset)) if offset < end_offset else None
        return None

    def max_timestamp(self, end_offset: int) -> tuple[int, int, int] | None:
        """(offset, timestamp, leader epoch) of the newest record, the first of several; None when it is not below
        `end_offset`. It is looked for in all that is stored, also below the log's start: so does Kafka."""
        newest = None
        for batch in self.store.read(0, NO_LIMIT, NO_LIMIT):
            if not batch.is_control and (newest is None or batch.max_timestamp_ms > newest.max_timestamp_ms):
                newest = batch
        for offset, time_ms in self._times(newest) if newest is not None else ():
            if newest is not None and time_ms == newest.max_timestamp_ms:
                return (offset, time_ms, self.leader_epoch_at(offset)) if offset < end_offset else None
        return None

    @staticmethod
    def _times(batch: RecordBatch) -> list[tuple[int, int]]:
        """(offset, timestamp) of each record."""
        records: tuple[Record, ...] = decode_records(batch) if isinstance(batch.records, bytes) else batch.records
        append_time_ms = batch.max_timestamp_ms if batch.attributes & LOG_APPEND_TIME else None
        return [
            (batch.base_offset + index, record.timestamp_ms if append_time_ms is None else append_time_ms)
            for index, record in enumerate(records)
        ]

    def leader_epoch_at(self, offset: int) -> int:
        """Which leader epoch wrote the record at `offset`; -1 in a log without any."""
        entries = self.leader_epochs.entries
        wrote = [leader_epoch for leader_epoch, start_offset in entries if start_offset <= offset]
        return wrote[-1] if wrote else (entries[0][0] if entries else -1)

    def end_offset_for(self, leader_epoch: int) -> tuple[int, int]:
        """Where that leader epoch ends here: (largest known epoch up to it, its end); (-1, -1) when unknown."""
        return self.leader_epochs.end_offset_for(leader_epoch, self.log_end_offset)

    def check_invariants(self) -> None:
        """L1 to L3 and L5, and the heart's own. O(log)."""
        where = str(self.topic_partition)
        state = self.producer_state
        if not self.log_start_offset <= self.high_watermark <= self.log_end_offset:
            raise InvariantViolation(
                f"{where}: log start {self.log_start_offset}, high watermark {self.high_watermark} and log end "
                f"{self.log_end_offset} are out of order",
                "L1",
            )
        end_offset, leader_epoch = -1, -1
        fold = ProducerState()
        first_offsets: dict[int, int] = {}
        for batch in self.store.read(0, self.log_end_offset, NO_LIMIT):
            if batch.base_offset < end_offset:
                raise InvariantViolation(f"{where}: {batch} begins before {end_offset}", "L1")
            if batch.leader_epoch < leader_epoch:
                raise InvariantViolation(f"{where}: {batch} has a lower leader epoch than {leader_epoch} before", "L2")
            end_offset, leader_epoch = batch.end_offset, batch.leader_epoch
            fold.remember(batch)
            if batch.base_offset >= state.remembers_from and batch.producer_id >= 0 and batch.record_count:
                first_offsets.setdefault(batch.producer_id, batch.base_offset)
        self._check_memory(fold, first_offsets)
        self._check_segments()
        state.check_invariants()

    def _check_memory(self, fold: ProducerState, first_offsets: dict[int, int]) -> None:
        """L3, against `fold`: what remembering every stored batch gives."""
        state = self.producer_state
        for producer_id, entry in state.entries():
            known = fold.find_entry(producer_id)
            if known is None:
                continue  # its records are deleted
            stored_from = known.known_from
            remembered = [_identity(each) for each in entry.batches if each.base_offset >= stored_from]
            said = [_identity(each) for each in known.batches]
            suffix = said[len(said) - len(remembered) :]
            missing = known.batches[: len(said) - len(remembered)]
            is_short = any(each.base_offset >= entry.known_from for each in missing)
            if suffix != remembered or is_short or entry.producer_epoch != known.producer_epoch:
                raise InvariantViolation(
                    f"{self.topic_partition}: producer {producer_id} is remembered as {entry.batches}, the log says "
                    f"{known.batches}",
                    "L3",
                )
        if not state.has_expired:
            for producer_id, first_offset in first_offsets.items():
                found = state.find_entry(producer_id)
                if found is None or found.known_from > first_offset:
                    raise InvariantViolation(
                        f"{self.topic_partition}: producer {producer_id} wrote at {first_offset}, which is forgotten",
                        "L3",
                    )

    def _check_segments(self) -> None:
        """L5."""
        self.segments.describe()
        beyond = [offset for offset in self.store.snapshot_offsets() if offset > self.log_end_offset]
        if beyond:
            raise InvariantViolation(f"{self.topic_partition}: snapshots {beyond} are newer than the log", "L5")
        bases = self.segments.base_offsets()
        for segment, next_offset in zip(self.segments.all, [*bases[1:], NO_LIMIT], strict=True):
            stored = self.store.read(segment.base_offset, next_offset, NO_LIMIT)
            size_bytes = sum([batch.size_bytes for batch in stored])
            newest_ms = max([batch.max_timestamp_ms for batch in stored], default=NO_TIMESTAMP)
            if segment.size_bytes != size_bytes or segment.max_timestamp_ms < newest_ms or bases != sorted(bases):
                raise InvariantViolation(
                    f"{self.topic_partition}: segment {segment.base_offset} says {segment.size_bytes} bytes up to "
                    f"{segment.max_timestamp_ms}, stored are {size_bytes} up to {newest_ms}",
                    "L5",
                )

    # --- freezing -------------------------------------------------------------------------------------------------

    def freeze(self) -> tuple[Any, ...]:
        """Everything that is not in the store."""
        return self._freeze_kept()

    @classmethod
    def thaw(
        cls, frozen: tuple[Any, ...], topic_partition: TopicPartition, store: LogStore, settings: LogSettings
    ) -> PartitionLog:
        """The log that was frozen, over a store equal to the one it had."""
        log = cls.__new__(cls)
        log.topic_partition = topic_partition
        log.store = store
        log._thaw_kept(frozen)
        log._open_with(settings)
        return log


def _identity(batch: RecordBatch) -> tuple[int, int, int]:
    """What a snapshot keeps of a batch, but for its time."""
    return (batch.base_sequence, batch.base_offset, batch.last_offset_delta)
