"""Which faults a chaos test of real clients has, at which events, and which runs it makes of them in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Final

from eventlog.errors import RequestError
from eventlog.sim.faults import Deviation
from eventlog.testing.fault_groups import FAULT_GROUPS
from eventlog.values import FAULTS
from eventlog.values.chance import chance, draw

ANSWER: Final = "answer: "
"""Before an event: its request was served, and the answer has not left."""

OFFERS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "Produce": {
        "": ("request_lost", "append_fails", "crash", "election", "clean_restart"),
        ANSWER: (*("reply_lost", "error_after_append", "crash", "election", "disconnect", "delay", "clean_restart"),),
    },
    "InitProducerId": {"": ("request_lost",), ANSWER: ("reply_lost", "disconnect", "delay")},
    "OffsetCommit": {"": ("request_lost",), ANSWER: ("reply_lost", "disconnect", "delay")},
    "Fetch": {"": ("request_lost", "crash", "election"), ANSWER: ("reply_lost", "disconnect", "delay")},
}
"""What can strike a request of an API before it is served, and behind that. The order is that of trying."""

AT_THE_DOOR: Final[tuple[str, ...]] = tuple(
    [name for name in FAULTS if any(name in names for moments in OFFERS.values() for names in moments.values())]
)
"""All faults that a chaos test of real clients has."""


def faults_at_the_door(names: Iterable[str] | str | None) -> tuple[str, ...]:
    """The faults that `names` stand for, of those that a door has. None: all of these.

    Raises RequestError for a name that is none, or stands for nothing here.
    """
    if names is None:
        return AT_THE_DOOR
    wanted: dict[str, None] = {}
    for name in names.split(",") if isinstance(names, str) else names:
        meant = FAULT_GROUPS.get(name, (name,)) if isinstance(name, str) else ()
        here = [fault for fault in meant if fault in AT_THE_DOOR]
        if not here:
            groups = [group for group, members in FAULT_GROUPS.items() if any(each in AT_THE_DOOR for each in members)]
            known = (
                "is for clusters in virtual time (@chaos_test)"
                if name in FAULTS or name in FAULT_GROUPS
                else "is unknown"
            )
            raise RequestError(
                f"the fault {name!r} {known}; for real clients the groups are: {', '.join(groups)}; the faults: "
                f"{', '.join(AT_THE_DOOR)}"
            )
        wanted.update(dict.fromkeys(here))
    return tuple([name for name in AT_THE_DOOR if name in wanted])


def offers(came: Mapping[str, int], kinds: tuple[str, ...], seed: int) -> list[Deviation]:
    """All that could have struck once in a run in which these events came so often: of each kind the first time, in the
    order of the table, then other times by luck."""
    first: list[tuple[int, int, int, Deviation]] = []
    later: list[Deviation] = []
    apis = list(OFFERS)
    seen: dict[str, int] = {}
    for event, times in came.items():
        api = event.partition(" ")[0]
        place = seen[api] = seen.get(api, 0) + 1
        for moment, names in OFFERS[api].items():
            for name in names:
                if name in kinds:
                    # Behind the answer comes first: there a client does not know what became of its request.
                    rank = 2 * names.index(name) + (0 if moment else 1)
                    first.append((place, apis.index(api), rank, Deviation(moment + event, 1, name, "", 0)))
                    later += [Deviation(moment + event, nth, name, "", 0) for nth in range(2, times + 1)]
    first.sort(key=lambda offer: offer[:3])
    later.sort(key=lambda known: _luck(seed, known))
    return [known for *_, known in first] + later


def _luck(seed: int, known: Deviation, run: str = "") -> int:
    return chance(seed, f"{run} {known.event} {known.occurrence} {known.fault}")


def plans(
    came: Mapping[str, int], kinds: tuple[str, ...], seed: int, max_deviations: int
) -> Iterator[tuple[Deviation, ...]]:
    """Plans to try: two in three have one fault, in the order of `offers`; the third has two or more, by luck. Ends when
    every single one was tried."""
    known = offers(came, kinds, seed)
    singly = iter(known)
    for number in count(1):
        if number % 3 or max_deviations == 1 or len(known) < 2:
            following = next(singly, None)
            if following is None:
                return
            yield (following,)
        else:
            many = min(2 + draw(seed, f"run {number} how many", max_deviations - 1), len(known))
            ranked = sorted([(_luck(seed, each, f"run {number}"), each) for each in known])
            # One event has one fault.
            chosen = {(each.event, each.occurrence): each for _, each in reversed(ranked[:many])}
            yield tuple(sorted(chosen.values()))
