"""A service that reads amounts, adds them up, and writes each new total to another topic.

The mistake: the total goes to the log, and how far the service has read goes to a file. It may die between the two; then
it reads the same amount again, and adds it twice. (The other way round, the amount would be left out.)

Kafka's transactions write both at once. Without them, what belongs together has to be *one* record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eventlog import Cluster
from eventlog.testing import maybe_crash

AMOUNTS, TOTALS = "amounts", "totals"
QUIET_MS = 45_000  # more than a client waits for an answer that was lost


def records_of(cluster: Cluster, topic: str, position: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset, value) of what is in a topic from `position` on. Nothing new for so long: this is the end."""
    with cluster.consumer((topic, 0)) as reader:
        reader.seek(topic, 0, position)
        while found := reader.poll(QUIET_MS):
            for record in found:
                yield record.offset, record.record.value or b""


def careless_totals(cluster: Cluster, notes: Path) -> None:
    """Buggy: two writes that belong together."""
    position = int(notes.read_text()) if notes.exists() else 0
    total = 0
    for _, value in records_of(cluster, TOTALS):
        total = int(value)
    producer = cluster.producer("totals")
    for offset, value in records_of(cluster, AMOUNTS, position):
        total += int(value)
        producer.send(TOTALS, b"%d" % total).offset  # noqa: B018 (waits until it is acknowledged)
        maybe_crash("after_write")
        notes.write_text(str(offset + 1))


def totals(cluster: Cluster, notes: Path) -> None:
    """Fixed: a total says how far it goes. The last one in the log is all that has to be known after a crash."""
    total = position = 0
    for _, value in records_of(cluster, TOTALS):
        total, position = map(int, value.split())
    producer = cluster.producer("totals")
    for offset, value in records_of(cluster, AMOUNTS, position):
        total += int(value)
        producer.send(TOTALS, b"%d %d" % (total, offset + 1)).offset  # noqa: B018
        maybe_crash("after_write")
