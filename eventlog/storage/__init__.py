"""Floor 3: where logs are kept. Memory now; files in Kafka's segment format will fulfil the same port.

S1. What lies below `durable_end_offset` survives every crash; what lies above survives a crash that keeps the disk, and
    is gone after one that loses the unflushed tail.
S2. Checkpoints are durable at once.

Not here: what the batches mean.
"""

from eventlog.storage.memory import MemoryLogStore, MemoryStores

__all__ = ["MemoryLogStore", "MemoryStores"]
