"""Faults said in words that need no run to exist: "at the second answer to a produce, the answer is lost".

A `Deviation` names an event of one run; whoever draws faults beside other inputs can't know the events yet. So a
`PlannedFault` counts moments of a kind, and becomes a deviation when its moment comes. Taking one out of a plan leaves
the meaning of the others alone, and the repr of a plan is code.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from eventlog.cluster import Cluster
from eventlog.errors import RequestError
from eventlog.messages import Frozen
from eventlog.sim.choices import Options
from eventlog.sim.faults import (
    CLIENT_REPLY,
    CLIENT_REQUEST,
    FOLLOWER_FETCH,
    FOLLOWER_REPLY,
    PRODUCE_REPLY,
    PRODUCE_REQUEST,
    Deviation,
)
from eventlog.sim.targets import Offer
from eventlog.testing.fault_groups import CLIENT_CRASH
from eventlog.values import FAULTS, check_fault_names

MOMENTS: Final[dict[str, tuple[str, ...]]] = {
    "produce": PRODUCE_REQUEST,
    "answer to a produce": PRODUCE_REPLY,
    "replication": FOLLOWER_FETCH,
    "answer to a replication": FOLLOWER_REPLY,
    "other request": CLIENT_REQUEST,
    "answer to another request": CLIENT_REPLY,
    "crash point": (CLIENT_CRASH,),
}
"""The kinds of events that a fault can strike, and the faults that fit each. "Other" are a client's questions for
metadata, offsets, a producer id, and a consumer's fetches. Crash points are the user's own (`maybe_crash`), and only a
chaos run asks about them."""

_MOMENT_OF: Final = {faults: moment for moment, faults in MOMENTS.items()}

MILD_TO_SEVERE: Final[tuple[str, ...]] = (
    "delay",
    "slow_follower",
    "metadata_delay",
    "clog",
    "client_timeout",
    "disconnect",
    "reply_lost",
    "request_lost",
    "error_after_append",
    "append_fails",
    "isr_expand",
    "isr_shrink",
    "stuck_fetcher",
    "election",
    "clean_restart",
    "cut_one_way",
    "cut",
    "pause",
    "controller_paused",
    "controller_isolated",
    "isolate",
    "split",
    "crash",
    "snapshot_old",
    "snapshot_corrupt",
    "snapshot_lost",
    "crash_losing_tail",
    "power_cut",
    "crash_wiped",
    "reply_duplicated",
    "request_duplicated",
    "request_reordered",
    "log_start_moved",
    "unclean_election",
)
"""Every fault, from what a network does every day to declared loss."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """`fault` at the `nth` event of the kind `at`, or at the first one after it where it can happen.

    `at` "": whatever the fault fits. `who`: only this client's or broker's requests, and the answers to them. `pick`
    chooses among several whom the fault could strike.
    """

    fault: str
    nth: int = 1
    at: str = ""
    who: str = ""
    pick: int = 0

    def __post_init__(self) -> None:
        if self.fault != CLIENT_CRASH:
            check_fault_names((self.fault,))
        if self.at not in ("", *moments_of(self.fault)):
            raise RequestError(
                f"{self.fault} does not happen at {self.at!r}; it does at: {', '.join(moments_of(self.fault))}"
            )
        if isinstance(self.nth, bool) or not isinstance(self.nth, int) or self.nth < 1:
            raise RequestError(f"nth counts from 1, so it can't be {self.nth!r}")
        if isinstance(self.pick, bool) or not isinstance(self.pick, int) or self.pick < 0:
            raise RequestError(f"pick must be 0 or more, not {self.pick!r}")

    def __repr__(self) -> str:
        said = [repr(self.fault)]
        said += [repr(self.nth)] if self.nth != 1 else []
        said += [f"{name}={value!r}" for name, value in (("at", self.at), ("who", self.who)) if value]
        said += [f"pick={self.pick}"] if self.pick else []
        return f"PlannedFault({', '.join(said)})"


def moments_of(fault: str) -> tuple[str, ...]:
    """The kinds of events where this fault can happen."""
    return tuple([moment for moment, faults in MOMENTS.items() if fault in faults])


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes wrong in one run: `Plan()` is a run without faults. The order of the faults says nothing.

    ```python
    plan = Plan((PlannedFault("reply_lost", 2), PlannedFault("crash", at="answer to a produce")))
    with plan.cluster(brokers=3) as cluster:
        ...
    ```
    """

    faults: tuple[PlannedFault, ...] = ()

    def __post_init__(self) -> None:
        for fault in self.faults:
            if not isinstance(fault, PlannedFault):
                raise RequestError(f"a plan is made of PlannedFault(...)s, not {fault!r}")

    def __repr__(self) -> str:
        return f"Plan({self.faults!r})" if self.faults else "Plan()"

    def cluster(self, brokers: int = 3, **settings: Any) -> Cluster:
        """A new cluster in which this goes wrong."""
        cluster = Cluster(brokers, **settings)
        self.follow(cluster)
        return cluster

    def follow(self, cluster: Cluster) -> Following:
        """From now on this goes wrong in `cluster`. Ask what is returned which faults have not applied."""
        following = Following(self)
        answer_with(cluster, following)
        return following


class Following:
    """Answers the world's question by a plan. `unused`: the planned faults whose moment has not come."""

    __slots__ = ("_counts", "_left", "_struck", "plan")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._left = list(plan.faults)
        # How often the moment of each planned fault has come.
        self._counts: dict[tuple[str, str], int] = {}
        # Messages that were struck: what is only late comes a second time, and counts once.
        self._struck: dict[Frozen, None] = {}

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        if not self._left:
            return None
        moment = _MOMENT_OF[faults]
        asker = event.removeprefix("answer: ")
        message = options.envelope[:4] if isinstance(options, Offer) else None
        is_new = message is None or message not in self._struck
        came: dict[tuple[str, str], int] = {}
        found: Deviation | None = None
        for planned in list(self._left):
            if planned.fault not in faults or planned.at not in ("", moment):
                continue
            if planned.who and not asker.startswith(f"{planned.who} "):
                continue
            counted = (planned.at or planned.fault, planned.who)
            if counted not in came:
                came[counted] = self._counts[counted] = self._counts.get(counted, 0) + is_new
            if found is None and came[counted] >= planned.nth:
                target = options.find_target(planned.fault, event, occurrence, planned.pick)
                if target is not None:
                    self._left.remove(planned)
                    if message is not None:
                        self._struck[message] = None
                    found = Deviation(event, occurrence, planned.fault, target, usual_duration_ms(planned.fault))
        return found

    @property
    def unused(self) -> tuple[PlannedFault, ...]:
        return tuple(self._left)

    def freeze(self) -> Frozen:
        return ("Following", self.plan, tuple(self._left), tuple(self._counts.items()))


def usual_duration_ms(fault: str) -> int:
    """How long a fault lasts when nobody says."""
    return FAULTS[fault].default_duration_ms if fault in FAULTS else 0


def answer_with(cluster: Cluster, answerer: Any) -> None:
    """From now on `answerer` says what goes wrong in `cluster`."""
    cluster._open_world().answerer = answerer


def plan_of(faults: Iterable[PlannedFault]) -> Plan:
    """A plan, mild faults first, so that equal plans are equal values."""
    return Plan(tuple(sorted(faults, key=lambda each: (MILD_TO_SEVERE.index(each.fault), each.nth, each.at, each.who))))
