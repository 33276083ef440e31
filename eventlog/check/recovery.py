"""Whether everything came to an end and back into sync after all faults were over."""

from __future__ import annotations

from eventlog.check.history import LeaderChanged
from eventlog.check.index import Index, seen
from eventlog.check.losses import was_killed
from eventlog.check.promises import BROKEN, EXCUSED, FATAL_CLIENT, LIBRDKAFKA, NOBODY_LEFT
from eventlog.check.verdict import Outcome
from eventlog.values import TopicPartition


def unresolved(index: Index) -> list[int]:
    """The sends that were neither acknowledged nor failed."""
    acked, failed = index.acked, index.failed
    return [number for number in index.sent if number not in acked and number not in failed]


def it_recovers(index: Index) -> Outcome:
    """H13: after healing every send has an end, every partition a leader, and every replica is in sync."""
    outcome = Outcome()
    end = index.end
    if end is None or not end.healed:
        outcome.not_checkable = "the run did not end healed"
        return outcome
    for number in index.memo(unresolved):
        row = index.sent[number]
        excuse = FATAL_CLIENT if row.producer in index.memo(fatal_producers) else ""
        if outcome.wants(EXCUSED if excuse else BROKEN, excuse or "a send never got its end"):
            sentence = f"Record {number} of producer {row.producer!r} was neither acknowledged nor failed."
            outcome.describe(index, "H13", sentence, seen(row, end), (index.position(row), len(index.rows)), end.at_ms)
    for name, changes in index.memo(_changes).items():
        changed = changes[-1]
        missing = [broker for broker in index.logs.get(name, {}) if broker not in changed.in_sync_replicas]
        if changed.leader >= 0 and not missing:
            continue
        excuse = NOBODY_LEFT if _nobody_left(index, changes) else ""
        if outcome.wants(EXCUSED if excuse else BROKEN, excuse or "a partition did not recover"):
            state = "has no leader" if changed.leader < 0 else f"lacks {missing} in its in-sync replicas"
            place = index.position(changed)
            outcome.describe(index, "H13", f"{name} {state}.", seen(changed, end), (place, len(index.rows)), end.at_ms)
    return outcome


def _changes(index: Index) -> dict[TopicPartition, list[LeaderChanged]]:
    found: dict[TopicPartition, list[LeaderChanged]] = {}
    for row in index.leader_rows:
        found.setdefault(TopicPartition(row.topic, row.partition), []).append(row)
    return found


def _nobody_left(index: Index, changes: list[LeaderChanged]) -> bool:
    """True when nobody may lead in the end, and all who last might have been killed."""
    newest = changes[-1]
    if newest.leader >= 0 or newest.in_sync_replicas or newest.eligible_leader_replicas:
        return False
    might_lead = [row.in_sync_replicas + row.eligible_leader_replicas for row in changes]
    last = [brokers for brokers in might_lead if brokers][-1:]
    return bool(last) and all(was_killed(index, broker) for broker in last[0])


def fatal_producers(index: Index) -> dict[str, None]:
    """Producers of librdkafka that were refused out of order at the head of their line: they send nothing any more."""
    if index.run is None or index.run.client != LIBRDKAFKA:
        return {}
    return {row.producer: None for row in index.failed_rows if row.error == "OUT_OF_ORDER_SEQUENCE_NUMBER"}
