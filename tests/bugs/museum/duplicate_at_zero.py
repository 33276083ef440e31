"""A broker that knows a duplicate and not where it is: it answers offset 0.

Acknowledgements with offset 0 were seen in Bufstream 0.1.0 (by Jepsen).
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import AppendResult, PartitionLog
from eventlog.log.producer_state import Verdict

from ..patching import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = PartitionLog._refused

    def refused(log: PartitionLog, verdict: Verdict) -> AppendResult:
        result = original(log, verdict)
        return result._replace(base_offset=0, last_offset=0) if result.is_duplicate else result

    return replaced(PartitionLog, "_refused", refused)
