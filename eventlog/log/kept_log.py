"""What a replica keeps of its log over restarts and cuts: opening, closing, truncation, snapshots, retention.

The log is the truth and the producer state derived from it; but to derive it from the whole log at every start would
take long, so snapshots of it are kept (`snapshot`). They shorten the way and the memory: an entry in a snapshot is the
newest batch only. How much is remembered is therefore a matter of how the log came to be open:

| opened | read | known of a producer |
|---|---|---|
| after a clean stop | the snapshot at the log's end | its newest batch |
| after a crash | every segment from the recovery point on; then the snapshot just written at the end | its newest batch |
| after a clean stop, without any snapshot | nothing: Kafka takes it for a log from before snapshots | nothing |
| cut back, with an older snapshot | that snapshot, and what follows it | its newest batch there, and what follows |
| cut back, without any snapshot | all batches | five |

A snapshot that can't be read is deleted and the next older one taken.

Source: Kafka's `LogLoader`, `UnifiedLog.rebuildProducerState`, `ProducerStateManager`, and files that a 4.3.1 left.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from eventlog.log.leader_epochs import LeaderEpochs
from eventlog.log.marker import marker_of
from eventlog.log.producer_state import NO_TRANSACTION, ProducerState
from eventlog.log.segments import NO_LIMIT, Segments
from eventlog.log.snapshot import Unusable, decode_snapshot, encode_snapshot
from eventlog.log.store import LogStore
from eventlog.values.record import RecordBatch, TopicPartition
from eventlog.values.settings import LogSettings


class AbortedTransaction(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int


class Recovery(NamedTuple):
    """What was read to know the producers: a snapshot (-1: none) and so many batches behind it.

    `why`: "empty", "clean", "crash", "no snapshots" (clean, but there was none to read) or "truncation".
    """

    why: str
    snapshot_offset: int
    batches_replayed: int


class KeptLog:
    """The state of a replica's log, and how it is brought back."""

    __slots__ = (
        "_snapshot_offset",
        "aborted",
        "high_watermark",
        "leader_epochs",
        "log_end_offset",
        "log_start_offset",
        "producer_state",
        "recovery",
        "segments",
        "settings",
        "store",
        "topic_partition",
    )

    log_end_offset: int
    high_watermark: int
    settings: LogSettings
    store: LogStore
    topic_partition: TopicPartition

    # --- opening and closing ----------------------------------------------------------------------------------------

    def _open(self, now_ms: int) -> None:
        store = self.store
        is_clean: bool = store.read_checkpoint("clean_shutdown", False)
        if is_clean:
            store.write_checkpoint("clean_shutdown", False)
        else:
            store.mend()
        saved_start: int = store.read_checkpoint("log_start_offset", 0)
        self.segments = Segments(store, store.read_checkpoint("segments", ()))
        self.leader_epochs = LeaderEpochs(store.read_checkpoint("leader_epochs", ()))
        self.aborted: list[AbortedTransaction] = [
            AbortedTransaction(*each) for each in store.read_checkpoint("aborted", ())
        ]
        self.log_start_offset = max(saved_start, self.segments.all[0].base_offset)
        self.log_end_offset = store.end_offset
        if self.log_end_offset < self.log_start_offset:
            # What is left lies before the log's start: nothing of it may be served.
            self.restart_at(self.log_start_offset)
        self.segments.shorten(self.log_end_offset)
        self.high_watermark = min(
            max(store.read_checkpoint("high_watermark", 0), self.log_start_offset), self.log_end_offset
        )
        self.leader_epochs.truncate_from_end(self.log_end_offset)
        self.leader_epochs.truncate_from_start(saved_start)
        self._snapshot_offset = 0
        crash = None if is_clean else self._read_all(saved_start, now_ms)
        if crash is not None:
            # What was written down may speak of a tail that is lost; other batches will come in its place.
            self._write_segments()
        self._delete_strays()
        if is_clean and not store.snapshot_offsets():
            self._begin_without_snapshots()
            return
        self._rebuild("clean", False, now_ms)
        if crash is not None:
            self.recovery = crash
        elif not self.log_end_offset:
            self.recovery = Recovery("empty", -1, 0)

    def _read_all(self, saved_start: int, now_ms: int) -> Recovery:
        """After a crash: read every segment from the recovery point on, and leave a snapshot at the log's end."""
        recovery_point = min(self.store.read_checkpoint("recovery_point", 0), self.log_end_offset)
        segments = self.segments.all[self.segments.floor(recovery_point) :]
        first_offset = segments[0].base_offset
        self.aborted = [each for each in self.aborted if each.last_offset < first_offset]
        loaded = self._load_snapshot(saved_start, first_offset, now_ms)
        count = self._replay(min(loaded, first_offset), first_offset, ())
        bases = [segment.base_offset for segment in segments[1:]]
        count += self._replay(first_offset, self.log_end_offset, tuple(bases), is_after_crash=True)
        if self.leader_epochs.freeze() != self.store.read_checkpoint("leader_epochs", ()):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())
        why = "crash" if self.log_end_offset else "empty"
        return Recovery(why, loaded if loaded in self.store.snapshot_offsets() else -1, count)

    def _begin_without_snapshots(self) -> None:
        """A clean stop and no snapshot: as Kafka, take it that nobody ever wrote with a producer id."""
        for offset in (*self.segments.base_offsets()[-2:], self.log_end_offset):
            self._write_snapshot(offset)
        self.producer_state.forget_all(self.log_end_offset)
        self.recovery = Recovery("no snapshots" if self.log_end_offset else "empty", -1, 0)

    def close(self) -> None:
        """An orderly end: all is flushed, the producers are written down, and the next opening reads nothing else."""
        self.store.flush()
        self._write_snapshot(self.log_end_offset)
        self.write_checkpoints()
        self.store.write_checkpoint("clean_shutdown", True)

    def write_checkpoints(self) -> None:
        """What only a timer or an orderly end writes down; a crash falls back to what was written last."""
        store = self.store
        store.write_checkpoint("high_watermark", self.high_watermark)
        store.write_checkpoint("log_start_offset", self.log_start_offset)
        store.write_checkpoint("recovery_point", store.durable_end_offset)
        self._write_segments()

    def _write_segments(self) -> None:
        self.store.write_checkpoint("segments", self.segments.freeze())
        self.store.write_checkpoint("aborted", tuple([tuple(each) for each in self.aborted]))

    # --- snapshots and what follows from them -----------------------------------------------------------------------

    def _write_snapshot(self, offset: int) -> None:
        """The producers as they are below `offset`. No-op when one was written or loaded there."""
        if offset > self._snapshot_offset:
            data = encode_snapshot(self.producer_state.take_snapshot(), self.settings.producer_snapshot_batches)
            self.store.write_snapshot(offset, data)
            self._snapshot_offset = offset

    def _load_snapshot(self, start_offset: int, end_offset: int, now_ms: int) -> int:
        """Know what the newest readable snapshot in (start_offset, end_offset] says; the offset up to which it does.

        Others are deleted, as are unreadable ones. Without any, nothing is known up to `start_offset`.
        """
        store, state = self.store, self.producer_state
        for offset in reversed(store.snapshot_offsets()):
            if not start_offset < offset <= end_offset:
                store.delete_snapshot(offset)
        for offset in reversed(store.snapshot_offsets()):
            entries = decode_snapshot(store.read_snapshot(offset))
            if not isinstance(entries, Unusable):
                state.load_snapshot(entries, offset, now_ms - self.settings.producer_id_expiration_ms)
                self._snapshot_offset = offset
                return offset
            store.delete_snapshot(offset)
        state.forget_all(start_offset)
        self._snapshot_offset = start_offset
        return start_offset

    def _replay(self, offset: int, end_offset: int, snapshots_at: tuple[int, ...], is_after_crash: bool = False) -> int:
        """Remember every batch in [offset, end_offset), with snapshots on the way and at the end. How many."""
        count = 0
        for until in (*[each for each in snapshots_at if offset < each < end_offset], end_offset):
            for batch in self.store.read(offset, until, NO_LIMIT) if offset < until else ():
                if is_after_crash:
                    if batch.leader_epoch > self.leader_epochs.latest:
                        self.leader_epochs.assign(batch.leader_epoch, batch.base_offset)
                    if batch.is_control:
                        self._note_aborted(batch)
                self.producer_state.remember(batch)
                count += 1
            offset = until
            self._write_snapshot(until)
        return count

    def _rebuild(self, why: str, was_empty: bool, now_ms: int) -> None:
        """Know the producers up to the log's end again. O(snapshot + batches behind it).

        `was_empty`: nobody was known before, so nobody is looked for.
        """
        start_offset, end_offset, state = self.log_start_offset, self.log_end_offset, self.producer_state
        loaded = self._load_snapshot(start_offset, end_offset, now_ms)
        snapshot_offset = loaded if loaded in self.store.snapshot_offsets() else -1
        count = 0
        if was_empty:
            state.remembers_from = end_offset
            self._write_snapshot(end_offset)
        else:
            count = self._replay(loaded, end_offset, tuple(self.segments.base_offsets()[-2:]))
        state.replicated_up_to(self.high_watermark)
        self.recovery = Recovery(why, snapshot_offset, count)

    def _delete_strays(self) -> None:
        """Keep a snapshot at the base of a segment, and the newest of the others if it lies above all of them."""
        bases = self.segments.base_offsets()
        strays = [offset for offset in self.store.snapshot_offsets() if offset not in bases]
        if strays and strays[-1] > bases[-1]:
            strays.pop()
        for offset in strays:
            self.store.delete_snapshot(offset)

    def _note_aborted(self, marker: RecordBatch) -> None:
        entry = self.producer_state.find_entry(marker.producer_id)
        if entry is not None and entry.txn_first_offset != NO_TRANSACTION and marker.record_count:
            if not marker_of(marker).is_commit:
                self.aborted.append(AbortedTransaction(marker.producer_id, entry.txn_first_offset, marker.base_offset))

    # --- cutting the end --------------------------------------------------------------------------------------------

    def truncate_to(self, offset: int, now_ms: int = 0) -> None:
        """Cut the end: nothing at or above `offset` remains, and the producer state is that of what does.

        O(batches cut, and those behind the newest snapshot left). A batch is never split: one that contains `offset`
        goes whole, and the log ends at `offset`.
        """
        if self.leader_epochs.truncate_from_end(min(offset, self.log_end_offset)):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())
        if offset >= self.log_end_offset:
            return
        if offset < self.segments.all[0].base_offset:
            self.restart_at(offset)
            return
        self.segments.truncate(offset)
        self.store.truncate(offset)
        self.log_end_offset = offset
        self.high_watermark = min(self.high_watermark, offset)
        self.aborted = [each for each in self.aborted if each.last_offset < offset]
        if offset < self.log_start_offset:
            self.log_start_offset = offset
            self.store.write_checkpoint("log_start_offset", offset)
        self.store.write_checkpoint("recovery_point", min(offset, self.store.read_checkpoint("recovery_point", 0)))
        self._write_segments()
        self._rebuild("truncation", not len(self.producer_state), now_ms)

    def restart_at(self, offset: int) -> None:
        """Throw the whole log away and begin at `offset`: the leader has nothing older, or this one nothing in common."""
        store = self.store
        store.truncate(0)
        store.truncate(offset)
        for snapshot_offset in store.snapshot_offsets():
            store.delete_snapshot(snapshot_offset)
        self.log_start_offset = self.log_end_offset = self.high_watermark = self._snapshot_offset = offset
        self.leader_epochs = LeaderEpochs()
        self.aborted = []
        self.segments = Segments(store, ((offset, offset),))
        self.producer_state.forget_all(offset)
        self.recovery = Recovery("truncation", -1, 0)
        store.write_checkpoint("leader_epochs", ())
        self.write_checkpoints()

    # --- moving the start -------------------------------------------------------------------------------------------

    def advance_log_start(self, offset: int) -> None:
        """What lies below `offset` is no longer served. Producers are not forgotten for it.

        Not written down here (see `write_checkpoints`): a crash soon after undoes it, as in Kafka.
        """
        self.log_start_offset = offset
        self.high_watermark = max(self.high_watermark, offset)
        if self.leader_epochs.truncate_from_start(offset):
            self.store.write_checkpoint("leader_epochs", self.leader_epochs.freeze())
        self.producer_state.replicated_up_to(offset)
        newest = self.store.snapshot_offsets()[-1:]
        self._snapshot_offset = newest[0] if newest else max(self._snapshot_offset, offset)

    def _roll(self, base_offset: int) -> None:
        """Begin a new segment, with a snapshot at its base; what came before is flushed."""
        self.segments.roll(base_offset)
        self._write_snapshot(base_offset)
        self.store.flush()
        self._write_segments()

    def delete_old_segments(self, now_ms: int) -> bool:
        """Delete whole segments that are too old, too much, or below the log's start; True when any went."""
        segments = self.segments
        count = segments.count_deletable(
            self.settings, self.high_watermark, self.log_start_offset, self.log_end_offset, now_ms
        )
        if not count:
            return False
        if count == len(segments.all):
            self._roll(self.log_end_offset)
        base_offset = segments.all[count].base_offset
        for segment in segments.all[:count]:
            self.store.delete_snapshot(segment.base_offset)
        del segments.all[:count]
        self.producer_state.release(self.store.read(0, base_offset, NO_LIMIT))
        self.store.delete_before(base_offset)
        self.aborted = [each for each in self.aborted if each.last_offset >= base_offset]
        if base_offset > self.log_start_offset:
            self.advance_log_start(base_offset)
        self._write_segments()
        return True

    def next_retention_ms(self, now_ms: int) -> int | None:
        """When the next segment can be due for deletion (perhaps in the past, while the high watermark holds it back);
        None when none will be unless more is appended."""
        if len(self.segments.all) > 1 and self.segments.all[1].base_offset <= self.log_start_offset:
            return now_ms
        return self.segments.next_due_ms(self.settings, now_ms)

    def _freeze_kept(self) -> tuple[Any, ...]:
        return (
            self.log_start_offset,
            self.log_end_offset,
            self.high_watermark,
            self.leader_epochs.freeze(),
            self.producer_state.freeze(),
            tuple(self.aborted),
            self.segments.freeze(),
            self._snapshot_offset,
            self.recovery,
        )

    def _thaw_kept(self, frozen: tuple[Any, ...]) -> None:
        (
            self.log_start_offset,
            self.log_end_offset,
            self.high_watermark,
            epochs,
            state,
            aborted,
            segments,
            self._snapshot_offset,
            self.recovery,
        ) = frozen
        self.leader_epochs = LeaderEpochs(epochs)
        self.producer_state = ProducerState.thaw(state)
        self.aborted = list(aborted)
        self.segments = Segments(self.store, segments)
