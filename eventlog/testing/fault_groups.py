"""What a test may ask for under `faults`: friendly names for groups of faults, beside every name of `FAULTS`.

`client_crash` is no fault of a world: it strikes the user's own code, at its crash points (`maybe_crash`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from eventlog.errors import RequestError
from eventlog.values.faults import FAULTS, USUAL_FAULTS

CLIENT_CRASH: Final = "client_crash"

FAULT_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "lost_ack": ("reply_lost",),
    "lost_request": ("request_lost",),
    "connection_loss": ("disconnect",),
    "slow_network": ("delay", "clog", "client_timeout"),
    "leader_failover": ("election", "crash"),
    "broker_restart": ("clean_restart", "crash"),
    "zombie_leader": ("isolate", "pause"),
    "network_partition": ("cut", "cut_one_way", "split"),
    "lost_memory": ("snapshot_lost", "snapshot_old", "snapshot_corrupt"),
    "lost_data": ("crash_losing_tail", "crash_wiped", "unclean_election"),
    CLIENT_CRASH: (CLIENT_CRASH,),
    "all": (*USUAL_FAULTS, CLIENT_CRASH),
}
"""Each group, and the faults it stands for."""

USUAL: Final[tuple[str, ...]] = (*[name for name in USUAL_FAULTS if name != "unclean_election"], CLIENT_CRASH)
"""What may happen when nobody names any: all that a sound cluster survives, and crash points."""


def fault_kinds(names: Iterable[str] | str | None) -> tuple[str, ...]:
    """The faults that `names` stand for, in a fixed order, each once. None: the usual ones.

    Raises RequestError for a name that is neither a group nor a fault.
    """
    if names is None:
        return USUAL
    wanted: dict[str, None] = {}
    for name in names.split(",") if isinstance(names, str) else names:
        if not isinstance(name, str) or (name not in FAULT_GROUPS and name not in FAULTS):
            raise RequestError(
                f"unknown fault {name!r}; the groups are: {', '.join(FAULT_GROUPS)}; the faults: {', '.join(FAULTS)}"
            )
        wanted.update(dict.fromkeys(FAULT_GROUPS.get(name, (name,))))
    return tuple([name for name in (*FAULTS, CLIENT_CRASH) if name in wanted])
