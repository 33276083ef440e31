"""Floor 0: plain values that everything else is made of.

Records and batches, sequence arithmetic, settings under Kafka's names, the vocabulary of faults, chance by name.
All immutable, all integers where there is time or chance: a digest of a run is the same on every machine.

Not here: anything that moves or decides.
"""

from eventlog.values.chance import chance, draw
from eventlog.values.faults import FAULTS, USUAL_FAULTS, FaultKind, check_fault_names
from eventlog.values.record import (
    BATCH_HEADER_BYTES,
    CONTROL,
    NO_TIMESTAMP,
    RECORD_OVERHEAD_BYTES,
    TRANSACTIONAL,
    Record,
    RecordBatch,
    TopicPartition,
    Unreadable,
    batch_size_bytes,
    placed,
    record_batch,
    record_size_bytes,
)
from eventlog.values.sequence import (
    MAX_PRODUCER_EPOCH,
    MAX_SEQUENCE,
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    decrement,
    increment,
    is_next,
)
from eventlog.values.settings import (
    BrokerSettings,
    ConsumerSettings,
    LogSettings,
    ProducerSettings,
    TopicSettings,
    log_settings,
    with_settings,
)
from eventlog.values.version import __version__

__all__ = [
    "BATCH_HEADER_BYTES",
    "CONTROL",
    "FAULTS",
    "MAX_PRODUCER_EPOCH",
    "MAX_SEQUENCE",
    "NO_PRODUCER_EPOCH",
    "NO_PRODUCER_ID",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "RECORD_OVERHEAD_BYTES",
    "TRANSACTIONAL",
    "USUAL_FAULTS",
    "BrokerSettings",
    "ConsumerSettings",
    "FaultKind",
    "LogSettings",
    "ProducerSettings",
    "Record",
    "RecordBatch",
    "TopicPartition",
    "TopicSettings",
    "Unreadable",
    "__version__",
    "batch_size_bytes",
    "chance",
    "check_fault_names",
    "decrement",
    "draw",
    "increment",
    "is_next",
    "log_settings",
    "placed",
    "record_batch",
    "record_size_bytes",
    "with_settings",
]
