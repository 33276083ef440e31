"""The museum's list, and one exhibit as a story: what happens with the mistake, and the same run without it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from eventlog.exploring import told
from eventlog.museum.exhibit import Exhibit
from eventlog.museum.gallery import HOME, WAITING, find_exhibit
from eventlog.scenarios import TOPIC, Played, Scenario, play_on, stage
from eventlog.views import Film, Ladder, diff, ladder, watch

_PARTITION: Final = re.compile(rf"{TOPIC}-(\d+)")


def tell_list(exhibits: dict[str, Exhibit]) -> str:
    """All exhibits, a line each, and who waits."""
    width = max([len(name) for name in exhibits])
    lines = [
        f"{exhibit.number or '':>3}  {name:<{width}}  {exhibit.breaks:<4} {exhibit.title}"
        for name, exhibit in exhibits.items()
    ]
    lines += ["", "not shown yet:", *[f"{number:>3}  {what}" for number, what in WAITING.items()]]
    return "\n".join(lines)


class Told(NamedTuple):
    """A run, and the film of it."""

    played: Played
    film: Film

    @property
    def picture(self) -> Ladder:
        """What happened, about the partition that its last fault names."""
        named = [partition for deviation in self.played.deviations for partition in _PARTITION.findall(deviation.event)]
        about = (TOPIC, int(named[-1] if named else 0))
        return ladder(self.film, self.played.stage.first_event, about=about)


def _runs(exhibit: Exhibit) -> tuple[Told, Told]:
    """With the mistake, and without."""
    with exhibit.planted():
        before = _run(exhibit.scenario, exhibit)
    return before, _run(exhibit.cured, exhibit)


def _run(scenario: Scenario, exhibit: Exhibit) -> Told:
    built = stage(scenario)
    film = watch(built.cluster)
    return Told(play_on(built, exhibit.shortest or ()), film)


def _side_by_side(before: Told, after: Told, display: str = "all") -> Ladder:
    return diff(before.picture, after.picture, ("with the mistake", "without it"), display=display)


def show(wanted: str, package: str = HOME, display: str = "all") -> Ladder:
    """The run with the mistake beside the same run without it: a picture for a notebook, or a page (`to_html`). Raises
    RequestError for an exhibit that isn't there."""
    return _side_by_side(*_runs(find_exhibit(wanted, package)), display)


def tell(exhibit: Exhibit) -> str:
    """One exhibit: its story, its shortest plan, and the run of it before and after the mistake is mended."""
    number = f"{exhibit.number}. " if exhibit.number else ""
    plan = exhibit.shortest or ()
    filmed = _runs(exhibit)
    before, after = (told.played for told in filmed)
    broken = exhibit.failure(before)
    lines = [
        f"{number}{exhibit.title} ({exhibit.name})",
        "",
        exhibit.story,
        "",
        f"  mistake    {exhibit.mistake}",
        f"  breaks     {exhibit.breaks}",
        f"  reference  {exhibit.reference}",
        f"  planted    {exhibit.plant or 'not at all: Kafka or its client does so of itself, a setting mends it'}",
        *[f"  {number}. {told(deviation)}" for number, deviation in enumerate(plan, 1)],
    ]
    if not plan:
        lines.append("  no fault is needed")
    lines += [
        "",
        f"with the mistake: {broken or 'nothing'} is broken",
        _first_line(before),
        _ladder(before),
        "",
        f"without it: {exhibit.failure(after) or 'nothing'} is broken",
        _ladder(after),
        "",
        _side_by_side(*filmed).note,
        "",
        before.literal,
    ]
    return "\n".join(lines)


def _first_line(played: Played) -> str:
    return f"  {played.message.splitlines()[0]}" if played.message else "  (the table of promises excuses it)"


def _ladder(played: Played) -> str:
    return played.stage.cluster.story(start=played.stage.first_event)
