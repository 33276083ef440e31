"""An HTTP service that publishes an event for each request. A request that takes longer than five seconds is answered 503,
and the caller tries again.

The mistake: the handler makes a producer for each request. An idempotent producer repeats a batch as often as it must, and
the broker knows it again by producer id and sequence number. But a new producer has a new id, and what it sends is new.
"""

from __future__ import annotations

from eventlog import Cluster, Delivery, UnknownOutcomeError

TOPIC = "payments"
PATIENCE_MS = 5_000


class ForgetfulHandler:
    """Buggy: a producer for each request."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def send(self, payment: bytes) -> Delivery:
        return self.cluster.producer().send(TOPIC, payment)

    def handle(self, payment: bytes) -> int:
        """Publish, and answer with the status of HTTP."""
        delivery = self.send(payment)
        try:
            self.cluster.wait_for(lambda: delivery.done, "the payment to be published", PATIENCE_MS)
        except UnknownOutcomeError:
            return 503
        return 200 if delivery.error is None else 503


class Handler(ForgetfulHandler):
    """Fixed: one producer for the life of the service, and a payment that is on its way is not sent again."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.producer = cluster.producer("service")
        self.on_their_way: dict[bytes, Delivery] = {}

    def send(self, payment: bytes) -> Delivery:
        if payment not in self.on_their_way:
            self.on_their_way[payment] = self.producer.send(TOPIC, payment)
        return self.on_their_way[payment]


def call(handler: ForgetfulHandler, payment: bytes) -> None:
    """The caller: tries again until it is told that it is done."""
    for _ in range(60):
        if handler.handle(payment) == 200:
            return
        handler.cluster.advance(1_000)
    raise TimeoutError(f"{payment!r} was not taken in 60 attempts")
