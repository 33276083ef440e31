"""Deviations: what a run does differently from the benign one, and the plans that choose them.

A deviation names an event of the run and what happens instead of it (this delivery is lost) or just before it (that
broker dies). The event is called by its name and its n-th occurrence, never by its position, so taking one deviation
out leaves the meaning of the others alone. It is a plain value whose repr is a Python literal.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import RequestError
from eventlog.values.faults import USUAL_FAULTS, check_fault_names


class Deviation(NamedTuple):
    """At the `occurrence`-th event called `event`: `fault`, on `target` (a machine, or two with `>` or `-` between),
    for `duration_ms` (0: at once over; -1: for good)."""

    event: str
    occurrence: int
    fault: str
    target: str
    duration_ms: int


class FaultRate(NamedTuple):
    """How often a seeded run takes a fault where it could: `per_million` opportunities, at most `budget` times."""

    per_million: int
    budget: int


DEFAULT_RATES: dict[str, FaultRate] = {
    "request_lost": FaultRate(3_000, 3),
    "reply_lost": FaultRate(12_000, 6),
    "delay": FaultRate(6_000, 8),
    "disconnect": FaultRate(5_000, 5),
    "cut": FaultRate(600, 2),
    "cut_one_way": FaultRate(600, 2),
    "isolate": FaultRate(1_200, 1),
    "crash": FaultRate(2_500, 2),
    "crash_losing_tail": FaultRate(1_200, 1),
    "pause": FaultRate(1_200, 1),
    "client_timeout": FaultRate(3_000, 3),
    "election": FaultRate(2_500, 3),
    "slow_follower": FaultRate(400, 1),
    "clog": FaultRate(600, 2),
    "split": FaultRate(600, 1),
    "stuck_fetcher": FaultRate(400, 1),
    "crash_wiped": FaultRate(600, 1),
    "clean_restart": FaultRate(1_200, 2),
    "power_cut": FaultRate(300, 1),
    "snapshot_lost": FaultRate(300, 1),
    "snapshot_old": FaultRate(300, 1),
    "snapshot_corrupt": FaultRate(300, 1),
    "append_fails": FaultRate(2_500, 3),
    "error_after_append": FaultRate(2_500, 3),
    "controller_isolated": FaultRate(300, 1),
    "controller_paused": FaultRate(300, 1),
    "metadata_delay": FaultRate(1_200, 2),
    "isr_shrink": FaultRate(1_200, 3),
    "isr_expand": FaultRate(1_200, 3),
    "unclean_election": FaultRate(600, 1),
    "log_start_moved": FaultRate(600, 1),
    "request_duplicated": FaultRate(12_000, 6),
    "reply_duplicated": FaultRate(12_000, 6),
    "request_reordered": FaultRate(12_000, 6),
}


class FaultPlan(NamedTuple):
    """Which faults a seeded run may take, how often, and how many of each. Prints as code."""

    rates: tuple[tuple[str, FaultRate], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple([name for name, _ in self.rates])


def fault_plan(names: tuple[str, ...] | None = None, scale: int = 1) -> FaultPlan:
    """The default rates of `names` (None: the usual ones), times `scale`; budgets stay.

    Raises RequestError for unknown names. Datagram faults are no part of any default.
    """
    if scale < 0:
        raise RequestError(f"scale must be 0 or more, not {scale}")
    wanted = check_fault_names(USUAL_FAULTS if names is None else names)
    return FaultPlan(
        tuple(
            [(name, FaultRate(DEFAULT_RATES[name].per_million * scale, DEFAULT_RATES[name].budget)) for name in wanted]
        )
    )


# What can happen to which kind of event. The order is fixed: a search counts on it. New faults come last, so that the old
# ones keep their places in a seed's luck.
_BROKER_DIES = (
    "crash_wiped",
    "clean_restart",
    "power_cut",
    "snapshot_lost",
    "snapshot_old",
    "snapshot_corrupt",
    "unclean_election",
)
_CONTROL = ("split", "controller_isolated", "controller_paused", "metadata_delay")
CLIENT_REQUEST = ("request_lost", "delay", "disconnect", "cut", "cut_one_way", "clog")
CLIENT_REPLY = ("reply_lost", "delay", "disconnect", "client_timeout", "cut", "cut_one_way", "clog", "reply_duplicated")
PRODUCE_REQUEST = (
    *CLIENT_REQUEST[:-1],
    "crash",
    "crash_losing_tail",
    "pause",
    "isolate",
    "election",
    "clog",
    *_CONTROL,
    *_BROKER_DIES,
    "append_fails",
    "isr_shrink",
    "isr_expand",
    "log_start_moved",
    "request_duplicated",
    "request_reordered",
)
PRODUCE_REPLY = (
    *CLIENT_REPLY[:-2],
    "crash",
    "crash_losing_tail",
    "election",
    "clog",
    *_CONTROL,
    *_BROKER_DIES,
    "error_after_append",
    "isr_shrink",
    "log_start_moved",
    "reply_duplicated",
)
FOLLOWER_FETCH = (
    "delay",
    "disconnect",
    "cut",
    "cut_one_way",
    "crash",
    "isolate",
    "slow_follower",
    "clog",
    "split",
    "stuck_fetcher",
    "metadata_delay",
    "crash_wiped",
    "clean_restart",
    "isr_shrink",
    "isr_expand",
    "election",
)
FOLLOWER_REPLY = ("delay", "disconnect", "crash", "crash_losing_tail", "pause", "clog", "clean_restart", "election")
TIMER: tuple[str, ...] = ()
