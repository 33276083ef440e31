"""Which leader epoch wrote which part of a log: the means by which two replicas find where their logs part.

A list of (leader_epoch, start_offset), both strictly rising. Source: Kafka's `LeaderEpochFileCache`, KIP-101, KIP-279.
"""

from __future__ import annotations

from typing import Any, Final

UNDEFINED: Final = -1


class LeaderEpochs:
    """The list, with `latest` beside it for the hot path. Every lookup is O(log epochs) or better."""

    __slots__ = ("entries", "latest")

    def __init__(self, entries: tuple[tuple[int, int], ...] = ()) -> None:
        self.entries: list[tuple[int, int]] = list(entries)
        self.latest = self.entries[-1][0] if self.entries else UNDEFINED

    def assign(self, leader_epoch: int, start_offset: int) -> bool:
        """`leader_epoch` begins at `start_offset`; entries that contradict it go. True when something changed."""
        entries = self.entries
        if entries and entries[-1][0] == leader_epoch and entries[-1][1] <= start_offset:
            return False
        while entries and (entries[-1][0] >= leader_epoch or entries[-1][1] >= start_offset):
            entries.pop()
        entries.append((leader_epoch, start_offset))
        self.latest = leader_epoch
        return True

    def end_offset_for(self, leader_epoch: int, log_end_offset: int) -> tuple[int, int]:
        """(largest known epoch up to `leader_epoch`, where it ends); (-1, -1) when it can't be told."""
        if leader_epoch == UNDEFINED or leader_epoch > self.latest:
            return (UNDEFINED, UNDEFINED)
        if leader_epoch == self.latest:
            return (leader_epoch, log_end_offset)
        below = UNDEFINED
        for epoch, start_offset in self.entries:
            if epoch > leader_epoch:
                return (leader_epoch if below == UNDEFINED else below, start_offset)
            below = epoch
        raise AssertionError("the latest epoch is above the asked one, so one was found")

    def truncate_from_end(self, end_offset: int) -> bool:
        """Drop epochs that begin at or after `end_offset`. True when something changed."""
        entries = self.entries
        before = len(entries)
        while entries and entries[-1][1] >= end_offset:
            entries.pop()
        self.latest = entries[-1][0] if entries else UNDEFINED
        return len(entries) != before

    def truncate_from_start(self, start_offset: int) -> bool:
        """Drop epochs that end at or before `start_offset`; the one that covers it begins there now."""
        entries = self.entries
        kept = 0
        while kept < len(entries) and entries[kept][1] <= start_offset:
            kept += 1
        if not kept or entries[kept - 1][1] == start_offset:
            changed = kept > 1
            del entries[: max(0, kept - 1)]
            return changed
        covering = entries[kept - 1][0]
        entries[:kept] = [(covering, start_offset)]
        return True

    def freeze(self) -> tuple[Any, ...]:
        return tuple(self.entries)
