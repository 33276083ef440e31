"""The checker: a history of one run, the promises it is held to, and a verdict with a story.

It judges the broker and the clients from outside, by what was sent, answered, read and found in the logs. It shares no
code with them, so it can't share a bug with them: only the values and error codes of the lowest floor are known here.

**Theory.** To check whether a run of a distributed system is correct is hard in general: one has to find an order of
all operations that explains what everybody saw. A log makes it easy twice. The offset *is* the order, and every send
has its own number, so each record can be recognised wherever it turns up. What remains is bookkeeping: which number
stands at which offset in whose log, and who was told what. Every check is then one pass with a dictionary.

A checker over a foreign system sees only answers and reads, and has to guess what the logs hold. Here the whole content
of every replica is a part of the history, with leaders, in-sync replicas and losses. So the checks can be exact: a
duplicate that nobody acknowledged and nobody read is found, and an acknowledged record that is gone is *excused* only
when the rows show that every in-sync replica which held it lost the end of its log.

**Three answers of a sender.** Acknowledged: it is in the log, once, there. Failed and certainly not written: it is not.
Failed and maybe written: both are right. A checker that takes the third for the second finds bugs that are none.

**Which log counts.** For each partition the leader's at the end, the one with the highest high_watermark should several
believe to lead; without a leader the one with the highest last leader_epoch, and of these the longest (the verdict
notes it). Only what lies below its high_watermark is committed, and only that is judged as the log.

**Promises** (`promises.PROMISES` is the table, with who gives each, and `standing` tells what a fault may excuse):

1.  H1  One offset: all acknowledgements of a record name the same place.
2.  H2  No duplicate in the committed log, acknowledged or not. Idempotent writers only.
3.  H3  Order: a producer's records stand in a partition in the order of their sends. Idempotent writers only.
4.  H4  No gap: sequences of a (producer_id, producer_epoch) begin at the start and follow one another.
5.  H5  Nothing acknowledged is lost, as far as its acks reach.
6.  H6  No dirty read: what a reader got stays at its offset.
7.  H7  Replicas agree below the high_watermark.
8.  H8  One leader to a leader_epoch, and leader epochs never go back.
9.  H9  Fencing: nothing of a lower producer_epoch behind a higher one.
10. H11 Whole batches: each right behind the one before it, and as it was acknowledged.
11. H13 It recovers: after healing every send has an end and every replica is in sync.
12. I3  log_start_offset <= high_watermark <= log_end_offset.
13. I5  Logs match up to the last offset at which two replicas share a leader_epoch.
14. I11 No (producer_id, producer_epoch, base_sequence) is appended twice.
15. I33 A send ends once.
16. G1a What was reported as certainly not written is not in the log.
17. A1  What was acknowledged with an offset is at that offset.
18. A2  What is in a log was sent, and to that partition.
19. R1  A reader goes forward, until it is put elsewhere (`Assigned`).
20. R2  A reader passes over no committed record.

Each stands in a verdict as held, excused, broken, not promised (to such a writer) or not checkable (a kind of row it
needs is missing). A verdict *holds* when none is broken.

**Why copies have named causes.** "There is a duplicate" helps nobody. The same sequence twice accuses the broker. No
producer id: a plain writer got what it asked for. A copy under a raised epoch accuses whoever made the client raise it,
and there are two places where Kafka itself is the reason: a broker takes any first sequence from a producer it does not
know, and a restarted broker remembers only the newest batch of each producer. Both are told by name.

**Why a list of rows and no more while it runs.** Recording must not change what it records, and must cost nothing. All
arranging is done when somebody asks for the verdict.

Not here: transactions (markers are passed over, but commits and aborts are not judged), compaction (H11 takes a hole
for a fault), consumer groups, checks of a running broker's memory, and files: callers open them and hand over lines.

Sources: the ideas of Jepsen's checker for Kafka (unique values, offsets as version order, lost writes, skipping and
non-monotonic polls, aborted reads), retold for a history that includes the logs; Adya's names for aborted reads; the
rules of Apache Kafka's idempotent producer (KIP-98, KIP-360) and of replication by leader epochs (KIP-101, KIP-279).
"""

from eventlog.check.history import (
    FORMAT,
    ROW_KINDS,
    Acked,
    Assigned,
    End,
    Failed,
    Fault,
    History,
    LeaderChanged,
    Log,
    LogBatch,
    Problem,
    Read,
    ReadRecord,
    Row,
    Run,
    Sent,
    TailLost,
    Truncated,
    as_dict,
    read_history,
    to_json_line,
    to_json_lines,
)
from eventlog.check.judge import CHECKS, judge
from eventlog.check.promises import (
    BROKEN,
    EXCUSED,
    EXCUSES,
    HELD,
    NOT_CHECKABLE,
    NOT_PROMISED,
    PROMISES,
    Promise,
    Standing,
    standing,
)
from eventlog.check.verdict import Counts, Finding, PromiseResult, Verdict

__all__ = [
    "BROKEN",
    "CHECKS",
    "EXCUSED",
    "EXCUSES",
    "FORMAT",
    "HELD",
    "NOT_CHECKABLE",
    "NOT_PROMISED",
    "PROMISES",
    "ROW_KINDS",
    "Acked",
    "Assigned",
    "Counts",
    "End",
    "Failed",
    "Fault",
    "Finding",
    "History",
    "LeaderChanged",
    "Log",
    "LogBatch",
    "Problem",
    "Promise",
    "PromiseResult",
    "Read",
    "ReadRecord",
    "Row",
    "Run",
    "Sent",
    "Standing",
    "TailLost",
    "Truncated",
    "Verdict",
    "as_dict",
    "judge",
    "read_history",
    "standing",
    "to_json_line",
    "to_json_lines",
]
