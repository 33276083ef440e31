"""One replica's log of one partition: append as leader, append as follower, read, truncate.

Invariants (checked by `check_invariants`, and across replicas by the world):

L1. Offsets rise strictly from batch to batch; `log_start_offset` <= `high_watermark` <= `log_end_offset`.
L2. Leader epochs of the batches never decrease, and `leader_epochs` says where each begins.
L3. `producer_state` is what remembering every batch of the log, in order, gives; after expiry, less.
L4. A refused or recognised batch changes nothing here except `leader_epochs`, which is written before the verdict.

Why the leader epoch is noted before the verdict: Kafka does, and a leader whose first batch is refused answers
OffsetForLeaderEpoch accordingly.

Source: Kafka's `UnifiedLog` and `LogValidator`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from eventlog.errors import ErrorCode, InvariantViolation
from eventlog.log.leader_epochs import LeaderEpochs
from eventlog.log.marker import marker_of
from eventlog.log.producer_state import (
    ACCEPTED,
    NO_GUARD,
    NO_TRANSACTION,
    Duplicate,
    Origin,
    ProducerState,
    Rejected,
    Verdict,
)
from eventlog.log.store import LogStore
from eventlog.values.record import CONTROL, NO_TIMESTAMP, RecordBatch, TopicPartition
from eventlog.values.settings import LogSettings

_new_tuple = tuple.__new__
NONE: Final = ErrorCode.NONE
LOG_APPEND_TIME: Final = 0x08
"""Bit of a batch's attributes: its timestamp is the leader's. Only the leader says so, whatever a client claims."""
_UNUSUAL: Final = CONTROL | LOG_APPEND_TIME


class AppendResult(NamedTuple):
    """What became of a batch. With an error nothing was written and the offsets are -1.

    `log_append_time_ms` is set on a LogAppendTime topic, and for a duplicate: the remembered batch's max timestamp.
    `found_in_log`: the error was found by looking at the log (its start offset goes into the answer), not before.
    """

    error: ErrorCode
    base_offset: int
    last_offset: int
    log_append_time_ms: int = NO_TIMESTAMP
    is_duplicate: bool = False
    found_in_log: bool = True
    message: str = ""


class AbortedTransaction(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int


class PartitionLog:
    """A replica's log over a store. Building one from a filled store is recovery: the state is remembered anew."""

    __slots__ = (
        "_is_log_append_time",
        "_max_message_bytes",
        "_timestamp_after_max_ms",
        "_timestamp_before_max_ms",
        "aborted",
        "high_watermark",
        "leader_epochs",
        "log_end_offset",
        "log_start_offset",
        "producer_state",
        "settings",
        "store",
        "topic_partition",
    )

    log_end_offset: int
    high_watermark: int

    def __init__(self, topic_partition: TopicPartition, store: LogStore, settings: LogSettings) -> None:
        self.topic_partition = topic_partition
        self.store = store
        self.apply(settings)
        self.log_start_offset: int = store.read_checkpoint("log_start_offset", 0)
        self.log_end_offset = max(store.end_offset, self.log_start_offset)
        self.high_watermark = min(
            max(store.read_checkpoint("high_watermark", 0), self.log_start_offset), self.log_end_offset
        )
        self.leader_epochs = LeaderEpochs(store.read_checkpoint("leader_epochs", ()))
        self.producer_state = ProducerState()
        self.aborted: list[AbortedTransaction] = []
        self.leader_epochs.truncate_from_end(self.log_end_offset)
        self._remember_everything()

    def apply(self, settings: LogSettings) -> None:
        """Go by these settings from now on."""
        self.settings = settings
        self._max_message_bytes = settings.max_message_bytes
        self._is_log_append_time = settings.message_timestamp_type == "LogAppendTime"
        self._timestamp_after_max_ms = settings.message_timestamp_after_max_ms
        self._timestamp_before_max_ms = settings.message_timestamp_before_max_ms

    # --- appending ------------------------------------------------------------------------------------------------

    def append_as_leader(
        self,
        batch: RecordBatch,
        leader_epoch: int,
        now_ms: int,
        origin: Origin = Origin.CLIENT,
        guard: int = NO_GUARD,
    ) -> AppendResult:
        """Validate, judge, place at `log_end_offset`, store, remember. O(1) in the log's length."""
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
            _,
        ) = batch
        if (
            given_offset
            or size_bytes > self._max_message_bytes
            or attributes & _UNUSUAL
            or record_count != last_offset_delta + 1
            or record_count <= 0
            or (producer_id >= 0 and base_sequence < 0)
            or max_timestamp_ms - now_ms > self._timestamp_after_max_ms
            or now_ms - base_timestamp_ms > self._timestamp_before_max_ms
            or self._is_log_append_time
        ):
            # Something is unusual: look closely, in Kafka's order.
            invalid = self._find_invalid(batch, now_ms, origin)
            if invalid is not None:
                return invalid
            if attributes & LOG_APPEND_TIME and not self._is_log_append_time:
                batch = batch._replace(attributes=attributes & ~LOG_APPEND_TIME)
        base_offset = self.log_end_offset
        if leader_epoch != self.leader_epochs.latest:
            self.assign_leader_epoch(leader_epoch)
        state = self.producer_state
        if producer_id >= 0:
            verdict = state.judge(batch, origin, guard)
            if verdict is not ACCEPTED:
                return self._refused(verdict)
        log_append_time_ms = NO_TIMESTAMP
        if self._is_log_append_time:
            log_append_time_ms = now_ms
            batch = batch._replace(max_timestamp_ms=now_ms, attributes=attributes | LOG_APPEND_TIME)
        # `placed`, without the call.
        batch = _new_tuple(RecordBatch, (base_offset, leader_epoch) + batch[2:])  # noqa: RUF005 (twice as fast)
        last_offset = base_offset + last_offset_delta
        self.store.append(batch)
        self.log_end_offset = last_offset + 1
        if attributes & CONTROL:
            self._note_aborted(batch)
        state.remember(batch)
        return _new_tuple(AppendResult, (NONE, base_offset, last_offset, log_append_time_ms, False, True, ""))

    def _refused(self, verdict: Verdict) -> AppendResult:
        if isinstance(verdict, Duplicate):
            return AppendResult(NONE, verdict.base_offset, verdict.last_offset, verdict.max_timestamp_ms, True)
        assert isinstance(verdict, Rejected)
        return AppendResult(verdict.error, -1, -1, message=f"{self.topic_partition}: {verdict.message}")

    def _find_invalid(self, batch: RecordBatch, now_ms: int, origin: Origin) -> AppendResult | None:
        if batch.base_offset:
            return self._invalid(ErrorCode.INVALID_RECORD, f"base_offset {batch.base_offset} came, 0 was expected")
        limit = self._max_message_bytes
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
        if not self._is_log_append_time and (
            batch.max_timestamp_ms - now_ms > self._timestamp_after_max_ms
            or now_ms - batch.base_timestamp_ms > self._timestamp_before_max_ms
        ):
            return self._invalid(
                ErrorCode.INVALID_TIMESTAMP,
                f"timestamps {batch.base_timestamp_ms}..{batch.max_timestamp_ms} are too far from the broker's time "
                f"{now_ms}",
            )
        return None

    def _invalid(self, error: ErrorCode, message: str, found_in_log: bool = True) -> AppendResult:
        return AppendResult(error, -1, -1, found_in_log=found_in_log, message=f"{self.topic_partition}: {message}")

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
            self.store.append(batch)
            self.log_end_offset = batch.end_offset
            if batch.is_control:
                self._note_aborted(batch)
            state.remember(batch)

    def assign_leader_epoch(self, leader_epoch: int, start_offset: int | None = None) -> None:
        """`leader_epoch` begins at `start_offset` (default: the log's end). Durable at once."""
        if self.leader_epochs.assign(leader_epoch, self.log_end_offset if start_offset is None else start_offset):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())

    # --- cutting --------------------------------------------------------------------------------------------------

    def truncate_to(self, offset: int) -> None:
        """Cut the end: nothing at or above `offset` remains, and the producer state is rebuilt from what does.

        O(batches left). A batch is never split: one that contains `offset` goes whole, and the log ends at `offset`.
        """
        end_offset = min(offset, self.log_end_offset)
        if self.leader_epochs.truncate_from_end(end_offset):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())
        if offset >= self.log_end_offset:
            return
        self.store.truncate(offset)
        self.log_end_offset = offset
        self.high_watermark = min(self.high_watermark, offset)
        if offset < self.log_start_offset:
            self.advance_log_start(offset)
        self._remember_everything()

    def restart_at(self, offset: int) -> None:
        """Throw the whole log away and begin at `offset`: the leader has nothing older."""
        self.truncate_to(0)
        self.store.truncate(offset)
        self.log_end_offset = self.high_watermark = offset
        self.advance_log_start(offset)
        self._remember_everything()

    def advance_log_start(self, offset: int) -> None:
        """What lies below `offset` is no longer served. Producers are not forgotten for it."""
        self.log_start_offset = offset
        if self.leader_epochs.truncate_from_start(offset):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())
        self.store.write_checkpoint("log_start_offset", offset)

    def _remember_everything(self) -> None:
        state = self.producer_state
        state.forget_all()
        self.aborted = []
        for batch in self.store.read(0, self.log_end_offset, 2**62):
            if batch.is_control:
                self._note_aborted(batch)
            state.remember(batch)
        state.replicated_up_to(self.high_watermark)

    def _note_aborted(self, marker: RecordBatch) -> None:
        entry = self.producer_state.find_entry(marker.producer_id)
        if entry is not None and entry.txn_first_offset != NO_TRANSACTION and marker.record_count:
            if not marker_of(marker).is_commit:
                self.aborted.append(AbortedTransaction(marker.producer_id, entry.txn_first_offset, marker.base_offset))

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
        """Everything below is committed and no part of an undecided transaction."""
        unstable = self.producer_state.first_unstable_offset
        return self.high_watermark if unstable < 0 else min(unstable, self.high_watermark)

    def end_offset_for(self, leader_epoch: int) -> tuple[int, int]:
        """Where that leader epoch ends here: (largest known epoch up to it, its end); (-1, -1) when unknown."""
        return self.leader_epochs.end_offset_for(leader_epoch, self.log_end_offset)

    def check_invariants(self) -> None:
        """L1 to L3, and the heart's own. O(log)."""
        where = str(self.topic_partition)
        if not self.log_start_offset <= self.high_watermark <= self.log_end_offset:
            raise InvariantViolation(
                f"{where}: log start {self.log_start_offset}, high watermark {self.high_watermark} and log end "
                f"{self.log_end_offset} are out of order",
                "L1",
            )
        end_offset, leader_epoch = -1, -1
        fold = ProducerState()
        for batch in self.store.read(0, self.log_end_offset, 2**62):
            if batch.base_offset < end_offset:
                raise InvariantViolation(f"{where}: {batch} begins before {end_offset}", "L1")
            if batch.leader_epoch < leader_epoch:
                raise InvariantViolation(f"{where}: {batch} has a lower leader epoch than {leader_epoch} before", "L2")
            end_offset, leader_epoch = batch.end_offset, batch.leader_epoch
            fold.remember(batch)
        for producer_id, entry in self.producer_state.entries():
            known = fold.find_entry(producer_id)
            said = known.batches if known is not None else []
            if self.producer_state.has_expired:
                said = said[len(said) - len(entry.batches) :]
            if known is None or said != entry.batches or known.producer_epoch != entry.producer_epoch:
                raise InvariantViolation(
                    f"{where}: producer {producer_id} is remembered as {entry.batches}, the log says "
                    f"{known.batches if known else 'nothing'}",
                    "L3",
                )
        self.producer_state.check_invariants()

    # --- freezing -------------------------------------------------------------------------------------------------

    def freeze(self) -> tuple[Any, ...]:
        """Everything that is not in the store."""
        return (
            self.log_start_offset,
            self.log_end_offset,
            self.high_watermark,
            self.leader_epochs.freeze(),
            self.producer_state.freeze(),
            tuple(self.aborted),
        )

    @classmethod
    def thaw(
        cls, frozen: tuple[Any, ...], topic_partition: TopicPartition, store: LogStore, settings: LogSettings
    ) -> PartitionLog:
        """The log that was frozen, over a store equal to the one it had."""
        log = cls.__new__(cls)
        log.topic_partition = topic_partition
        log.store = store
        log.apply(settings)
        log.log_start_offset, log.log_end_offset, log.high_watermark, epochs, state, aborted = frozen
        log.leader_epochs = LeaderEpochs(epochs)
        log.producer_state = ProducerState.thaw(state)
        log.aborted = list(aborted)
        return log
