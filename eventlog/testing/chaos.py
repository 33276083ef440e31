"""`@chaos_test`: a test is run many times, each time with other faults, and a failure is told by the least of them.

```python
@chaos_test(faults={"lost_ack", "leader_failover"}, runs=200)
def test_every_order_is_there_once(cluster, tmp_path):
    ...
```
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from eventlog.errors import RequestError
from eventlog.sim.choices import Answerer, Replay
from eventlog.sim.faults import Deviation
from eventlog.sim.shrink import Outcome, shrink
from eventlog.testing.chaos_run import ChaosRun, Ran, read_chaos_literal, write_chaos_literal
from eventlog.testing.fault_groups import CLIENT_CRASH, fault_kinds
from eventlog.testing.mortal import MortalCluster
from eventlog.testing.schedule import runs_of
from eventlog.testing.telling import Seen, tell_failure, tell_unrepeatable, told_error

Factory = Callable[..., Any]

CLUSTER_NAMES = ("cluster", "eventlog_cluster")
NOTHING_ELSE = Replay(())
DIFFERS = "behaves differently in two identical runs"


class ChaosFailure(AssertionError):
    """A test failed in one of its runs. The message is the whole story, `what` its least; `literal` repeats the run."""

    def __init__(self, message: str, what: str, literal: str = "") -> None:
        super().__init__(message)
        self.what = what
        self.literal = literal


class Unrepeatable(ChaosFailure):
    """Two identical runs of the test differed: whatever it found, faults are not the reason."""


def chaos_test(
    faults: Iterable[str] | str | None = None,
    runs: int = 200,
    *,
    brokers: int = 3,
    seed: int = 0,
    max_deviations: int = 3,
    fresh: Mapping[str, Factory] | None = None,
    replay: Iterable[str] | str = (),
    **settings: Any,
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Run the decorated test up to `runs` times, first without faults, then with one, two ... `max_deviations`.

    `faults`: groups or names (`FAULT_GROUPS`, `FAULTS`); None: all that a sound cluster survives. The test takes
    `cluster`, fresh in each run; `tmp_path`, a fresh directory in each run; and fixtures of pytest, which are made once.
    `fresh` has what else must be new in each run: a factory for each argument's name, which may take `cluster`,
    `tmp_path` and what stands before it; a generator is gone on with at the end. `replay`: literals that are run first.
    `settings` are the brokers'.

    Raises ChaosFailure from the test, which tells the story; RequestError for what can't be right here.
    """
    if callable(faults):
        raise RequestError("write @chaos_test() with parentheses")
    for name, value in (("runs", runs), ("max_deviations", max_deviations)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RequestError(f"{name} must be 1 or more, not {value!r}")
    kinds = fault_kinds(faults)
    literals = [replay] if isinstance(replay, str) else list(replay)

    def decorate(test: Callable[..., object]) -> Callable[..., None]:
        plan = ChaosTest(test, kinds, runs, seed, max_deviations, dict(fresh or {}), brokers, settings)
        return plan.decorated(literals)

    return decorate


class ChaosTest:
    """A decorated test: what it takes, and how it is run."""

    names: tuple[str, ...] = CLUSTER_NAMES
    decorator = "chaos_test"

    def __init__(
        self,
        test: Callable[..., object],
        kinds: tuple[str, ...],
        runs: int,
        seed: int,
        max_deviations: int,
        fresh: dict[str, Factory],
        brokers: int,
        settings: dict[str, Any],
    ) -> None:
        self.test = test
        self.name = test.__qualname__.rpartition(".<locals>.")[2]
        self.kinds = kinds
        self.runs = runs
        self.seed = seed
        self.max_deviations = max_deviations
        self.fresh = fresh
        self.brokers = brokers
        self.settings = settings
        self.wanted = inspect.signature(test).parameters
        self.check_test()
        self.factory_wants = {name: _arguments_of(make) for name, make in fresh.items()}
        for name in fresh:
            if name not in self.wanted and not any(name in others for others in self.factory_wants.values()):
                raise RequestError(f"{self.name} takes no argument {name!r}, and fresh has a factory for it")

    def check_test(self) -> None:
        """Raises RequestError for a test that can't be run so."""
        if inspect.iscoroutinefunction(self.test):
            raise RequestError(f"{self.name} is a coroutine; nothing in a cluster waits, so a plain function does")
        if "eventlog_clusters" in self.wanted:
            raise RequestError(f"{self.name}: in a chaos test the faults are in `cluster`; ask for that one")

    def read(self, literal: str) -> tuple[int, tuple[Deviation, ...]]:
        """(seed, deviations) of a literal of this test. Raises RequestError for any other."""
        return read_chaos_literal(literal, self.name)

    def decorated(self, literals: list[str]) -> Callable[..., None]:
        """What stands in the test's place; runs of `literals` come first."""
        kept = [self.read(literal) for literal in literals]

        @wraps(self.test)
        def chaos(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            self.run(args, kwargs, kept)

        chaos.__signature__ = self.outer_signature()  # type: ignore[attr-defined]
        return chaos

    def campaign(self, args: tuple[Any, ...], kwargs: dict[str, Any], directory: Path | None, seed: int) -> Campaign:
        """The runs of one call."""
        return Campaign(self, args, kwargs, directory, seed)

    @property
    def wants_directory(self) -> bool:
        """Does the test, or one of the factories, take `tmp_path`?"""
        return "tmp_path" in self.wanted or any("tmp_path" in names for names in self.factory_wants.values())

    def outer_signature(self) -> inspect.Signature:
        """What pytest has to give: all that is not made here."""
        made = (*self.names, *self.fresh)
        outer = [parameter for name, parameter in self.wanted.items() if name not in made]
        asked = {parameter.name for parameter in outer}
        extra = [name for name in ("request", "tmp_path" if self.wants_directory else "") if name and name not in asked]
        kind = inspect.Parameter.KEYWORD_ONLY
        last = [parameter for parameter in outer if parameter.kind is inspect.Parameter.VAR_KEYWORD]
        first = [parameter for parameter in outer if parameter not in last]
        return inspect.Signature([*first, *[inspect.Parameter(name, kind) for name in extra], *last])

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any], kept: list[tuple[int, tuple[Deviation, ...]]]) -> None:
        """All runs of one call of the test."""
        __tracebackhide__ = True
        request = kwargs.get("request")
        if "request" not in self.wanted:
            kwargs.pop("request", None)
        directory = kwargs.pop("tmp_path", None)
        if self.wants_directory and directory is None:
            raise RequestError(f"{self.name} takes tmp_path: when you call it yourself, give tmp_path=...")
        options = Options(request, self.decorator)
        campaign = self.campaign(args, kwargs, directory, self.seed if options.seed is None else options.seed)
        campaign.command = options.command
        if options.replay:
            campaign.replay(*self.read(options.replay))
            campaign.check_applied()
            said = f"replayed: {campaign.seen.sentence()}"
        else:
            for seed, deviations in kept:
                campaign.replay(seed, deviations)
            campaign.search(options.runs or self.runs)
            said = campaign.seen.sentence()
        if request is not None:
            request.node.add_report_section("call", "eventlog", said)
            request.node.user_properties.append(("eventlog", said))


class Options:
    """What was said on pytest's command line."""

    def __init__(self, request: Any, decorator: str) -> None:
        __tracebackhide__ = True
        self.runs: int | None = None
        self.seed: int | None = None
        self.replay = ""
        self.command = ""
        if request is not None:
            option = request.config.getoption
            self.runs = option("eventlog_runs", default=None)
            self.seed = option("eventlog_seed", default=None)
            self.replay = option("eventlog_replay", default=None) or ""
            self.command = f"pytest {quote(request.node.nodeid)}"
            if any(mark.name in ("eventlog", "eventlog_kafka") for mark in request.node.own_markers):
                raise RequestError(f"a chaos test makes its own clusters: give to {decorator}(...) what the mark says")


class Campaign:
    """The runs of one call of a chaos test, with these arguments."""

    def __init__(
        self, plan: ChaosTest, args: tuple[Any, ...], kwargs: dict[str, Any], directory: Path | None, seed: int
    ) -> None:
        self.plan = plan
        self.args = args
        self.kwargs = kwargs
        self.directory = directory
        self.seed = seed
        self.seen = Seen(plan.kinds)
        self.command = ""
        self.runs = 0
        self._directories = 0

    def search(self, runs: int) -> None:
        """The benign run, twice, then what the portfolio proposes. Raises ChaosFailure for the first that fails."""
        __tracebackhide__ = True
        self.runs = runs
        plan = self.plan
        for ran in runs_of(self._run, plan.kinds, self.seed, plan.max_deviations):
            self.seen.count(ran)
            if self.seen.runs == 1:
                self._check_repeatable(ran, self._run(NOTHING_ELSE))
                if plan.kinds == (CLIENT_CRASH,) and not ran.points:
                    raise RequestError(
                        f"{plan.name}: only crashes of the client are asked for, and no maybe_crash(...) was reached "
                        "inside supervise(...): put crash points into the code under test, and call it through supervise"
                    )
            if ran.error is not None:
                self._fail(ran)
            if self.seen.runs >= runs:
                return
        if self.seen.runs == 1:
            raise RequestError(
                f"{plan.name}: none of {', '.join(plan.kinds)} had an occasion: nothing was on its way while faults may "
                "happen. recover() undoes them and runs the world; let the code under test wait for its sends before it"
            )

    def replay(self, seed: int, deviations: tuple[Deviation, ...]) -> None:
        """One run with these deviations. Raises ChaosFailure when it fails."""
        __tracebackhide__ = True
        self.seed = seed
        answerer = Replay(deviations)
        ran = self._run(answerer)
        self.seen.count(ran, answerer.unused)
        if ran.error is not None:
            left = f"{len(answerer.unused)} of its {len(deviations)} faults did not apply"
            self._raise(ran, f"replayed; {left}" if answerer.unused else "replayed")

    def check_applied(self) -> None:
        """Raises RequestError when what was replayed on demand was no replay. In virtual time it is told, and no error."""

    def _run(self, answerer: Answerer) -> Ran:
        __tracebackhide__ = True
        plan = self.plan
        with ExitStack() as made:
            cluster = MortalCluster(plan.brokers, self.seed, checks="off", **plan.settings)
            return ChaosRun(cluster, answerer).call(self._body(made, dict.fromkeys(plan.names, cluster)))

    def _body(self, made: ExitStack, things: dict[str, Any]) -> Callable[[], object]:
        """The test with `things` and what else is new in each run, which ends with `made`."""
        plan = self.plan
        if plan.wants_directory:
            things["tmp_path"] = made.enter_context(self._fresh_directory())

        def body() -> object:
            __tracebackhide__ = True
            for name, factory in plan.fresh.items():
                wants = {other: things[other] for other in plan.factory_wants[name] if other in things}
                product = factory(**wants)
                things[name] = made.enter_context(_as_context(product)) if inspect.isgenerator(product) else product
            given = {**self.kwargs, **{name: thing for name, thing in things.items() if name in plan.wanted}}
            return plan.test(*self.args, **given)

        return body

    @contextmanager
    def _fresh_directory(self) -> Iterator[Path]:
        assert self.directory is not None
        self._directories += 1
        fresh = Path(self.directory) / f"run-{self._directories}"
        fresh.mkdir(parents=True)
        yield fresh
        shutil.rmtree(fresh, ignore_errors=True)

    def _check_repeatable(self, first: Ran, second: Ran) -> None:
        __tracebackhide__ = True
        one, other = first.shape(), second.shape()
        if one != other:
            raise Unrepeatable(tell_unrepeatable(self.plan.name, one, other), DIFFERS)

    def _fail(self, failed: Ran) -> NoReturn:
        """Find the least faults with which the same fails, and tell of it."""
        __tracebackhide__ = True
        failure = failed.failure
        again = self._run(Replay(failed.deviations))
        self._check_repeatable(failed, again)

        def outcome(deviations: tuple[Deviation, ...]) -> Outcome:
            if any(known.fault not in self.plan.kinds for known in deviations):
                return Outcome(False)  # a milder fault, which nobody asked for
            answerer = Replay(deviations)
            ran = self._run(answerer)
            return Outcome(ran.failure == failure, answerer.unused, ran.deviations)

        shrunk = shrink(outcome, failed.deviations)
        last = self._run(Replay(shrunk.deviations))
        if last.failure != failure:
            self._check_repeatable(failed, last)
        how = f"run {self.seen.runs} of {self.runs}"
        if len(failed.deviations) > len(last.deviations):
            how += f"; {len(failed.deviations)} faults shrunk to {len(last.deviations)} in {shrunk.runs} replays"
        self._raise(last, how)

    def _raise(self, failed: Ran, how: str) -> NoReturn:
        __tracebackhide__ = True
        assert failed.error is not None
        literal = write_chaos_literal(self.plan.name, self.seed, failed.deviations)
        story = tell_failure(self.plan.name, failed, how, self.seed, literal, self.command)
        raise ChaosFailure(story, told_error(failed)[0], literal).with_traceback(failed.error.__traceback__) from None


def _arguments_of(factory: Factory) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(factory).parameters)
    except ValueError:  # `dict`, and others that Python knows nothing of
        return ()


@contextmanager
def _as_context(generator: Iterator[Any]) -> Iterator[Any]:
    """What a factory that yields has made; at the end the factory goes on."""
    yield next(generator)
    for _ in generator:
        raise RequestError("a factory of `fresh` yields once")
