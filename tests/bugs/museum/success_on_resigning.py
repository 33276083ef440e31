"""A leader that resigns and tells those who wait for replication that all is well."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.errors import ErrorCode
from eventlog.museum.exhibit import replaced


def plant() -> AbstractContextManager[None]:
    """While it lasts, the rule is broken."""
    original = Broker._fail_waiting_produces

    def fail(broker: Broker, topic_partition: Any, error: ErrorCode, out: list[Any]) -> None:
        original(broker, topic_partition, ErrorCode.NONE, out)

    return replaced(Broker, "_fail_waiting_produces", fail)
