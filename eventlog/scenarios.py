"""Small worlds to search in: a booted, quiet cluster, one producer, a few batches on their way.

A scenario is a value, and its runs are its deviations: `stage` builds the world up to the moment when the batches were
handed over, the same every time, and everything from there on is asked of an answerer. The same world is walked by
seeds (`hunting`), explored to a bound (`exploring`), shrunk and told again from a literal.

Messages take no time here: time passes only when all that was sent has arrived, so that equal states meet. Timers that
only keep house (flushing, expiry, retention, checkpoints) are put off for good.

Not here: consumers, transactions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple

from eventlog.check import Verdict
from eventlog.clients import Delivery, Producer
from eventlog.cluster import Cluster
from eventlog.errors import InvariantViolation, RequestError
from eventlog.sim.choices import Answerer, Replay
from eventlog.sim.faults import DEFAULT_RATES, Deviation, FaultPlan, FaultRate
from eventlog.sim.literal import run_literal
from eventlog.values import FAULTS, check_fault_names

TOPIC: Final = "events"
WRITER: Final = "writer"
NEVER_MS: Final = 2**31 - 1
BACKOFF_MS: Final = 1_000
HORIZON_MS: Final = 600_000
"""How long a run goes on at most, in virtual time, before everything is healed."""
MOST_EVENTS: Final = 20_000

BUDGETS: Final = (("reply_lost", 1), ("request_lost", 1), ("crash", 1), ("election", 2), ("isr_shrink", 1))

NETWORKS: Final[dict[str, tuple[tuple[str, int], ...]]] = {
    "ordered": (),
    "ordered, duplicating": (("request_duplicated", 1), ("reply_duplicated", 1)),
    "unordered": (("delay", 1), ("request_reordered", 1)),
    "unordered, duplicating": (
        ("delay", 1),
        ("request_duplicated", 1),
        ("reply_duplicated", 1),
        ("request_reordered", 1),
    ),
}
"""What a network may do with what it carries, by name, as faults and their budgets. Kafka's is TCP: "ordered"."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is searched. `partitions`: batches go to one after the other in turn. `is_warm`: one batch stands acknowledged
    in each before the search begins; else the producer is new. `budgets`: (fault, how often at most). `is_coarse`: what
    is said to the controller and by it, metadata and requests for data arrive in the step that sends them; else every
    message is a step of its own. `network`: one of `NETWORKS`. `loses_metadata`: a search loses not only what is written
    and its answers, but also questions for metadata and producer ids."""

    name: str
    brokers: int = 3
    partitions: int = 1
    batches: int = 2
    records: int = 1
    is_warm: bool = True
    producer_snapshot_batches: int = 5
    unknown_producer_first_sequence: str = "any"
    behaves_like: str = "java"
    max_in_flight: int = 5
    enable_idempotence: bool = True
    acks: int = -1
    min_insync_replicas: int = 2
    initial_sequence: int = 0
    budgets: tuple[tuple[str, int], ...] = BUDGETS
    is_coarse: bool = True
    loses_metadata: bool = False
    network: str = "ordered"

    @property
    def all_budgets(self) -> tuple[tuple[str, int], ...]:
        """`budgets`, and what the network does besides."""
        given = dict(self.budgets)
        return (*self.budgets, *[(fault, budget) for fault, budget in NETWORKS[self.network] if fault not in given])

    def check(self) -> None:
        """Raise RequestError where a setting is out of its range."""
        for name, least, most in (
            ("brokers", 1, 9),
            ("partitions", 1, 9),
            ("batches", 1, 20),
            ("records", 1, 100),
            ("max_in_flight", 1, 100),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise RequestError(f"{name} of a scenario must be from {least} to {most}, not {value!r}")
        if self.network not in NETWORKS:
            raise RequestError(f"there is no network {self.network!r}; the networks are: {'; '.join(NETWORKS)}")
        check_fault_names(tuple([fault for fault, _ in self.budgets]))
        for fault, budget in self.budgets:
            if isinstance(budget, bool) or not isinstance(budget, int) or not 0 <= budget <= 100:
                raise RequestError(f"the budget of {fault} must be from 0 to 100, not {budget!r}")

    def plan(self, scale: int = 1) -> FaultPlan:
        """The budgets as a plan for seeded walks: about one fault to ten opportunities at scale 1, the usual rates
        keeping their proportions."""
        rates = []
        for fault in FAULTS:
            budget = dict(self.all_budgets).get(fault, 0)
            if budget:
                rates.append((fault, FaultRate(min(200_000, DEFAULT_RATES[fault].per_million * 15 * scale), budget)))
        return FaultPlan(tuple(rates))


SCENARIOS: Final[dict[str, Scenario]] = {
    scenario.name: scenario
    for scenario in (
        Scenario("P3"),
        Scenario("P2", brokers=2),
        Scenario("one broker", brokers=1, min_insync_replicas=1),
    )
}


def find_scenario(name: str, **changes: Any) -> Scenario:
    """The scenario of that name, with some settings changed. Raises RequestError for an unknown name or setting."""
    if name not in SCENARIOS:
        raise RequestError(f"there is no scenario {name!r}; the scenarios are: {', '.join(SCENARIOS)}")
    known = [field.name for field in fields(Scenario)]
    for setting in changes:
        if setting not in known:
            raise RequestError(f"a scenario has no setting {setting!r}; it has: {', '.join(known)}")
    scenario = replace(SCENARIOS[name], **changes)
    scenario.check()
    return scenario


class Stage(NamedTuple):
    """A scenario's world at its beginning: the batches were handed over, and nothing of them has arrived."""

    scenario: Scenario
    cluster: Cluster
    producer: Producer
    deliveries: tuple[Delivery, ...]
    first_event: int


class Played(NamedTuple):
    """One run to its end. `promise` is the first one broken, "" when all of them were held."""

    stage: Stage
    promise: str
    message: str
    verdict: Verdict | None
    unused: tuple[Deviation, ...]

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        return self.stage.cluster.deviations

    @property
    def literal(self) -> str:
        return literal_of(self.stage.scenario, self.deviations)


def stage(scenario: Scenario, checks: str = "full", record: bool = True) -> Stage:
    """The world of `scenario`, booted and quiet, at the moment when its batches have been handed over."""
    scenario.check()
    cluster = Cluster(
        scenario.brokers,
        checks=checks,
        record=record,
        latency_ms=0,
        is_coarse=scenario.is_coarse,
        min_insync_replicas=min(scenario.min_insync_replicas, scenario.brokers),
        producer_snapshot_batches=scenario.producer_snapshot_batches,
        unknown_producer_first_sequence=scenario.unknown_producer_first_sequence,
        log_flush_interval_ms=NEVER_MS,
        replica_high_watermark_checkpoint_interval_ms=NEVER_MS,
        producer_id_expiration_check_interval_ms=NEVER_MS,
        log_retention_check_interval_ms=NEVER_MS,
    )
    cluster.create_topic(TOPIC, scenario.partitions)
    producer = cluster.producer(
        WRITER,
        enable_idempotence=scenario.enable_idempotence,
        acks=-1 if scenario.enable_idempotence else scenario.acks,
        max_in_flight=scenario.max_in_flight,
        linger_ms=0,
        batch_size=0 if scenario.records == 1 else 16_384,
        behaves_like=scenario.behaves_like,
        delivery_timeout_ms=NEVER_MS,
        retry_backoff_ms=BACKOFF_MS,
        retry_backoff_max_ms=BACKOFF_MS,
        reconnect_backoff_ms=BACKOFF_MS,
        retry_backoff_jitter_percent=0,
        metadata_max_wait_ms=NEVER_MS,
        initial_sequence=scenario.initial_sequence,
    )
    if scenario.is_warm:
        for partition in range(scenario.partitions):
            producer.send(TOPIC, f"m{partition}", partition=partition)
        producer.flush()
    while cluster._world.is_anything_under_way:
        cluster._world.step()
    first_event = len(cluster.recorder.events) if record else 0
    first = scenario.partitions if scenario.is_warm else 0
    deliveries = [
        producer.send(TOPIC, f"m{first + number}", partition=number // scenario.records % scenario.partitions)
        for number in range(scenario.batches * scenario.records)
    ]
    return Stage(scenario, cluster, producer, tuple(deliveries), first_event)


def play(scenario: Scenario, choices: Answerer | tuple[Deviation, ...] = (), checks: str = "full") -> Played:
    """One run of `scenario` under `choices`, an answerer or deviations to repeat; then everything heals, and it is
    judged. `unused`: deviations that did not apply."""
    return play_on(stage(scenario, checks), choices)


def play_on(built: Stage, choices: Answerer | tuple[Deviation, ...] = (), most_events: int = MOST_EVENTS) -> Played:
    """`play`, from a stage that stands at its beginning."""
    answerer = Replay(choices) if isinstance(choices, tuple) else choices
    world = built.cluster._world
    world.answerer = answerer
    until_ms = world.now_ms + HORIZON_MS
    until_event = world.event_number + most_events
    verdict: Verdict | None = None
    promise, message = "", ""
    try:
        while (world.is_anything_under_way or built.producer.in_flight) and world.step(until_ms):
            if world.event_number > until_event:
                raise world.violation("H13", f"no rest after {most_events} events")
        verdict = built.cluster.check(literal=literal_of(built.scenario, world.deviations))
    except InvariantViolation as violation:
        promise, message = violation.promise, str(violation)
    if verdict is not None and not verdict.held:
        broken = [result for result in verdict.promises if result.status == "broken"]
        promise, message = broken[0].promise, verdict.report()
    unused = answerer.unused if isinstance(answerer, Replay) else ()
    return Played(built, promise, message, verdict, unused)


def literal_of(scenario: Scenario, deviations: tuple[Deviation, ...] | list[Deviation]) -> str:
    """A run of a scenario as a literal that `eventlog replay` takes."""
    return run_literal({"scenario": _given(scenario)}, deviations)


@lru_cache(maxsize=64)
def _given(scenario: Scenario) -> dict[str, Any]:
    """What is not as usual in it."""
    usual = asdict(Scenario(scenario.name))
    return {name: value for name, value in asdict(scenario).items() if name == "name" or value != usual[name]}


def scenario_of(literal_scenario: dict[str, Any]) -> Scenario:
    """The scenario that a literal was made of. Raises RequestError for another kind of literal."""
    values = literal_scenario.get("scenario")
    if not isinstance(values, dict) or "name" not in values:
        raise RequestError("this literal is not of a scenario")
    known = {field.name for field in fields(Scenario)}
    for name in values:
        if name not in known:
            raise RequestError(f"the literal's scenario has an unknown setting {name!r}")
    try:
        budgets = tuple([(fault, budget) for fault, budget in values.get("budgets", BUDGETS)])
        scenario = Scenario(**{**values, "budgets": budgets})
    except (TypeError, ValueError) as error:
        raise RequestError(f"the literal's scenario can't be read: {error}") from None
    scenario.check()
    return scenario
