"""The judge: every promise's check, and the verdict they give together.

`CHECKS` has one function for every promise. Each takes the arranged history and gives back what it found; none knows of
another, so one can be left out and the rest still judge.
"""

from __future__ import annotations

from collections.abc import Callable

from eventlog.check import ends, logs, readers, recovery, refusals, replicas
from eventlog.check.history import History
from eventlog.check.index import Index
from eventlog.check.promises import BROKEN, NEEDS, PROMISES, not_promised
from eventlog.check.verdict import Counts, Finding, Outcome, PromiseResult, Verdict, most_damning_first

CHECKS: dict[str, Callable[[Index], Outcome]] = {
    "H1": ends.one_offset,
    "H2": logs.no_duplicate,
    "H3": logs.order,
    "H4": logs.no_gap,
    "H5": ends.nothing_lost,
    "H6": readers.no_dirty_read,
    "H7": replicas.replicas_agree,
    "H8": replicas.one_leader,
    "H9": logs.fencing,
    "H11": replicas.whole_batches,
    "H13": recovery.it_recovers,
    "H14": refusals.no_false_refusal,
    "I3": replicas.marks_in_order,
    "I5": replicas.logs_match,
    "I11": logs.no_sequence_twice,
    "I33": ends.one_end,
    "G1a": ends.no_failed_write,
    "A1": ends.true_offset,
    "A2": ends.sent_before,
    "A3": ends.true_success,
    "R1": readers.forward,
    "R2": readers.no_skip,
}
"""The check of every promise, by the promise's id."""


def judge(history: History) -> Verdict:
    """Judge a history: which promises held, which are broken, and by what. Never raises for what a history says.

    O(records + reads) for a history without findings; about as much again for one full of them.
    """
    index = Index(history)
    run = index.run
    results: list[PromiseResult] = []
    findings: list[Finding] = []
    for promise in PROMISES.values():
        outcome = CHECKS[promise.id](index)
        outcome.not_checkable = index.lacks(NEEDS[promise.id]) or outcome.not_checkable
        nobody = not_promised(promise.id, run.writer, run.acks) if run is not None else ""
        results.append(outcome.result(promise.id, nobody))
        findings += outcome.findings
    findings.sort(key=most_damning_first)
    return Verdict(
        held=not any(result.status == BROKEN for result in results),
        counts=_counts(index),
        findings=tuple(findings),
        promises=tuple(results),
        problems=tuple(index.problems),
        notes=tuple(index.notes),
        literal=run.literal if run is not None else "",
    )


def _counts(index: Index) -> Counts:
    acked, failed = index.acked, index.failed
    # A look at the rows first: there are fewer of them than records, and mostly none is without an offset.
    without_offset = sum(row[4] < 0 for row in index.acked_rows)
    unknown = sum(row.base_offset < 0 for row in acked.values()) if without_offset else 0
    extra = index.memo(logs.copies)
    return Counts(
        sent=len(index.sent),
        acknowledged=len(acked),
        failed=len(failed),
        unresolved=len(index.memo(recovery.unresolved)),
        in_log=index.in_log,
        duplicated=len(extra),
        duplicated_records=len({copy.number: None for copy in extra}),
        lost=len(index.memo(ends.lost)),
        out_of_order=len(index.memo(logs.late_records)),
        acked_unknown_offset=unknown,
    )
