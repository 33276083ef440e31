"""Retry chaos on the real code: Hypothesis draws one number, each number is twenty walks.

A seed shrinks badly, so nothing is left to shrinking: a walk that fails says so with its literal, which repeats it and
can be shortened deviation by deviation.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_runs import find_fault_in

WALKS = 20


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], report_multiple_bugs=False)
@given(st.integers(0, 2**40))
def test_no_walk_through_retries_crashes_and_elections_breaks_a_promise(number: int) -> None:
    for walk in range(WALKS):
        wrong = find_fault_in(WALKS * number + walk, sends=10, writers=2)
        assert wrong is None, wrong
