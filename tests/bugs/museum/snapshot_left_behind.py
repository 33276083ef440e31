"""A truncation that leaves the snapshots above the cut: when the log has grown again they speak of another one."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import PartitionLog
from eventlog.log.snapshot import Unusable, decode_snapshot
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""

    def load(log: PartitionLog, start_offset: int, end_offset: int, now_ms: int) -> int:
        store, state = log.store, log.producer_state
        for offset in reversed(store.snapshot_offsets()):
            entries = decode_snapshot(store.read_snapshot(offset))
            if start_offset < offset <= end_offset and not isinstance(entries, Unusable):
                state.load_snapshot(entries, offset, now_ms - log.settings.producer_id_expiration_ms)
                log._snapshot_offset = offset
                return offset
        state.forget_all(start_offset)
        log._snapshot_offset = start_offset
        return start_offset

    return replaced(PartitionLog, "_load_snapshot", load)
