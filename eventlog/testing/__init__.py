"""Floor 8: a kit for testing code that writes to a log.

```python
from eventlog.testing import chaos_test, exactly_once, maybe_crash, supervise

@chaos_test(faults={"lost_ack", "client_crash"}, runs=100)
def test_every_order_is_published_once(cluster, tmp_path):
    cluster.create_topic("orders")
    outbox = Outbox(tmp_path / "orders.db", orders=3)
    supervise(relay, outbox, cluster)
    exactly_once(cluster, "orders", outbox.orders())
```

**Theory.** Code that talks to a log has three enemies: answers that don't come, leaders that change, and its own death
between two steps. Each strikes at a moment, and there are few kinds of moments; most mistakes need one fault, nearly
all the rest two. So a test is run again and again from the start, first without faults, then with one at each moment,
then with two; walks by luck go between, for what needs more. What is found is shrunk by leaving faults out, and told
with what it takes.

1.  The same test with the same seed does the same on every machine: no clock, no thread, no chance but named chance.
    A test that does not is told so, and not called wrong.
2.  A run is its faults, each named by the event it strikes; the literal of a failure repeats it.
3.  A process that dies loses what was in its memory, and nothing that the network or a file had.
4.  Loading the plugin loads nothing else: neither cluster nor Hypothesis.

Where things are: `plugin` the fixtures and options; `chaos` the decorator, `chaos_run` one run, `schedule` the order of
runs; `crashing` and `mortal` crash points and what dies there; `oracles` what to hold the log to; `advice` and `telling`
what is said; `fault_groups` the names. With Hypothesis (an extra): `strategies` and `planned` for drawn faults,
`hypothesis_support` for walks within examples, `machine` a state machine to subclass, `forked` a producer that forks.
For code that brings a real Kafka client: `kafka` the fixtures, `kafka_chaos` the decorator, `kafka_run` one run,
`kafka_faults` and `kafka_offers` what strikes and in which order it is tried, `kafka_telling` what is said.

Real clients have clocks and threads: 1. and 2. are not theirs. There a run is its plan, which names events by their count,
and a failure counts when three reruns of its plan fail in the same way.

Not here: threads and coroutines in virtual time, for nothing waits there; crash points within this library, which has none;
crash points of processes that use real clients.
"""

from __future__ import annotations

from typing import Any

_HOMES = {
    "EventLogMachine": "machine",
    "Plan": "planned",
    "PlannedFault": "planned",
    "walks": "hypothesis_support",
    "forked": "forked",
    "ChaosFailure": "chaos",
    "Unrepeatable": "chaos",
    "chaos_test": "chaos",
    "Unconfirmed": "kafka_chaos",
    "kafka_chaos_test": "kafka_chaos",
    "SimulatedCrash": "crashing",
    "maybe_crash": "crashing",
    "supervise": "crashing",
    "FAULT_GROUPS": "fault_groups",
    "OracleFailure": "oracles",
    "effectively_once": "oracles",
    "exactly_once": "oracles",
    "no_loss": "oracles",
    "ordered_per_key": "oracles",
    "outbox_drained": "oracles",
}

__all__ = [
    "FAULT_GROUPS",
    "ChaosFailure",
    "OracleFailure",
    "SimulatedCrash",
    "Unconfirmed",
    "Unrepeatable",
    "chaos_test",
    "effectively_once",
    "exactly_once",
    "kafka_chaos_test",
    "maybe_crash",
    "no_loss",
    "ordered_per_key",
    "outbox_drained",
    "supervise",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eventlog.testing' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"eventlog.testing.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
