"""`send`: acknowledged writes to three replicas, against a fake that only keeps what it is given."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.timing import NotMeasuredError, Row, rate, take_turns
from eventlog.cluster import Cluster

RECORDS = 20_000
BATCH = 100
TURNS = 7


def send_seconds(**settings: Any) -> float:
    """`BATCH` sends, then a flush, and so on: every record is replicated and acknowledged when the time is taken."""
    with Cluster(**settings) as cluster:
        cluster.create_topic("orders")
        producer = cluster.producer()
        producer.send("orders", b"first", partition=0)
        producer.flush()
        send, flush = producer.send, producer.flush
        start = perf_counter()
        for _ in range(RECORDS // BATCH):
            for _ in range(BATCH):
                send(topic="orders", value=b"hello", partition=0)
            flush()
        seconds = perf_counter() - start
        assert len(cluster.records("orders")) == RECORDS + 1
    return seconds


def mockafka_seconds() -> float:
    import mockafka
    from mockafka.admin_client import NewTopic
    from mockafka.kafka_store import KafkaStore

    KafkaStore(clean=True)
    mockafka.FakeAdminClientImpl().create_topics([NewTopic(topic="orders", num_partitions=1)])
    produce = mockafka.FakeProducer().produce
    start = perf_counter()
    for _ in range(RECORDS):
        produce(topic="orders", value=b"hello", partition=0)
    seconds = perf_counter() - start
    assert KafkaStore().get_partition_next_offset("orders", 0) == RECORDS
    KafkaStore(clean=True)
    return seconds


def send() -> list[Row]:
    try:
        import mockafka  # noqa: F401 (is it there?)
    except ImportError:
        raise NotMeasuredError("needs the bench extra: pip install 'eventlog-broker[bench]'") from None
    fake, cheap, bare = take_turns(
        (mockafka_seconds, send_seconds, lambda: send_seconds(checks="off", record=False)), TURNS
    )
    rows = []
    for what, seconds in (("as it comes", cheap), ('checks="off", record=False', bare)):
        ratio = fake / seconds
        rows.append(
            Row(
                f"acknowledged sends, 3 replicas, batches of {BATCH}, {what}",
                f"{rate(RECORDS, seconds)}, mockafka-py {rate(RECORDS, fake)}",
                f"{ratio:.2f}x",
                ">= 1x",
                ratio >= 1,
            )
        )
    return rows
