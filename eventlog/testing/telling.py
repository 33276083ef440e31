"""What a chaos test says: a failure on one screen, and what was seen when all went well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from linecache import getline
from pathlib import Path
from shlex import quote
from textwrap import wrap
from typing import Final

from eventlog.errors import FatalError, InvariantViolation, RetriableError, UnknownOutcomeError
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import FORMAT, read_literal
from eventlog.testing.advice import advice_for
from eventlog.testing.chaos_run import CRASH_POINT, PromiseBroken, Ran, places_of
from eventlog.testing.drawing import SCREEN_COLUMNS, cut, picture
from eventlog.testing.fault_groups import CLIENT_CRASH
from eventlog.testing.oracles import OracleFailure
from eventlog.values import FAULTS

SCREEN_LINES: Final = 40
LEAST_PICTURE_LINES: Final = 6
MOST_ERROR_LINES: Final = 6
MOST_PLACES: Final = 3
MOST_FAULTS: Final = 5
SPECIAL_TO_SHELLS: Final = '"$`\\!'


class Seen:
    """What happened in the runs of one test, counted."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
        self.planned_by = "a replay"
        self.runs = 0
        self.unused = 0
        self.in_runs: dict[str, int] = {}

    def count(self, ran: Ran, unused: Iterable[Deviation] = ()) -> None:
        recorder = ran.cluster.recorder
        happened = {
            "failover": recorder.failovers,
            "duplicate recognised": recorder.duplicates_recognised,
            "process died": ran.cluster.deaths,
            **{known.fault: True for known in ran.deviations if known.fault != CLIENT_CRASH},
        }
        self.add(happened, unused)

    def add(self, happened: Mapping[str, object], unused: Iterable[Deviation] = ()) -> None:
        """One more run, and how often what happened in it."""
        self.runs += 1
        self.unused += sum(1 for _ in unused)
        for what, how_often in happened.items():
            if how_often:
                self.in_runs[what] = self.in_runs.get(what, 0) + 1

    def sentence(self) -> str:
        """`200 runs held: failover in 37, duplicate recognised in 61; never: cut`."""
        held = f"{self.runs} run{'s' if self.runs > 1 else ''} held"
        found = ", ".join([f"{what} in {count}" for what, count in self.in_runs.items()])
        never = [kind for kind in self.kinds if kind not in self.in_runs and kind != CLIENT_CRASH]
        if CLIENT_CRASH in self.kinds and "process died" not in self.in_runs:
            never.append("process died (was maybe_crash reached inside supervise?)")
        ending = f"; never: {', '.join(never)}" if never else ""
        ending += f"; {self.unused} faults of {self.planned_by} did not apply" if self.unused else ""
        return f"{held}: {found or 'nothing went wrong'}{ending}"


def tell_failure(test: str, ran: Ran, how: str, seed: int, literal: str, command: str) -> str:
    """The whole failure, on one screen."""
    what = [f"{test} fails ({how}; seed {seed})", "", *told_error(ran)]
    takes = told_faults(ran.deviations)
    what += ["", "What it takes:", *takes] if takes else ["", "It takes no fault at all: it fails by itself."]
    end = ["", "What to do:", *[f"  {text}" for text in advice_for(what_to_do(ran))]]
    end += ["See it again:", *[f"  {line}" for line in told_command(command, literal)]]
    room = max(LEAST_PICTURE_LINES, SCREEN_LINES - len(what) - len(end) - 2)
    happened = picture(ran.cluster, room) or ["  (nothing between a client and a broker)"]
    return "\n".join([*what, "", "What happened (ms):", *happened, *end])


def told_error(ran: Ran) -> list[str]:
    """What was raised, and through which places of the user's code it came, the innermost last."""
    error = ran.error
    assert error is not None
    said = error.what if isinstance(error, OracleFailure) else str(error)
    if isinstance(error, InvariantViolation):
        said = said.partition("\n")[0]
    return told_raised(error, with_kind(error, said))


def with_kind(error: BaseException | None, said: str) -> str:
    """What an error says, behind its kind; without that where it is plain that a test failed."""
    kind = type(error).__name__
    return f"{kind}: {said}" if kind not in ("AssertionError", "Failed") else said or kind


def told_raised(error: BaseException | None, text: str) -> list[str]:
    """`text` of an error, and the places of the user's code through which it came, the innermost last."""
    lines = [line for part in text.splitlines() for line in wrap(part, SCREEN_COLUMNS, subsequent_indent="  ")]
    lines = lines[:MOST_ERROR_LINES] + ["..."] * (len(lines) > MOST_ERROR_LINES)
    here = Path.cwd()
    places = [
        place for place in (places_of(error) if error is not None else []) if "asyncio" not in Path(place[0]).parts
    ]
    told = places[-MOST_PLACES:]
    own = [place for place in places if "site-packages" not in Path(place[0]).parts]
    if own and own[-1] not in told:
        told = [own[-1], *told[1:]]
    for file, line, function in told:
        path = Path(file)
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        code = getline(file, line).strip()
        lines.append(cut(f"  at {shown}:{line} in {function}" + (f": {code}" if code else "")))
    return lines


def told_faults(deviations: tuple[Deviation, ...]) -> list[str]:
    """Each fault in a few lines: what, where, at which event."""
    lines = []
    for number, known in enumerate(deviations[:MOST_FAULTS], 1):
        first, *rest = lines_of(known)
        lines += [f"  {number}. {first}", *[f"     {line}" for line in rest]]
    more = len(deviations) - MOST_FAULTS
    return [*lines, f"  and {more} more faults"] if more > 0 else lines


def lines_of(deviation: Deviation) -> list[str]:
    """A fault in sentences: what, where, at which event."""
    event, occurrence, fault, target, duration_ms = deviation
    time = f" (time {occurrence})" if occurrence > 1 else ""
    if event.startswith(CRASH_POINT):
        return [f"{CLIENT_CRASH}: the process dies at {event}{time}"]
    lasts = f" for {duration_ms} ms" if duration_ms > 0 else ""
    said = wrap(f"{fault} on {target}{lasts}: {FAULTS[fault].what}", SCREEN_COLUMNS - 5)
    return [*said, f'at the event "{event}"{time}']


def told_command(command: str, literal: str, decorator: str = "chaos_test") -> list[str]:
    """What repeats the run, for a shell; by hand where there is no command."""
    if not command:
        return [f"@{decorator}(..., replay={literal!r})"]
    in_one_line = f'{command} --eventlog-replay="{literal}"'
    if any(sign in literal for sign in SPECIAL_TO_SHELLS):
        return [f"{command} --eventlog-replay={quote(literal)}"]
    if len(in_one_line) < SCREEN_COLUMNS:
        return [in_one_line]
    scenario, deviations = read_literal(literal)
    return [
        f"{command} \\",
        f"--eventlog-replay=\"{{'eventlog': {FORMAT},",
        f"  'scenario': {scenario!r},",
        "  'deviations': [",
        *[f"    {tuple(known)!r}," for known in deviations],
        '  ]}"',
    ]


def what_to_do(ran: Ran) -> tuple[str, ...]:
    """The names under which advice is looked up: the error's own fix first, then what the faults teach."""
    error = ran.error
    if isinstance(error, OracleFailure):
        return (error.fix,)
    kinds = tuple(dict.fromkeys([known.fault for known in ran.deviations]))
    for kind in (PromiseBroken, InvariantViolation, UnknownOutcomeError, RetriableError, FatalError):
        if isinstance(error, kind):
            return (kind.__name__, *kinds[:1])
    return kinds[:3] or ("no fault",)


def tell_unrepeatable(test: str, one: list[str], other: list[str]) -> str:
    """Where two runs that should be equal part."""
    number = next(number for number, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1])
    lines = [f"{test} behaves differently in two identical runs (no fault is the reason):", ""]
    lines += [f"  both    {cut(line)}" for line in one[max(0, number - 3) : number]]
    for name, run in (("first ", one), ("second", other)):
        lines.append(f"  {name}  {cut(run[number]) if number < len(run) else '(nothing more)'}")
    return "\n".join([*lines, "", "What to do:", *[f"  {text}" for text in advice_for(("unrepeatable",))]])
