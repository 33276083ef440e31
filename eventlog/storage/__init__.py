"""Floor 3: where logs are kept. Memory now; files in Kafka's segment format will fulfil the same port.

S1. What lies below `durable_end_offset` survives every crash; what lies above survives a crash that keeps the disk, and
    is gone after one that loses the unflushed tail.
S2. Checkpoints and snapshots are durable at once; a test may damage a snapshot's bytes, the log copes.
S3. A power cut may tear the first batch it takes. `mend` keeps it when it is whole by its length and checksum, else
    nothing of it.

Not here: what the batches mean.
"""

from eventlog.storage.memory import MemoryLogStore, MemoryStores

__all__ = ["MemoryLogStore", "MemoryStores"]
