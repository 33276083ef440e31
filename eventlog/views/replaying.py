"""Going back in a run, and forking it: the same scenario or program, the same deviations, and one more.

A run is its deviations from the benign one. So any moment of it is had again by playing the real code up to there, and a
fork is a longer list of deviations, which prints as a literal. The past before a fork stays as it was, event for event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from eventlog.check import Verdict
from eventlog.cluster import Cluster
from eventlog.errors import InvariantViolation, RequestError
from eventlog.scenarios import HORIZON_MS, MOST_EVENTS, Scenario, scenario_of
from eventlog.sim.choices import MOST_TARGETS, Options, Replay
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal
from eventlog.sim.world import World
from eventlog.values import FAULTS
from eventlog.views.film import Film, watch
from eventlog.views.scripts import Begun, Enough, Program, Script, script_of, stop_at

PALETTE: Final = (
    "reply_lost",
    "request_lost",
    "crash",
    "election",
    "pause",
    "isolate",
    "cut",
    "disconnect",
    "isr_shrink",
)
"""What a fork offers by default, in this order."""

FOR_GOOD_MS: Final = -1
LASTING: Final = ("crash", "pause", "isolate", "cut", "cut_one_way", "slow_follower", "stuck_fetcher")
"""Faults that last until somebody heals them."""


class Offered(tuple[int, Deviation]):
    """(how long the trace was when it was asked, what could have happened there instead)."""

    __slots__ = ()


class _Listing:
    """Answers from a list, and keeps what else could have happened at each question."""

    def __init__(self, deviations: tuple[Deviation, ...], faults: tuple[str, ...]) -> None:
        self.inner = Replay(deviations)
        self.faults = faults
        self.offers: list[Offered] = []
        self.struck: dict[Deviation, int] = {}
        self.cluster: Cluster | None = None

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        chosen = self.inner.answer(event, occurrence, faults, options)
        assert self.cluster is not None
        if chosen is not None:
            self.struck[chosen] = self.cluster.now_ms
            return chosen
        seen_events = len(self.cluster.recorder.events)
        for fault in self.faults:
            if fault in faults:
                targets = [options.find_target(fault, event, occurrence, luck) for luck in range(MOST_TARGETS)]
                duration_ms = FOR_GOOD_MS if fault in LASTING else FAULTS[fault].default_duration_ms
                for target in dict.fromkeys(targets):
                    if target is not None:
                        self.offers.append(
                            Offered((seen_events, Deviation(event, occurrence, fault, target, duration_ms)))
                        )
        return None

    def freeze(self) -> tuple[object, ...]:
        return self.inner.freeze()


class Past:
    """One run of a scenario, or of a program on a new cluster, to its end, with every moment of it to go back to.

    A program is a function of the cluster; `settings` are those of its `Cluster`. `first` and `last` are the lengths of
    the trace between which one can go. `promise` is the first one broken, "" when all were held. Raises RequestError for
    deviations that don't apply.
    """

    __slots__ = (
        "_listing",
        "cluster",
        "deviations",
        "faults",
        "film",
        "first",
        "healed_from",
        "last",
        "message",
        "promise",
        "script",
        "verdict",
    )

    def __init__(
        self,
        played: Scenario | Program | Script,
        deviations: Iterable[Deviation] = (),
        faults: tuple[str, ...] = PALETTE,
        **settings: Any,
    ) -> None:
        self.script = script_of(played, settings)
        self.deviations = tuple([Deviation(*fields) for fields in deviations])
        self.faults = faults
        self._listing = _Listing(self.deviations, faults)
        begun, self.film = self._begin(self._listing)
        self.cluster = begun.cluster
        self.first = begun.first_event
        self.promise, self.message = "", ""
        self.verdict: Verdict | None = None
        self.healed_from = MOST_EVENTS + self.first
        try:
            ended = self._play(begun, None)
            self.verdict = self.cluster.check(literal=self.literal)
            self.message = f"{self.verdict.sentence()}{ended}"
            broken = [result for result in self.verdict.promises if result.status == "broken"]
            self.promise = broken[0].promise if broken else ""
        except InvariantViolation as violation:
            self.promise, self.message = violation.promise, str(violation)
        self.last = len(self.cluster.recorder.events)
        unused = self._listing.inner.unused
        if unused:
            raise RequestError(
                f"{len(unused)} of {len(self.deviations)} deviations no longer apply, the first is {tuple(unused[0])}"
            )

    @property
    def literal(self) -> str:
        """The run, for whoever can repeat it: `eventlog replay` for a scenario's, its program for a program's."""
        return self.script.literal(self.deviations)

    def _begin(self, listing: _Listing) -> tuple[Begun, Film]:
        begun = self.script.begin()
        film = watch(begun.cluster)
        listing.cluster = begun.cluster
        begun.cluster._world.answerer = listing
        return begun, film

    def _play(self, begun: Begun, until_events: int | None) -> str:
        """To the end, or until the trace has `until_events`: first as it comes, then with all faults undone. Returns what
        ended its program before its end, "" for nothing."""
        cluster, world = begun.cluster, begun.cluster._world
        ended = ""
        if until_events is not None:
            stop_at(world, until_events)
        try:
            try:
                begun.go_on()
            except InvariantViolation:
                raise
            except Exception as error:
                if not self.deviations:
                    raise
                ended = f" The program was ended by {type(error).__name__}: {error}"
            if until_events is None:
                self.healed_from = len(cluster.recorder.events)
            elif len(cluster.recorder.events) >= until_events:
                return ended
            world.answerer = None
            world.heal_all()
            until_ms = world.now_ms + HORIZON_MS
            while not cluster._has_recovered() and world.step(until_ms):
                pass
        except Enough:
            pass
        finally:
            world.__class__ = World
        return ended

    def at(self, seen_events: int) -> Cluster:
        """The cluster as it was when the trace had `seen_events` events: the real code, played up to there. Go on with it
        as you like; it is yours."""
        return self.film_at(seen_events).cluster

    def film_at(self, seen_events: int) -> Film:
        """The film up to there, of a cluster that stands there. Raises RequestError for a program that did something
        else this time."""
        self._check_moment(seen_events)
        begun, film = self._begin(_Listing(self.deviations, ()))
        self._play(begun, seen_events)
        again, known = begun.cluster.recorder.events[:seen_events], self.cluster.recorder.events
        if again != known[: len(again)]:
            place = next(place for place, event in enumerate(again) if event != known[place])
            raise RequestError(
                f"{self.script.name} does not do the same each time it is played: its event {place} was another. A program "
                "that is played again must not look at a clock, draw lots, or keep anything from one call to the next"
            )
        return film

    def _check_moment(self, seen_events: int) -> None:
        if not self.first <= seen_events <= self.last:
            raise RequestError(f"this run goes from event {self.first} to {self.last}, not to {seen_events}")

    def offers(self, seen_events: int) -> tuple[Deviation, ...]:
        """What could go wrong from there on: each fault on each target, at the first event that it fits."""
        self._check_moment(seen_events)
        found: dict[tuple[str, str], Deviation] = {}
        for at, deviation in self._listing.offers:
            if at >= seen_events:
                found.setdefault((deviation.fault, deviation.target), deviation)
        return tuple(sorted(found.values(), key=lambda deviation: self.faults.index(deviation.fault)))

    def standing(self, seen_events: int) -> tuple[Deviation, ...]:
        """The faults that last at that moment; none any more once the run has healed everything at its end."""
        if seen_events > self.healed_from:
            return ()
        now_ms = self._time(seen_events)
        return tuple(
            [
                deviation
                for deviation, at_ms in self._listing.struck.items()
                if deviation.fault in LASTING
                and at_ms <= now_ms
                and (deviation.duration_ms == FOR_GOOD_MS or at_ms + deviation.duration_ms > now_ms)
            ]
        )

    def _time(self, seen_events: int) -> int:
        self._check_moment(seen_events)
        return self.cluster.recorder.events[seen_events - 1][1]

    def fork(self, seen_events: int, deviation: Deviation | tuple[str, int, str, str, int]) -> Past:
        """The same run up to there, and then `deviation`. What this run deviated in later is left out.

        Raises RequestError when it can't happen after that moment.
        """
        wanted = Deviation(*deviation)
        known = [offered for at, offered in self._listing.offers if at >= seen_events and offered[:4] == wanted[:4]]
        self._check_moment(seen_events)
        if not known:
            raise RequestError(f"after event {seen_events} of this run there is no place for {tuple(wanted)}")
        return Past(self.script, (*self._before(seen_events), wanted), self.faults)

    def heal(self, seen_events: int) -> Past:
        """The same run up to there; then every fault that lasts is over, a millisecond later."""
        standing = self.standing(seen_events)
        if not standing:
            raise RequestError(f"at event {seen_events} of this run nothing is broken that could be healed")
        now_ms = self._time(seen_events)
        healed = [
            deviation._replace(duration_ms=now_ms + 1 - self._listing.struck[deviation])
            if deviation in standing
            else deviation
            for deviation in self._before(seen_events)
        ]
        return Past(self.script, healed, self.faults)

    def _before(self, seen_events: int) -> list[Deviation]:
        happened = [what for _, _, what in self.cluster.recorder.events[:seen_events] if isinstance(what, Deviation)]
        return [deviation for deviation in self.deviations if deviation in happened]

    def __repr__(self) -> str:
        ending = f"broken: {self.promise}" if self.promise else "all promises held"
        events = f"events {self.first} to {self.last}"
        return f"<Past: {self.script.name}, {len(self.deviations)} deviations, {events}, {ending}>"


def past_of(literal: str) -> Past:
    """The run that a literal of a scenario names. Raises RequestError for another literal, or one that does not apply."""
    scenario, deviations = read_literal(literal)
    return Past(scenario_of(scenario), deviations)
