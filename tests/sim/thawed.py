"""Goes on with frozen worlds: `python thawed.py FILE`. Prints a digest of what is left of each, one a line.

The file holds a pickled list of (frozen world, until which virtual time).
"""

from __future__ import annotations

import pickle
import sys
from hashlib import sha256
from typing import Any

from eventlog.sim.recorder import Recorder
from eventlog.sim.world import World


def rest_of(frozen: Any, until_ms: int) -> str:
    """The digest of the rest of a frozen world, with the order of its messages to users."""
    recorder = Recorder()
    world = World.thaw(frozen, recorder)
    world.run_until(until_ms)
    return digest_of(recorder.events)


def digest_of(events: Any) -> str:
    digest = sha256()
    for number, at_ms, what in events:
        digest.update(f"{number} {at_ms} {what!r}\n".encode())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        for frozen, until_ms in pickle.load(file):
            print(rest_of(frozen, until_ms))
