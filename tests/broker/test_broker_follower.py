"""Where a follower cuts its log when it parts from its leader's."""

from __future__ import annotations

import pytest
from broker_stage import TP, batch

from eventlog.broker.follower import find_truncation
from eventlog.log.partition_log import PartitionLog
from eventlog.storage import MemoryLogStore
from eventlog.values import LogSettings, placed


def log_of(*epochs: tuple[int, int]) -> PartitionLog:
    """(leader epoch, records) each; the high watermark is 1."""
    log = PartitionLog(TP, MemoryLogStore(), LogSettings())
    for leader_epoch, count in epochs:
        for _ in range(count):
            log.append_as_follower((placed(batch(-1, -1, -1), log.log_end_offset, leader_epoch),))
    log.set_high_watermark(1)
    return log


@pytest.mark.parametrize(
    ("leader_epoch", "leader_end", "cut"),
    [
        (2, 7, 7),  # the same epoch on both sides: the shorter end counts
        (2, 9, 9),
        (2, 50, 9),
        (0, 2, 2),
        (0, 50, 3),
        (1, 4, 3),  # this log lacks that epoch: back to the end of its nearest older one, and ask again
        (1, 1, 3),
        (5, 6, 6),  # newer than anything here
        (5, 50, 9),
        (-1, 6, 6),
        (2, -1, 1),  # the leader can't tell: only what is committed is safe
    ],
)
def test_where_two_logs_part(leader_epoch: int, leader_end: int, cut: int) -> None:
    assert find_truncation(log_of((0, 3), (2, 6)), leader_epoch, leader_end) == cut
