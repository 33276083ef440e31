"""`EventLogMachine`: sound on a sound cluster, and a failing story is told in steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from eventlog import Delivery
from eventlog.log.producer_state import ProducerEntry
from eventlog.testing.machine import EventLogMachine

SETTINGS = settings(
    max_examples=40,
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow],
)


def story_of(machine: type[RuleBasedStateMachine], how: settings = SETTINGS) -> list[str]:
    """The steps of the failing story, invariants left out."""
    with pytest.raises(AssertionError) as caught:
        run_state_machine_as_test(machine, settings=how)
    lines = "\n".join(caught.value.__notes__).splitlines()
    steps = [line.partition("state.")[2] for line in lines if line.startswith(("state.", "sent_"))]
    return [step for step in steps if not step.startswith(("what_is", "nothing_is"))]


def test_on_a_sound_cluster_no_story_fails() -> None:
    class Sound(EventLogMachine):
        checks = "full"
        partitions = 2

    run_state_machine_as_test(Sound, settings=SETTINGS)


def test_a_plain_writers_copy_is_told_in_steps() -> None:
    class Plain(EventLogMachine):
        producer_settings = {"linger_ms": 0, "enable_idempotence": False}  # noqa: RUF012
        budgets = {"reply_lost": 1}  # noqa: RUF012

        @invariant()
        def nothing_is_there_twice(self) -> None:
            assert len(self.committed()) <= len(self.deliveries)

    send, lose, wait, end = story_of(Plain)
    assert sorted([send, lose]) == ["lose_next_answer()", "send(key=None, value=b'')"]
    assert wait in ("wait_for(delivery=sent_0)", "advance(by_ms=40000)")
    assert end == "teardown()"


def test_a_broker_that_knows_no_duplicates_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProducerEntry, "find_duplicate", lambda entry, batch: None)

    class Mutant(EventLogMachine):
        checks = "off"
        budgets = {"reply_lost": 1}  # noqa: RUF012

    steps = story_of(Mutant)
    assert steps.count("lose_next_answer()") == 1
    assert any(step.startswith("send(") for step in steps)


def test_a_reader_is_held_to_what_it_read_before() -> None:
    class Forgetful(EventLogMachine):
        budgets: dict[str, int] = {}  # noqa: RUF012

        @rule()
        def rewrite_history(self) -> None:
            for place in self.log:
                self.log[place] = b"another"

    assert "rewrite_history()" in story_of(Forgetful, settings(SETTINGS, phases=(Phase.generate,)))


def test_what_is_acknowledged_and_what_is_read_are_held_against_what_was_known() -> None:
    machine = EventLogMachine()
    machine.wait_for(machine.send(None, b"mine"))
    machine.what_is_acknowledged_has_one_place_for_good()
    machine.log[0, 0] = b"another"
    with pytest.raises(AssertionError, match="and another stand in one place"):
        machine.what_is_acknowledged_has_one_place_for_good()
    with pytest.raises(AssertionError, match="something else stands at 0 now"):
        machine.poll()


def test_without_budgets_nothing_goes_wrong() -> None:
    seen: list[int] = []

    class Calm(EventLogMachine):
        budgets: dict[str, int] = {}  # noqa: RUF012

        def teardown(self) -> None:
            super().teardown()
            seen.append(len(self.cluster.deviations))

    run_state_machine_as_test(Calm, settings=settings(SETTINGS, max_examples=15))
    assert set(seen) == {0}


def test_no_fault_comes_more_often_than_its_budget() -> None:
    class Counted(EventLogMachine):
        budgets = {"reply_lost": 1, "election": 1}  # noqa: RUF012

        def teardown(self) -> None:
            super().teardown()
            faults = [deviation.fault for deviation in self.cluster.deviations]
            assert len(faults) == len(set(faults))
            assert set(faults) <= {"reply_lost", "election"}

    run_state_machine_as_test(Counted, settings=SETTINGS)


def test_a_failing_step_is_told_and_not_what_the_end_makes_of_it() -> None:
    class Clumsy(EventLogMachine):
        @rule(delivery=EventLogMachine.sent)
        def drop(self, delivery: Delivery) -> None:
            raise KeyError(delivery.number)

        def poll_to_the_end(self) -> None:
            if any(delivery.done for delivery, _ in self.deliveries):
                raise AssertionError("not what is told of a story that failed before")

    with pytest.raises(KeyError) as caught:
        run_state_machine_as_test(Clumsy, settings=SETTINGS)
    assert caught.value.__context__ is None


def test_users_add_their_own_rules_and_invariants() -> None:
    class Ledger(EventLogMachine):
        """Books amounts; a reader's total must never be more than what was booked."""

        def __init__(self) -> None:
            super().__init__()
            self.booked = 0

        @rule(amount=st.integers(1, 9))
        def book(self, amount: int) -> None:
            self.booked += amount
            self.writer.send(self.topic, b"%d" % amount, key=b"ledger")

        @invariant()
        def nothing_is_booked_twice(self) -> None:
            read: list[Any] = [found.record for found in self.committed() if found.record.key == b"ledger"]
            assert sum(int(record.value) for record in read) <= self.booked

    run_state_machine_as_test(Ledger, settings=settings(SETTINGS, max_examples=20))
