"""A broker that answers a duplicate with the end of its log, as if it had written it now."""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import AppendResult, PartitionLog
from eventlog.log.producer_state import Verdict
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog._refused

    def refused(log: PartitionLog, verdict: Verdict) -> AppendResult:
        result = original(log, verdict)
        end_offset = log.log_end_offset
        return result._replace(base_offset=end_offset, last_offset=end_offset) if result.is_duplicate else result

    return replaced(PartitionLog, "_refused", refused)
