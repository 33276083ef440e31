"""What real clients said to a real broker, said to ours: the answers have the same fields.

Left aside are ids, ports and times that nobody can give twice, fetch sessions (there are none), and what depends on a group
or a transaction (they are not served): a partition that a transaction wrote to is not compared from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from replay_stage import Exchange, Replay, differences, plain
from wire_stage import API_VERSIONS, FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, METADATA, PRODUCE, conversations

from eventlog.wire.versions import APIS

FIND_COORDINATOR, CREATE_TOPICS, CREATE_PARTITIONS = 10, 19, 37
UNKNOWN_TOPIC = 3
DELETE_RECORDS, ELECT_LEADERS, DESCRIBE_CLUSTER = 21, 43, 60
BY_PARTITION = {
    PRODUCE: ("responses", "partition_responses", "index"),
    FETCH: ("responses", "partitions", "partition_index"),
    LIST_OFFSETS: ("topics", "partitions", "partition_index"),
    DELETE_RECORDS: ("topics", "partitions", "partition_index"),
}
WHOLE = (
    METADATA,
    INIT_PRODUCER_ID,
    CREATE_TOPICS,
    CREATE_PARTITIONS,
    ELECT_LEADERS,
    DESCRIBE_CLUSTER,
    FIND_COORDINATOR,
)
NOBODY_GIVES_TWICE = (
    *("topic_id", "producer_id", "cluster_id", "port", "session_id", "configs", "error_message"),
    *("log_append_time", "is_internal"),
)


def compared(exchange: Exchange, replay: Replay) -> Iterator[str]:
    """Where our answer parts from the real one, in what can be compared."""
    key = exchange.frame["api_key"]
    if exchange.real is None:
        return
    if key == API_VERSIONS:
        yield from _ranges(exchange)
    elif key in BY_PARTITION and not getattr(exchange.asked, "session_id", 0):
        for where, real, ours in _paired(exchange, replay, *BY_PARTITION[key]):
            yield from differences(real, ours, f"{where}")
    elif key in WHOLE and _is_comparable(exchange):
        yield from differences(_stripped(exchange.real), _stripped(exchange.ours))


def _ranges(exchange: Exchange) -> Iterator[str]:
    """What both list is listed alike; what we list is served by them."""
    theirs = {each.api_key: (each.min_version, each.max_version) for each in exchange.real.api_keys}
    for each in exchange.ours.api_keys:
        if theirs[each.api_key] != (each.min_version, each.max_version):
            yield f"{APIS[each.api_key].name}: {theirs[each.api_key]} there, {each} here"
    yield from differences(exchange.real.error_code, exchange.ours.error_code)


def _is_comparable(exchange: Exchange) -> bool:
    asked, real = exchange.asked, exchange.real
    if exchange.frame["api_key"] == INIT_PRODUCER_ID:
        return bool(real.producer_id >= 0)  # a broker that has just begun says that it has no ids yet
    if exchange.frame["api_key"] == FIND_COORDINATOR:
        return getattr(asked, "key_type", 0) == 0
    if exchange.frame["api_key"] == METADATA:
        # Who asks for all sees what others left behind. A topic that is being made is there at once, with us.
        return bool(asked.topics) and not any(topic.error_code == UNKNOWN_TOPIC for topic in real.topics)
    return True


def _paired(
    exchange: Exchange, replay: Replay, topics: str, partitions: str, index: str
) -> Iterator[tuple[str, Any, Any]]:
    """Both answers for each partition that no transaction wrote to."""
    real, ours = ({**_rows(each, replay, topics, partitions, index)} for each in (exchange.real, exchange.ours))
    for where in real:
        if where not in replay.tainted:
            yield where, real[where], ours.get(where)


def _rows(entity: Any, replay: Replay, topics: str, partitions: str, index: str) -> dict[str, Any]:
    rows = {}
    for topic in getattr(entity, topics):
        for each in getattr(topic, partitions):
            rows[f"{replay.topic_of(topic)}-{getattr(each, index)}"] = _stripped(each)
    return rows


def _stripped(entity: Any) -> Any:
    return _sorted(plain(entity))


def _sorted(value: Any) -> Any:
    """Without what nobody gives twice; lists of structures by name or number."""
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in value.items() if name not in NOBODY_GIVES_TWICE}
    if isinstance(value, list):
        return sorted([_sorted(each) for each in value], key=repr)
    return value


@pytest.mark.parametrize("name", conversations())
def test_every_replayable_request_is_answered_with_the_fields_of_the_real_broker(name: str) -> None:
    replay = Replay(name)
    try:
        found = [
            f"{exchange.name} {difference}"
            for exchange in replay.exchanges()
            for difference in compared(exchange, replay)
        ]
    finally:
        replay.close()
    assert found == []
