"""Floor 2: the partition log and its heart.

Read `producer_state` first: it is the reason for everything else. Then

| room | what |
|---|---|
| `producer_state` | the verdicts, and what is remembered after each batch |
| `producers` | the entries: what is kept of a producer, for how long, and how it is written down |
| `expiry` | in which order producers expire |
| `partition_log` | one replica's log: append, read, look up, check |
| `kept_log` | how it opens, closes, is cut, and loses its oldest segments |
| `segments` | the pieces by which it is kept and deleted |
| `snapshot` | the producers as a file, in Kafka's format |
| `leader_epochs` | which leader wrote which part |
| `marker` | the end of a transaction |
| `store` | the port behind which batches, snapshots and checkpoints are kept |

The log is the truth; all else is derived from it. Producer state, log end and leader epochs can be thrown away and made
again from the batches, and that is what recovery and truncation do. To spare reading the whole log at each start there
are snapshots, and they hold one batch of each producer where memory holds five: a restarted broker knows less than it
did, though its log holds it all. That is Kafka's rule, faults included; `producer_snapshot_batches=5` shows the other.

Invariants: P1 to P6 in `producer_state`, L1 to L5 in `partition_log`.

Not here: who leads, who is in sync, who waits, when a timer fires (broker); a batch's bytes (codec); files (storage).
Sources: Kafka's `UnifiedLog`, `LogLoader`, `LogSegment`, `ProducerStateManager`, `LeaderEpochFileCache`.
"""
