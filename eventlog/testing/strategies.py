"""Hypothesis strategies for faults, and for what is written to a log. Needs the extra `hypothesis`.

```python
from hypothesis import given, strategies as st
from eventlog.testing import strategies

@given(plan=strategies.fault_plans(), values=st.lists(st.binary(), min_size=1))
def test_what_is_acknowledged_is_there(plan, values):
    with plan.cluster(brokers=3) as cluster:
        ...
```

What they draw prints as code, so it can be kept in an `@example(...)`. Everything shrinks to the plain case: no faults,
one record, sequence 0, Kafka's defaults.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from eventlog.errors import RequestError
from eventlog.scenarios import SCENARIOS, Scenario, find_scenario
from eventlog.testing.fault_groups import CLIENT_CRASH, fault_kinds
from eventlog.testing.planned import MILD_TO_SEVERE, Plan, PlannedFault, moments_of, plan_of
from eventlog.values import (
    MAX_PRODUCER_EPOCH,
    MAX_SEQUENCE,
    Record,
    RecordBatch,
    increment,
    record_batch,
)

REMEMBERED_BATCHES = 5


def fault_plans(
    kinds: Iterable[str] | None = None, max_events: int = 4, latest: int = 12, who: Iterable[str] = ("",)
) -> SearchStrategy[Plan]:
    """Plans of at most `max_events` faults of these kinds (groups or names, as in `chaos_test`), each at one
    of the first `latest` moments of its kind.

    Shrinks to `Plan()`: first fewer faults, then milder ones, then earlier. `who`: names of clients or brokers whose
    requests are struck; "" is anybody's. Raises RequestError for an unknown kind.
    """
    known = [fault for fault in fault_kinds(kinds) if kinds is not None or fault != CLIENT_CRASH]
    if not known:
        raise RequestError("kinds must name at least one fault; leave it out for all that a sound cluster survives")
    if CLIENT_CRASH in known:
        raise RequestError(f"{CLIENT_CRASH} happens in `walks` and in `chaos_test` only, at maybe_crash(...)")
    for name, value, least in (("max_events", max_events, 0), ("latest", latest, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RequestError(f"{name} must be {least} or more, not {value!r}")
    mild_first = [fault for fault in MILD_TO_SEVERE if fault in known]
    asked = list(who)

    def planned(fault: str) -> SearchStrategy[PlannedFault]:
        # A produce is the moment that most bugs are about, and the plainest story.
        places = sorted(moments_of(fault), key=lambda moment: "produce" not in moment)
        return st.builds(
            PlannedFault, st.just(fault), st.integers(1, latest), st.sampled_from(places), st.sampled_from(asked)
        )

    one = st.sampled_from(mild_first).flatmap(planned)
    return st.lists(one, max_size=max_events, unique=True).map(plan_of)


def keys(distinct: int = 3, with_none: bool = True) -> SearchStrategy[bytes | None]:
    """Keys of records, few enough to meet again: None, b"a", b"b" ..."""
    few = st.sampled_from([b"%c" % (97 + number) for number in range(min(distinct, 26))])
    return st.none() | few if with_none else few


def records(values: SearchStrategy[bytes] | None = None, max_bytes: int = 16) -> SearchStrategy[Record]:
    """Single records, with and without key and headers."""
    contents = st.binary(max_size=max_bytes) if values is None else values
    headers = st.lists(st.tuples(st.sampled_from(["trace", "type"]), st.binary(max_size=4) | st.none()), max_size=2)
    # A fresh record carries the time at which it was made; the search begins at a fixed one.
    return st.builds(
        Record, keys(), contents, st.integers(0, 1_000).map(lambda later: 1_700_000_000_000 + later), headers.map(tuple)
    )


def sequences() -> SearchStrategy[int]:
    """Sequence numbers: small ones, and those around the end of the circle, after 2147483647."""
    return st.integers(0, 12) | st.integers(0, 12).map(lambda back: MAX_SEQUENCE - back)


def producer_epochs() -> SearchStrategy[int]:
    """Producer epochs: small ones, and the last, 32767, with the few before it."""
    return st.integers(0, 3) | st.integers(0, 3).map(lambda back: MAX_PRODUCER_EPOCH - back)


def batches(
    max_records: int = 3, producer_ids: SearchStrategy[int] | None = None, idempotent: bool = True
) -> SearchStrategy[RecordBatch]:
    """Single batches as a producer sends them, near the edges of sequences and epochs; or, not `idempotent`, without
    producer id."""
    contents = st.lists(records(), min_size=1, max_size=max_records).map(tuple)
    if not idempotent:
        return st.builds(record_batch, contents)
    ids = st.integers(1, 3) if producer_ids is None else producer_ids
    return st.builds(record_batch, contents, ids, producer_epochs(), sequences())


@st.composite
def batches_in_order(draw: st.DrawFn, max_batches: int = 2 * REMEMBERED_BATCHES, max_records: int = 3) -> Any:
    """What one producer sends to one partition: a list of batches, each beginning where the one before ended, often
    more than the five that a broker remembers, often over the end of the circle of sequences."""
    first = draw(batches(max_records))
    contents = st.lists(records(), min_size=1, max_size=max_records).map(tuple)
    row = [first]
    for content in draw(st.lists(contents, max_size=max_batches - 1)):
        after = increment(row[-1].last_sequence, 1)
        row.append(record_batch(content, first.producer_id, first.producer_epoch, after))
    return row


def producer_settings(idempotent: bool | None = None) -> SearchStrategy[dict[str, Any]]:
    """Keywords for `Cluster.producer(**settings)` that fit together. `{}` is the plainest."""
    shared = {
        "linger_ms": st.sampled_from([5, 0, 100]),
        "batch_size": st.sampled_from([16_384, 0, 200]),
        "retry_backoff_ms": st.sampled_from([100, 0, 1_000]),
        "request_timeout_ms": st.sampled_from([30_000, 1_000]),
    }
    safe = st.fixed_dictionaries(
        {},
        optional={
            **shared,
            "max_in_flight": st.integers(1, REMEMBERED_BATCHES),
            "initial_sequence": sequences(),
            "behaves_like": st.sampled_from(["java", "librdkafka"]),
        },
    )
    plain = st.fixed_dictionaries(
        {"enable_idempotence": st.just(False)},
        optional={
            **shared,
            "acks": st.sampled_from([-1, 1, 0]),
            "retries": st.sampled_from([MAX_SEQUENCE, 1, 0]),
            "max_in_flight": st.integers(1, 10),
        },
    )
    return safe | plain if idempotent is None else safe if idempotent else plain


def scenarios(names: Iterable[str] | None = None, max_batches: int = 4) -> SearchStrategy[Scenario]:
    """Small worlds for `eventlog.scenarios.play`, the smallest first."""
    known = sorted(SCENARIOS if names is None else names, key=lambda name: find_scenario(name).brokers)
    return st.builds(
        find_scenario,
        st.sampled_from(known),
        batches=st.integers(1, max_batches),
        records=st.integers(1, 2),
        is_warm=st.booleans(),
        max_in_flight=st.sampled_from([5, 1]),
        initial_sequence=sequences(),
        producer_snapshot_batches=st.sampled_from([1, 5]),
        behaves_like=st.sampled_from(["java", "librdkafka"]),
    )
