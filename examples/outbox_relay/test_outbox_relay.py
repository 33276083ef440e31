"""Each order is told of once: published, marked, and answered with one letter, whenever the relay dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from relay import TOPIC, Mailer, TrustingMailer, hasty_relay, open_shop, place_orders, relay

from eventlog import Cluster
from eventlog.testing import ChaosFailure, chaos_test, effectively_once, outbox_drained, supervise

ORDERS = ["order-1", "order-2", "order-3"]
Relay = Callable[[Path, Cluster], None]


def each_order_is_answered_once(
    cluster: Cluster, tmp_path: Path, relay: Relay = relay, mailer_class: type[TrustingMailer] = Mailer
) -> None:
    cluster.create_topic(TOPIC)
    shop = tmp_path / "shop.db"
    place_orders(shop, ORDERS)
    supervise(relay, shop, cluster)  # it is started again when it dies
    outbox_drained(cluster, TOPIC, open_shop(shop).execute("SELECT event, is_published FROM outbox"))
    mailer = mailer_class(tmp_path / "mail.db")
    mailer.run(cluster)
    effectively_once(cluster, ORDERS, mailer.letters())


chaos = chaos_test(faults={"client_crash", "lost_ack", "leader_failover"}, runs=50, min_insync_replicas=2)

test_a_reader_that_knows_what_it_has_seen_answers_once = chaos(each_order_is_answered_once)


def test_a_reader_that_trusts_the_relay_answers_twice(tmp_path: Path) -> None:
    with pytest.raises(ChaosFailure, match=r"b'order-1' was applied 2 times") as caught:
        chaos(each_order_is_answered_once)(tmp_path=tmp_path, mailer_class=TrustingMailer)
    assert "1. client_crash: the process dies at crash point after_publish" in str(caught.value)


def test_a_relay_that_marks_first_never_publishes(tmp_path: Path) -> None:
    with pytest.raises(ChaosFailure, match=r"b'order-1' is marked as published, and is not in 'orders'"):
        chaos(each_order_is_answered_once)(tmp_path=tmp_path, relay=hasty_relay)
