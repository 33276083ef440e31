"""The vocabulary of faults: one name each, the same in the API, on the command line and in plans.

`FAULTS` is the whole table. `USUAL_FAULTS` is what a plan takes when nobody names any: all but the datagram faults, which
no connection of a real network has, and `log_start_moved`, which deletes what a run is about to count.

What a fault does to the world is written in `eventlog.sim.striking`; here stand the names, what they mean, and which
parameters they take, because the checker and the command line speak of them too.
"""

from __future__ import annotations

from typing import NamedTuple

from eventlog.errors import RequestError


class FaultKind(NamedTuple):
    """A kind of fault: its name, one sentence, and how long it lasts by default (0: it is over at once).

    `is_datagram`: it breaks the order of a connection, which only free datagrams do; it must be asked for by name.
    """

    name: str
    what: str
    default_duration_ms: int
    is_datagram: bool = False


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
        FaultKind("clog", "a link holds what is sent one way for a while and lets it out in one burst", 3_000),
        FaultKind("split", "brokers and controller fall into two groups that don't reach each other", 15_000),
        FaultKind("stuck_fetcher", "a follower lives but fetches nothing for a while", 30_000),
        FaultKind("crash_wiped", "a broker dies, and restarts with an empty disk", 12_000),
        FaultKind("clean_restart", "a broker hands over what it leads, stops in order, and starts again", 5_000),
        FaultKind("power_cut", "all brokers die at once and restart; their disks are kept", 10_000),
        FaultKind(
            "snapshot_lost", "a broker dies; the newest snapshot of its producers is gone when it restarts", 12_000
        ),
        FaultKind(
            "snapshot_old",
            "a broker dies; of its snapshots of producers only the oldest is there when it restarts",
            12_000,
        ),
        FaultKind("snapshot_corrupt", "a broker dies; the newest snapshot of its producers has a flipped bit", 12_000),
        FaultKind("append_fails", "a leader's disk refuses a batch: KAFKA_STORAGE_ERROR, and nothing is in the log", 0),
        FaultKind("error_after_append", "a batch is written, and its answer is a retriable error all the same", 0),
        FaultKind("controller_isolated", "no broker reaches the controller, and it reaches none", 15_000),
        FaultKind("controller_paused", "the controller stands still and wakes up unaware of it", 12_000),
        FaultKind("metadata_delay", "one broker hears from the controller late; the controller hears it well", 10_000),
        FaultKind("isr_shrink", "a leader proposes to leave out a follower that is in sync", 0),
        FaultKind("isr_expand", "a leader proposes to take in the first follower that may join, though it lags", 0),
        FaultKind(
            "unclean_election",
            "all in-sync replicas die, and one that is not in sync is made leader: declared loss",
            20_000,
        ),
        FaultKind("log_start_moved", "the records below the high watermark are deleted", 0),
        FaultKind("request_duplicated", "a copy of a request arrives later; its answer reaches nobody", 500, True),
        FaultKind("reply_duplicated", "an answer arrives a second time", 0, True),
        FaultKind("request_reordered", "a request changes places with the next; answers stay in order", 0, True),
    )
}

USUAL_FAULTS: tuple[str, ...] = tuple(
    [name for name, kind in FAULTS.items() if not kind.is_datagram and name != "log_start_moved"]
)


def check_fault_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` in the table's order, each once; raises RequestError for one that is not in the table."""
    for name in names:
        if name not in FAULTS:
            raise RequestError(f"unknown fault {name!r}; the known ones are: {', '.join(FAULTS)}")
    return tuple(name for name in FAULTS if name in names)
