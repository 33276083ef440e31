"""`wire` and `wire-...`: what an unmodified client gets through the door, brokers in a process of their own.

The yardstick of `wire` is kfake of franz-go, the fastest fake there is. It is a Go package; a program that starts it and
prints its address is measured when KFAKE names it:

    cluster, _ := kfake.NewCluster(kfake.NumBrokers(1), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(1))
    fmt.Println(cluster.ListenAddrs()[0]); select {}

Both brokers run at once and take turns; the client is the same, in this process.
"""

from __future__ import annotations

import os
import shlex
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import eventlog
from benchmarks.timing import NotMeasuredError, Row, rate, span, take_turns
from eventlog.codec import encode_batch
from eventlog.values import Record
from eventlog.values.record import record_batch

VALUE = b"x" * 100
MESSAGES = 100_000
KEPT_MESSAGES = 1_000_000
RETENTION_BYTES = 20_000_000
TURNS = 7
IDLE_S = 5.0
PARTITIONS, CLIENTS = 100, 50
LISTEN = """
from time import perf_counter
start = perf_counter()
import eventlog.wire
imported = perf_counter() - start
cluster = eventlog.Cluster(brokers=3)
start = perf_counter()
with eventlog.wire.listen(cluster) as door:
    ready = perf_counter() - start
    assert door.bootstrap.count(":") == 3
print(imported, ready)
"""


class Served(NamedTuple):
    """A broker in a process of its own."""

    bootstrap: str
    process_id: int

    @property
    def cpu_s(self) -> float:
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self, name: str = "VmRSS") -> int:
        lines = dict(line.split(":", 1) for line in self._read("status").splitlines())
        return int(lines[name].split()[0]) * 1024

    def _read(self, name: str) -> str:
        path = Path("/proc", str(self.process_id), name)
        if not path.exists():
            raise NotMeasuredError("needs /proc")
        return path.read_text()


@contextmanager
def served(*options: str, rival: str = "") -> Iterator[Served]:
    """`eventlog serve` with these options, or the rival's command. Its bytecode is compiled already, as it is for a user."""
    with TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        own = [sys.executable, "-m", "eventlog", "serve", "--port", "0", *options]
        if not rival:
            compile_all = [sys.executable, "-m", "compileall", "-qq", str(Path(eventlog.__file__).parent)]
            for command in ([sys.executable, "-c", LISTEN], compile_all):
                subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        process = subprocess.Popen(shlex.split(rival) or own, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert process.stdout is not None
            yield Served(process.stdout.readline().split()[-1], process.pid)
        finally:
            process.terminate()
            process.wait(10)
            process.stdout.close()


def new_topic() -> str:
    return f"bench-{time.time_ns()}"


def new_producer(bootstrap: str, **settings: Any) -> Any:
    try:
        from confluent_kafka import Producer
    except ImportError:
        raise NotMeasuredError("needs confluent-kafka") from None
    return Producer({"bootstrap.servers": bootstrap, "log_level": 0, **settings})


def new_consumer(bootstrap: str, topic: str, *partitions: int) -> Any:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    settings = {"bootstrap.servers": bootstrap, "group.id": "bench", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    return consumer


def produce_seconds(bootstrap: str, topic: str, messages: int) -> float:
    """Idempotent, after one message that warms up."""
    settings = {"queue.buffering.max.messages": messages + 1, "queue.buffering.max.kbytes": 1_000_000}
    producer = new_producer(bootstrap, **{"enable.idempotence": True}, **settings)
    producer.produce(topic, VALUE, partition=0)
    assert producer.flush(30) == 0
    send = producer.produce
    start = time.perf_counter()
    for _ in range(messages):
        send(topic, VALUE, partition=0)
    assert producer.flush(60) == 0
    return time.perf_counter() - start


def consume_seconds(bootstrap: str, topic: str, messages: int) -> float:
    """From the first that arrives to the last."""
    consumer = new_consumer(bootstrap, topic, 0)
    got = len(consumer.consume(1, 30))
    start = time.perf_counter()
    while got <= messages:
        got += len(consumer.consume(10_000, 10))
    seconds = time.perf_counter() - start
    consumer.close()
    assert got == messages + 1
    return seconds


def first_seconds(bootstrap: str, is_idempotent: bool) -> float:
    """From a new producer to its first acknowledgement; the topic is made meanwhile."""
    topic = new_topic()
    start = time.perf_counter()
    producer = new_producer(bootstrap, **{"enable.idempotence": is_idempotent, "linger.ms": 0})
    producer.produce(topic, VALUE, partition=0)
    assert producer.flush(30) == 0
    return time.perf_counter() - start


def wire() -> list[Row]:
    """Throughput and first acknowledgements, against kfake where it is there."""
    with ExitStack() as stack:
        brokers = [stack.enter_context(served())]
        if "KFAKE" in os.environ:
            brokers.append(stack.enter_context(served(rival=os.environ["KFAKE"])))
        topics: dict[str, str] = {}

        def produced(bootstrap: str) -> float:
            topics[bootstrap] = new_topic()
            return produce_seconds(bootstrap, topics[bootstrap], MESSAGES)

        def consumed(bootstrap: str) -> float:
            return consume_seconds(bootstrap, topics[bootstrap], MESSAGES)

        def turns(measure: Any, turns: int = TURNS) -> list[float]:
            sides = tuple([lambda bootstrap=each.bootstrap: measure(bootstrap) for each in brokers])
            return take_turns(sides, turns)

        new_producer("127.0.0.1:1")  # what the library does once in a process is not measured
        fresh = first_seconds(brokers[0].bootstrap, False)
        plain = turns(lambda bootstrap: first_seconds(bootstrap, False))
        idempotent = turns(lambda bootstrap: first_seconds(bootstrap, True), 3)
        rows = []
        for what, seconds in (("idempotent", turns(produced)), ("consumed back", turns(consumed))):
            rows.append(_against_rival(f"confluent-kafka, {MESSAGES:,} x 100 B, {what}", seconds))
    name = "first acknowledgement of a new confluent-kafka producer"
    figures = f"{span(plain[0])}, the very first of a broker {span(fresh)}" + _and_rival(plain)
    rows.append(Row(f"{name}, plain", figures, "", "<= 10 ms", plain[0] <= 10e-3))
    # The client's own timer: it may ask for its producer id half a second late, with any broker.
    figures = f"{span(idempotent[0])}{_and_rival(idempotent)}"
    rows.append(Row(f"{name}, idempotent", figures, "", "<= 0.5 s + 10 ms", idempotent[0] <= 0.51))
    return rows


def _against_rival(what: str, seconds: list[float]) -> Row:
    if len(seconds) == 1:
        return Row(what, f"{rate(MESSAGES, seconds[0])}; no kfake here", "", ">= 0.9x")
    ratio = seconds[1] / seconds[0]
    figures = f"{rate(MESSAGES, seconds[0])}, kfake {rate(MESSAGES, seconds[1])}"
    return Row(what, figures, f"{ratio:.2f}x", ">= 0.9x", ratio >= 0.9)


def _and_rival(seconds: list[float]) -> str:
    return f", kfake {span(seconds[1])}" if len(seconds) > 1 else ""


def start() -> list[Row]:
    """The import, and listeners in this process; each time in a fresh one."""
    with TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
        command = [sys.executable, "-c", LISTEN]
        outputs = [
            subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
            for _ in range(8)
        ]
    imported, ready = (min(map(float, column)) for column in zip(*outputs, strict=True))
    return [
        Row("import eventlog.wire, fresh process", span(imported), "", "<= 150 ms", imported <= 150e-3),
        Row("3 listeners ready in process", span(ready), "", "<= 10 ms", ready <= 10e-3),
    ]


def round_trip() -> list[Row]:
    """A batch of one message on a bare socket, acks=all, to the answer: the median of 2,000."""
    with served("--brokers", "3") as broker:
        topic = new_topic()
        producer = new_producer(broker.bootstrap)
        producer.produce(topic, VALUE, partition=0)
        assert producer.flush(30) == 0
        leader_id = producer.list_topics(topic).topics[topic].partitions[0].leader
        host, _, port = broker.bootstrap.split(",")[leader_id - 1].rpartition(":")
        batch = encode_batch(record_batch((Record(None, VALUE, int(time.time() * 1000)),), -1, -1, -1))
        name = topic.encode()
        body = struct.pack(">hhi", -1, -1, 30_000)
        body += struct.pack(f">ih{len(name)}siii", 1, len(name), name, 1, 0, len(batch)) + batch
        times = []
        with socket.create_connection((host, int(port))) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answers = client.makefile("rb")
            for number in range(2_000):
                frame = struct.pack(">hhih", 0, 7, number, -1) + body
                begin_s = time.perf_counter()
                client.sendall(len(frame).to_bytes(4, "big") + frame)
                answer = answers.read(int.from_bytes(answers.read(4), "big"))
                times.append(time.perf_counter() - begin_s)
                error_at = 4 + 4 + 2 + len(name) + 4 + 4
                assert answer[error_at : error_at + 2] == b"\0\0", answer
        median = sorted(times)[len(times) // 2]
    return [Row("acknowledged round trip, 3 replicas, p50", span(median), "", "<= 1 ms", median <= 1e-3)]


def idle() -> list[Row]:
    """Consumers of confluent-kafka with its default long poll; all have their message, then nothing comes."""
    with served("--brokers", "3", "--partitions", str(PARTITIONS)) as broker:
        topic = new_topic()
        producer = new_producer(broker.bootstrap)
        for partition in range(PARTITIONS):
            producer.produce(topic, VALUE, partition=partition)
        assert producer.flush(30) == 0
        each = PARTITIONS // CLIENTS
        consumers = [new_consumer(broker.bootstrap, topic, *range(n * each, n * each + each)) for n in range(CLIENTS)]
        got = sum([len(consumer.consume(each, 30)) for consumer in consumers])
        time.sleep(1)
        begin_s, begin_cpu_s = time.monotonic(), broker.cpu_s
        time.sleep(IDLE_S)
        share = (broker.cpu_s - begin_cpu_s) / (time.monotonic() - begin_s)
        for consumer in consumers:
            consumer.close()
    what = f"{PARTITIONS} partitions, {CLIENTS} consumers of confluent-kafka"
    return [
        Row(what, f"{got} of {PARTITIONS} messages arrived", "", "works", got == PARTITIONS),
        Row(f"{what}, idle, CPU of the brokers", f"{share:.1%}", "", "< 2 %", share < 0.02),
    ]


def memory() -> list[Row]:
    """What the broker's process grows by, against the bytes of the batches it took."""
    rows = []
    for options, what in (
        ((), ""),
        (("--retention-bytes", str(RETENTION_BYTES)), f", --retention-bytes {RETENTION_BYTES:,}"),
    ):
        with served(*options) as broker:
            topic = new_topic()
            produce_seconds(broker.bootstrap, topic, 1)
            before_bytes = broker.memory_bytes()
            produce_seconds(broker.bootstrap, topic, KEPT_MESSAGES)
            time.sleep(2)  # retention looks once a second
            taken_bytes = broker.memory_bytes() - before_bytes
            most_bytes = broker.memory_bytes("VmHWM") - before_bytes
        came_bytes = KEPT_MESSAGES * (len(VALUE) + 8)
        allowed_bytes = RETENTION_BYTES if options else came_bytes
        ratio = taken_bytes / allowed_bytes
        # With a limit: what comes until the next check, what is under way, and what malloc keeps are on top.
        must = 3 if options else 1.5
        figures = f"{taken_bytes / 1e6:.0f} MB, at most {most_bytes / 1e6:.0f} MB, for {allowed_bytes / 1e6:.0f} MB"
        rows.append(Row(f"memory of 1 M x 100 B{what}", figures, f"{ratio:.2f}x", f"<= {must}x", ratio <= must))
    return rows
