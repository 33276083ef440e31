"""Chaos for code that uses real clients: plans are repeated, failures confirmed by three reruns, and told on one screen."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import aiokafka  # noqa: F401 (loaded before pytest runs within pytest, which else loads it each time)
import confluent_kafka  # noqa: F401
import pytest
from chaos_stage import run_pytest

from eventlog.errors import RequestError
from eventlog.sim.faults import Deviation
from eventlog.testing import ChaosFailure, Unconfirmed, kafka_chaos_test, kafka_run, kafka_telling  # noqa: F401
from eventlog.testing.kafka_offers import ANSWER, AT_THE_DOOR, OFFERS, faults_at_the_door, offers, plans
from eventlog.values import FAULTS
from eventlog.wire.fixtures import EventlogKafka

pytest_plugins = ["pytester"]

SCREEN_LINES = 45
ORDERS = [b"order-1", b"order-2", b"order-3"]

SERVICE = """
from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer
from eventlog.testing import kafka_chaos_test

ORDERS = [b"order-1", b"order-2", b"order-3"]

def publish(kafka, idempotent):
    settings = {"bootstrap.servers": kafka.bootstrap, "enable.idempotence": idempotent, "log_level": 0, "linger.ms": 100}
    producer = kafka.record(Producer(settings))
    for order in ORDERS:
        producer.produce("orders", order)
    producer.flush()

async def publish_in_turn(kafka, idempotent):
    made = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=idempotent)
    async with kafka.record(made) as producer:
        for order in ORDERS:
            await producer.send_and_wait("orders", order)
"""


async def publish_in_turn(kafka: EventlogKafka, idempotent: bool) -> None:
    from aiokafka import AIOKafkaProducer

    made = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=idempotent)
    async with kafka.record(made) as producer:
        for order in ORDERS:
            await producer.send_and_wait("orders", order)


def test_the_duplicate_of_a_plain_client_is_found_confirmed_and_repeated(pytester: pytest.Pytester) -> None:
    source = f"""{SERVICE}
@kafka_chaos_test(faults={{"lost_ack", "leader_failover"}}, runs=20)
def test_plain(kafka):
    publish(kafka, False)
"""
    code, told = run_pytest(pytester, source)
    assert code == 1
    assert "test_plain fails (run 2 of 20; confirmed by 3 of 3 reruns; seed 0)" in told
    assert "no duplicate: Record 0 (b'order-1') of producer 'producer-1' is in the log twice: at orders-0@0" in told
    assert 'at the event "answer: Produce orders-0", time 1: struck Produce orders-0 of rdkafka at broker' in told
    assert re.search(r"\n +\d+  rdkafka > broker-\d: Produce orders-0, 3 records \(no producer id\)\n", told)
    assert re.search(r"FAULT reply_lost of broker-\d>rdkafka \(Produce orders-0\)", told)
    assert "enable.idempotence=True (confluent-kafka" in told
    screen = told[told.index("test_plain fails") : told.index("short test summary")]
    assert len(screen.splitlines()) <= SCREEN_LINES
    found = re.search(r'--eventlog-replay="(.*?)"', told, re.DOTALL)
    assert found is not None
    code, again = run_pytest(pytester, source, f"--eventlog-replay={found[1]}")
    assert code == 1
    assert "test_plain fails (replayed; seed 0)" in again
    code, repaired = run_pytest(pytester, source.replace("False", "True"), "-v", f"--eventlog-replay={found[1]}")
    assert code == 0
    assert "replayed: 1 run held: duplicate recognised in 1, reply_lost in 1" in repaired


def test_an_idempotent_client_passes_and_says_what_it_saw(pytester: pytest.Pytester) -> None:
    source = f"""{SERVICE}
@kafka_chaos_test(runs=16)
async def test_idempotent(kafka):
    await publish_in_turn(kafka, True)
"""
    code, told = run_pytest(pytester, source, "-v", "-W", "error")
    assert code == 0, told
    found = re.search(r"test_idempotent: 16 runs held: (.*)", told)
    assert found is not None
    seen = dict(re.findall(r"([a-z_ ]+) in (\d+)", found[1]))
    assert {"duplicate recognised", "failover", "reply_lost", "crash", "election"} <= {name.strip() for name in seen}


def test_a_failure_that_luck_has_a_part_in_is_not_confirmed() -> None:
    calls = 0

    @kafka_chaos_test(faults="lost_ack", runs=5)
    async def fails_now_and_then(kafka: EventlogKafka) -> None:
        nonlocal calls
        calls += 1
        await publish_in_turn(kafka, True)
        assert calls not in (2, 4), "by luck"

    with pytest.raises(Unconfirmed) as caught:
        fails_now_and_then()
    told = str(caught.value)
    assert "fails (run 2 of 5; not confirmed: it failed in 1 of 3 reruns of the same plan; seed 0)" in told
    assert "by luck" in told
    assert "The same plan does not fail each time" in told
    assert calls == 5


def test_faults_without_which_it_fails_as_well_are_left_out() -> None:
    runs = []

    @kafka_chaos_test(faults={"request_lost", "append_fails", "disconnect"}, runs=20, seed=1)
    async def plain(kafka: EventlogKafka) -> None:
        runs.append(kafka)
        await publish_in_turn(kafka, False)

    with pytest.raises(ChaosFailure) as caught:
        plain()
    told = str(caught.value)
    assert re.search(r"fails \(run 4 of 20; 2 faults shrunk to 1 in [12] runs; confirmed by 3 of 3 reruns", told), told
    assert "1. disconnect:" in told
    assert "2. " not in told
    assert len(runs) <= 4 + 3 + 2 + 3


def test_what_the_test_itself_asserts_is_told_with_its_place() -> None:
    @kafka_chaos_test(faults="lost_ack", runs=5)
    async def counts(kafka: EventlogKafka) -> None:
        await publish_in_turn(kafka, False)
        assert len(kafka.values("orders")) == 3, "one too many"

    with pytest.raises(ChaosFailure, match="one too many") as caught:
        counts()
    told = str(caught.value)
    assert "test_kafka_chaos.py" in told
    assert "asyncio/" not in told
    assert "Turn it on: enable.idempotence=True" in " ".join(told.split())


def test_what_the_application_itself_sends_again_is_found() -> None:
    @kafka_chaos_test(faults="slow_network", runs=5)
    async def impatient(kafka: EventlogKafka) -> None:
        from aiokafka import AIOKafkaProducer

        made = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, enable_idempotence=True)
        async with kafka.record(made) as producer:
            await producer.send_and_wait("other", b"ping")
            await producer.send_and_wait("other", b"ping")
            await producer.send_and_wait("orders", b"order-1")
            if kafka.faults.all[0].hits:  # it took too long
                await producer.send_and_wait("orders", b"order-1")

    with pytest.raises(
        ChaosFailure, match="sent again by the application, which it does not do without faults"
    ) as caught:
        impatient()
    told = " ".join(str(caught.value).split())
    assert "2 sends to 'orders' are equal (b'order-1')" in told
    assert "confirmed by 3 of 3 reruns" in told
    assert "Let the producer retry" in told


def test_the_tests_own_place_is_told_however_deep_in_a_client_it_fails() -> None:
    library: dict[str, Any] = {}
    source = "def a(): b()\ndef b(): c()\ndef c(): d()\ndef d(): raise ValueError('deep')"
    exec(compile(source, "/somewhere/site-packages/client.py", "exec"), library)

    @kafka_chaos_test(runs=2)
    def deep(kafka: EventlogKafka) -> None:
        library["a"]()

    with pytest.raises(ChaosFailure, match="ValueError: deep") as caught:
        deep()
    places = [line for line in str(caught.value).splitlines() if line.startswith("  at ")]
    assert len(places) == 3
    assert "test_kafka_chaos.py" in places[0]


def test_a_cancellation_that_escapes_from_a_client_is_a_failure_like_any_other() -> None:
    @kafka_chaos_test(runs=2)
    async def cancelled(kafka: EventlogKafka) -> None:
        raise asyncio.CancelledError

    with pytest.raises(ChaosFailure, match="CancelledError"):
        cancelled()


def test_what_fails_without_faults_is_told_so() -> None:
    @kafka_chaos_test(runs=5)
    def fails(kafka: EventlogKafka) -> None:
        raise ValueError("always")

    with pytest.raises(ChaosFailure, match="ValueError: always") as caught:
        fails()
    assert "It takes no fault at all" in str(caught.value)
    assert "confirmed by 3 of 3 reruns" in str(caught.value)


def test_an_election_under_load_is_survived() -> None:
    event = f"{ANSWER}Produce orders-0"
    plan = [Deviation(event, 2, "election", "", 0), Deviation(event, 3, "crash", "", 0)]
    literal = repr(
        {"eventlog": 1, "scenario": {"kafka_chaos_test": LOADED, "seed": 0}, "deviations": list(map(tuple, plan))}
    )
    seen = []

    @kafka_chaos_test(faults="lost_ack", runs=1, replay=literal)
    def loaded(kafka: EventlogKafka) -> None:
        from confluent_kafka import Producer

        settings = {"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True, "linger.ms": 1, "log_level": 0}
        producer = kafka.record(Producer(settings))
        for number in range(500):
            producer.produce("orders", b"order-%d" % number)
            if not number % 100:
                producer.flush()
        producer.flush()
        verdict = kafka.judge()
        assert verdict.exactly_once, verdict
        seen.append((verdict.count("acknowledged"), kafka.cluster.recorder.failovers))

    loaded()
    (first, failovers), (second, none) = seen
    assert (first, second, none) == (500, 500, 0)
    assert failovers >= 1


LOADED = "loaded"


def test_other_settings_than_the_strictest_are_the_tests_own_business() -> None:
    @kafka_chaos_test(faults="lost_ack", runs=3, strict=False)
    async def plain(kafka: EventlogKafka) -> None:
        await publish_in_turn(kafka, False)

    plain()


@pytest.mark.parametrize(
    ("event", "fault"),
    [(moment + "Produce orders-0", fault) for moment, faults in OFFERS["Produce"].items() for fault in faults]
    + [(moment + "InitProducerId", fault) for moment, faults in OFFERS["InitProducerId"].items() for fault in faults],
)
def test_each_fault_strikes_at_its_moment_and_an_idempotent_client_survives_it(event: str, fault: str) -> None:
    def body_of(made: object, kafka: EventlogKafka) -> Callable[[], object]:
        return lambda: publish_in_turn(kafka, True)

    planned = Deviation(event, 1, fault, "", 0)
    ran = kafka_run.play(body_of, (planned,), True, {"brokers": 3})
    assert ran.error is None, ran.error
    assert ran.verdict is not None
    assert ran.verdict.exactly_once, ran.verdict
    assert list(ran.struck) == [planned]
    assert ran.unused == ()
    told = "\n".join([text for _, text in ran.lines])
    if fault in ("crash", "election", "clean_restart"):
        assert ran.happened["failover"]
    else:
        assert re.search(rf"FAULT {fault} of broker-\d>aiokafka", told), told
    # The retry is a copy only where the first was written and nobody heard of it.
    is_copy = (
        fault in ("reply_lost", "error_after_append", "disconnect", "crash", "clean_restart")
        and event == f"{ANSWER}Produce orders-0"
    )
    assert bool(ran.happened["duplicate recognised"]) == is_copy, told


# --- what can't be right --------------------------------------------------------------------------------------------


def test_a_fault_that_no_door_has_is_refused_with_those_it_has() -> None:
    with pytest.raises(
        RequestError, match="the fault 'lost_akc' is unknown; for real clients the groups are: lost_ack, "
    ):
        kafka_chaos_test(faults={"lost_akc"})
    with pytest.raises(RequestError, match=r"'zombie_leader' is for clusters in virtual time \(@chaos_test\)"):
        kafka_chaos_test(faults={"zombie_leader"})
    with pytest.raises(RequestError, match="runs must be 1 or more"):
        kafka_chaos_test(runs=0)
    with pytest.raises(RequestError, match="takes no argument `kafka`"):
        kafka_chaos_test()(lambda: None)
    with pytest.raises(RequestError, match="with parentheses"):
        kafka_chaos_test(lambda kafka: None)  # type: ignore[arg-type]


def test_a_plan_that_cannot_be_is_refused() -> None:
    def replayed(*deviations: tuple[object, ...], test: str = "nothing") -> object:
        literal = repr(
            {"eventlog": 1, "scenario": {"kafka_chaos_test": test, "seed": 0}, "deviations": list(deviations)}
        )

        @kafka_chaos_test(runs=1, replay=literal)
        def nothing(kafka: EventlogKafka) -> None:
            pass

        return nothing()

    with pytest.raises(RequestError, match="this literal is of the test 'other', and this test is 'nothing'"):
        replayed(test="other")
    with pytest.raises(RequestError, match="crash can't strike the event 'answer: Metadata' of a real client"):
        replayed(("answer: Metadata", 1, "crash", "", 0))
    with pytest.raises(RequestError, match=r"can't strike the event 'Produce orders-0' .*; there can: request_lost"):
        replayed(("Produce orders-0", 1, "reply_lost", "", 0))


def test_a_plan_of_which_nothing_came_is_an_error_on_the_command_line(pytester: pytest.Pytester) -> None:
    source = f"""{SERVICE}
@kafka_chaos_test(runs=2)
async def test_idempotent(kafka):
    await publish_in_turn(kafka, True)
"""
    literal = repr(
        {
            "eventlog": 1,
            "scenario": {"kafka_chaos_test": "test_idempotent", "seed": 0},
            "deviations": [("Produce orders-0", 99, "crash", "", 0)],
        }
    )
    code, told = run_pytest(pytester, source, f"--eventlog-replay={literal}")
    assert code == 1
    assert "this plan did not apply: crash at 'Produce orders-0' (time 99)" in told
    assert "'Produce orders-0' 3 times" in told


def test_a_mark_is_refused_beside_the_decorator(pytester: pytest.Pytester) -> None:
    source = f"""import pytest
{SERVICE}
@pytest.mark.eventlog_kafka(brokers=1)
@kafka_chaos_test(runs=2)
def test_marked(kafka):
    publish(kafka, True)
"""
    code, told = run_pytest(pytester, source)
    assert code == 1
    assert "give to kafka_chaos_test(...) what the mark says" in told


def test_a_test_whose_clients_are_elsewhere_is_an_error() -> None:
    @kafka_chaos_test(runs=2)
    def elsewhere(kafka: EventlogKafka) -> None:
        pass

    with pytest.raises(
        RequestError, match=r"nothing that they strike came to the door\. Do your clients talk to kafka"
    ):
        elsewhere()


# --- plans ----------------------------------------------------------------------------------------------------------


def test_plans_are_the_same_for_the_same_seed_and_begin_with_what_finds_most() -> None:
    came = {"Produce orders-0": 3, "Fetch orders-0": 2}
    first = offers(came, AT_THE_DOOR, 0)
    assert first[0] == Deviation("answer: Produce orders-0", 1, "reply_lost", "", 0)
    assert len(first) == len(dict.fromkeys(first))
    in_turn = list(plans(came, AT_THE_DOOR, 7, 3))
    assert in_turn == list(plans(came, AT_THE_DOOR, 7, 3))
    assert in_turn != list(plans(came, AT_THE_DOOR, 8, 3))
    assert {len(plan) for plan in in_turn} == {1, 2, 3}
    assert {plan[0] for plan in in_turn if len(plan) == 1} == set(first)


def test_every_fault_on_offer_is_a_fault_and_every_group_gives_those_a_door_has() -> None:
    assert set(AT_THE_DOOR) <= set(FAULTS)
    assert faults_at_the_door(None) == AT_THE_DOOR
    assert faults_at_the_door({"leader_failover", "lost_ack"}) == ("reply_lost", "crash", "election")
    assert faults_at_the_door("slow_network") == ("delay",)
    assert set(OFFERS) == {"Produce", "InitProducerId", "OffsetCommit", "Fetch"}


def test_asking_for_the_decorator_loads_no_door_and_no_client() -> None:
    code = (
        "import sys\n"
        "from eventlog.testing import kafka_chaos_test\n"
        "kafka_chaos_test(faults='lost_ack')(lambda kafka: None)\n"
        "print([name for name in sys.modules if name.startswith(('eventlog.wire', 'kio', 'confluent', 'aiokafka'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
