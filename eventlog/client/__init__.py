"""Client engines."""

from eventlog.client.consumer import ConsumerEngine
from eventlog.client.producer import ProducerEngine

__all__ = ["ConsumerEngine", "ProducerEngine"]
