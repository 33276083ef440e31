"""`@kafka_chaos_test`: a test of code that uses real Kafka clients is run again and again, each time with other faults.

```python
@kafka_chaos_test(faults={"lost_ack", "leader_failover"}, runs=20)
def test_every_order_is_there_once(kafka):
    producer = kafka.record(confluent_kafka.Producer({"bootstrap.servers": kafka.bootstrap}))
    ...
```

Real clients have clocks and threads of their own, so no run is the same as another, byte by byte. What is repeated is the
plan: which fault strikes which event, and which time it comes. What failed is run three times more, and told with how often
it failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from eventlog.errors import RequestError
from eventlog.sim.faults import Deviation
from eventlog.sim.literal import read_literal, run_literal
from eventlog.testing.chaos import Campaign, ChaosFailure, ChaosTest, Factory
from eventlog.testing.kafka_offers import faults_at_the_door, plans

if TYPE_CHECKING:
    from eventlog.testing.kafka_run import KafkaRan
    from eventlog.wire.fixtures import EventlogKafka

NAMES: Final = ("kafka", "eventlog_kafka")
RERUNS: Final = 3
MOST_SHRINKING_RUNS: Final = 8
NOTHING: Final[tuple[Deviation, ...]] = ()
TEST: Final = "kafka_chaos_test"


class Unconfirmed(ChaosFailure):
    """A test failed, and not each time again with the same plan: luck, time or an order of threads has a part in it."""


def kafka_chaos_test(
    faults: Iterable[str] | str | None = None,
    runs: int = 20,
    *,
    brokers: int = 3,
    seed: int = 0,
    max_deviations: int = 2,
    strict: bool = True,
    fresh: Mapping[str, Factory] | None = None,
    replay: Iterable[str] | str = (),
    **settings: Any,
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Run the decorated test up to `runs` times, first without faults; it may be a coroutine.

    `faults`: groups or names (`FAULT_GROUPS`, `FAULTS`), of which a door has a part; None: all that it has. The test takes
    `kafka`, a fresh cluster that listens (`bootstrap`, `record`, `judge`, ...), `tmp_path`, a fresh directory, what `fresh`
    names, as in `chaos_test`, and fixtures of pytest. At its end the checker judges all clients. With `strict`, the test
    fails with what its producers' settings never promised, too: the copy of a producer without idempotence, the loss of one
    with acks=0 or 1. `replay`: literals that are run first. `settings` are the brokers', and `door={...}` the door's.

    Raises ChaosFailure from the test, Unconfirmed when it did not fail each time again; RequestError for what can't be
    right here.
    """
    if callable(faults):
        raise RequestError("write @kafka_chaos_test() with parentheses")
    for name, value in (("runs", runs), ("max_deviations", max_deviations)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RequestError(f"{name} must be 1 or more, not {value!r}")
    kinds = faults_at_the_door(faults)
    literals = [replay] if isinstance(replay, str) else list(replay)

    def decorate(test: Callable[..., object]) -> Callable[..., None]:
        plan = KafkaChaosTest(test, kinds, runs, seed, max_deviations, dict(fresh or {}), brokers, settings)
        plan.strict = strict
        return plan.decorated(literals)

    return decorate


class KafkaChaosTest(ChaosTest):
    """A decorated test of real clients."""

    names = NAMES
    decorator = TEST
    strict = True

    def check_test(self) -> None:
        if not any(name in self.wanted for name in NAMES):
            raise RequestError(f"{self.name} takes no argument `kafka`: the cluster that its clients talk to")

    def read(self, literal: str) -> tuple[int, tuple[Deviation, ...]]:
        scenario, deviations = read_literal(literal)
        name = scenario.get(TEST)
        if name != self.name:
            what = f"of the test {name!r}" if name else "not of a test of real clients"
            raise RequestError(
                f"this literal is {what}, and this test is {self.name!r}: give it to the one that printed it"
            )
        seed = scenario.get("seed", 0)
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise RequestError(f"seed must be a whole number, not {seed!r}")
        return seed, deviations

    def campaign(self, args: tuple[Any, ...], kwargs: dict[str, Any], directory: Path | None, seed: int) -> Campaign:
        return KafkaCampaign(self, args, kwargs, directory, seed)


class KafkaCampaign(Campaign):
    """The runs of one call of a chaos test of real clients."""

    plan: KafkaChaosTest
    # What was sent more than once without any fault; None: not known yet.
    equals: tuple[str, ...] | None = None

    def search(self, runs: int) -> None:
        """The run without faults, then with those that could have struck in it. Raises ChaosFailure for the first that
        fails."""
        __tracebackhide__ = True
        self.runs = runs
        self.seen.planned_by = "its plans"
        plan = self.plan
        benign = self._play(NOTHING)
        self._count(benign)
        if benign.error is not None:
            self._fail_with(benign)
        for deviations in plans(benign.came, plan.kinds, self.seed, plan.max_deviations):
            if self.seen.runs >= runs:
                return
            ran = self._play(deviations)
            self._count(ran)
            if ran.error is not None:
                self._fail_with(ran)
        if self.seen.runs == 1 and runs > 1:
            raise RequestError(
                f"{plan.name}: none of {', '.join(plan.kinds)} had an occasion: nothing that they strike came to the door. "
                "Do your clients talk to kafka.bootstrap?"
            )

    def replay(self, seed: int, deviations: tuple[Deviation, ...]) -> None:
        """One run with these faults. Raises ChaosFailure when it fails."""
        __tracebackhide__ = True
        from eventlog.testing.kafka_faults import check_events

        check_events(deviations)
        self.seed = seed
        ran = self._play(deviations)
        self._count(ran)
        self._replayed = ran
        if ran.error is not None:
            self._tell(ran, "replayed")

    def check_applied(self) -> None:
        """A plan of which nothing struck was no replay."""
        ran = self._replayed
        if ran.deviations and len(ran.unused) == len(ran.deviations):
            came = ", ".join([f"{event!r} {count} times" for event, count in ran.came.items()]) or "nothing"
            named = ", ".join([f"{known.fault} at {known.event!r} (time {known.occurrence})" for known in ran.unused])
            raise RequestError(f"this plan did not apply: {named}. What came to the door: {came}")

    def _play(self, deviations: tuple[Deviation, ...]) -> KafkaRan:
        """One run. What can't be told apart is a failure where all could without faults: somebody sent it again."""
        __tracebackhide__ = True
        from eventlog.testing.kafka_run import SentAgain

        ran = self._run_once(deviations)
        equals = ran.verdict.equals if ran.verdict is not None else ()
        if not deviations:
            self.equals = equals
        elif ran.verdict is not None and ran.error is None and equals and self.plan.strict:
            if self.equals is None:
                self._play(NOTHING)
            for said, equal in zip(ran.verdict.unchecked, equals, strict=True):
                if equal not in (self.equals or ()):
                    return ran._replace(error=SentAgain(said))
        return ran

    def _run_once(self, deviations: tuple[Deviation, ...]) -> KafkaRan:
        __tracebackhide__ = True
        from eventlog.testing.kafka_run import play

        def body_of(made: ExitStack, kafka: EventlogKafka) -> Callable[[], object]:
            return self._body(made, dict.fromkeys(NAMES, kafka))

        plan = self.plan
        settings = {"brokers": plan.brokers, "seed": self.seed, **plan.settings}
        return play(body_of, deviations, plan.strict, settings)

    def _count(self, ran: KafkaRan) -> None:
        self.seen.add(ran.happened, ran.unused)

    def _fail_with(self, failed: KafkaRan) -> NoReturn:
        """Confirm it, find the least faults with which the same fails, and tell of it."""
        __tracebackhide__ = True
        again = self._reruns(failed)
        how = f"run {self.seen.runs} of {self.runs}"
        if len(again) < RERUNS:
            self._tell(
                failed, f"{how}; not confirmed: it failed in {len(again)} of {RERUNS} reruns of the same plan", False
            )
        last, tried = self._shrunk(again[-1])
        if len(last.deviations) < len(failed.deviations):
            again_shrunk = self._reruns(last)
            if len(again_shrunk) == RERUNS:
                how += f"; {len(failed.deviations)} faults shrunk to {len(last.deviations)} in {tried} runs"
                again = again_shrunk
        self._tell(again[-1], f"{how}; confirmed by {RERUNS} of {RERUNS} reruns")

    def _reruns(self, failed: KafkaRan) -> list[KafkaRan]:
        """Those of the reruns that failed as it did."""
        ran = [self._play(failed.deviations) for _ in range(RERUNS)]
        return [each for each in ran if each.failure == failed.failure]

    def _shrunk(self, failed: KafkaRan) -> tuple[KafkaRan, int]:
        """With faults left out one by one, as long as it fails in the same way; and how many runs that took."""
        best, tried = failed, 0
        for known in failed.deviations:
            fewer = tuple([each for each in best.deviations if each != known])
            if not fewer or tried >= MOST_SHRINKING_RUNS:
                continue  # without any fault it passed: that was the first run
            tried += 1
            ran = self._play(fewer)
            if ran.failure == failed.failure:
                best = ran
        return best, tried

    def _tell(self, failed: KafkaRan, how: str, is_confirmed: bool = True) -> NoReturn:
        __tracebackhide__ = True
        from eventlog.testing.kafka_telling import tell_kafka_failure, what_failed

        assert failed.error is not None
        literal = run_literal({TEST: self.plan.name, "seed": self.seed}, failed.deviations)
        story = tell_kafka_failure(self.plan.name, failed, how, self.seed, literal, self.command, is_confirmed)
        kind = ChaosFailure if is_confirmed else Unconfirmed
        raise kind(story, what_failed(failed), literal).with_traceback(failed.error.__traceback__) from None
