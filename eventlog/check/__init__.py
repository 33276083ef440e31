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
5.  H5  Nothing that was acknowledged with an offset is lost, as far as its acks reach.
6.  H6  No dirty read: what a reader got stays at its offset.
7.  H7  Replicas agree below the high_watermark.
8.  H8  One leader to a leader_epoch, and leader epochs never go back.
9.  H9  Fencing: nothing of a lower producer_epoch behind a higher one.
10. H11 Whole batches: each right behind the one before it, and as it was acknowledged.
11. H13 It recovers: after healing every send has an end and every replica is in sync.
12. H14 No false refusal: a batch is refused for its sequence or producer_epoch only when the log says so.
13. I3  log_start_offset <= high_watermark <= log_end_offset.
14. I5  Logs match up to the last offset at which two replicas share a leader_epoch.
15. I11 No (producer_id, producer_epoch, base_sequence) is appended twice.
16. I33 A send ends once.
17. G1a What was reported as certainly not written is not in the log.
18. A1  What was acknowledged with an offset is at that offset.
19. A2  What is in a log was sent, and to that partition.
20. A3  True success: what was acknowledged without an offset is in the log, as far as its acks reach.
21. R1  A reader goes forward, until it is put elsewhere (`Assigned`).
22. R2  A reader passes over no committed record.

Each stands in a verdict as held, excused, broken, not promised (to such a writer) or not checkable (a kind of row it
needs is missing). A verdict *holds* when none is broken.

**Why copies have named causes.** "There is a duplicate" helps nobody. The same sequence twice accuses the broker. No
producer id: a plain writer got what it asked for. A copy under a raised epoch accuses whoever made the client raise it,
and there are places where Kafka itself is the reason: a broker takes any first sequence from a producer it does not
know, a restarted broker remembers only the newest batch of each producer, an idle producer is forgotten, and librdkafka
sends again what another message's timeout made it doubt. `promises.EXCUSES` has all of them by name.

**Why a refusal is judged, too.** A broker that remembers too little does not lose or double anything by itself. It
answers "out of order" to a retry it should have recognised, and what becomes of that depends on the client: one raises
its epoch and writes again, another stops for good, a third retries until it gives up. So the refusal itself is held
against what the refusing broker's log held at that moment; what it is known to have forgotten (`Forgot`) excuses it.

**Why success without an offset is a promise of its own.** librdkafka takes a batch for written when a later one
succeeds. Where a broker takes any first sequence from a producer it does not know, that is not so: the first batch was
refused and can never be written, and the application is told of a success. No other check looks there, for the offset
that could be wrong was never named.

**What Jepsen's checker for Kafka looks for, and where it is found here** (its classes 6, 14 and 15 are about
transactions and consumer groups, 16 measures lag and judges nothing):

| its class | what it is | here |
|---|---|---|
| 1 inconsistent-offsets | one offset, two values | H6 between readers, H7 between replicas, A1 and H1 between answers |
| 2 duplicate | one value, two offsets | H2 |
| 3 lost-write | proven written, below what was read, never read | H5, A3 |
| 4 unseen | acknowledged, and nobody ever got it | H5, A3: a lost tail too, for the log is known to its end |
| 5 G1a | a reader got what certainly failed | G1a, whether or not anybody read it |
| 7, 11 int-poll-skip, poll-skip | a reader passes over values, in one poll or from poll to poll | R2 |
| 8, 12 int-nonmonotonic-poll, nonmonotonic-poll | a reader goes back, likewise | R1 |
| 9 int-send-skip | what was sent as one does not lie together | H11 |
| 10, 13 int-nonmonotonic-send, nonmonotonic-send | a producer's values out of order, likewise | H3 |

**Why a list of rows and no more while it runs.** Recording must not change what it records, and must cost nothing. All
arranging is done when somebody asks for the verdict.

Where things are: `history` the rows; `index` and `final` the rows arranged; `logs`, `replicas`, `ends`, `readers`,
`refusals`, `recovery` the checks; `excuses` and `losses` what came by what; `promises` the table; `verdict` the page.

Not here: transactions (markers are passed over, commits and aborts are not judged, nor a transactional writer's
refusals), compaction (H11 takes a hole for a fault), consumer groups, checks of a running broker's memory, and files:
callers open them and hand over lines.

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
    Forgot,
    History,
    LeaderChanged,
    Log,
    LogBatch,
    LogStartMoved,
    Problem,
    Read,
    ReadRecord,
    Refused,
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
    "Forgot",
    "History",
    "LeaderChanged",
    "Log",
    "LogBatch",
    "LogStartMoved",
    "Problem",
    "Promise",
    "PromiseResult",
    "Read",
    "ReadRecord",
    "Refused",
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
