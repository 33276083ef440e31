"""What the checker has to say about real clients, told with the records' values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from eventlog.check import EXCUSED, NOT_PROMISED, PROMISES, Verdict
from eventlog.values.showing import mimebundle

MOST_SHOWN: Final = 5
GRAVE: Final = ("H2", "H5", "A3")
"""Duplicates and losses."""


class Kind(NamedTuple):
    """What producers must share to be judged together."""

    is_idempotent: bool
    acks: int
    library: str

    def __str__(self) -> str:
        acks = "all" if self.acks == -1 else str(self.acks)
        return ", ".join(
            ["idempotent" if self.is_idempotent else "plain", f"acks={acks}", *filter(None, [self.library])]
        )


class Finding(NamedTuple):
    """A place where a promise was not kept, told with the records' values. `status`: broken, excused or not promised."""

    promise: str
    status: str
    sentence: str
    cause: str
    faults: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        status = "never promised" if self.status == NOT_PROMISED else self.status
        struck = dict.fromkeys([row["fault"] for row in self.faults if row["row"] == "Fault"])
        after = f" After: {', '.join(struck)}." if struck else ""
        return f"[{status}] {PROMISES[self.promise].name}: {self.sentence}{after} Why: {self.cause}."


@dataclass(frozen=True, slots=True)
class KindVerdict:
    """The checker's verdict on one kind of producer. `is_recorded` False: only the door saw them."""

    kind: Kind
    producers: tuple[str, ...]
    is_recorded: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True, repr=False)
class ClientsVerdict:
    """What the checker has to say about real clients. Prints as the whole report.

    `held`: every promise that was given to these clients was kept. `exactly_once`: more than that: all that was sent can be
    told apart, what was acknowledged is in the log, and nothing is there twice. `unchecked` says what nobody can judge.
    """

    kinds: tuple[KindVerdict, ...]
    findings: tuple[Finding, ...]
    unchecked: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def held(self) -> bool:
        """Is no promise broken?"""
        return all(each.verdict.held for each in self.kinds)

    @property
    def exactly_once(self) -> bool:
        """Is every record that was sent in the log once, as far as it was acknowledged, and known by its contents?"""
        return self.held and not self.unchecked and not any(found.promise in GRAVE for found in self.findings)

    @property
    def equals(self) -> tuple[str, ...]:
        """What can't be judged, without how many there are: equal in two runs that sent the same contents more than once."""
        return tuple([text.lstrip("0123456789 ").partition(")")[0] for text in self.unchecked])

    def count(self, name: str) -> int:
        """The sum of one of `eventlog.check.Counts`: `sent`, `acknowledged`, `failed`, `duplicated`, `lost` ..."""
        return sum(getattr(each.verdict.counts, name) for each in self.kinds)

    def sentence(self) -> str:
        """All of it in one sentence."""
        sent, acknowledged, failed = self.count("sent"), self.count("acknowledged"), self.count("failed")
        duplicated, lost = self.count("duplicated"), self.count("lost")
        numbers = f"{sent} sent, {acknowledged} acknowledged, {failed} failed, {duplicated} duplicated, {lost} lost"
        begin = "Held" if self.held else "BROKEN"
        excused = sum(found.status == EXCUSED for found in self.findings)
        beyond = sum(found.status == NOT_PROMISED for found in self.findings)
        more = [f"{excused} excused"] if excused else []
        more += [f"{beyond} never promised"] if beyond else []
        more += [f"not checkable: {len(self.unchecked)}"] if self.unchecked else []
        return f"{begin}: {'; '.join([numbers, *more])}."

    def report(self) -> str:
        """The sentence, who was judged as what, the findings, and what can't be judged."""
        lines = [self.sentence()]
        for each in self.kinds:
            how = "recorded" if each.is_recorded else "seen at the door"
            lines.append(f"  {', '.join(each.producers)} ({each.kind}; {how}): {each.verdict.sentence()}")
        lines += [f"  {number}. {found}" for number, found in enumerate(self.findings[:MOST_SHOWN], 1)]
        if len(self.findings) > MOST_SHOWN:
            lines.append(f"  and {len(self.findings) - MOST_SHOWN} more findings")
        lines += [f"  not checkable: {text}" for text in self.unchecked[:MOST_SHOWN]]
        if len(self.unchecked) > MOST_SHOWN:
            lines.append(f"  not checkable: {len(self.unchecked) - MOST_SHOWN} more")
        return "\n".join([*lines, *[f"  note: {text}" for text in self.notes]])

    def __str__(self) -> str:
        return self.report()

    def __repr__(self) -> str:
        return f"<ClientsVerdict: {self.sentence()}>"

    def as_dict(self) -> dict[str, Any]:
        """All of it as what `json.dumps` takes."""
        return {
            "held": self.held,
            "exactly_once": self.exactly_once,
            "sentence": self.sentence(),
            "findings": [found._asdict() for found in self.findings],
            "unchecked": list(self.unchecked),
            "notes": list(self.notes),
            "kinds": [
                {"kind": str(each.kind), "producers": list(each.producers), **each.verdict.counts._asdict()}
                for each in self.kinds
            ],
        }

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return mimebundle(self)
