"""What an unmodified client gets through the door: a broker in its own process, confluent-kafka in this one.

    python -m benchmarks.wire [--bootstrap HOST:PORT] [--messages N] [--brokers N]

Without `--bootstrap` a broker is started by `eventlog serve` and stopped again. With it, any other that listens is measured
in the same way, so that both can be compared in one run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

VALUE = b"x" * 100


@contextmanager
def served(brokers: int) -> Iterator[str]:
    """The address of a broker in a process of its own."""
    command = [sys.executable, "-m", "eventlog", "serve", "--port", "0", "--brokers", str(brokers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait(10)


def produce(bootstrap: str, topic: str, messages: int) -> float:
    """Messages a second, idempotent, after one that warms up."""
    from confluent_kafka import Producer

    settings = {
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        "log_level": 0,
        "queue.buffering.max.messages": messages + 1,
        "queue.buffering.max.kbytes": 1_000_000,
    }
    producer = Producer(settings)
    producer.produce(topic, VALUE, partition=0)
    assert producer.flush(30) == 0
    begin_s = time.perf_counter()
    send = producer.produce
    for _ in range(messages):
        send(topic, VALUE, partition=0)
    assert producer.flush(60) == 0
    return messages / (time.perf_counter() - begin_s)


def consume(bootstrap: str, topic: str, messages: int) -> float:
    """Messages a second, from the first that arrives."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False, "log_level": 0}
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    got = len(consumer.consume(1, 30))
    begin_s = time.perf_counter()
    while got <= messages:
        got += len(consumer.consume(10_000, 10))
    rate = messages / (time.perf_counter() - begin_s)
    consumer.close()
    return rate


def first_acknowledgement_ms(bootstrap: str, topic: str) -> float:
    """From a new plain producer to its first acknowledgement."""
    from confluent_kafka import Producer

    begin_s = time.perf_counter()
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": False, "linger.ms": 0, "log_level": 0})
    producer.produce(topic, VALUE, partition=0)
    assert producer.flush(30) == 0
    return (time.perf_counter() - begin_s) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", default="")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--brokers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.bootstrap:
        measure(arguments.bootstrap, arguments.messages, arguments.rounds)
    else:
        with served(arguments.brokers) as bootstrap:
            measure(bootstrap, arguments.messages, arguments.rounds)


def measure(bootstrap: str, messages: int, rounds: int) -> None:
    """Each row `rounds` times; topics are named after the time, so that a broker may be measured twice."""
    for number in range(rounds):
        topic = f"bench-{time.time_ns()}"
        first_ms = first_acknowledgement_ms(bootstrap, topic)
        produced = produce(bootstrap, f"{topic}-p", messages)
        consumed = consume(bootstrap, f"{topic}-p", messages)
        print(
            f"round {number + 1}: produced {produced:,.0f}/s, consumed {consumed:,.0f}/s, "
            f"first acknowledgement {first_ms:.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
