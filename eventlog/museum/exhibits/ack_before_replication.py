"""A leader answers when it has written, not when the record is committed.

With acks=1 this is the bargain, and everybody knows it. With acks=all it is a lie. The leader writes the
record into its own log and answers at once. Then another replica, in sync a moment ago and without the
record, becomes leader; the old one cuts its log to match. The producer holds an acknowledgement with
an offset, and at that offset stands something else or nothing. An answer has to wait for the high
watermark.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from eventlog.broker.broker import Broker
from eventlog.museum.exhibit import Exhibit, replaced
from eventlog.scenarios import find_scenario

EXHIBIT = Exhibit(
    number=11,
    mistake="the answer is not held back until the high watermark has passed the record",
    breaks="H5",
    reference="acks=1 in Kafka's documentation",
    scenario=find_scenario("P2"),
    shortest=(),
)


def plant() -> AbstractContextManager[None]:
    """While it lasts, the mistake is made."""
    original = Broker._append

    def append(broker: Broker, wanted: Any, acks: int, now_ms: int, required: dict[Any, int], *given: Any) -> Any:
        return original(broker, wanted, acks, now_ms, {}, *given)

    return replaced(Broker, "_append", append)
