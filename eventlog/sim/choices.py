"""The one door for chance: who answers the world's question "what happens here?".

The world asks at every event that a fault could replace: it gives the event's name, its occurrence, and the faults that
fit it, in a fixed order. None is the benign answer. A world without an answerer never asks, and pays nothing.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from eventlog.messages import Frozen
from eventlog.sim.faults import Deviation, FaultPlan
from eventlog.values import FAULTS, chance

ANYBODY: Final = ""
"""A deviation's target that the replay fills in: whomever the fault would strike there."""

IN_TURN: Final = ("election", "error_after_append", "isr_shrink", "log_start_moved")
"""Faults that luck may aim at several at one event, one after the other; for a split it is a coin for each."""
MOST_TARGETS: Final = 4
"""So many of those that a fault could strike at one event are told apart."""


class Options(Protocol):
    """What the world offers at a question, listed only when somebody wants to know."""

    def find_target(self, fault: str, event: str, occurrence: int, luck: int) -> str | None:
        """Whom `fault` would strike here, by `luck` where there are several; None when it can't happen now."""
        ...


class Answerer(Protocol):
    """Who answers."""

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None: ...

    def freeze(self) -> Frozen: ...


class Seeded:
    """Chance by name: the answer depends on the seed, the event's name and occurrence, and what the budgets still allow."""

    __slots__ = ("_tables", "budgets", "plan", "seed")

    def __init__(self, seed: int, plan: FaultPlan) -> None:
        self.seed = seed
        self.plan = plan
        self.budgets = {name: rate.budget for name, rate in plan.rates}
        # For each kind of event: the sum of its rates, and where in it each fault begins.
        self._tables: dict[tuple[str, ...], tuple[int, tuple[tuple[int, str], ...]]] = {}

    def _table(self, faults: tuple[str, ...]) -> tuple[int, tuple[tuple[int, str], ...]]:
        rates = dict(self.plan.rates)
        total = 0
        steps = []
        for fault in faults:
            if fault in rates:
                total += rates[fault].per_million
                steps.append((total, fault))
        table = self._tables[faults] = (total, tuple(steps))
        return table

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        table = self._tables.get(faults) or self._table(faults)
        luck = chance(self.seed, event if occurrence == 1 else f"{event} #{occurrence}")
        drawn = luck % 1_000_000
        if drawn >= table[0]:
            return None
        fault = next(fault for below, fault in table[1] if drawn < below)
        if not self.budgets[fault]:
            return None
        target = options.find_target(fault, event, occurrence, luck >> 24)
        if target is None:
            return None
        self.budgets[fault] -= 1
        usual_ms = FAULTS[fault].default_duration_ms
        # From half to one and a half times the usual length.
        duration_ms = usual_ms // 2 + (luck >> 32) % (usual_ms + 1) if usual_ms else 0
        return Deviation(event, occurrence, fault, target, duration_ms)

    def freeze(self) -> Frozen:
        return ("Seeded", self.seed, self.plan, tuple(self.budgets.items()))


class Replay:
    """Answers from a list of deviations. `unused` are those whose event has not come, or where they didn't apply."""

    __slots__ = ("_planned", "_used", "deviations")

    def __init__(self, deviations: tuple[Deviation, ...]) -> None:
        self.deviations = deviations
        self._planned: dict[tuple[str, int], Deviation] = {
            (deviation.event, deviation.occurrence): deviation for deviation in deviations
        }
        self._used: dict[Deviation, None] = {}

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        planned = self._planned.get((event, occurrence))
        if planned is None or planned.fault not in faults:
            return None
        target = options.find_target(planned.fault, event, occurrence, 0)
        if target is None:
            return None
        self._used[planned] = None
        return planned if planned.target != ANYBODY else planned._replace(target=target)

    @property
    def unused(self) -> tuple[Deviation, ...]:
        return tuple([deviation for deviation in self.deviations if deviation not in self._used])

    def freeze(self) -> Frozen:
        return ("Replay", self.deviations, tuple(self._used))


def find_targets(fault: str, event: str, occurrence: int, options: Options) -> dict[str, None]:
    """Whom `fault` could strike here, `MOST_TARGETS` at most."""
    found: dict[str, None] = {}
    for luck in range(MOST_TARGETS):
        target = options.find_target(fault, event, occurrence, luck)
        if target is None or (target in found and fault != "split"):
            break
        found[target] = None
        if fault not in IN_TURN and fault != "split":
            break
    return found


class Watching:
    """Answers as `inner` does, and lists what else could have happened since its last deviation: `offers`, each of the
    `faults` that fits, on everybody it could strike, for as long as it usually lasts. `offered` counts all of the run."""

    __slots__ = ("faults", "inner", "offered", "offers")

    def __init__(self, inner: Answerer, faults: tuple[str, ...]) -> None:
        self.inner = inner
        self.faults = faults
        self.offers: list[Deviation] = []
        self.offered = 0

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        chosen = self.inner.answer(event, occurrence, faults, options)
        if chosen is not None:
            self.offers = []
            return chosen
        for fault in self.faults:
            if fault in faults:
                for target in find_targets(fault, event, occurrence, options):
                    self.offered += 1
                    self.offers.append(Deviation(event, occurrence, fault, target, FAULTS[fault].default_duration_ms))
        return None

    def freeze(self) -> Frozen:
        return ("Watching", self.inner.freeze(), self.faults, tuple(self.offers), self.offered)


class ByHand:
    """Faults that a user asked for, for the next produce they fit; everything else is left to `inner`."""

    __slots__ = ("inner", "taken", "wanted")

    def __init__(self, inner: Answerer | None) -> None:
        self.inner = inner
        # (fault, client or "" for any), in the order of asking.
        self.wanted: list[tuple[str, str]] = []
        self.taken: list[Deviation] = []

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        for index, (fault, client) in enumerate(self.wanted):
            who, _, what = event.removeprefix("answer: ").partition(" ")
            if fault in faults and what.startswith("produces") and client in ("", who):
                target = options.find_target(fault, event, occurrence, 0)
                if target is not None:
                    del self.wanted[index]
                    deviation = Deviation(event, occurrence, fault, target, 0)
                    self.taken.append(deviation)
                    return deviation
        return None if self.inner is None else self.inner.answer(event, occurrence, faults, options)

    def freeze(self) -> Frozen:
        inner = None if self.inner is None else self.inner.freeze()
        return ("ByHand", inner, tuple(self.wanted), tuple(self.taken))


def thaw_answerer(frozen: Any) -> Answerer | None:
    """The answerer that was frozen."""
    if frozen is None:
        return None
    if frozen[0] == "Seeded":
        _, seed, plan, budgets = frozen
        seeded = Seeded(seed, plan)
        seeded.budgets = dict(budgets)
        return seeded
    if frozen[0] == "ByHand":
        _, inner, wanted, taken = frozen
        by_hand = ByHand(thaw_answerer(inner))
        by_hand.wanted, by_hand.taken = list(wanted), list(taken)
        return by_hand
    if frozen[0] == "Watching":
        _, inner, faults, offers, offered = frozen
        watched = thaw_answerer(inner)
        assert watched is not None
        watching = Watching(watched, faults)
        watching.offers, watching.offered = list(offers), offered
        return watching
    _, deviations, used = frozen
    replay = Replay(deviations)
    replay._used = dict.fromkeys(used)
    return replay
