"""A replica comes back with less than it had, and leads.

Two replicas, both needed. One dies, and what it had not yet written to its disk is gone. The other leads
alone, the last one standing; then it isn't heard for a while either. If the one that lost its end may
lead now, the other cuts its log to match, and acknowledged records are nowhere. KIP-966 keeps a list of
those who left in sync when too few were left, and strikes off whoever did not stop in order: the other
one is waited for.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.controller.controller import Controller
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario
from eventlog.sim.faults import Deviation

EXHIBIT = Exhibit(
    number=10,
    mistake="who did not stop in order stays eligible to lead",
    breaks="H5",
    reference="KIP-966",
    scenario=find_scenario("P2", budgets=(("crash_losing_tail", 1), ("pause", 1))),
    shortest=(
        Deviation("answer: writer produces events-0 @2 try 0", 1, "crash_losing_tail", "broker-1", 12000),
        Deviation("writer produces events-0 @2 try 2", 1, "pause", "broker-2", 12000),
    ),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Controller._without

    def without(controller: Controller, broker_id: int, struck_off: int = -1) -> Any:
        return original(controller, broker_id)

    return replaced(Controller, "_without", without)
