"""What the tests of the kit share: a small service with a mistake, and pytest within pytest."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventlog import Cluster
from eventlog.testing import exactly_once, maybe_crash, supervise

ORDERS = [b"order-1", b"order-2", b"order-3"]


def forgetful_relay(cluster: Cluster, marked: Path) -> None:
    """Publishes what is not marked, and marks it; it may die between the two."""
    producer = cluster.producer("relay")
    done = marked.read_bytes().split() if marked.exists() else []
    for order in ORDERS:
        if order not in done:
            producer.send("orders", order).offset  # noqa: B018
            maybe_crash("after_publish")
            done.append(order)
            marked.write_bytes(b" ".join(done))


def each_order_once(cluster: Cluster, tmp_path: Path) -> None:
    cluster.create_topic("orders")
    supervise(forgetful_relay, cluster, tmp_path / "marked")
    exactly_once(cluster, "orders", ORDERS)


def run_pytest(pytester: pytest.Pytester, source: str, *options: str) -> tuple[int, str]:
    """(exit code, output) of pytest, in this process, over one file with this source, on a screen of 120 columns."""
    pytester.makepyfile(test_it=source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "120")
        result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options, "test_it.py")
    return int(result.ret), f"{result.stdout}{result.stderr}"
