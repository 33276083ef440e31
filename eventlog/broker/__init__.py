"""Floor 3: a broker: leader of some partitions, follower of others, and a waiting room.

**One batch** (`leading`). `_on_produce` asks whether this broker leads and whether enough replicas are in sync; the log
judges and stores; waiting followers get the batch at once; the answer waits until the high watermark has passed it. A
follower acknowledges by its next fetch, which begins behind what it has stored. A duplicate walks the same way and waits
for the high watermark like any write: answered at once, it would acknowledge what may yet be lost.

**Roles** come from the metadata log alone (`Broker._apply`): a higher leader epoch ends one term and begins another. A
new leader rebuilds nothing. What it followed it remembers, including what it needs to recognise a retry.

B1. A partition has at most one role here; what waited for the old role is answered when it ends. A leader that is
    elected again keeps its log, so produces wait on.
B2. A follower appends under a leader epoch only after the leader of that epoch has accepted its last epoch and offset.
B3. Whatever waits is a value in the waiting room with a deadline, or is woken by an event; nothing polls. An idle broker
    has no timers.

D1 to D4 stand in `leader`, the follower's rules in `follower`; `reading` answers fetches, `queries` everything that
changes nothing, `waiting_room` holds who waits. A `Broker` is five in a row: `process` (state and envelopes), `keeping`
(flush, checkpoints, expiry, retention, an orderly end), `reading`, `leading`, and itself (roles, metadata, timers).

Not here: sockets and versions; groups and transaction coordinators; fetch sessions (a follower has a connection for each
partition); quotas.
Source: Kafka's `ReplicaManager`, `Partition`, `DelayedProduce`, `AbstractFetcherThread`; recorded answers of 4.3.1.
"""

from eventlog.broker.broker import Broker

__all__ = ["Broker"]
