"""Who answers which API.

What every producer and consumer asks is loaded with the door: nobody's first message waits for it. What administrators ask
comes with kio, when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from eventlog.wire import fetch, hello, metadata, offsets, produce, producer_ids
from eventlog.wire.call import Handler
from eventlog.wire.versions import Api

_handlers: Final[dict[int, Handler]] = {}
for _module in (fetch, hello, metadata, offsets, produce, producer_ids):
    _handlers.update(_module.HANDLERS)


def handler_of(api: Api) -> Handler:
    """What reads, answers and writes this API."""
    handler = _handlers.get(api.key)
    if handler is None:
        _handlers.update(import_module(f"eventlog.wire.{api.module}").HANDLERS)
        handler = _handlers[api.key]
    return handler
