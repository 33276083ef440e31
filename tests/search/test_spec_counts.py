"""Kafka's published specification has as many states here as TLC counts, and its ancestors break where they do there.

Sizes are (replicas, log size, records, greatest leader epoch). A depth counts states, as TLC does: one more than steps.
"""

from __future__ import annotations

import pytest
from spec_replication import (
    KIP_101,
    KIP_279,
    KIP_320,
    KIP_320_FIRST_TRY,
    TRUNCATE_TO_HIGH_WATERMARK,
    Replication,
    Rules,
)
from spec_symmetry import Symmetric

from eventlog.sim.search import BROKEN, retell, search

Size = tuple[int, int, int, int]


@pytest.mark.parametrize(
    ("rules", "size", "states"),
    [
        pytest.param(KIP_320, (3, 2, 2, 2), 737_794, id="kip-320-3-2-2-2"),  # the longest first
        pytest.param(KIP_320, (2, 2, 2, 1), 957, id="kip-320-2-2-2-1"),
        pytest.param(KIP_320, (2, 2, 2, 2), 5_973, id="kip-320-2-2-2-2"),
        pytest.param(KIP_320, (2, 2, 2, 3), 28_939, id="kip-320-2-2-2-3"),
        pytest.param(KIP_320, (2, 3, 3, 2), 21_493, id="kip-320-2-3-3-2"),
        pytest.param(KIP_320, (3, 2, 2, 1), 39_619, id="kip-320-3-2-2-1"),
        pytest.param(KIP_101, (2, 2, 2, 1), 1_177, id="kip-101-2-2-2-1"),
        pytest.param(KIP_101, (2, 1, 1, 2), 1_995, id="kip-101-2-1-1-2"),
    ],
)
def test_as_many_states_as_tlc_counts_and_none_is_broken(rules: Rules, size: Size, states: int) -> None:
    searched = search(Replication(rules, *size))
    assert (searched.states, searched.broken, searched.stopped_by) == (states, "", "")


@pytest.mark.parametrize(
    ("size", "states"),
    [pytest.param((3, 2, 2, 2), 123_311, id="3-2-2-2"), pytest.param((3, 2, 2, 1), 6_713, id="3-2-2-1")],
)
def test_as_many_states_as_tlc_counts_when_replicas_have_no_names(size: Size, states: int) -> None:
    searched = search(Symmetric(Replication(KIP_320, *size)))
    assert (searched.states, searched.broken, searched.stopped_by) == (states, "", "")


@pytest.mark.parametrize(
    ("rules", "size", "depth"),
    [
        pytest.param(TRUNCATE_TO_HIGH_WATERMARK, (2, 1, 1, 2), 10, id="truncate-to-high-watermark"),
        pytest.param(KIP_101, (2, 2, 2, 2), 12, id="kip-101"),
        pytest.param(KIP_279, (3, 1, 1, 2), 11, id="kip-279"),
        pytest.param(KIP_320_FIRST_TRY, (3, 2, 2, 2), 13, id="kip-320-first-try"),
    ],
)
def test_what_came_before_breaks_at_the_depth_that_tlc_finds(rules: Rules, size: Size, depth: int) -> None:
    space = Symmetric(Replication(rules, *size))
    searched = search(space)
    assert (searched.broken, searched.stopped_by) == ("strong ISR", BROKEN)
    told = retell(space, searched.path)
    assert len(told) == depth
    assert [space.broken(state) for state in told] == [""] * (depth - 1) + ["strong ISR"]
