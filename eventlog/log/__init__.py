"""Floor 2: the partition log and its heart.

Read `producer_state` first: it is the reason for everything else. `partition_log` puts batches in their place and asks
it; `leader_epochs` says which leader wrote which part; `marker` is the end of a transaction; `store` is the port behind
which batches are kept.

The log is the truth; all else is derived from it. Producer state, log end and leader epochs can be thrown away and made
again from the batches, and that is what recovery and truncation do.

Not here: who leads, who is in sync, who waits (broker); bytes (codec); snapshots of producer state, which in Kafka
shorten the memory to one batch after a restart: here a restart remembers all five.
"""
