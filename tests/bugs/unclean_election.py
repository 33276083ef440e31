"""A controller that lets the first living replica lead, whether it is in sync or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from eventlog.controller import election
from eventlog.messages.controller_api import PartitionRecord

from .patching import replaced


@contextmanager
def plant() -> Iterator[None]:
    """While it lasts, the rule is broken."""

    def next_leader(partition: PartitionRecord, alive: tuple[int, ...]) -> int:
        living = [broker_id for broker_id in partition.replicas if broker_id in alive]
        return living[0] if living else -1

    with replaced(election, "_next_leader", next_leader):
        yield
