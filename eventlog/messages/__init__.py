"""Floor 1: everything that machines say to each other, as values without version numbers.

Five vocabularies: the envelope itself and the network (`envelope`), a broker's (`broker_api`), the controller's with
the records of the metadata log (`controller_api`), and the user's (`user_api`).

M1. A message is immutable and holds immutable values only, so it may be kept, shared and compared.
M2. A reply names what it answers wherever the pending thing can have been replaced meanwhile.
M3. Where a version of Kafka's protocol changes a meaning, the meaning is a field here.

Not here: bytes (codec), sockets (wire), and who sends what when (the machines).
Source: the request and response schemas of Apache Kafka 4.x.
"""

from eventlog.messages.envelope import (
    CONTROLLER,
    NETWORK,
    NO_CONNECTION,
    CloseConnection,
    Connection,
    Disconnected,
    Envelope,
    Frozen,
    Machine,
    NoReply,
    ShutDown,
    Start,
    Stopped,
    Timer,
    broker_name,
)

__all__ = [
    "CONTROLLER",
    "NETWORK",
    "NO_CONNECTION",
    "CloseConnection",
    "Connection",
    "Disconnected",
    "Envelope",
    "Frozen",
    "Machine",
    "NoReply",
    "ShutDown",
    "Start",
    "Stopped",
    "Timer",
    "broker_name",
]
