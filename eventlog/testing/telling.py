"""What a chaos test says: a failure on one screen, and what was seen when all went well."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from textwrap import wrap
from typing import Final

from eventlog.errors import FatalError, InvariantViolation, RetriableError, UnknownOutcomeError
from eventlog.messages import Envelope
from eventlog.messages.controller_api import FetchMetadataReply, PartitionRecord
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Event
from eventlog.sim.state import START_MS
from eventlog.sim.trace import describe, is_of_the_story, ladder, story_actors
from eventlog.testing.advice import advice_for
from eventlog.testing.chaos_run import CRASH_POINT, PromiseBroken, Ran
from eventlog.testing.fault_groups import CLIENT_CRASH
from eventlog.testing.mortal import MortalCluster
from eventlog.testing.oracles import OracleFailure
from eventlog.values import FAULTS, TopicPartition

SCREEN_LINES: Final = 38
SCREEN_COLUMNS: Final = 118
COLUMN: Final = 26
MOST_COLUMNS: Final = 4
MOST_ERROR_LINES: Final = 8


class Seen:
    """What happened in the runs of one test, counted."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds
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
        return f"{held}: {found or 'nothing went wrong'}{ending}"


def tell_failure(test: str, ran: Ran, how: str, seed: int, literal: str, command: str) -> str:
    """The whole failure, on one screen."""
    error = ran.error
    assert error is not None
    assert ran.failure is not None
    kind, path, line = ran.failure
    what = [f"{test} fails ({how}; seed {seed})", ""]
    said = error.what if isinstance(error, OracleFailure) else str(error)
    if isinstance(error, InvariantViolation):
        said = said.partition("\n")[0]
    shown = (f"{kind}: {said}" if kind not in ("AssertionError", "Failed") else said or kind).splitlines()
    shown = [line for text in shown for line in wrap(text, SCREEN_COLUMNS, subsequent_indent="  ")]
    shown = shown[:MOST_ERROR_LINES] + ["..."] * (len(shown) > MOST_ERROR_LINES)
    what += [*shown, f"  at {path}:{line}"] if line else shown
    takes = [
        line
        for number, known in enumerate(ran.deviations, 1)
        for line in wrap(f"  {number}. {name_of(known)}", SCREEN_COLUMNS, subsequent_indent="     ")
    ]
    what += ["", "What it takes:", *takes] if takes else ["", "It takes no fault at all: it fails by itself."]
    end = ["", "What to do:"] + [f"  {text}" for text in advice_for(what_to_do(ran))]
    end += ["See it again:"]
    end += [f'  {command} --eventlog-replay="{literal}"'] if command and '"' not in literal else []
    end += [f"  @chaos_test(..., replay={literal!r})"] if len(end) and not command else []
    room = SCREEN_LINES - len(what) - len(end) - 2
    return "\n".join([*what, "", "What happened (ms):", *picture(ran.cluster, room - 1), *end])


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


def name_of(deviation: Deviation) -> str:
    """A fault as a sentence: what, where, at which event."""
    event, occurrence, fault, target, duration_ms = deviation
    time = f" (time {occurrence})" if occurrence > 1 else ""
    if event.startswith(CRASH_POINT):
        return f"{CLIENT_CRASH}: the process dies at {event}{time}"
    lasts = f" for {duration_ms} ms" if duration_ms > 0 else ""
    return f"{fault} on {target}{lasts}, at: {event}{time}: {FAULTS[fault].what}"


def picture(cluster: MortalCluster, room: int) -> list[str]:
    """The ladder of a run, at most `room` lines: what is about faults, what stands near it, and the end.

    New leaders and the deaths of processes are lines of their own; brokers to which nobody wrote have no column. Where
    there are too many for a screen, sentences take the place of arrows.
    """
    events = cluster.recorder.events
    drawn = [event for event in events if is_of_the_story(event[2]) and not _is_metadata(event)]
    actors = story_actors(drawn)
    deaths = {
        count: f"{at_ms - START_MS:>8}  THE PROCESS DIES at crash point {why}" for count, at_ms, why in cluster.deaths
    }
    leaders: dict[TopicPartition, tuple[int, int]] = {}
    told: list[tuple[bool, str]] = []
    part: list[Event] = []

    def draw() -> None:
        if len(actors) <= MOST_COLUMNS:
            lines = ladder(part, actors, START_MS, COLUMN).splitlines()[1:]
        else:
            lines = [f"{at_ms - START_MS:>8}  {describe(what)}" for _, at_ms, what in part]
        told.extend([(isinstance(event[2], Deviation), line) for event, line in zip(part, lines, strict=True)])
        part.clear()

    for number, event in enumerate([*events, None]):
        if number in deaths:
            draw()
            told.append((True, deaths[number]))
        if event is None:
            break
        if _is_metadata(event):
            for record in event[2].message.records:
                if isinstance(record, PartitionRecord) and record.leader_id >= 0:
                    name, leader = record.topic_partition, (record.leader_epoch, record.leader_id)
                    if name in leaders and leader[1] != leaders[name][1] and leader > leaders[name]:
                        draw()
                        told.append((True, f"{event[1] - START_MS:>8}  broker-{leader[1]} leads {name} from now on"))
                    leaders[name] = max(leader, leaders.get(name, leader))
        elif is_of_the_story(event[2]):
            part.append(event)
    draw()
    header = ladder((), actors, START_MS, COLUMN).splitlines() if 0 < len(actors) <= MOST_COLUMNS else []
    return [*header, *map(cut, shortened(told, room - len(header)))]


def _is_metadata(event: Event) -> bool:
    return isinstance(event[2], Envelope) and isinstance(event[2].message, FetchMetadataReply)


def shortened(told: list[tuple[bool, str]], room: int) -> list[str]:
    """At most `room` of these lines: the important ones, then what stands near them or near the end."""
    if len(told) <= room:
        return [line for _, line in told]
    important = [number for number, (is_important, _) in enumerate(told) if is_important]
    near: dict[int, None] = dict.fromkeys(important[-room // 2 :])
    for distance in range(1, len(told)):
        for number in [*[place + distance for place in important], *[place - distance for place in important]]:
            if 0 <= number < len(told):
                near[number] = None
        near[len(told) - distance] = None
        if _with_gaps(near) > room:
            break
    kept = list(near)
    while _with_gaps(dict.fromkeys(kept)) > room:
        kept.pop()
    lines = []
    before = -1
    for number in sorted(kept):
        if number > before + 1:
            lines.append(f"          ... {number - before - 1} more ...")
        lines.append(told[number][1])
        before = number
    return lines


def _with_gaps(kept: dict[int, None]) -> int:
    """How many lines these are, with one for each gap before one of them."""
    return len(kept) + sum(1 for number in kept if number and number - 1 not in kept)


def cut(line: str) -> str:
    """No longer than a screen is wide."""
    return line if len(line) <= SCREEN_COLUMNS else line[: SCREEN_COLUMNS - 3] + "..."


def tell_unrepeatable(test: str, one: list[str], other: list[str]) -> str:
    """Where two runs that should be equal part."""
    number = next(number for number, pair in enumerate(zip_longest(one, other)) if pair[0] != pair[1])
    lines = [f"{test} behaves differently in two identical runs (no fault is the reason):", ""]
    lines += [f"  both    {cut(line)}" for line in one[max(0, number - 3) : number]]
    for name, run in (("first ", one), ("second", other)):
        lines.append(f"  {name}  {cut(run[number]) if number < len(run) else '(nothing more)'}")
    return "\n".join([*lines, "", "What to do:", *[f"  {text}" for text in advice_for(("unrepeatable",))]])
