"""`@walks(20, faults=...)`: every example of a Hypothesis test is run some twenty times, each time with other faults.

```python
@given(values=st.lists(st.binary(), min_size=1))
@walks(20, faults={"reply_lost", "crash"})
def test_every_event_is_there_once(cluster, values):
    ...
```

Hypothesis draws and shrinks the inputs; the faults are found and shrunk here, because a schedule that is drawn choice
by choice costs a hundred times as much and shrinks badly, and because a strategy can't run a test's body again.

All that happens depends on the inputs alone: first a run without faults, then what failed before in this process, then
single faults at moments which that first run had, then several at once. Needs the extra `hypothesis`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NoReturn, TypeVar
from unittest import SkipTest

from hypothesis import currently_in_test_context, event
from hypothesis.errors import HypothesisException

from eventlog.errors import RequestError
from eventlog.messages import Frozen
from eventlog.sim.choices import Answerer, Options, Replay
from eventlog.sim.faults import Deviation
from eventlog.sim.shrink import Outcome, shrink
from eventlog.testing.advice import advice_for
from eventlog.testing.chaos import DIFFERS, Unrepeatable
from eventlog.testing.chaos_run import ChaosRun, Ran, read_chaos_literal, write_chaos_literal
from eventlog.testing.drawing import picture
from eventlog.testing.fault_groups import fault_kinds
from eventlog.testing.mortal import MortalCluster
from eventlog.testing.planned import MOMENTS, Following, Plan, PlannedFault
from eventlog.testing.telling import tell_unrepeatable, told_faults, what_to_do
from eventlog.values import chance

Test = TypeVar("Test", bound=Callable[..., Any])

MOST_REMEMBERED = 8
MOST_FAULTS = 3
SEED = 0
LADDER_LINES = 24


class Listening:
    """Lets everything go well, and counts the moments at which something could have happened."""

    __slots__ = ("moments",)

    def __init__(self) -> None:
        self.moments: dict[tuple[str, ...], int] = {}

    def answer(self, event: str, occurrence: int, faults: tuple[str, ...], options: Options) -> Deviation | None:
        self.moments[faults] = self.moments.get(faults, 0) + 1
        return None

    def freeze(self) -> Frozen:
        return ("Listening", tuple(self.moments.items()))


def walks(
    count: int = 20,
    faults: Iterable[str] | str | None = None,
    brokers: int = 3,
    replay: Iterable[str] | str = (),
    checks: str = "off",
    **settings: Any,
) -> Callable[[Test], Test]:
    """Run the decorated test `count` times for each example, each time with a fresh `cluster`, its argument.

    Stands between `@given(...)` and the test. `faults`: groups or names, as in `chaos_test`; None: all that a sound
    cluster survives. `replay`: literals of runs to be tried first in every example. `settings` are the brokers'. A run
    takes some milliseconds, so say `@settings(deadline=None)` beside it.

    What the test raises reaches Hypothesis as it is, with the faults that it takes, a ladder and a literal as notes.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise RequestError(f"count must be 1 or more walks an example, not {count!r}")
    kinds = fault_kinds(faults)
    literals = [replay] if isinstance(replay, str) else list(replay)

    def decorate(test: Test) -> Test:
        if inspect.iscoroutinefunction(test):
            raise RequestError(f"{test.__name__} is a coroutine; nothing in a cluster waits, so a plain function does")
        signature = inspect.signature(test)
        if "cluster" not in signature.parameters:
            raise RequestError(f"{test.__name__} must take an argument called cluster, the fresh one of each walk")
        walker = Walker(test, count, kinds, literals, lambda: MortalCluster(brokers, SEED, checks=checks, **settings))
        others = [parameter for name, parameter in signature.parameters.items() if name != "cluster"]
        inputs = signature.replace(parameters=others)

        def walked(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            walker.walk(inputs.bind(*args, **kwargs).arguments)

        # Where Hypothesis and pytest say that the test is.
        place = test.__code__
        walked.__code__ = walked.__code__.replace(co_filename=place.co_filename, co_firstlineno=place.co_firstlineno)
        walked.__signature__ = inputs  # type: ignore[attr-defined]
        return wraps(test)(walked)  # type: ignore[return-value]

    return decorate


class Walker:
    """The walks of one test. What failed is remembered, in this order for good, so that an example which failed fails
    again in the same way while Hypothesis shrinks it."""

    def __init__(
        self,
        test: Callable[..., Any],
        count: int,
        kinds: tuple[str, ...],
        literals: list[str],
        make_cluster: Callable[[], MortalCluster],
    ) -> None:
        self.test = test
        self.name = test.__qualname__.rpartition(".<locals>.")[2]
        self.count = count
        self.kinds = kinds
        self.known = [read_chaos_literal(literal, self.name)[1] for literal in literals]
        self.make_cluster = make_cluster
        self.room = len(literals) + MOST_REMEMBERED

    def walk(self, inputs: dict[str, Any]) -> None:
        """All walks of one example. Raises what the first failing one raises once its faults are shrunk."""
        __tracebackhide__ = True

        def run(answerer: Answerer) -> Ran:
            __tracebackhide__ = True
            cluster = self.make_cluster()
            ran = ChaosRun(cluster, answerer).call(lambda: self.test(cluster=cluster, **inputs))
            if isinstance(ran.error, HypothesisException | SkipTest):
                raise ran.error  # an assumption that doesn't hold, a wrong use: not the test's failure
            tell_hypothesis(ran)
            return ran

        listening = Listening()
        first = run(listening)
        if first.error is not None:
            first.error.add_note("eventlog: it fails without any fault")
            raise first.error
        for deviations in list(self.known):
            failed = run(Replay(deviations))
            if failed.error is not None:
                if len(failed.deviations) == len(deviations) <= MOST_FAULTS:
                    self._raise(failed, "with faults that failed before")
                self._raise_shrunk(run, failed, "with faults that failed before", remember=False)
        for number, plan in enumerate(self._plans(listening, first.cluster.trace_digest()), 2):
            failed = run(Following(plan))
            if failed.error is not None:
                self._raise_shrunk(run, failed, f"in walk {number} of {self.count}", remember=True)

    def _plans(self, listening: Listening, digest: str) -> Iterable[Plan]:
        """The plans of one example: half of them single faults, all of those there are if they are so few."""
        singles = [
            PlannedFault(fault, nth, at=moment)
            for moment, fitting in MOMENTS.items()
            for fault in self.kinds
            if fault in fitting
            for nth in range(1, listening.moments.get(fitting, 0) + 1)
        ]
        if not singles:
            return
        mixed = sorted(singles, key=lambda single: chance(0, f"{digest} {single!r}"))
        alone = self.count // 2 if len(self.kinds) > 1 or len(singles) > self.count else self.count
        for single in mixed[:alone]:
            yield Plan((single,))
        for number in range(self.count - 1 - min(alone, len(mixed))):
            size = 2 + chance(number, f"{digest} how many") % (MOST_FAULTS - 1)
            lots = [chance(number, f"{digest} {place}") for place in range(size)]
            yield Plan(tuple(dict.fromkeys([singles[lot % len(singles)] for lot in lots])))

    def _raise_shrunk(self, run: Callable[[Answerer], Ran], failed: Ran, when: str, remember: bool) -> NoReturn:
        __tracebackhide__ = True
        failure = failed.failure
        kinds = (*self.kinds, *[deviation.fault for deviation in failed.deviations])

        def outcome(deviations: tuple[Deviation, ...]) -> Outcome:
            if any(deviation.fault not in kinds for deviation in deviations):
                return Outcome(False)  # a milder fault, which nobody asked for
            answerer = Replay(deviations)
            ran = run(answerer)
            return Outcome(ran.failure == failure, answerer.unused, ran.deviations)

        least = shrink(outcome, failed.deviations).deviations
        last = run(Replay(least))
        if last.failure != failure:
            raise Unrepeatable(tell_unrepeatable(self.name, failed.shape(), last.shape()), DIFFERS) from failed.error
        if remember and len(self.known) < self.room and least not in self.known:
            self.known.append(least)
        self._raise(last, when)

    def _raise(self, failed: Ran, when: str) -> NoReturn:
        """The test's own exception, with what a person wants to know beside it."""
        __tracebackhide__ = True
        assert failed.error is not None
        literal = write_chaos_literal(self.name, SEED, failed.deviations)
        for note in (
            f"eventlog: it failed {when}. What it takes:",
            *told_faults(failed.deviations),
            *picture(failed.cluster, LADDER_LINES),
            *[f"what to do: {line}" for line in advice_for(what_to_do(failed))[:1]],
            *advice_for(what_to_do(failed))[1:],
            f"see it again: give walks(..., replay=[{literal!r}]) and keep the inputs in an @example(...)",
        ):
            failed.error.add_note(note)
        raise failed.error


def tell_hypothesis(ran: Ran) -> None:
    """What was seen in a run, for its statistics."""
    if currently_in_test_context():
        seen = ran.cluster.recorder
        told = ["failover"] if seen.failovers else []
        told += ["duplicate recognised"] if seen.duplicates_recognised else []
        for what in dict.fromkeys([*told, *[f"fault: {deviation.fault}" for deviation in ran.deviations]]):
            event(what)
