"""A duplicate is acknowledged at offset 0.

Bufstream 0.1.0 acknowledged some records with offset 0, wherever they stood. A broker that recognises a
duplicate has to say where the first copy is, which it only knows if it remembered that too. Answering
with a default looks harmless: the producer goes on. But who keeps offsets, to read from there or to
prove that a record exists, now has proof of somebody else's record.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from eventlog.log.partition_log import AppendResult, PartitionLog
from eventlog.log.producer_state import Verdict
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=37,
    mistake="a recognised duplicate is answered with offset 0",
    breaks="H14",
    reference="Jepsen, Bufstream 0.1.0",
    scenario=find_scenario("one broker"),
    shortest=(Deviation("answer: writer produces events-0 @1 try 0", 1, "reply_lost", "broker-1>writer", 0),),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = PartitionLog._refused

    def refused(log: PartitionLog, verdict: Verdict) -> AppendResult:
        result = original(log, verdict)
        return result._replace(base_offset=0, last_offset=0) if result.is_duplicate else result

    return replaced(PartitionLog, "_refused", refused)
