"""What the tests of the kit share: a small service with a mistake, and pytest in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

from eventlog import Cluster
from eventlog.testing import exactly_once, maybe_crash, supervise

ORDERS = [b"order-1", b"order-2", b"order-3"]
PLUGIN = () if entry_points(group="pytest11", name="eventlog") else ("-p", "eventlog.testing.plugin")


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


def run_pytest(directory: Path, source: str, *options: str) -> tuple[int, str]:
    """(exit code, output) of pytest over one file with this source."""
    (directory / "test_it.py").write_text(dedent(source))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *PLUGIN, *options, "test_it.py"]
    environment = {**os.environ, "PYTHONHASHSEED": "random", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr
