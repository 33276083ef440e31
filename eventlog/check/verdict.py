"""What a judgement says: counts, findings, how each promise stands, and all of it as a page for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from eventlog.check.history import Problem
from eventlog.check.index import Index
from eventlog.check.promises import BROKEN, EXCUSED, EXCUSES, HELD, NOT_CHECKABLE, NOT_PROMISED, PROMISES
from eventlog.values.showing import mimebundle

MOST_FINDINGS_KEPT = 32
"""Findings kept for each promise and status. All are counted; a person reads the first few."""
MOST_FINDINGS_SHOWN = 8
MOST_PROBLEMS_SHOWN = 8

_GRAVITY = {BROKEN: 0, EXCUSED: 1, NOT_PROMISED: 2}


class Counts(NamedTuple):
    """Numbers of records. *The log* is the committed part of the final log of every partition.

    `acknowledged`, `failed` and `unresolved` count sends; `duplicated` counts extra copies in the log and
    `duplicated_records` the records that have any; `lost` are acknowledged and nowhere in the log; `out_of_order` are
    those behind a later send of the same producer in their partition, copies included.
    """

    sent: int
    acknowledged: int
    failed: int
    unresolved: int
    in_log: int
    duplicated: int
    duplicated_records: int
    lost: int
    out_of_order: int
    acked_unknown_offset: int


class Finding(NamedTuple):
    """One place where a promise was not kept.

    `witness` are the two or three rows that prove it and `faults` what struck between them, both as JSON-able
    dictionaries; `status` is broken, excused or not promised, and `cause` says by what.
    """

    promise: str
    status: str
    sentence: str
    witness: tuple[dict[str, Any], ...]
    faults: tuple[dict[str, Any], ...]
    cause: str
    at_ms: int


class PromiseResult(NamedTuple):
    """How one promise stands. `places` is the number of places found, of which `broken` and `excused` are so.

    `why` is the cause of the gravest place; `excuse` that of the first excused one, or empty.
    """

    promise: str
    status: str
    places: int
    broken: int
    excused: int
    why: str
    excuse: str


class Outcome:
    """What one check found; filled by the check, read once by `judge`."""

    __slots__ = ("_last", "broken", "causes", "excused", "findings", "kept", "not_checkable", "not_promised")

    def __init__(self) -> None:
        self.broken = 0
        self.excused = 0
        self.not_promised = 0
        self.not_checkable = ""
        self.causes: dict[str, str] = {}
        self.kept: dict[str, int] = {}
        self.findings: list[Finding] = []
        self._last = ("", "")

    def wants(self, status: str, cause: str) -> bool:
        """Count one place; True when it shall also be described, False when there are enough descriptions."""
        if status == BROKEN:
            self.broken += 1
        elif status == EXCUSED:
            self.excused += 1
        else:
            self.not_promised += 1
        self.causes.setdefault(status, cause)
        self._last = (status, cause)
        kept = self.kept.get(status, 0)
        if kept >= MOST_FINDINGS_KEPT:
            return False
        self.kept[status] = kept + 1
        return True

    def describe(
        self,
        index: Index,
        promise: str,
        sentence: str,
        witness: tuple[dict[str, Any], ...],
        between: tuple[int, int],
        at_ms: int,
    ) -> None:
        """Describe the place that `wants` has just counted; `between` are the places of the history it spans."""
        status, cause = self._last
        self.findings.append(Finding(promise, status, sentence, witness, index.faults_between(*between), cause, at_ms))

    def result(self, promise_id: str, nobody_promised: str) -> PromiseResult:
        """How the promise stands; `nobody_promised` is the reason why it was never given, or empty."""
        if self.broken:
            status, why = BROKEN, self.causes[BROKEN]
        elif self.excused:
            status, why = EXCUSED, self.causes[EXCUSED]
        elif nobody_promised or self.not_promised:
            status, why = NOT_PROMISED, nobody_promised or self.causes[NOT_PROMISED]
        elif self.not_checkable:
            status, why = NOT_CHECKABLE, self.not_checkable
        else:
            status, why = HELD, ""
        count = self.broken + self.excused + self.not_promised
        return PromiseResult(promise_id, status, count, self.broken, self.excused, why, self.causes.get(EXCUSED, ""))


def most_damning_first(finding: Finding) -> tuple[int, int, int]:
    """Sort key: broken before excused before not promised, then by the promise's rank, then by time."""
    return (_GRAVITY[finding.status], PROMISES[finding.promise].rank, finding.at_ms)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one history. `held` is True when no promise is broken.

    `notes` say which log was taken for final where that needed a decision; `literal` repeats the run.
    """

    held: bool
    counts: Counts
    findings: tuple[Finding, ...]
    promises: tuple[PromiseResult, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    literal: str

    def promise(self, promise_id: str) -> PromiseResult:
        """How one promise stands; raises KeyError for an unknown id."""
        for result in self.promises:
            if result.promise == promise_id:
                return result
        raise KeyError(promise_id)

    def of(self, status: str) -> tuple[PromiseResult, ...]:
        """The promises that stand so."""
        return tuple(result for result in self.promises if result.status == status)

    def as_dict(self) -> dict[str, Any]:
        """The whole verdict as what `json.dumps` takes."""
        return {
            "held": self.held,
            "sentence": self.sentence(),
            "counts": self.counts._asdict(),
            "promises": [result._asdict() for result in self.promises],
            "findings": [finding._asdict() for finding in self.findings],
            "problems": [problem._asdict() for problem in self.problems],
            "notes": list(self.notes),
            "literal": self.literal,
        }

    def sentence(self) -> str:
        """The verdict in one sentence."""
        broken, excused = self.of(BROKEN), self.of(EXCUSED)
        counts = self.counts
        numbers = (
            f"{counts.sent} sent, {counts.acknowledged} acknowledged, {counts.in_log} in the log, "
            f"{counts.duplicated} duplicated, {counts.lost} lost, {counts.out_of_order} out of order"
        )
        if broken:
            text = f"BROKEN: {_listed(broken)}; {numbers}."
        elif len(self.of(NOT_CHECKABLE)) == len(self.promises):
            text = "Nothing could be checked: the history lacks what the checks need."
        elif excused:
            text = f"Held, but for what is excused: {_listed(excused)}; {numbers}."
        else:
            text = f"Held: {numbers}."
        beyond = [result for result in self.of(NOT_PROMISED) if result.places]
        if beyond:
            text += f" Never promised: {_listed(tuple(beyond))}."
        if self.problems:
            text += f" {_number(len(self.problems), 'problem')} with the history itself."
        return text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)

    def report(self, width: int = 100) -> str:
        """The whole verdict as plain text of at most about `width` columns."""
        width = max(width, 40)
        lines = _wrapped(self.sentence(), width, "")
        lines += ["", *_wrapped("  ".join(f"{name} {n}" for name, n in self.counts._asdict().items()), width, "")]
        lines += ["", *_table(self.promises, width)]
        if self.findings:
            shown = self.findings[:MOST_FINDINGS_SHOWN]
            more = sum(result.places for result in self.promises) - len(shown)
            lines += ["", f"Findings, the most damning first{f' ({more} more)' if more > 0 else ''}:"]
            for number, finding in enumerate(shown, 1):
                lines += _finding(number, finding, width)
        if self.notes:
            lines += ["", "Notes:"]
            for note in self.notes:
                lines += _wrapped(note, width, "  ")
        if self.problems:
            more = len(self.problems) - MOST_PROBLEMS_SHOWN
            lines += ["", f"Problems with the history itself{f' ({more} more)' if more > 0 else ''}:"]
            for problem in self.problems[:MOST_PROBLEMS_SHOWN]:
                lines += _wrapped(str(problem), width, "  ")
        if self.literal:
            lines += ["", f"Repeat it with: {self.literal}"]
        return "\n".join(lines)


def _listed(results: tuple[PromiseResult, ...]) -> str:
    return ", ".join(f"{result.promise} {PROMISES[result.promise].name} ({result.places})" for result in results)


def first_sentence(excuse: str) -> str:
    """What an excuse means, in one sentence without its full stop."""
    sentence = EXCUSES[excuse].partition(". ")[0].rstrip(".")
    return sentence[0].lower() + sentence[1:]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _table(results: tuple[PromiseResult, ...], width: int) -> list[str]:
    lines = [f"{'promise':<23}{'status':<15}{'places':>6}  why"]
    for result in results:
        head = f"{result.promise:<5}{PROMISES[result.promise].name:<18}{result.status:<15}{result.places or '':>6}  "
        why = f"{result.why}: {first_sentence(result.why)}" if result.why in EXCUSES else result.why
        tail = _wrapped(why, max(width - len(head), 20), "") or [""]
        lines.append((head + tail[0]).rstrip())
        lines += [" " * len(head) + line for line in tail[1:]]
    return lines


def _finding(number: int, finding: Finding, width: int) -> list[str]:
    lines = _wrapped(f"{number}. [{finding.status}] {finding.promise}: {finding.sentence}", width, "  ")
    lines += _wrapped(f"cause: {finding.cause}", width, "     ") if finding.cause else []
    for name, rows in (("seen", finding.witness), ("between", finding.faults)):
        for row in rows:
            text = " ".join(f"{key}={value}" for key, value in row.items() if key != "row")
            lines += _wrapped(f"{name}: {row['row']} {text}", width, "     ")
    return lines


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    """`text` in lines of at most `width` where words allow it; a continued line is indented two columns more."""
    lines: list[str] = []
    line = indent
    for word in text.split():
        if len(line) + len(word) > width and line.strip():
            lines.append(line.rstrip())
            line = indent + "  "
        line += word + " "
    return [*lines, line.rstrip()] if line.strip() else lines
