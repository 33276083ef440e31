"""`eventlog`: an in-process event-log broker that implements Kafka's idempotent writer for real.

```python
from eventlog import Cluster

with Cluster() as cluster:
    cluster.create_topic("orders")
    print(cluster.producer().send("orders", b"hello").offset)
```

Names are loaded when they are first used, so importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlog.values.version import __version__

if TYPE_CHECKING:
    from eventlog.clients import Consumer, Delivery, Producer
    from eventlog.cluster import Cluster
    from eventlog.errors import (
        AbortableError,
        ErrorCode,
        EventLogError,
        FatalError,
        InvariantViolation,
        RequestError,
        RetriableError,
        UnknownOutcomeError,
    )
    from eventlog.wire import listen

__all__ = [
    "AbortableError",
    "Cluster",
    "Consumer",
    "Delivery",
    "ErrorCode",
    "EventLogError",
    "FatalError",
    "InvariantViolation",
    "Producer",
    "RequestError",
    "RetriableError",
    "UnknownOutcomeError",
    "__version__",
    "listen",
]

_HOMES = {
    "Cluster": "eventlog.cluster",
    "Consumer": "eventlog.clients",
    "Delivery": "eventlog.clients",
    "Producer": "eventlog.clients",
    "listen": "eventlog.wire",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'eventlog' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES.get(name, "eventlog.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
