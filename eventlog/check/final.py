"""The log that counts for one partition, laid out for looking things up.

Most logs lie as they should: batch behind batch, no markers, all of it committed. Such a log is laid out column by
column, at a tenth of what looking at every batch costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import itemgetter

from eventlog.check.history import Log, LogBatch
from eventlog.values import TopicPartition

_BASE_OFFSET, _LEADER_EPOCH, _PRODUCER_ID, _, _BASE_SEQUENCE, _NUMBERS = map(itemgetter, range(6))


def is_control(batch: LogBatch) -> bool:
    """True for a marker: it takes an offset, but it is nobody's record."""
    return batch[2] >= 0 and batch[4] < 0


def straight_end(batches: Sequence[LogBatch]) -> int | None:
    """The end offset of batches that lie one right behind the other, none empty; None when they don't, or are none."""
    if not batches:
        return None
    sizes = [len(batch[5]) for batch in batches]
    ends = list(accumulate(sizes, initial=batches[0][0]))
    end_offset = ends.pop()
    return end_offset if 0 not in sizes and ends == list(map(_BASE_OFFSET, batches)) else None


class FinalLog:
    """The committed part of the log that counts for one partition: from log_start_offset up to the high_watermark.

    `batches` are those that begin below the high_watermark, markers included. `offsets`, `numbers` (send numbers) and
    `leader_epochs` run in parallel over the records without markers, in the log's order; `index_at` gives the place of an
    offset in them (the last one, should a broken log hold an offset twice). `beyond` has the send numbers of the
    records above the high_watermark by offset.
    """

    __slots__ = (
        "_holders",
        "batches",
        "beyond",
        "index_at",
        "is_rising",
        "is_straight",
        "leader_epochs",
        "log",
        "name",
        "numbers",
        "offsets",
    )

    def __init__(self, name: TopicPartition, log: Log) -> None:
        self.name = name
        self.log = log
        self.beyond: dict[int, int] = {}
        self.batches: Sequence[LogBatch] = log.batches
        self.offsets: Sequence[int] = ()
        self.numbers: list[int] = []
        self.leader_epochs: list[int] = []
        self.is_straight = self._lay_out_straight()
        """Batch lies behind batch, there is no marker, and all of it counts."""
        if not self.is_straight:
            self._lay_out()
        self.index_at: dict[int, int] = dict(zip(self.offsets, range(len(self.numbers)), strict=True))
        self._holders: list[LogBatch] = []
        self.is_rising = self.is_straight or (
            len(self.index_at) == len(self.numbers) and list(self.offsets) == sorted(self.offsets)
        )
        """False only in a broken log; the short ways through a log are open only when it is true."""

    def _lay_out_straight(self) -> bool:
        log, batches = self.log, self.log.batches
        end_offset = straight_end(batches)
        if end_offset is None or end_offset > log.high_watermark or batches[0][0] < log.log_start_offset:
            return False
        if min(map(_BASE_SEQUENCE, batches)) < 0 and max(map(_PRODUCER_ID, batches)) >= 0:
            return False  # there may be a marker
        self.offsets = range(batches[0][0], end_offset)
        self.numbers = list(chain.from_iterable(map(_NUMBERS, batches)))
        epochs = map(_LEADER_EPOCH, batches)
        self.leader_epochs = list(chain.from_iterable(map(repeat, epochs, map(len, map(_NUMBERS, batches)))))
        return True

    def _lay_out(self) -> None:
        low, high = self.log.log_start_offset, self.log.high_watermark
        self.batches = [batch for batch in self.log.batches if batch[0] < high]
        offsets: list[int] = []
        numbers, epochs = self.numbers, self.leader_epochs
        for batch in self.log.batches:
            base_offset, leader_epoch, _, _, _, sends = batch
            end_offset = base_offset + len(sends)
            if is_control(batch):
                continue
            if end_offset > high:
                self.beyond.update(zip(range(base_offset, end_offset), sends, strict=True))
            if low <= base_offset and end_offset <= high:
                offsets.extend(range(base_offset, end_offset))
                numbers.extend(sends)
                epochs.extend([leader_epoch] * len(sends))
            elif base_offset < high and end_offset > low:  # only a part of it counts
                for offset, number in enumerate(sends, base_offset):
                    if low <= offset < high:
                        offsets.append(offset)
                        numbers.append(number)
                        epochs.append(leader_epoch)
        self.offsets = offsets

    def number_at(self, offset: int) -> int | None:
        """The send number of the committed record at `offset`; None when there is no such record."""
        index = self.index_at.get(offset)
        return None if index is None else self.numbers[index]

    def batch_of(self, place: int) -> LogBatch:
        """The batch that holds the record at a place in `offsets`. O(records) the first time."""
        if not self._holders:
            low, high = self.log.log_start_offset, self.log.high_watermark
            for batch in self.batches:
                if not is_control(batch):
                    held = min(batch[0] + len(batch[5]), high) - max(batch[0], low)
                    self._holders.extend([batch] * held)
        return self._holders[place]
