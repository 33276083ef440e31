"""Crash points: places in a user's code where its process may die, and a supervisor that starts it again.

```python
def relay(database, cluster):
    producer = cluster.producer()
    for event in unpublished(database):
        producer.send("orders", event).offset
        maybe_crash("after_publish")
        mark_as_published(database, event)

supervise(relay, database, cluster)
```

Outside of a `chaos_test` both do nothing: `maybe_crash` returns, and `supervise` calls once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class SimulatedCrash(BaseException):
    """The process dies here. Not an Exception, so that `except Exception` does not survive it."""


class Supervisor(Protocol):
    """Who decides which crash points are deadly: the chaos run that is under way."""

    def reach(self, point: str) -> None: ...

    def supervise(self, process: Callable[[], Result]) -> Result: ...


_supervisor: Supervisor | None = None


def maybe_crash(point: str) -> None:
    """A crash point called `point`. In a chaos run with the fault `client_crash`, inside `supervise`, the process may
    die here: its clients are gone with all they had not sent, and SimulatedCrash is raised. Else nothing happens."""
    if _supervisor is not None:
        _supervisor.reach(point)


def supervise(process: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Run `process(*args, **kwargs)` as a process of its own: when it dies at a crash point it is called again, a
    second later. What it made outlives it only where a real process's would: in files, and in the cluster.

    Let it make its producers and consumers itself: those made outside belong to somebody else, and don't die with it.
    """
    if _supervisor is None:
        return process(*args, **kwargs)
    return _supervisor.supervise(lambda: process(*args, **kwargs))


def set_supervisor(supervisor: Supervisor | None) -> Supervisor | None:
    """From now on `supervisor` is asked; returns who was before."""
    global _supervisor
    before, _supervisor = _supervisor, supervisor
    return before
