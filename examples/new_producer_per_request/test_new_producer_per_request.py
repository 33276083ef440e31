"""A payment is in the log once, though its caller had to try again."""

from __future__ import annotations

import pytest
from handler import TOPIC, ForgetfulHandler, Handler, call

from eventlog import Cluster
from eventlog.testing import ChaosFailure, chaos_test, exactly_once

PAYMENTS = [b"payment-1", b"payment-2", b"payment-3"]


def each_payment_is_there_once(cluster: Cluster, handler_class: type[ForgetfulHandler] = Handler) -> None:
    cluster.create_topic(TOPIC)
    handler = handler_class(cluster)
    for payment in PAYMENTS:
        call(handler, payment)
    exactly_once(cluster, TOPIC, PAYMENTS)


chaos = chaos_test(faults={"lost_ack", "connection_loss", "leader_failover"}, runs=50, min_insync_replicas=2)

test_with_one_producer_the_caller_may_try_again = chaos(each_payment_is_there_once)


def test_a_producer_for_each_request_pays_twice() -> None:
    with pytest.raises(ChaosFailure, match=r"b'payment-1' stands in 'payments' 2 times") as caught:
        chaos(each_payment_is_there_once)(handler_class=ForgetfulHandler)
    told = str(caught.value)
    assert "1. reply_lost on broker-" in told
    assert "Keep one producer for the life of the process" in " ".join(told.split())
