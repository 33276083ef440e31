"""What an event is called, and what could happen instead of it.

Names are made of the protocol's content: who, which partition, which records, which try. So the same thing has the same
name in two runs, whatever else differs, and a plain and an idempotent writer meet the same faults.
"""

from __future__ import annotations

from eventlog.messages import Envelope
from eventlog.messages.broker_api import (
    FetchRequest,
    InitProducerIdRequest,
    ListOffsetsRequest,
    MetadataRequest,
    ProduceRequest,
)
from eventlog.sim.faults import (
    CLIENT_REPLY,
    CLIENT_REQUEST,
    FOLLOWER_FETCH,
    FOLLOWER_REPLY,
    PRODUCE_REPLY,
    PRODUCE_REQUEST,
)

Named = tuple[str, tuple[str, ...]]


def name_of_request(envelope: Envelope) -> Named | None:
    """(name, the faults that fit) of a request's delivery; None when no fault is ever put here."""
    message = envelope.message
    if isinstance(message, ProduceRequest):
        first = message.partitions[0]
        topic, partition = first.topic_partition
        name = f"{envelope.source} produces {topic}-{partition} @{first.first_record} try {first.attempt}"
        return (name, PRODUCE_REQUEST)
    if isinstance(message, FetchRequest):
        wanted = message.partitions[0]
        topic, partition = wanted.topic_partition
        name = (
            f"{envelope.source} fetches {topic}-{partition} @{wanted.fetch_offset} epoch {wanted.current_leader_epoch}"
        )
        return (name, FOLLOWER_FETCH if message.replica_id >= 0 else CLIENT_REQUEST)
    if isinstance(message, MetadataRequest):
        newer = ",".join([f"{tp}>{epoch}" for tp, epoch in message.newer_than])
        return (f"{envelope.source} asks {envelope.destination} for metadata {newer}", CLIENT_REQUEST)
    if isinstance(message, InitProducerIdRequest):
        return (f"{envelope.source} asks {envelope.destination} for a producer id", CLIENT_REQUEST)
    if isinstance(message, ListOffsetsRequest) and message.replica_id < 0:
        return (f"{envelope.source} lists offsets", CLIENT_REQUEST)
    return None


_REPLY_FAULTS = {PRODUCE_REQUEST: PRODUCE_REPLY, FOLLOWER_FETCH: FOLLOWER_REPLY, CLIENT_REQUEST: CLIENT_REPLY}


def name_of_reply(request: Envelope) -> Named | None:
    """(name, the faults that fit) of the delivery of the answer to `request`."""
    named = name_of_request(request)
    if named is None:
        return None
    name, faults = named
    return (f"answer: {name}", _REPLY_FAULTS[faults])
