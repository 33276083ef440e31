"""The museum's list, and one exhibit as a story: what happens with the mistake, and the same run without it."""

from __future__ import annotations

from eventlog.exploring import told
from eventlog.museum.exhibit import Exhibit
from eventlog.museum.gallery import WAITING
from eventlog.scenarios import Played


def tell_list(exhibits: dict[str, Exhibit]) -> str:
    """All exhibits, a line each, and who waits."""
    width = max([len(name) for name in exhibits])
    lines = [
        f"{exhibit.number or '':>3}  {name:<{width}}  {exhibit.breaks:<4} {exhibit.title}"
        for name, exhibit in exhibits.items()
    ]
    lines += ["", "not shown yet:", *[f"{number:>3}  {what}" for number, what in WAITING.items()]]
    return "\n".join(lines)


def tell(exhibit: Exhibit) -> str:
    """One exhibit: its story, its shortest plan, and the run of it before and after the mistake is mended."""
    number = f"{exhibit.number}. " if exhibit.number else ""
    plan = exhibit.shortest or ()
    before, after = exhibit.play(plan), exhibit.play_cured(plan)
    broken = exhibit.failure(before)
    lines = [
        f"{number}{exhibit.title} ({exhibit.name})",
        "",
        exhibit.story,
        "",
        f"  mistake    {exhibit.mistake}",
        f"  breaks     {exhibit.breaks}",
        f"  reference  {exhibit.reference}",
        f"  planted    {exhibit.plant or 'not at all: these are rules of Kafka itself, a setting mends them'}",
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
        before.literal,
    ]
    return "\n".join(lines)


def _first_line(played: Played) -> str:
    return f"  {played.message.splitlines()[0]}" if played.message else "  (the table of promises excuses it)"


def _ladder(played: Played) -> str:
    return played.stage.cluster.story(start=played.stage.first_event)
