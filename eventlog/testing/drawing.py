"""The picture of a run that fits a screen: a ladder of what is about its faults, of what stands near them, and of the end.

New leaders and the deaths of processes are lines of their own. Who has no part in what is shown has no column; where there
are still too many for a screen, sentences take the place of arrows.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from eventlog.messages import Envelope
from eventlog.messages.controller_api import FetchMetadataReply, PartitionRecord
from eventlog.sim.faults import Deviation
from eventlog.sim.recorder import Event
from eventlog.sim.state import START_MS
from eventlog.sim.trace import describe, is_of_the_story, ladder, story_actors
from eventlog.testing.mortal import MortalCluster
from eventlog.values import TopicPartition

SCREEN_COLUMNS: Final = 118
COLUMN: Final = 26
MOST_COLUMNS: Final = 4

Told = Event | str
"""An event, which the ladder draws, or a line of its own."""


def picture(cluster: MortalCluster, room: int) -> list[str]:
    """The ladder of a run, in at most `room` lines."""
    kept = shortened(list(_told(cluster)), room - 1)
    actors = story_actors([one for one in kept if not isinstance(one, str)])
    has_columns = 0 < len(actors) <= MOST_COLUMNS
    lines = ladder((), actors, START_MS, COLUMN).splitlines() if has_columns else []
    for is_line, part in groupby(kept, lambda one: isinstance(one, str)):
        if is_line:
            lines += [str(one) for one in part]
        elif has_columns:
            lines += ladder([one for one in part if not isinstance(one, str)], actors, START_MS, COLUMN).splitlines()[
                1:
            ]
        else:
            lines += [_stamped(int(one[1]), describe(one[2])) for one in part]
    return [cut(line) for line in lines]


def _told(cluster: MortalCluster) -> Iterator[tuple[bool, Told]]:
    """All that could be shown, in order; whether it is about what went wrong."""
    deaths = {count: _stamped(at_ms, f"THE PROCESS DIES at crash point {why}") for count, at_ms, why in cluster.deaths}
    leaders: dict[TopicPartition, tuple[int, int]] = {}
    events = cluster.recorder.events
    for number, event in enumerate(events):
        if number in deaths:
            yield True, deaths[number]
        what = event[2]
        if isinstance(what, Envelope) and isinstance(what.message, FetchMetadataReply):
            for record in what.message.records:
                if isinstance(record, PartitionRecord) and record.leader_id >= 0:
                    name, leader = record.topic_partition, (record.leader_epoch, record.leader_id)
                    before = leaders.get(name, leader)
                    if leader > before and leader[1] != before[1]:
                        yield True, _stamped(event[1], f"broker-{leader[1]} leads {name} from now on")
                    leaders[name] = max(leader, before)
        elif is_of_the_story(what):
            yield isinstance(what, Deviation), event
    if len(events) in deaths:
        yield True, deaths[len(events)]


def _stamped(at_ms: int, text: str) -> str:
    return f"{at_ms - START_MS:>8}  {text}"


def shortened(told: list[tuple[bool, Told]], room: int) -> list[Told]:
    """At most `room` of these: the important ones, then what stands near them or near the end; a line for each gap."""
    if len(told) <= room:
        return [one for _, one in told]
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
    lines: list[Told] = []
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
