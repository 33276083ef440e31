"""`unit-test`: what a test pays for a cluster of its own, and what the import costs."""

from __future__ import annotations

import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.timing import Row, span, take_turns
from eventlog.cluster import Cluster

CLUSTERS = 20
MUST_NOT_BE_LOADED = ("numpy", "asyncio", "rich")
IMPORT = """
from time import perf_counter
start = perf_counter()
import eventlog
only = perf_counter() - start
eventlog.Cluster
whole = perf_counter() - start
import sys
print(only, whole, *[name for name in {names!r} if name in sys.modules])
"""


def unit_test_seconds() -> float:
    start = perf_counter()
    for _ in range(CLUSTERS):
        with Cluster() as cluster:
            cluster.create_topic("orders")
            assert cluster.producer().send("orders", b"hello").offset == 0
    return (perf_counter() - start) / CLUSTERS


def import_seconds(cache: str) -> tuple[float, float]:
    """(`import eventlog`, with `eventlog.Cluster` behind it), in a fresh process that finds its bytecode in `cache`."""
    source = IMPORT.format(names=MUST_NOT_BE_LOADED)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    only, whole, *loaded = done.stdout.split()
    assert not loaded, f"eventlog.Cluster imports {', '.join(loaded)}"
    return (float(only), float(whole))


def unit_test() -> list[Row]:
    (measured,) = take_turns((unit_test_seconds,), 10)
    with TemporaryDirectory() as cache:
        imports = [import_seconds(cache) for _ in range(8)]
    only, whole = min(one for one, _ in imports), min(both for _, both in imports)
    what = "Cluster, create_topic, one acknowledged record, close"
    figures = f"{span(only)}, with eventlog.Cluster {span(whole)}"
    return [
        Row(what, span(measured), "", "<= 3 ms", measured <= 3e-3),
        Row("import eventlog, fresh process", figures, "", "<= 60 ms", only <= 60e-3),
    ]
