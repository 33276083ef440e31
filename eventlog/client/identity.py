"""Who an idempotent producer is: its producer id and epoch, asking for them, and raising the epoch (KIP-360).

Source: `TransactionManager.bumpIdempotentEpochAndResetIdIfNeeded`.
"""

from __future__ import annotations

from eventlog.client.batches import PartitionQueue
from eventlog.client.link import Asker
from eventlog.errors import ErrorCode
from eventlog.messages import Connection, Envelope, Frozen
from eventlog.messages.broker_api import InitProducerIdReply, InitProducerIdRequest
from eventlog.values import MAX_PRODUCER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID

PURPOSE = "init"


class ProducerIdentity:
    """(producer id, epoch), and the partitions that want a higher epoch.

    `wanted` becomes True with the first record: a producer that sends nothing has no id. `rewrite` holds the partitions
    for which sequences begin anew with the next epoch, in the order they asked.
    """

    __slots__ = ("asker", "epoch_bumps", "producer_epoch", "producer_id", "request_timeout_ms", "rewrite", "wanted")

    def __init__(
        self,
        client: str,
        seed: int,
        request_timeout_ms: int,
        retry_backoff_ms: int,
        retry_backoff_max_ms: int,
        jitter_percent: int = 20,
    ) -> None:
        self.asker = Asker(client, PURPOSE, seed, retry_backoff_ms, retry_backoff_max_ms, jitter_percent)
        self.request_timeout_ms = request_timeout_ms
        self.producer_id = NO_PRODUCER_ID
        self.producer_epoch = NO_PRODUCER_EPOCH
        self.wanted = False
        self.rewrite: dict[PartitionQueue, None] = {}
        self.epoch_bumps = 0

    def request_bump(self, queue: PartitionQueue) -> None:
        """The epoch is raised before anything else is sent; this partition's sequences begin anew with it."""
        self.rewrite[queue] = None

    def bump_if_requested(self) -> None:
        """Raises the epoch by one, or gives the exhausted id away and waits for another."""
        if not self.rewrite or self.producer_id == NO_PRODUCER_ID:
            return
        if self.producer_epoch == MAX_PRODUCER_EPOCH:
            # Kafka's client goes on to label the triggering partitions with id -1, epoch -1 here, so that their batches
            # would leave without any protection. Here they keep the old label, and stay, until the new id has come.
            self.producer_id = NO_PRODUCER_ID
            self.producer_epoch = NO_PRODUCER_EPOCH
            return
        self._begin(self.producer_id, self.producer_epoch + 1)

    def _begin(self, producer_id: int, producer_epoch: int) -> None:
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        if self.rewrite:
            self.epoch_bumps += 1
        for queue in self.rewrite:
            queue.start_at_beginning(producer_id, producer_epoch)
            queue.unresolved_sequence = -1
        self.rewrite.clear()

    def advance(self, brokers: tuple[int, ...], now_ms: int, deadlines: dict[str, int]) -> list[Envelope]:
        """Asks for an id if one is needed and no question is under way."""
        if not self.wanted or self.producer_id != NO_PRODUCER_ID or not self.asker.may_ask(deadlines):
            return []
        request = InitProducerIdRequest()
        return [self.asker.ask(request, brokers, now_ms, self.request_timeout_ms, deadlines)]

    def receive_reply(
        self, envelope: Envelope, brokers: tuple[int, ...], now_ms: int, deadlines: dict[str, int]
    ) -> ErrorCode:
        """Takes an InitProducerIdReply in. An error that is not NONE is final: this producer can't work."""
        if self.asker.take_reply(envelope, deadlines) is None:
            return ErrorCode.NONE
        reply: InitProducerIdReply = envelope.message
        if reply.error is ErrorCode.NONE:
            self.asker.failures = 0
            self._begin(reply.producer_id, reply.producer_epoch)
            return ErrorCode.NONE
        if not reply.error.is_retriable:
            return reply.error
        self.asker.fail(brokers, now_ms, deadlines)
        return ErrorCode.NONE

    def disconnected(
        self, connection: Connection, brokers: tuple[int, ...], now_ms: int, deadlines: dict[str, int]
    ) -> None:
        if self.asker.disconnected(connection, deadlines):
            self.asker.fail(brokers, now_ms, deadlines)

    def timed_out(self, brokers: tuple[int, ...], now_ms: int, deadlines: dict[str, int]) -> list[Envelope]:
        envelopes = self.asker.give_up(deadlines)
        self.asker.fail(brokers, now_ms, deadlines)
        return envelopes

    def freeze(self, now_ms: int) -> Frozen:
        return (
            self.producer_id,
            self.producer_epoch,
            self.wanted,
            tuple(tuple(queue.topic_partition) for queue in self.rewrite),
            self.asker.freeze(now_ms, self.request_timeout_ms),
        )

    def restore(self, frozen: Frozen, queues: dict[tuple[str, int], PartitionQueue], now_ms: int) -> None:
        self.producer_id, self.producer_epoch, self.wanted, rewrite, asker = frozen
        self.rewrite = {queues[each[0], each[1]]: None for each in rewrite}
        self.asker.restore(asker, now_ms)
