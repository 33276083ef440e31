"""How a cluster begins to listen, and ends: inside a loop that runs, or in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from eventlog.cluster import Cluster
from eventlog.wire.door import Door

CLOSE_S: Final = 5.0


@asynccontextmanager
async def serve(cluster: Cluster, **options: Any) -> AsyncIterator[Door]:
    """Let `cluster` listen in the loop that runs. Options are those of `Door`.

    Raises at the end what went wrong at the door, and RequestError when a fault was asked for and never struck.
    """
    door = Door(cluster, **options)
    try:
        await door.open()
        yield door
    finally:
        await door.close()
    door.check()


@contextmanager
def listen(cluster: Cluster, **options: Any) -> Iterator[Door]:
    """`serve` in a thread of its own: calls of `cluster` are handed over to it and waited for."""
    door = Door(cluster, **options)
    loop = asyncio.SelectorEventLoop()
    thread = threading.Thread(target=loop.run_forever, name="eventlog-door", daemon=True)
    thread.start()

    def run(coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        run(door.open())
        yield door
    finally:
        run(door.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_S)
        loop.close()
    door.check()
