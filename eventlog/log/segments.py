"""A log in pieces: what is deleted by age and size, and where snapshots are written, goes by whole segments.

Only the last one, the active segment, grows. It is described lazily: `describe` reads what was appended since, and says
up to which offset nobody need look again (`look_at`), since fewer batches can't fill it. An append compares two numbers.

`max_timestamp_ms` is exact but after a truncation, when it may be the time of a batch that was cut off: a look-up then
reads one segment more, and retention keeps it a little longer.

Source: Kafka's `LogSegment.shouldRoll`, `UnifiedLog.deletableSegments`.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from eventlog.log.store import LogStore
from eventlog.values.record import NO_TIMESTAMP, RecordBatch
from eventlog.values.sequence import MAX_SEQUENCE
from eventlog.values.settings import MAX_LONG, LogSettings

MAX_OFFSET_SPAN: Final = MAX_SEQUENCE
"""Offsets within a segment are stored as an int32 above its base offset."""
NO_LIMIT: Final = 2**62

# The fields by their place: every batch that is appended passes here once.
_timestamp_of = itemgetter(RecordBatch._fields.index("max_timestamp_ms"))
_size_of = itemgetter(RecordBatch._fields.index("size_bytes"))


class Segment:
    """From `base_offset` to the next segment; its numbers say what is stored up to `end_offset`."""

    __slots__ = ("base_offset", "end_offset", "first_timestamp_ms", "max_timestamp_ms", "size_bytes")

    def __init__(
        self,
        base_offset: int,
        end_offset: int,
        size_bytes: int = 0,
        first_timestamp_ms: int = NO_TIMESTAMP,
        max_timestamp_ms: int = NO_TIMESTAMP,
    ) -> None:
        self.base_offset = base_offset
        self.end_offset = end_offset
        self.size_bytes = size_bytes
        self.first_timestamp_ms = first_timestamp_ms
        self.max_timestamp_ms = max_timestamp_ms

    def take(self, batches: tuple[RecordBatch, ...]) -> None:
        """These are stored behind what was known."""
        if not self.size_bytes:
            self.first_timestamp_ms = batches[0].max_timestamp_ms
        self.size_bytes += sum(map(_size_of, batches))
        self.max_timestamp_ms = max(self.max_timestamp_ms, *map(_timestamp_of, batches))
        self.end_offset = batches[-1].end_offset

    def freeze(self) -> tuple[int, ...]:
        return (self.base_offset, self.end_offset, self.size_bytes, self.first_timestamp_ms, self.max_timestamp_ms)


class Segments:
    """All segments of a log, oldest first, at least one."""

    __slots__ = ("all", "look_at", "roll_after_ms", "store")

    def __init__(self, store: LogStore, frozen: tuple[tuple[int, ...], ...] = ()) -> None:
        self.store = store
        self.all = [Segment(*each) for each in frozen] or [Segment(0, 0)]
        # The append of a batch at this offset or behind, or of one newer than this, has to ask `is_full`.
        self.look_at = 0
        self.roll_after_ms = MAX_LONG

    @property
    def active(self) -> Segment:
        return self.all[-1]

    def base_offsets(self) -> list[int]:
        return [segment.base_offset for segment in self.all]

    def describe(self) -> Segment:
        """The active segment, described to its end. O(batches since the last time)."""
        active = self.all[-1]
        batches = self.store.read(active.end_offset, NO_LIMIT, NO_LIMIT)
        if batches:
            active.take(batches)
        return active

    def is_full(self, base_offset: int, batch: RecordBatch, timestamp_ms: int, settings: LogSettings) -> bool:
        """Whether `batch`, about to come to `base_offset`, needs a new segment."""
        active = self.describe()
        size_bytes = active.size_bytes
        left_bytes = settings.segment_bytes - size_bytes - batch.size_bytes
        self.roll_after_ms = MAX_LONG
        if size_bytes and active.first_timestamp_ms >= 0:
            self.roll_after_ms = active.first_timestamp_ms + settings.segment_ms
        is_full = (size_bytes > 0 and (left_bytes < 0 or timestamp_ms > self.roll_after_ms)) or (
            base_offset + batch.last_offset_delta - active.base_offset > MAX_OFFSET_SPAN
        )
        largest_bytes = max(1, min(settings.max_message_bytes, settings.segment_bytes))
        # A batch takes one offset at least. An empty segment is looked at again at once: its first batch sets the time.
        unlooked = max(0, left_bytes) // largest_bytes if size_bytes else 0
        self.look_at = min(base_offset + 1 + unlooked, active.base_offset + MAX_OFFSET_SPAN // 2)
        return is_full

    def roll(self, base_offset: int) -> None:
        """A new active segment begins at `base_offset`; an empty one gives way to it."""
        if not self.describe().size_bytes:
            self.all.pop()
        self.all.append(Segment(base_offset, base_offset))
        self.look_at = 0
        self.roll_after_ms = MAX_LONG

    def floor(self, offset: int) -> int:
        """Index of the segment that holds `offset`; the first when it lies before all."""
        index = len(self.all) - 1
        while index and self.all[index].base_offset > offset:
            index -= 1
        return index

    def truncate(self, end_offset: int) -> None:
        """Before the store is cut: what begins behind `end_offset` goes, the rest is counted down. O(batches cut)."""
        while len(self.all) > 1 and self.active.base_offset > end_offset:
            self.all.pop()
        active = self.active
        for batch in self.store.read(end_offset, active.end_offset, NO_LIMIT):
            if batch.base_offset < active.end_offset:
                active.size_bytes -= batch.size_bytes
        active.end_offset = max(active.base_offset, min(active.end_offset, end_offset))
        self._reset_if_empty(active)

    def shorten(self, end_offset: int) -> None:
        """After a crash: nothing is known of what may be lost, so the segment that now is the last is looked at anew."""
        while len(self.all) > 1 and self.active.base_offset > end_offset:
            self.all.pop()
        active = self.active
        if active.end_offset > end_offset:
            self.all[-1] = Segment(active.base_offset, active.base_offset)
        self.look_at = 0

    def _reset_if_empty(self, active: Segment) -> None:
        if not active.size_bytes:
            active.first_timestamp_ms = active.max_timestamp_ms = NO_TIMESTAMP
        self.look_at = 0
        self.roll_after_ms = MAX_LONG

    # --- what is too old or too much --------------------------------------------------------------------------------

    def count_deletable(
        self, settings: LogSettings, high_watermark: int, log_start_offset: int, log_end_offset: int, now_ms: int
    ) -> int:
        """How many segments, from the oldest on, may go: below the log's start, or beyond its settings' limits.

        All of them: then the active one has to be rolled first. Nothing at or above the high watermark ever goes.
        """
        self.describe()
        excess_bytes = self._excess_bytes(settings)
        is_deleting = "delete" in settings.cleanup_policy
        count = 0
        for index, segment in enumerate(self.all):
            is_last = index + 1 == len(self.all)
            next_offset = log_end_offset if is_last else self.all[index + 1].base_offset
            if next_offset > high_watermark or (is_last and not segment.size_bytes):
                break
            is_below_start = not is_last and next_offset <= log_start_offset
            is_too_much = is_deleting and 0 < segment.size_bytes <= excess_bytes
            due_ms = self._due_ms(segment, settings)
            is_too_old = due_ms is not None and now_ms >= due_ms
            if not (is_below_start or is_too_much or is_too_old):
                break
            excess_bytes -= segment.size_bytes
            count += 1
        return count

    def next_due_ms(self, settings: LogSettings, now_ms: int) -> int | None:
        """When the oldest segment will be too old; `now_ms` when there is too much already; None: no end in sight."""
        if "delete" not in settings.cleanup_policy or (settings.retention_ms < 0 and settings.retention_bytes < 0):
            return None
        self.describe()
        oldest = self.all[0]
        if not oldest.size_bytes:
            return None
        if oldest.size_bytes <= self._excess_bytes(settings):
            return now_ms
        return self._due_ms(oldest, settings)

    def _excess_bytes(self, settings: LogSettings) -> int:
        if settings.retention_bytes < 0:
            return -1
        return sum([segment.size_bytes for segment in self.all]) - settings.retention_bytes

    @staticmethod
    def _due_ms(segment: Segment, settings: LogSettings) -> int | None:
        """A segment whose records give no time is never too old."""
        if settings.retention_ms < 0 or "delete" not in settings.cleanup_policy or segment.max_timestamp_ms < 0:
            return None
        return segment.max_timestamp_ms + settings.retention_ms + 1

    def freeze(self) -> tuple[tuple[int, ...], ...]:
        """Everything but what `is_full` says anew."""
        self.describe()
        return tuple([segment.freeze() for segment in self.all])
