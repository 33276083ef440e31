"""A cluster while it listens: every call runs in the thread that owns the world.

The cluster, and the producers and consumers it makes, change their class for that time: to one that is made of their own,
with every public method and property handed over to the door.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from eventlog.clients import Consumer, Producer
from eventlog.cluster import Cluster
from eventlog.errors import UnknownOutcomeError
from eventlog.wire.faults import WAIT_S

if TYPE_CHECKING:
    from eventlog.wire.door import Door

_classes: Final[dict[type[Any], type[Any]]] = {}


def hand_over(cluster: Cluster, door: Door) -> None:
    """From now on `cluster` is called through `door`."""
    cluster._door = door
    for each in (cluster, *cluster._clients.values()):
        each.__class__ = _handed_over(each.__class__)


def take_back(cluster: Cluster) -> None:
    """Undo `hand_over`."""
    cluster._door = None
    for each in (cluster, *cluster._clients.values()):
        each.__class__ = each.__class__.__mro__[1]


def _handed_over(kind: type[Any]) -> type[Any]:
    """`kind`, with every public method and property run in the thread that owns the world."""
    known = _classes.get(kind)
    if known is None:
        known = _classes[kind] = _make(kind)
    return known


def _make(kind: type[Any]) -> type[Any]:
    body: dict[str, Any] = {"__slots__": ()} if "__slots__" in vars(kind) else {}
    for name in dir(kind):
        known = getattr(kind, name)
        if name.startswith("_") or name in ("faults", "wait_for"):
            continue
        if isinstance(known, property):
            assert known.fget is not None
            body[name] = property(_looked_at(known.fget))
        elif callable(known):
            body[name] = _called(known)
    if issubclass(kind, Cluster):
        body["wait_for"] = _wait_for
    return type(kind.__name__, (kind,), body)


def _door_of(each: Any) -> Any:
    return (each if isinstance(each, Cluster) else each._cluster)._door


def _called(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def handed_over(self: Any, *arguments: Any, **keywords: Any) -> Any:
        result = _door_of(self).hand_over(method, self, *arguments, **keywords)
        if result.__class__ in (Producer, Consumer):
            result.__class__ = _handed_over(result.__class__)
        return result

    return handed_over


def _looked_at(get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda self: _door_of(self).hand_over(lambda: get(self))


def _wait_for(self: Any, predicate: Callable[[], bool], what: str = "the condition", timeout_ms: int = -1) -> None:
    """In the loop's thread the world is moved until the predicate is true; in another, the clock goes on by itself."""
    door = self._door
    if threading.get_ident() == door.thread_id:
        keywords = {} if timeout_ms < 0 else {"timeout_ms": timeout_ms}
        door.call(Cluster.wait_for, self, predicate, what, **keywords)
        return
    timeout_s = WAIT_S if timeout_ms < 0 else timeout_ms / 1000

    async def in_loop() -> None:
        await asyncio.wait_for(door.wait_until(predicate), timeout_s)

    try:
        asyncio.run_coroutine_threadsafe(in_loop(), door.loop).result()
    except TimeoutError:
        raise UnknownOutcomeError(f"waited {timeout_s} s for {what}") from None
