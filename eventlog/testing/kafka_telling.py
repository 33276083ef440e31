"""What a chaos test of real clients says of a failure, on one screen."""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from eventlog.check import NOT_PROMISED
from eventlog.check.promises import LEADER_MOVED
from eventlog.sim.faults import Deviation
from eventlog.testing.advice import advice_for
from eventlog.testing.drawing import SCREEN_COLUMNS, cut, shortened
from eventlog.testing.kafka_run import ClientsFailed, KafkaRan, SentAgain
from eventlog.testing.telling import (
    LEAST_PICTURE_LINES,
    MOST_FAULTS,
    SCREEN_LINES,
    told_command,
    told_raised,
    with_kind,
)
from eventlog.values import FAULTS

MOST_VERDICT_LINES: Final = 3


def tell_kafka_failure(
    test: str, ran: KafkaRan, how: str, seed: int, literal: str, command: str, is_confirmed: bool
) -> str:
    """The whole failure: what, by which faults, what came to the door, the verdict, what to do, how to see it again."""
    said = wrap(f"{test} fails ({how}; seed {seed})", SCREEN_COLUMNS)
    what = [*said, "", *told_raised(ran.error, what_failed(ran))]
    takes = [
        line for number, known in enumerate(ran.deviations[:MOST_FAULTS], 1) for line in _told_fault(number, known, ran)
    ]
    what += ["", "What it takes:", *takes] if takes else ["", "It takes no fault at all: it fails by itself."]
    end = ["", f"The checker: {ran.verdict.sentence()}"] if ran.verdict is not None else []
    end += ["", "What to do:", *[f"  {text}" for text in advice_for(_fixes(ran, is_confirmed))]]
    end += ["See it again:", *[f"  {line}" for line in told_command(command, literal, "kafka_chaos_test")]]
    room = max(LEAST_PICTURE_LINES, SCREEN_LINES - len(what) - len(end) - 2)
    came = [cut(str(line)) for line in shortened(list(ran.lines), room)] or ["  (nothing)"]
    return "\n".join([*what, "", "What came to the door (ms):", *came, *end])


def what_failed(ran: KafkaRan) -> str:
    """The error in one line."""
    error = ran.error
    if isinstance(error, ClientsFailed | SentAgain):
        return str(error)
    return with_kind(error, str(error))


def _told_fault(number: int, known: Deviation, ran: KafkaRan) -> list[str]:
    said = wrap(f"{known.fault}: {FAULTS[known.fault].what}", SCREEN_COLUMNS - 5)
    struck = ran.struck.get(known)
    where = f'at the event "{known.event}", time {known.occurrence}: ' + (
        f"struck {struck}" if struck else "did not apply in this run"
    )
    first, *rest = [*said, where]
    return [f"  {number}. {first}", *[f"     {line}" for line in rest]]


def _fixes(ran: KafkaRan, is_confirmed: bool) -> list[str]:
    """The names under which advice is looked up, the most telling first."""
    names = [] if is_confirmed else ["not confirmed"]
    if isinstance(ran.error, SentAgain):
        return [*names, "sent again to a real broker"]
    found = ran.error.found if isinstance(ran.error, ClientsFailed) else ran.verdict.findings if ran.verdict else ()
    for each in found:
        if each.status == NOT_PROMISED and each.promise in ("H2", "H3"):
            names.append("a plain client wrote twice")
        elif each.status == NOT_PROMISED or each.cause == LEADER_MOVED:
            names.append("weak acks lost it")
        elif each.promise in ("R1", "R2"):
            names.append("a reader went astray")
        elif isinstance(ran.error, ClientsFailed):
            names.append("a real client's promise is broken")
    return names or [f"real {known.fault}" for known in ran.deviations] or ["no fault with real clients"]
