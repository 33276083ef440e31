"""The vocabulary of faults: one name each, the same in the API, on the command line and in plans.

`FAULTS` is the whole table. What a fault does to the world is written in `eventlog.sim.faults`; here stand the names,
what they mean, and which parameters they take, because the checker and the command line speak of them too.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import RequestError


class FaultKind(NamedTuple):
    """A kind of fault: its name, one sentence, and how long it lasts by default (0: it is over at once)."""

    name: str
    what: str
    default_duration_ms: int


FAULTS: dict[str, FaultKind] = {
    kind.name: kind
    for kind in (
        FaultKind("request_lost", "a client's request never arrives, nor what follows it on that connection", 0),
        FaultKind(
            "reply_lost", "the request was served; its answer never arrives, nor any later one on that connection", 0
        ),
        FaultKind("delay", "a message arrives late, and what follows it on that connection waits behind it", 500),
        FaultKind("disconnect", "a connection breaks; what is under way on it is lost in both directions", 0),
        FaultKind("cut", "nothing passes between two machines, in both directions, until it is healed", 15_000),
        FaultKind("cut_one_way", "nothing passes from one machine to another; the way back is open", 15_000),
        FaultKind(
            "isolate", "a broker reaches clients but neither controller nor other brokers: a zombie leader", 20_000
        ),
        FaultKind("crash", "a broker dies and restarts; its disk is kept", 12_000),
        FaultKind("crash_losing_tail", "a broker dies and restarts; what was not flushed to its disk is gone", 12_000),
        FaultKind("pause", "a broker stands still and wakes up unaware of it", 12_000),
        FaultKind("client_timeout", "a client gives up waiting for an answer that is still under way", 0),
        FaultKind("election", "another in-sync replica is made leader though nothing failed", 0),
        FaultKind("slow_follower", "a follower's fetches are late", 40_000),
    )
}


def check_fault_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` in the table's order, each once; raises RequestError for one that is not in the table."""
    for name in names:
        if name not in FAULTS:
            raise RequestError(f"unknown fault {name!r}; the known ones are: {', '.join(FAULTS)}")
    return tuple(name for name in FAULTS if name in names)
