"""Each amount is added once, whenever the service dies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from totals import AMOUNTS, TOTALS, careless_totals, totals

from eventlog import Cluster
from eventlog.testing import ChaosFailure, chaos_test, exactly_once, supervise


def each_amount_is_added_once(
    cluster: Cluster, tmp_path: Path, service: Callable[[Cluster, Path], None] = totals
) -> None:
    cluster.create_topic(AMOUNTS)
    cluster.create_topic(TOTALS)
    with cluster.producer("customers") as customers:
        for amount in (b"1", b"20", b"300"):
            customers.send(AMOUNTS, amount)
    supervise(service, cluster, tmp_path / "notes")  # it is started again when it dies
    exactly_once(cluster, TOTALS, [b"1", b"21", b"321"], event_of=lambda record: record.value.split()[0])


chaos = chaos_test(faults={"client_crash", "lost_ack", "leader_failover"}, runs=50, min_insync_replicas=2)

test_a_total_that_says_how_far_it_goes_is_right = chaos(each_amount_is_added_once)


def test_a_total_and_a_position_in_two_places_part(tmp_path: Path) -> None:
    with pytest.raises(ChaosFailure, match=r"b'2' stands in 'totals', and nobody asked for it") as caught:
        chaos(each_amount_is_added_once)(tmp_path=tmp_path, service=careless_totals)
    assert "1. client_crash: the process dies at crash point after_write" in str(caught.value)
